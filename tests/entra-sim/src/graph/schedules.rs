//! PIM: role assignments with a time frame. Needs Entra ID P2 in the tenant.

use std::time::Duration;

use jiff::{Span, Timestamp};
use serde_json::{Value, json};

use super::query::{Shape, collection, entity};
use super::{Context, GraphError, Handled, Reply, properties};
use crate::clock::graph_time;
use crate::directory::seed::assignment_id;
use crate::directory::{Licence, RoleAssignment, Schedule, Tenant, new_id, roles};

const REQUESTS: Shape = Shape {
    context: "roleManagement/directory/roleAssignmentScheduleRequests",
    known: properties::SCHEDULE_REQUEST,
    ..Shape::PLAIN
};

/// An assignment cannot be taken back sooner than this.
const MINIMUM_ACTIVE: Duration = Duration::from_secs(5 * 60);

pub(super) fn requests(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    need_licence(tenant)?;
    collection(context.call, REQUESTS, tenant.schedule_requests.clone())
}

pub(super) fn one_request(tenant: &mut Tenant, context: &Context<'_>, id: &str) -> Handled {
    need_licence(tenant)?;
    let found = tenant.schedule_requests.iter().find(|known| known["id"] == *id).cloned();
    entity(context.call, REQUESTS, found.ok_or_else(|| GraphError::not_found(id))?)
}

/// Assignments that PIM made, of which some may begin later.
pub(super) fn schedules(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    need_licence(tenant)?;
    let shape = Shape { context: "roleManagement/directory/roleAssignmentSchedules", known: &[], ..REQUESTS };
    let values = tenant
        .assignments
        .iter()
        .filter_map(|assignment| {
            let schedule = assignment.schedule.as_ref()?;
            let over = schedule.end.is_some_and(|end| end <= context.now);
            let expiration = match schedule.end {
                Some(end) => json!({"type": "afterDateTime", "endDateTime": graph_time(end)}),
                None => json!({"type": "noExpiration"}),
            };
            (!over).then(|| {
                json!({
                    "id": schedule.id,
                    "principalId": assignment.principal,
                    "roleDefinitionId": assignment.role,
                    "directoryScopeId": assignment.scope,
                    "status": "Provisioned",
                    "assignmentType": "Assigned",
                    "memberType": "Direct",
                    "scheduleInfo": {"startDateTime": graph_time(schedule.start), "expiration": expiration},
                })
            })
        })
        .collect();
    collection(context.call, shape, values)
}

pub(super) fn request(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    need_licence(tenant)?;
    let body = context.call.object()?;
    context.call.only(&[
        "action",
        "appScopeId",
        "directoryScopeId",
        "isValidationOnly",
        "justification",
        "principalId",
        "roleDefinitionId",
        "scheduleInfo",
        "targetScheduleId",
        "ticketInfo",
    ])?;
    if body.get("isValidationOnly") == Some(&json!(true)) {
        // The answer without the effect.
        return made(&mut tenant.clone(), context);
    }
    made(tenant, context)
}

fn made(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    let call = context.call;
    let body = call.object()?;
    let action = call.required("action")?;
    let role = call.required("roleDefinitionId")?.to_ascii_lowercase();
    let principal = call.required("principalId")?.to_ascii_lowercase();
    let scope = call.required("directoryScopeId")?.to_owned();
    // No tenant has an administrative unit.
    if scope != "/" {
        return Err(refused("InvalidScope", "The directoryScopeId is not valid."));
    }
    if roles::by_id(&role).is_none() && !tenant.custom_roles.iter().any(|own| own.id == role) {
        return Err(refused("RoleDefinitionDoesNotExist", "The role definition does not exist."));
    }
    super::roles::check_principal(tenant, context, &principal)
        .map_err(|_| refused("SubjectNotFound", "The subject is not found."))?;
    let existing = tenant.assignments.iter().position(|known| {
        known.role == role && known.principal == principal && known.scope == scope && known.active(context.now)
    });
    let schedule_id = match action {
        "adminAssign" => {
            justified(body)?;
            if existing.is_some() {
                return Err(refused("RoleAssignmentExists", "The Role assignment already exists."));
            }
            let schedule = schedule(body.get("scheduleInfo"), context.now)?;
            if schedule.end.is_some_and(|end| end <= context.now) {
                return Err(expiration());
            }
            let id = schedule.id.clone();
            tenant.assignments.push(RoleAssignment {
                id: assignment_id(&role, &principal, &scope),
                role: role.clone(),
                principal: principal.clone(),
                scope: scope.clone(),
                schedule: Some(schedule),
            });
            id
        }
        // Changes an assignment that is there. One that was made without PIM is none of its own.
        "adminUpdate" => {
            justified(body)?;
            let held = existing.and_then(|position| tenant.assignments[position].schedule.as_mut());
            let held =
                held.ok_or_else(|| refused("RoleAssignmentDoesNotExist", "The Role assignment does not exist."))?;
            let changed = schedule(body.get("scheduleInfo"), context.now)?;
            if changed.end.is_some_and(|end| end <= context.now) {
                return Err(expiration());
            }
            // The first five minutes are counted from when it was assigned.
            held.end = changed.end;
            held.id.clone()
        }
        "adminRemove" => {
            let position =
                existing.ok_or_else(|| refused("RoleAssignmentDoesNotExist", "The Role assignment does not exist."))?;
            may_be_removed(&tenant.assignments[position], context)?;
            let removed = tenant.assignments.remove(position);
            super::roles::note_end(tenant, &removed.principal, context);
            removed.schedule.map_or_else(new_id, |schedule| schedule.id)
        }
        other => return Err(refused("InvalidAction", &format!("The action '{other}' is not for applications."))),
    };
    let made = json!({
        "id": new_id(),
        "status": if action == "adminRemove" { "Revoked" } else { "Provisioned" },
        "action": action,
        "createdDateTime": graph_time(context.now),
        "completedDateTime": graph_time(context.now),
        "principalId": principal,
        "roleDefinitionId": role,
        "directoryScopeId": scope,
        "isValidationOnly": body.get("isValidationOnly").and_then(Value::as_bool).unwrap_or(false),
        "justification": body.get("justification"),
        "scheduleInfo": body.get("scheduleInfo"),
        "targetScheduleId": schedule_id,
    });
    tenant.schedule_requests.push(made.clone());
    Ok(Reply::created(made))
}

