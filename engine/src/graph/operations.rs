//! The Graph operations that a JIT account needs, one request each, and how their answers are read.
//!
//! Facts: Microsoft Graph v1.0 reference of user, unifiedRoleAssignment, group, domain, organization and
//! temporaryAccessPassAuthenticationMethod.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::SecretString;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;
use uuid::Uuid;

use super::{
    Answer, Body, Request, passkeys,
    schedules::{self, Fence},
};
use crate::{
    DomainFound,
    account::{AccountName, MARK_ATTRIBUTE},
    plan::Action,
};
use latchkey_protocol::cloud::Cloud;

const GROUP_MEMBERS: &str =
    "id,displayName,groupTypes,mailEnabled,securityEnabled,isAssignableToRole,onPremisesSyncEnabled";
pub(super) const USER_MEMBERS: &str = "id,accountEnabled,userPrincipalName,onPremisesExtensionAttributes";

/// One page of a collection.
#[derive(Deserialize)]
pub(crate) struct Page<T> {
    pub(crate) value: Vec<T>,
}

impl<T: DeserializeOwned> Page<T> {
    /// The members of a collection; none when the answer is something else.
    pub(crate) fn of(answer: Answer) -> Option<Vec<T>> {
        if !answer.is_success() {
            return None;
        }
        serde_json::from_value::<Self>(answer.body).ok().map(|page| page.value)
    }
}

/// An account as the directory shows it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FoundAccount {
    pub(crate) id: Uuid,
    #[serde(default)]
    pub(crate) account_enabled: Option<bool>,
    #[serde(default)]
    pub(crate) user_principal_name: Option<String>,
    #[serde(default)]
    on_premises_extension_attributes: Option<BTreeMap<String, serde_json::Value>>,
}

impl FoundAccount {
    pub(crate) fn mark(&self) -> Option<&str> {
        self.on_premises_extension_attributes.as_ref()?.get(MARK_ATTRIBUTE)?.as_str()
    }
}

/// How long a pass lives and whether it works once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PassLifetime {
    /// So many minutes.
    Minutes { minutes: u32, once: bool },
    /// As the tenant's policy has it: asked for when the policy cannot be read and refused our wish.
    AsThePolicySays,
}

/// The tenant's policy on passes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PassPolicy {
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) minimum_lifetime_in_minutes: Option<u32>,
    #[serde(default)]
    pub(crate) maximum_lifetime_in_minutes: Option<u32>,
    #[serde(default)]
    pub(crate) is_usable_once: Option<bool>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RoleDefinition {
    pub(crate) id: Uuid,
    #[serde(default)]
    pub(crate) display_name: String,
}

/// A group as the directory shows it, with what tells whether it can be changed.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FoundGroup {
    pub(crate) id: Uuid,
    #[serde(default)]
    pub(crate) display_name: String,
    #[serde(default)]
    pub(crate) group_types: Vec<String>,
    #[serde(default)]
    pub(crate) mail_enabled: Option<bool>,
    #[serde(default)]
    pub(crate) security_enabled: Option<bool>,
    #[serde(default)]
    pub(crate) is_assignable_to_role: Option<bool>,
    #[serde(default)]
    pub(crate) on_premises_sync_enabled: Option<bool>,
}

pub(crate) fn create_account(name: &AccountName, password: SecretString) -> Request {
    let members = json!({
        "accountEnabled": false,
        "displayName": name.display_name,
        "mailNickname": name.mail_nickname(),
        "userPrincipalName": name.user_name,
        "passwordPolicies": "DisablePasswordExpiration",
        "onPremisesExtensionAttributes": { MARK_ATTRIBUTE: name.mark },
    });
    let mut body = Body::plain(members);
    body.password = Some(password);
    Request::with("POST", "/users".to_owned(), Some(body))
}

pub(crate) fn delete_account(object_id: Uuid) -> Request {
    Request::with("DELETE", format!("/users/{object_id}"), None)
}

pub(crate) fn find_account(user_name: &str) -> Request {
    Request::get(format!("/users/{}?$select={USER_MEMBERS}", encoded(user_name)))
}

pub(crate) fn read_account(object_id: Uuid) -> Request {
    Request::get(format!("/users/{object_id}?$select={USER_MEMBERS}"))
}

pub(crate) fn read_role_assignments(principal: Uuid) -> Request {
    Request::get(format!("/roleManagement/directory/roleAssignments?$filter=principalId%20eq%20'{principal}'"))
}

pub(crate) fn read_memberships(object_id: Uuid) -> Request {
    Request::get(format!("/users/{object_id}/memberOf"))
}

