//! Role assignments that Microsoft ends by itself: Privileged Identity Management.
//!
//! Facts: Microsoft Graph v1.0 reference of unifiedRoleAssignmentScheduleRequest and
//! unifiedRoleAssignmentScheduleInstance; the enumerations have the casing of the schema.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::{Answer, Body, Page, Request};

const REQUESTS: &str = "/roleManagement/directory/roleAssignmentScheduleRequests";
const INSTANCES: &str = "/roleManagement/directory/roleAssignmentScheduleInstances";
/// Every assignment of ours is for the whole directory.
const WHOLE_DIRECTORY: &str = "/";
/// The schedule begins so long ago, in milliseconds: under clocks that differ a little it must not begin later.
const HEAD_START: i64 = 5_000;
/// Shorter ones are refused.
const SHORTEST_MINUTES: i64 = 5;

/// When a role ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fence {
    /// Microsoft's time now, Unix milliseconds.
    pub(crate) now: i64,
    /// When the last lease that needs the role is over, by the same clock.
    pub(crate) until: i64,
}

impl Fence {
    /// Whole minutes, so that the role never ends before the lease does.
    fn minutes(self) -> i64 {
        let length = self.until.saturating_sub(self.now).max(0) + HEAD_START;
        ((length + 59_999) / 60_000).max(SHORTEST_MINUTES)
    }
}

pub(super) fn assign(principal: Uuid, role: Uuid, fence: Fence) -> Request {
    // Many policies ask for a justification.
    schedule("adminAssign", principal, role, fence, "Latchkey: just-in-time access, ends with its lease")
}

/// Changes when an assignment that is there ends. `adminExtend` is not for this: it serves assignments that are about to
/// expire.
pub(super) fn extend(principal: Uuid, role: Uuid, fence: Fence) -> Request {
    schedule("adminUpdate", principal, role, fence, "Latchkey: the lease was extended")
}

fn schedule(action: &str, principal: Uuid, role: Uuid, fence: Fence, justification: &str) -> Request {
    let begins = fence.now.saturating_sub(HEAD_START).div_euclid(1000);
    let begins = Timestamp::from_second(begins).unwrap_or(Timestamp::UNIX_EPOCH);
    let body = json!({
        "action": action,
        "principalId": principal,
        "roleDefinitionId": role,
        "directoryScopeId": WHOLE_DIRECTORY,
        "justification": justification,
        "scheduleInfo": {
            "startDateTime": begins.to_string(),
            "expiration": { "type": "afterDuration", "duration": format!("PT{}M", fence.minutes()) },
        },
    });
    Request::with("POST", REQUESTS.to_owned(), Some(Body::plain(body)))
}

pub(super) fn remove(principal: Uuid, role: Uuid) -> Request {
    let body = json!({
        "action": "adminRemove",
        "principalId": principal,
        "roleDefinitionId": role,
        "directoryScopeId": WHOLE_DIRECTORY,
        "justification": "Latchkey: the lease is over",
    });
    Request::with("POST", REQUESTS.to_owned(), Some(Body::plain(body)))
}

pub(crate) fn read(principal: Uuid) -> Request {
    Request::get(format!("{INSTANCES}?$filter=principalId%20eq%20'{principal}'"))
}

/// Whether the tenant has the licence and lets us use it; `None` when the answer says neither.
pub(crate) fn allowed(answer: &Answer) -> Option<bool> {
    match answer.status {
        200..300 => Some(true),
        400 | 403 => Some(false),
        _ => None,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundAssignment {
    id: String,
    role_definition_id: Uuid,
    #[serde(default)]
    directory_scope_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundInstance {
    role_definition_id: Uuid,
    #[serde(default)]
    directory_scope_id: Option<String>,
    #[serde(default)]
    end_date_time: Option<Timestamp>,
}

/// Role assignments (id → role definition), and when those end that end by themselves (Unix milliseconds). `instances` that cannot be read make
/// none of them so: then each is removed like any other assignment.
pub(crate) fn timed(
    assignments: Answer,
    instances: Option<Answer>,
) -> Option<(BTreeMap<String, Uuid>, BTreeMap<String, i64>)> {
    let assignments = Page::<FoundAssignment>::of(assignments)?;
    let instances = instances.and_then(Page::<FoundInstance>::of).unwrap_or_default();
    let whole = |scope: &Option<String>| scope.as_deref() == Some(WHOLE_DIRECTORY);
    let ending: BTreeMap<Uuid, i64> = instances
        .iter()
        .filter(|instance| whole(&instance.directory_scope_id))
        .filter_map(|instance| Some((instance.role_definition_id, instance.end_date_time?.as_millisecond())))
        .collect();
    let timed = assignments
        .iter()
        .filter(|assignment| whole(&assignment.directory_scope_id))
        .filter_map(|assignment| Some((assignment.id.clone(), *ending.get(&assignment.role_definition_id)?)))
        .collect();
    Some((assignments.into_iter().map(|assignment| (assignment.id, assignment.role_definition_id)).collect(), timed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_ends_with_its_lease_and_never_before() {
        let minutes = |milliseconds: i64| Fence { now: 1_000_000, until: 1_000_000 + milliseconds }.minutes();
        assert_eq!(minutes(60 * 60_000), 61);
        assert_eq!(minutes(60 * 60_000 - 5_000), 60);
        assert_eq!(minutes(60_000), 5);
        assert_eq!(minutes(-60_000), 5);
    }

    #[test]
    fn only_what_ends_and_is_for_the_whole_directory_is_ours_to_take_back_there() {
        let answer =
            |value| Answer { status: 200, body: json!({ "value": value }), request_id: None, retry_after: None };
        let (one, two, three) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let assignments = json!([
            { "id": "a", "roleDefinitionId": one, "directoryScopeId": "/" },
            { "id": "b", "roleDefinitionId": one, "directoryScopeId": "/administrativeUnits/x" },
            { "id": "c", "roleDefinitionId": two, "directoryScopeId": "/" },
            { "id": "d", "roleDefinitionId": three, "directoryScopeId": "/" },
        ]);
        let instances = json!([
            { "roleDefinitionId": one, "directoryScopeId": "/", "endDateTime": "2026-11-22T18:00:00Z" },
            { "roleDefinitionId": two, "directoryScopeId": "/", "endDateTime": null },
        ]);
        let found = timed(answer(assignments.clone()), Some(answer(instances)));
        let ids = |found: Option<(BTreeMap<String, Uuid>, BTreeMap<String, i64>)>| {
            found.map(|(all, timed)| (all.len(), timed))
        };
        assert_eq!(ids(found), Some((4, BTreeMap::from([("a".to_owned(), 1_795_370_400_000)]))));
        assert_eq!(ids(timed(answer(assignments), None)), Some((4, BTreeMap::new())));
    }
}
