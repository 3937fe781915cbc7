//! Entries as events of the Open Cybersecurity Schema Framework.
//!
//! One entry is one event or several: a lease that was granted enabled an account, assigned privileges and added the
//! account to groups, each of which is a class of its own there. What has no place stands under `unmapped`, as it stands
//! in the log. Facts: OCSF 1.1.0, classes Account Change (3001), Authentication (3002), Entity Management (3004), User
//! Access Management (3005), Group Management (3006) and Base Event (0), with their required members.

use serde_json::{Map, Value, json};

use crate::{AuditEntry, AuditEvent, Caller, store::LeaseFacts};

/// The version of the schema.
pub const OCSF_VERSION: &str = "1.1.0";

/// What OCSF calls it.
#[derive(Clone, Copy)]
struct Class {
    uid: u32,
    name: &'static str,
}

const BASE_EVENT: Class = Class { uid: 0, name: "Base Event" };
const ACCOUNT_CHANGE: Class = Class { uid: 3001, name: "Account Change" };
const AUTHENTICATION: Class = Class { uid: 3002, name: "Authentication" };
const ENTITY_MANAGEMENT: Class = Class { uid: 3004, name: "Entity Management" };
const USER_ACCESS_MANAGEMENT: Class = Class { uid: 3005, name: "User Access Management" };
const GROUP_MANAGEMENT: Class = Class { uid: 3006, name: "Group Management" };

/// An activity that has no number of its own.
const OTHER: u32 = 99;

#[derive(Clone, Copy)]
enum Status {
    /// About to be done: the log is written before the effect.
    Unknown,
    Success,
    Failure,
}

#[derive(Clone, Copy)]
enum Severity {
    Informational = 1,
    Low = 2,
    Medium = 3,
    High = 4,
}

/// The events that an entry stands for.
pub(crate) fn events(entry: &AuditEntry, tenant_name: &str, lease: Option<&LeaseFacts>) -> Vec<Value> {
    use Severity::{High, Informational, Low, Medium};
    use Status::{Failure, Success, Unknown};
    let of = Event { entry, tenant_name, lease };
    match entry.event {
        AuditEvent::TenantAdded => vec![of.entity(1, "Create")],
        AuditEvent::TenantRemoved => vec![of.entity(4, "Delete")],
        AuditEvent::AccountCreating => vec![of.account(1, "Create", Unknown, Informational)],
        AuditEvent::AccountDeleting => vec![of.account(6, "Delete", Unknown, Informational)],
        AuditEvent::LeaseGranted => {
            let mut all = vec![of.account(2, "Enable", Success, Informational)];
            all.extend(of.privileges(1, "Assign Privileges"));
            all.extend(of.groups(3, "Add User"));
            all
        }
        AuditEvent::LeaseRenewed => vec![of.account(4, "Password Reset", Unknown, Informational)],
        AuditEvent::LeaseFailed => vec![of.account(2, "Enable", Failure, Medium)],
        AuditEvent::SignInConfirmed => vec![of.sign_in()],
        AuditEvent::CredentialRevealed => vec![of.account(OTHER, "Credential Revealed", Unknown, Low)],
        AuditEvent::EndVerified => {
            let mut all = Vec::new();
            all.extend(of.privileges(2, "Revoke Privileges"));
            all.extend(of.groups(4, "Remove User"));
            all.push(of.account(5, "Disable", Success, Informational));
            all
        }
        AuditEvent::BreakGlassRevealed | AuditEvent::BreakGlassRevealRefused | AuditEvent::BreakGlassTakingOver => {
            vec![of.account(OTHER, &title(entry.event), Unknown, High)]
        }
        AuditEvent::EndFailed => vec![of.account(5, "Disable", Failure, High)],
        AuditEvent::ExternallyModified | AuditEvent::DriftFound => {
            vec![of.account(OTHER, &title(entry.event), Success, High)]
        }
        // Whatever else there is: about the account it names, or about none.
        _ if of.user_name().is_some() => vec![of.account(OTHER, &title(entry.event), Unknown, Informational)],
        _ => vec![of.event(BASE_EVENT, OTHER, &title(entry.event), Success, Informational, json!({}))],
    }
    .into_iter()
    .enumerate()
    .map(|(number, mut event)| {
        event["metadata"]["uid"] = format!("{}/{}/{number}", entry.tenant_id, entry.sequence).into();
        event
    })
    .collect()
}

