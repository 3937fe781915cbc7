//! The Graph operations that a break-glass account needs beyond those of JIT accounts.
//!
//! Facts: Microsoft Graph v1.0 reference of user (onPremisesExtensionAttributes, passwordPolicies,
//! lastPasswordChangeDateTime) and unifiedRoleAssignment.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::{Body, Request, operations::encoded};
use crate::account::MARK_ATTRIBUTE;

const MEMBERS: &str = "id,accountEnabled,userPrincipalName,onPremisesExtensionAttributes,onPremisesSyncEnabled,\
                       createdDateTime,lastPasswordChangeDateTime";

/// A break-glass account as the directory shows it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FoundBreakGlass {
    pub(crate) id: Uuid,
    #[serde(default)]
    pub(crate) account_enabled: Option<bool>,
    #[serde(default)]
    on_premises_extension_attributes: Option<BTreeMap<String, serde_json::Value>>,
    #[serde(default)]
    on_premises_sync_enabled: Option<bool>,
    #[serde(default)]
    created_date_time: Option<jiff::Timestamp>,
    #[serde(default)]
    last_password_change_date_time: Option<jiff::Timestamp>,
}

impl FoundBreakGlass {
    pub(crate) fn mark(&self) -> Option<&str> {
        self.on_premises_extension_attributes.as_ref()?.get(MARK_ATTRIBUTE)?.as_str()
    }

    /// Whether an on-premises directory is its master: then its password is not Entra's.
    pub(crate) fn is_synchronised(&self) -> bool {
        self.on_premises_sync_enabled == Some(true)
    }

    /// When it was made, Unix time in milliseconds.
    pub(crate) fn created_at(&self) -> Option<i64> {
        self.created_date_time.map(jiff::Timestamp::as_millisecond)
    }

    /// When its password was last changed, Unix time in milliseconds; whole seconds.
    pub(crate) fn changed_at(&self) -> Option<i64> {
        self.last_password_change_date_time.map(jiff::Timestamp::as_millisecond)
    }
}

pub(crate) fn create_break_glass(user_name: &str, name: &str, mark: &str, password: SecretString) -> Request {
    let members = json!({
        "accountEnabled": true,
        "displayName": format!("{name} (Latchkey break-glass)"),
        "mailNickname": name,
        "userPrincipalName": user_name,
        "passwordPolicies": "DisablePasswordExpiration",
        "onPremisesExtensionAttributes": { MARK_ATTRIBUTE: mark },
    });
    let mut body = Body::plain(members);
    body.password = Some(password);
    Request::with("POST", "/users".to_owned(), Some(body))
}

/// By object id or user principal name.
pub(crate) fn read_break_glass(account: &str) -> Request {
    Request::get(format!("/users/{}?$select={MEMBERS}", encoded(account)))
}

/// Puts the mark on an account, or takes it off. Nothing sensitive may be in the same request: a refusal of that would
/// refuse all of it.
pub(crate) fn mark_break_glass(object_id: Uuid, mark: Option<&str>) -> Request {
    let mut members = json!({ "onPremisesExtensionAttributes": { MARK_ATTRIBUTE: mark } });
    if mark.is_some() {
        members["passwordPolicies"] = json!("DisablePasswordExpiration");
    }
    Request::with("PATCH", format!("/users/{object_id}"), Some(Body::plain(members)))
}

pub(crate) fn set_password(object_id: Uuid, password: SecretString) -> Request {
    let body = Body::of_password(Some(password));
    Request::with("PATCH", format!("/users/{object_id}"), Some(body))
}

pub(crate) fn set_enabled(object_id: Uuid, enabled: bool) -> Request {
    Request::with("PATCH", format!("/users/{object_id}"), Some(Body::plain(json!({ "accountEnabled": enabled }))))
}

pub(crate) fn assign_role(principal: Uuid, role: Uuid) -> Request {
    let body = json!({ "roleDefinitionId": role, "principalId": principal, "directoryScopeId": "/" });
    Request::with("POST", "/roleManagement/directory/roleAssignments".to_owned(), Some(Body::plain(body)))
}

pub(crate) fn remove_role_assignment(assignment: &str) -> Request {
    Request::with("DELETE", format!("/roleManagement/directory/roleAssignments/{}", encoded(assignment)), None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn moments_are_read_and_the_lack_of_one_is_no_error() {
        let found: FoundBreakGlass = serde_json::from_value(json!({
            "id": Uuid::nil(), "accountEnabled": true, "lastPasswordChangeDateTime": "2026-11-22T11:00:00Z",
            "onPremisesExtensionAttributes": { "extensionAttribute15": "latchkey:break-glass:a", "extensionAttribute1": null },
        }))
        .unwrap();
        assert_eq!(found.changed_at(), Some(1_795_345_200_000));
        assert_eq!((found.created_at(), found.mark()), (None, Some("latchkey:break-glass:a")));
    }
}
