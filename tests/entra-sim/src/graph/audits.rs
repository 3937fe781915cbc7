//! The directory's audit log: every write that took effect, as Graph lists it.
//!
//! Facts: Microsoft Graph, directoryAudit. The names of activities are Microsoft's; what has none of its own here is called
//! by its method and resource.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::query::{Shape, collection};
use super::{Context, Handled, properties};
use crate::clock::graph_time;
use crate::directory::{Tenant, new_id};

/// Older ones are forgotten.
const KEPT: usize = 10_000;

/// What was written, in all tenants, oldest first.
#[derive(Debug, Default)]
pub struct Audits {
    entries: Mutex<Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    id: String,
    tenant: String,
    time: Timestamp,
    activity: String,
    category: &'static str,
    application: (String, String),
    person: Option<(String, String)>,
    target: Option<String>,
}

impl Audits {
    /// Notes a write that took effect.
    pub(super) fn note(&self, tenant: &Tenant, context: &Context<'_>) {
        let segments: Vec<&str> = context.call.segments.iter().map(String::as_str).collect();
        let (category, activity) = activity(&context.call.method, &segments);
        let caller = context.caller;
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= KEPT {
            entries.remove(0);
        }
        entries.push(Entry {
            id: new_id(),
            tenant: tenant.id.clone(),
            time: context.now,
            activity,
            category,
            application: (caller.appid.clone(), caller.app_displayname.clone()),
            person: caller.is_delegated().then(|| (caller.oid.clone(), caller.upn.clone())),
            target: segments.get(1).map(|id| (*id).to_owned()),
        });
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

pub(super) fn list(tenant: &Tenant, context: &Context<'_>) -> Handled {
    let shape = Shape { context: "auditLogs/directoryAudits", known: properties::DIRECTORY_AUDIT, ..Shape::PLAIN };
    let entries = context.sim.audits.entries.lock().unwrap_or_else(PoisonError::into_inner);
    let values = entries.iter().rev().filter(|entry| entry.tenant == tenant.id).map(json_of).collect();
    collection(context.call, shape, values)
}

fn json_of(entry: &Entry) -> Value {
    let by = match &entry.person {
        Some((id, name)) => json!({"user": {"id": id, "userPrincipalName": name}}),
        None => json!({"app": {"appId": entry.application.0, "displayName": entry.application.1}}),
    };
    let targets: Vec<Value> = entry.target.iter().map(|id| json!({"id": id, "modifiedProperties": []})).collect();
    json!({
        "id": entry.id,
        "activityDateTime": graph_time(entry.time),
        "activityDisplayName": entry.activity,
        "category": entry.category,
        "correlationId": entry.id,
        "initiatedBy": by,
        "loggedByService": "Core Directory",
        "result": "success",
        "resultReason": "",
        "targetResources": targets,
        "additionalDetails": [],
    })
}

/// Category and name of what was done.
fn activity(method: &str, segments: &[&str]) -> (&'static str, String) {
    let (category, name) = match (method, segments) {
        ("POST", ["users"]) => ("UserManagement", "Add user"),
        ("PATCH", ["users", _]) => ("UserManagement", "Update user"),
        ("DELETE", ["users", _]) => ("UserManagement", "Delete user"),
        ("POST", ["users", _, "revokeSignInSessions"]) => {
            ("UserManagement", "Update StsRefreshTokenValidFrom Timestamp")
        }
        ("POST", ["users", _, "authentication", ..]) => ("UserManagement", "Admin registered security info"),
        ("DELETE", ["users", _, "authentication", ..]) => ("UserManagement", "Admin deleted security info"),
        ("POST", ["directory", "deletedItems", ..]) => ("UserManagement", "Restore user"),
        ("DELETE", ["directory", "deletedItems", ..]) => ("UserManagement", "Hard Delete user"),
        ("POST", ["roleManagement", ..] | ["directoryRoles", ..]) => ("RoleManagement", "Add member to role"),
        ("DELETE", ["roleManagement", ..] | ["directoryRoles", ..]) => ("RoleManagement", "Remove member from role"),
        ("POST", ["groups"]) => ("GroupManagement", "Add group"),
        ("PATCH", ["groups", _]) => ("GroupManagement", "Update group"),
        ("DELETE", ["groups", _]) => ("GroupManagement", "Delete group"),
        ("POST", ["groups", _, "members", ..]) => ("GroupManagement", "Add member to group"),
        ("DELETE", ["groups", _, "members", ..]) => ("GroupManagement", "Remove member from group"),
        (_, ["policies" | "identity", ..]) => ("Policy", "Update policy"),
        (_, ["applications" | "servicePrincipals", ..]) => ("ApplicationManagement", "Update application"),
        _ => return ("DirectoryManagement", format!("{method} {}", segments.join("/"))),
    };
    (category, name.to_owned())
}