struct Event<'a> {
    entry: &'a AuditEntry,
    tenant_name: &'a str,
    lease: Option<&'a LeaseFacts>,
}

impl Event<'_> {
    fn user_name(&self) -> Option<&str> {
        self.entry.user_name.as_deref().or_else(|| self.lease.map(|lease| lease.user_name.as_str()))
    }

    fn user(&self) -> Value {
        let name = self.user_name().unwrap_or("unknown");
        let mut user = json!({ "name": name, "type": "Admin", "type_id": 2 });
        if let Some((_, domain)) = name.split_once('@') {
            user["domain"] = domain.into();
        }
        if let Some(object_id) = self.lease.and_then(|lease| lease.object_id) {
            user["uid"] = object_id.to_string().into();
        }
        user
    }

    fn account(&self, activity: u32, name: &str, status: Status, severity: Severity) -> Value {
        self.event(ACCOUNT_CHANGE, activity, name, status, severity, json!({ "user": self.user() }))
    }

    fn entity(&self, activity: u32, name: &str) -> Value {
        let uid = self.entry.tenant_id.to_string();
        let entity = json!({ "entity": { "name": self.tenant_name, "type": "Microsoft Entra tenant", "uid": uid } });
        self.event(ENTITY_MANAGEMENT, activity, name, Status::Success, Severity::Informational, entity)
    }

    fn sign_in(&self) -> Value {
        let more = json!({ "user": self.user(), "is_remote": true, "service": { "name": "Microsoft Entra ID" } });
        self.event(AUTHENTICATION, 1, "Logon", Status::Success, Severity::Informational, more)
    }

    /// The roles of the lease, if it has any: that class demands them.
    fn privileges(&self, activity: u32, name: &str) -> Option<Value> {
        let roles: Vec<_> = self.lease?.roles.iter().map(|role| role.name.as_str()).collect();
        if roles.is_empty() {
            return None;
        }
        let more = json!({ "user": self.user(), "privileges": roles });
        Some(self.event(USER_ACCESS_MANAGEMENT, activity, name, Status::Success, Severity::Informational, more))
    }

    fn groups(&self, activity: u32, name: &str) -> Vec<Value> {
        let groups = self.lease.map(|lease| lease.groups.as_slice()).unwrap_or_default();
        let event = |group: &uuid::Uuid| {
            let more = json!({ "group": { "uid": group.to_string() }, "user": self.user() });
            self.event(GROUP_MANAGEMENT, activity, name, Status::Success, Severity::Informational, more)
        };
        groups.iter().map(event).collect()
    }

    fn event(
        &self,
        class: Class,
        activity: u32,
        activity_name: &str,
        status: Status,
        severity: Severity,
        more: Value,
    ) -> Value {
        let entry = self.entry;
        let category = if class.uid == 0 { (0, "Uncategorized") } else { (3, "Identity & Access Management") };
        let severity_name = match severity {
            Severity::Informational => "Informational",
            Severity::Low => "Low",
            Severity::Medium => "Medium",
            Severity::High => "High",
        };
        let (status_id, status_name) = match status {
            Status::Unknown => (0, "Unknown"),
            Status::Success => (1, "Success"),
            Status::Failure => (2, "Failure"),
        };
        let mut event = json!({
            "activity_id": activity,
            "activity_name": activity_name,
            "actor": self.actor(),
            "category_uid": category.0,
            "category_name": category.1,
            "class_uid": class.uid,
            "class_name": class.name,
            "message": self.message(),
            "metadata": {
                "version": OCSF_VERSION,
                "product": { "name": "Latchkey", "vendor_name": "Latchkey", "version": env!("CARGO_PKG_VERSION") },
                "event_code": entry.event.name(),
                "log_name": "audit",
                "log_provider": "latchkey",
                "original_time": entry.at.to_string(),
                "sequence": entry.sequence,
                "tenant_uid": entry.tenant_id.to_string(),
            },
            "severity": severity_name,
            "severity_id": severity as u32,
            "status": status_name,
            "status_id": status_id,
            "time": entry.at,
            "type_name": format!("{}: {activity_name}", class.name),
            "type_uid": u64::from(class.uid) * 100 + u64::from(activity),
            "unmapped": self.unmapped(),
        });
        if let Some(lease_id) = entry.lease_id {
            event["metadata"]["correlation_uid"] = lease_id.to_string().into();
        }
        if let Value::Object(more) = more {
            for (name, value) in more {
                event[name] = value;
            }
        }
        event
    }

    /// Who did it. When nobody asked (the time was up) it is Latchkey itself, on the technician's machine.
    fn actor(&self) -> Value {
        let technician = &self.entry.technician;
        let (user, invoked_by) = match &self.entry.caller {
            Caller::Sweep => (json!({ "name": "Latchkey", "type": "System", "type_id": 3 }), "sweep".to_owned()),
            Caller::CommandLine => {
                (json!({ "name": technician, "type": "User", "type_id": 1 }), "command line".to_owned())
            }
            Caller::Extension(id) => {
                (json!({ "name": technician, "type": "User", "type_id": 1 }), format!("extension {id}"))
            }
        };
        json!({ "user": user, "invoked_by": invoked_by })
    }

    fn message(&self) -> String {
        let user = self.user_name().map(|name| format!(": {name}")).unwrap_or_default();
        format!("{}{user} in {} ({})", title(self.entry.event), self.tenant_name, self.entry.technician)
    }

    fn unmapped(&self) -> Value {
        let entry = self.entry;
        let mut unmapped = Map::new();
        unmapped.insert("technician".to_owned(), entry.technician.clone().into());
        unmapped.insert("tenant".to_owned(), self.tenant_name.into());
        unmapped.insert("hash".to_owned(), entry.hash.clone().into());
        unmapped.insert("detail".to_owned(), entry.detail.clone());
        if let Some(lease) = self.lease {
            let roles: Vec<_> = lease.roles.iter().map(|role| role.name.as_str()).collect();
            let lease = json!({
                "roles": roles, "groups": lease.groups, "reason": lease.reason, "ticket": lease.ticket, "from": lease.from, "until": lease.until,
            });
            unmapped.insert("lease".to_owned(), lease);
        }
        Value::Object(unmapped)
    }
}