pub(crate) fn read_passes(object_id: Uuid) -> Request {
    Request::get(format!("/users/{object_id}/authentication/temporaryAccessPassMethods")).of_authentication_methods()
}

pub(crate) fn read_organization() -> Request {
    Request::get("/organization?$select=id,displayName".to_owned())
}

pub(crate) fn read_domains() -> Request {
    Request::get("/domains".to_owned())
}

pub(crate) fn read_role_definitions() -> Request {
    Request::get("/roleManagement/directory/roleDefinitions?$select=id,displayName,templateId,isEnabled".to_owned())
}

pub(crate) fn read_group(id: Uuid) -> Request {
    Request::get(format!("/groups/{id}?$select={GROUP_MEMBERS}"))
}

/// Groups of that display name.
pub(crate) fn find_groups(name: &str) -> Request {
    let name = encoded(&name.replace('\'', "''"));
    Request::get(format!("/groups?$filter=displayName%20eq%20'{name}'&$select={GROUP_MEMBERS}"))
}

/// Groups whose display names begin so.
pub(crate) fn find_groups_beginning(beginning: &str) -> Request {
    let beginning = encoded(&beginning.replace('\'', "''"));
    Request::get(format!("/groups?$filter=startswith(displayName,'{beginning}')&$select={GROUP_MEMBERS}&$top=999"))
}

pub(crate) fn pass_policy() -> Request {
    Request::get(
        "/policies/authenticationMethodsPolicy/authenticationMethodConfigurations/TemporaryAccessPass".to_owned(),
    )
}

/// What reads an account back, in one batch: itself, its roles, its groups and, where we could have issued one, its
/// passes, and where roles can end by themselves which of them do.
pub(crate) fn members_of_account(object_id: Uuid, passes: bool, schedules: bool) -> Vec<Request> {
    let mut requests = vec![read_account(object_id), read_role_assignments(object_id), read_memberships(object_id)];
    if passes {
        requests.push(read_passes(object_id));
    }
    if schedules {
        requests.push(schedules::read(object_id));
    }
    requests
}

