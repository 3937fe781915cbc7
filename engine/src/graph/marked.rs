//! Finding every account of ours in a tenant, with one or two reads however many there are.
//!
//! Facts: Microsoft Graph, advanced query capabilities on directory objects: a `$filter` on extension attributes is one
//! and needs `ConsistencyLevel: eventual` with `$count=true`; it is answered from an index that lags behind. Extension
//! attributes can be compared (`eq`, `ne`, `ge`, `le`, `in`) but not searched by `startsWith`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::{Answer, Body, FoundAccount, Page, Request, operations::USER_MEMBERS, operations::encoded};
use crate::account::{MARK_ATTRIBUTE, MARK_BEGINNING};

/// Every account that carries a mark of ours, whosever it is: a mark goes on with a word in small letters.
pub(crate) fn accounts_by_mark() -> Request {
    let mark = format!("onPremisesExtensionAttributes/{MARK_ATTRIBUTE}");
    Request::get(format!(
        "/users?$filter={mark}%20ge%20'{MARK_BEGINNING}'%20and%20{mark}%20le%20'{MARK_BEGINNING}zzzz'\
         &$select={USER_MEMBERS}&$count=true&$top=999"
    ))
}

/// Every account whose name begins as ours do: where the directory does not search by mark.
pub(crate) fn accounts_by_prefix(prefix: &str) -> Request {
    let prefix = encoded(&prefix.replace('\'', "''"));
    Request::get(format!("/users?$filter=startsWith(userPrincipalName,'{prefix}')&$select={USER_MEMBERS}&$top=999"))
}

/// Every role assignment of the tenant: fewer reads than one per account.
pub(crate) fn every_role_assignment() -> Request {
    Request::get("/roleManagement/directory/roleAssignments".to_owned())
}

/// Writes the mark on an account again. Not a sensitive action.
pub(crate) fn set_mark(object_id: Uuid, mark: &str) -> Request {
    let body = json!({ "onPremisesExtensionAttributes": { MARK_ATTRIBUTE: mark } });
    Request::with("PATCH", format!("/users/{object_id}"), Some(Body::plain(body)))
}

/// Gives an account its name back. A sensitive action: it must hold no role.
pub(crate) fn set_user_name(object_id: Uuid, user_name: &str) -> Request {
    let body = json!({ "userPrincipalName": user_name });
    Request::with("PATCH", format!("/users/{object_id}"), Some(Body::plain(body)))
}

pub(crate) fn found_accounts(answer: Answer) -> Option<Vec<FoundAccount>> {
    Page::of(answer)
}

pub(crate) fn found_account(answer: Answer) -> Option<FoundAccount> {
    serde_json::from_value(answer.body).ok()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundAssignment {
    id: String,
    principal_id: Uuid,
    role_definition_id: Uuid,
}

/// Who holds what: principal → assignment → role definition.
pub(crate) fn principals_of(answer: Answer) -> Option<BTreeMap<Uuid, BTreeMap<String, Uuid>>> {
    let mut held: BTreeMap<Uuid, BTreeMap<String, Uuid>> = BTreeMap::new();
    for assignment in Page::<FoundAssignment>::of(answer)? {
        held.entry(assignment.principal_id).or_default().insert(assignment.id, assignment.role_definition_id);
    }
    Some(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_stays_within_its_quotes() {
        let path = accounts_by_prefix("o'neil-&").path;
        assert!(path.contains("startsWith(userPrincipalName,'o%27%27neil-%26')&$select="), "{path}");
    }
}