/// `lease_granted` as `Lease Granted`.
fn title(event: AuditEvent) -> String {
    let words: Vec<String> = event
        .name()
        .split('_')
        .map(|word| {
            let mut letters = word.chars();
            letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
        })
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use uuid::Uuid;

    use super::*;
    use crate::Role;

    /// What the schema demands of each class beyond the base event.
    fn required(class: u64) -> &'static [&'static str] {
        match class {
            0 => &[],
            3001 | 3002 => &["user"],
            3004 => &["entity"],
            3005 => &["user", "privileges"],
            3006 => &["group"],
            other => panic!("{other} is not a class that is used"),
        }
    }

    /// The activities that each class knows; 0 and 99 are everybody's.
    fn activities(class: u64) -> std::ops::RangeInclusive<u64> {
        match class {
            3001 => 1..=11,
            3002 => 1..=5,
            3004 => 1..=4,
            3005 => 1..=2,
            3006 => 1..=6,
            _ => 99..=99,
        }
    }

    pub(super) fn assert_valid(event: &Value) {
        for member in ["activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"] {
            assert!(!event[member].is_null(), "{member} is missing: {event:#}");
        }
        let number = |member: &str| event[member].as_u64().unwrap();
        let class = number("class_uid");
        assert_eq!(number("type_uid"), class * 100 + number("activity_id"));
        assert_eq!(number("category_uid"), class / 1000);
        assert!(activities(class).contains(&number("activity_id")) || number("activity_id") == 99, "{event:#}");
        assert!(number("severity_id") <= 6 && number("status_id") <= 2);
        assert_eq!(event["metadata"]["version"], OCSF_VERSION);
        assert!(event["metadata"]["product"]["vendor_name"].is_string());
        assert!(event["metadata"]["uid"].is_string());
        assert!(event["actor"]["user"]["name"].is_string());
        for member in required(class) {
            assert!(!event[*member].is_null(), "{member} is missing: {event:#}");
        }
        if !event["user"].is_null() {
            assert!(event["user"]["name"].is_string());
        }
        if !event["group"].is_null() {
            assert!(event["group"]["uid"].is_string());
        }
        if let Some(privileges) = event.get("privileges") {
            assert!(privileges.as_array().unwrap().iter().all(Value::is_string));
        }
    }

    fn entry(event: AuditEvent, lease_id: Option<Uuid>) -> AuditEntry {
        AuditEntry {
            tenant_id: Uuid::from_u128(1),
            sequence: 7,
            at: 1_795_345_200_000,
            event,
            technician: "alex@msp.example".to_owned(),
            caller: Caller::CommandLine,
            lease_id,
            user_name: lease_id.map(|_| "jit-alex@contoso.com".to_owned()),
            detail: json!({ "more": 1 }),
            hash: "00".to_owned(),
        }
    }

    fn facts() -> LeaseFacts {
        LeaseFacts {
            roles: vec![Role { id: Uuid::from_u128(2), name: "User Administrator".to_owned() }],
            groups: vec![Uuid::from_u128(3), Uuid::from_u128(4)],
            reason: Some("mailbox rights".to_owned()),
            ticket: Some("INC-1".to_owned()),
            from: 1,
            until: 2,
            user_name: "jit-alex@contoso.com".to_owned(),
            object_id: Some(Uuid::from_u128(5)),
        }
    }

    #[test]
    fn every_entry_becomes_events_that_the_schema_allows() {
        let names = [
            "tenant_added",
            "tenant_removed",
            "account_creating",
            "account_deleting",
            "lease_requested",
            "lease_renewed",
            "lease_granted",
            "lease_failed",
            "sign_in_confirmed",
            "credential_filled",
            "credential_revealed",
            "end_requested",
            "end_verified",
            "end_failed",
            "externally_modified",
            "drift_found",
            "audit_pruned",
        ];
        for name in names {
            let event = AuditEvent::named(name).unwrap();
            for lease in [None, Some(&facts())] {
                let found = events(&entry(event, lease.map(|_| Uuid::from_u128(9))), "Contoso", lease);
                assert!(!found.is_empty(), "{name}");
                found.iter().for_each(assert_valid);
            }
        }
    }

    #[test]
    fn a_grant_enables_assigns_and_adds_and_an_end_takes_it_all_back() {
        let kinds = |event| {
            let found = events(&entry(event, Some(Uuid::from_u128(9))), "Contoso", Some(&facts()));
            found.iter().map(|event| event["type_uid"].as_u64().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(kinds(AuditEvent::LeaseGranted), [300_102, 300_501, 300_603, 300_603]);
        assert_eq!(kinds(AuditEvent::EndVerified), [300_502, 300_604, 300_604, 300_105]);
        assert_eq!(kinds(AuditEvent::EndFailed), [300_105]);
    }

    #[test]
    fn each_event_of_an_entry_has_an_id_of_its_own() {
        let found = events(&entry(AuditEvent::LeaseGranted, Some(Uuid::from_u128(9))), "Contoso", Some(&facts()));
        let ids: std::collections::BTreeSet<_> =
            found.iter().map(|event| event["metadata"]["uid"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), found.len());
    }
}