fn justified(body: &serde_json::Map<String, Value>) -> Result<(), GraphError> {
    if body.get("justification").and_then(Value::as_str).is_some_and(|text| !text.is_empty()) {
        return Ok(());
    }
    Err(refused(
        "RoleAssignmentRequestPolicyValidationFailed",
        "The following policy rules failed: [\"JustificationRule\"]",
    ))
}

/// Not in the first five minutes of an assignment that PIM made.
pub(super) fn may_be_removed(assignment: &RoleAssignment, context: &Context<'_>) -> Result<(), GraphError> {
    let young = assignment
        .schedule
        .as_ref()
        .is_some_and(|schedule| context.now.duration_since(schedule.start).unsigned_abs() < MINIMUM_ACTIVE);
    if young && context.knobs.pim_minimum_active {
        return Err(refused(
            "ActiveDurationTooShort",
            "The active duration is too short. Minimum required is 5 minutes.",
        ));
    }
    Ok(())
}

pub(super) fn instances(tenant: &mut Tenant, context: &Context<'_>) -> Handled {
    need_licence(tenant)?;
    let shape = Shape {
        context: "roleManagement/directory/roleAssignmentScheduleInstances",
        known: properties::SCHEDULE_INSTANCE,
        ..Shape::PLAIN
    };
    let values = tenant
        .assignments
        .iter()
        .filter(|assignment| assignment.active(context.now))
        .map(|assignment| {
            let schedule = assignment.schedule.as_ref();
            json!({
                "id": assignment.id,
                "principalId": assignment.principal,
                "roleDefinitionId": assignment.role,
                "directoryScopeId": assignment.scope,
                "assignmentType": "Assigned",
                "memberType": "Direct",
                "roleAssignmentOriginId": assignment.id,
                "roleAssignmentScheduleId": schedule.map_or(&assignment.id, |schedule| &schedule.id),
                "startDateTime": schedule.map(|schedule| graph_time(schedule.start)),
                "endDateTime": schedule.and_then(|schedule| schedule.end).map(graph_time),
            })
        })
        .collect();
    collection(context.call, shape, values)
}

fn need_licence(tenant: &Tenant) -> Result<(), GraphError> {
    if tenant.licence >= Licence::P2 {
        Ok(())
    } else {
        Err(refused(
            "AadPremiumLicenseRequired",
            "The tenant needs to have Microsoft Entra ID P2 or Microsoft Entra ID Governance license.",
        ))
    }
}

fn schedule(info: Option<&Value>, now: Timestamp) -> Result<Schedule, GraphError> {
    let info = info.filter(|info| info.is_object()).ok_or_else(expiration)?;
    let start = match info.get("startDateTime").and_then(Value::as_str) {
        Some(text) => text.parse::<Timestamp>().map_err(|_| expiration())?,
        None => now,
    };
    let expiry = info.get("expiration").unwrap_or(&Value::Null);
    let end = match expiry.get("type").and_then(Value::as_str) {
        Some("noExpiration") => None,
        Some("afterDuration") => {
            let length: Span = expiry
                .get("duration")
                .and_then(Value::as_str)
                // ISO 8601, and none of the friendlier forms that the parser knows.
                .filter(|text| text.starts_with('P'))
                .and_then(|text| text.parse().ok())
                .ok_or_else(expiration)?;
            Some(start.checked_add(length).map_err(|_| expiration())?)
        }
        Some("afterDateTime") => Some(
            expiry
                .get("endDateTime")
                .and_then(Value::as_str)
                .and_then(|text| text.parse().ok())
                .ok_or_else(expiration)?,
        ),
        _ => return Err(expiration()),
    };
    if end.is_some_and(|end| end.duration_since(start) < jiff::SignedDuration::from_mins(5)) {
        return Err(refused(
            "ActiveDurationTooShort",
            "The active duration is too short. Minimum required is 5 minutes.",
        ));
    }
    Ok(Schedule { id: new_id(), start, end })
}

fn expiration() -> GraphError {
    refused("RoleAssignmentRequestPolicyValidationFailed", "The following policy rules failed: [\"ExpirationRule\"]")
}

fn refused(code: &'static str, message: &str) -> GraphError {
    GraphError::new(400, code, message)
}