/// The request for one step on an account that is there. `now`: Microsoft's time, Unix milliseconds.
pub(crate) fn action_request(
    action: &Action,
    object_id: Uuid,
    cloud: Cloud,
    password: Option<SecretString>,
    lifetime: PassLifetime,
    now: i64,
) -> Request {
    let user = format!("/users/{object_id}");
    let enabled = |enabled: bool| Some(Body::plain(json!({ "accountEnabled": enabled })));
    match action {
        // None is ever part of a batch: a new account takes seconds to arrive everywhere, what registers a passkey
        // follows from an answer, and the beta of Graph has batches of its own.
        Action::Create(_) | Action::RegisterPasskey | Action::AddOathToken | Action::DeleteOathToken(_) => {
            read_account(object_id)
        }
        Action::Delete => delete_account(object_id),
        Action::SetPassword(_) => Request::with("PATCH", user, Some(Body::of_password(password))),
        Action::Enable => Request::with("PATCH", user, enabled(true)),
        Action::Disable => Request::with("PATCH", user, enabled(false)),
        Action::IssuePass => {
            let wish = match lifetime {
                PassLifetime::Minutes { minutes, once } => {
                    json!({ "lifetimeInMinutes": minutes, "isUsableOnce": once })
                }
                PassLifetime::AsThePolicySays => json!({}),
            };
            let path = format!("{user}/authentication/temporaryAccessPassMethods");
            Request::with("POST", path, Some(Body::plain(wish))).of_authentication_methods()
        }
        Action::DeletePass(pass) => {
            let path = format!("{user}/authentication/temporaryAccessPassMethods/{}", encoded(pass));
            Request::with("DELETE", path, None).of_authentication_methods()
        }
        Action::DeletePasskey(passkey) => passkeys::delete(object_id, passkey),
        Action::AddGroup(group) => {
            let reference = format!("{}/v1.0/directoryObjects/{object_id}", cloud.hosts().graph);
            let body = Body::plain(json!({ "@odata.id": reference }));
            Request::with("POST", format!("/groups/{group}/members/$ref"), Some(body))
        }
        // Without `/$ref` this would delete the account itself.
        Action::RemoveGroup(group) => {
            Request::with("DELETE", format!("/groups/{group}/members/{object_id}/$ref"), None)
        }
        Action::AssignRole { role, ends: Some(until) } => {
            schedules::assign(object_id, *role, Fence { now, until: *until })
        }
        Action::ExtendRole { role, ends, .. } => schedules::extend(object_id, *role, Fence { now, until: *ends }),
        Action::RemoveRole { role, timed: true, .. } => schedules::remove(object_id, *role),
        Action::AssignRole { role, ends: None } => {
            let body = json!({ "roleDefinitionId": role, "principalId": object_id, "directoryScopeId": "/" });
            Request::with("POST", "/roleManagement/directory/roleAssignments".to_owned(), Some(Body::plain(body)))
        }
        Action::RemoveRole { assignment, timed: false, .. } => {
            let path = format!("/roleManagement/directory/roleAssignments/{}", encoded(assignment));
            Request::with("DELETE", path, None)
        }
        Action::RevokeSessions => Request::with("POST", format!("{user}/revokeSignInSessions"), None),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundAssignment {
    id: String,
    role_definition_id: Uuid,
}

#[derive(Deserialize)]
struct FoundId {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundMembership {
    id: Uuid,
    #[serde(rename = "@odata.type", default)]
    kind: String,
    #[serde(default)]
    is_assignable_to_role: Option<bool>,
    #[serde(default)]
    group_types: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundDomain {
    id: String,
    #[serde(default)]
    authentication_type: Option<String>,
    #[serde(default)]
    is_verified: Option<bool>,
    #[serde(default)]
    is_initial: Option<bool>,
    #[serde(default)]
    is_default: Option<bool>,
}

/// Role assignments: id → role definition.
pub(crate) fn assignments(answer: Answer) -> Option<BTreeMap<String, Uuid>> {
    let found = Page::<FoundAssignment>::of(answer)?;
    Some(found.into_iter().map(|assignment| (assignment.id, assignment.role_definition_id)).collect())
}

/// Ids of passes.
pub(crate) fn passes(answer: Answer) -> Option<BTreeSet<String>> {
    Some(Page::<FoundId>::of(answer)?.into_iter().map(|pass| pass.id).collect())
}

/// The memberships that are ours to take away: those that leases grant, and every group that roles can be assigned
/// to. Others (dynamic groups above all) are the customer's own arrangement.
pub(crate) fn memberships(answer: Answer, ours: &BTreeSet<Uuid>) -> Option<BTreeMap<Uuid, bool>> {
    let found = Page::<FoundMembership>::of(answer)?;
    Some(
        found
            .into_iter()
            .filter(|membership| membership.kind.ends_with("group"))
            .filter(|membership| !membership.group_types.iter().any(|kind| kind == "DynamicMembership"))
            .map(|membership| (membership.id, membership.is_assignable_to_role.unwrap_or(false)))
            .filter(|(group, assignable)| *assignable || ours.contains(group))
            .collect(),
    )
}

pub(crate) fn domains(answer: Answer) -> Option<Vec<DomainFound>> {
    let found = Page::<FoundDomain>::of(answer)?;
    Some(
        found
            .into_iter()
            .map(|domain| DomainFound {
                name: domain.id,
                verified: domain.is_verified.unwrap_or(false),
                managed: domain.authentication_type.as_deref() == Some("Managed"),
                initial: domain.is_initial.unwrap_or(false),
                default: domain.is_default.unwrap_or(false),
            })
            .collect(),
    )
}

/// Percent-encodes everything that could end a path segment or begin another part.
pub(super) fn encoded(segment: &str) -> String {
    let mut encoded = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            use std::fmt::Write as _;
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_leaves_its_segment() {
        assert_eq!(encoded("jit-alex@contoso.com"), "jit-alex@contoso.com");
        assert_eq!(encoded("a/../b?c#d"), "a%2F..%2Fb%3Fc%23d");
    }

    #[test]
    fn a_membership_that_nobody_can_end_is_left_alone() {
        let ours = Uuid::from_u128(1);
        let answer = Answer {
            status: 200,
            request_id: None,
            retry_after: None,
            body: json!({ "value": [
                { "@odata.type": "#microsoft.graph.group", "id": ours },
                { "@odata.type": "#microsoft.graph.group", "id": Uuid::from_u128(2), "groupTypes": ["DynamicMembership"] },
                { "@odata.type": "#microsoft.graph.group", "id": Uuid::from_u128(3), "isAssignableToRole": true },
                { "@odata.type": "#microsoft.graph.group", "id": Uuid::from_u128(4) },
                { "@odata.type": "#microsoft.graph.directoryRole", "id": Uuid::from_u128(5) },
            ] }),
        };
        let found = memberships(answer, &BTreeSet::from([ours]));
        assert_eq!(found, Some(BTreeMap::from([(ours, false), (Uuid::from_u128(3), true)])));
    }
}
