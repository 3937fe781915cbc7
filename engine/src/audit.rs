//! The audit log: every grant, reveal, end and failure, chained per tenant.
//!
//! An entry is committed before its effect. Entries hold names, times and ids, never a credential. Each carries the
//! SHA-256 of the one before it, so that a changed, removed or reordered entry shows.

pub(crate) mod chain;
mod export;
mod ocsf;
mod retention;

pub use export::{AuditFormat, verify_export};
pub use ocsf::OCSF_VERSION;
pub(crate) use retention::prune;

use serde::{Deserialize, Serialize, de::value::StrDeserializer};
use uuid::Uuid;

use crate::Caller;

/// What an entry says happened, or is about to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditEvent {
    /// The chain's oldest entries have been kept for as long as configured and are about to be removed.
    AuditPruned,
    /// A tenant was connected.
    TenantAdded,
    /// A tenant was disconnected.
    TenantRemoved,
    /// A JIT account is about to be created.
    AccountCreating,
    /// A JIT account is about to be deleted.
    AccountDeleting,
    /// A lease was asked for; what grants is about to be sent.
    LeaseRequested,
    /// A lease's credential is about to be replaced, because no process holds it any more.
    LeaseRenewed,
    /// A lease is about to last longer.
    LeaseExtended,
    /// A lease became active.
    LeaseGranted,
    /// A lease did not become active.
    LeaseFailed,
    /// A sign-in with the lease's credential reached its end.
    SignInConfirmed,
    /// The credential is about to be handed out to fill a field.
    CredentialFilled,
    /// The credential is about to be shown to the technician.
    CredentialRevealed,
    /// A lease is about to be taken back.
    EndRequested,
    /// A lease was taken back and read back.
    EndVerified,
    /// Taking a lease back failed this time; it is tried again.
    EndFailed,
    /// Somebody else changed the account during a lease.
    ExternallyModified,
    /// Somebody locked everything down: every lease is about to be taken back, and none may start.
    LockdownBegun,
    /// Leases may start again.
    LockdownLifted,
    /// An account without a lease was not dormant and is about to be made so.
    DriftFound,
    /// A break-glass account is about to be created.
    BreakGlassCreating,
    /// A break-glass account has its password and its roles.
    BreakGlassCreated,
    /// An account that is not ours is about to become a break-glass account.
    BreakGlassTakingOver,
    /// A break-glass account is about to be enabled, marked again or given a role.
    BreakGlassChanging,
    /// The password of a break-glass account is about to be replaced.
    BreakGlassRotating,
    /// It was replaced, and that was read back.
    BreakGlassRotated,
    /// It was not, or it is not known; it is tried again.
    BreakGlassRotationFailed,
    /// The password of a break-glass account is about to be shown.
    BreakGlassRevealed,
    /// Somebody asked to see it who may not.
    BreakGlassRevealRefused,
    /// A break-glass account is about to be left as it is, disabled or deleted, and not to be managed any more.
    BreakGlassReleasing,
    /// It is not managed any more.
    BreakGlassReleased,
    /// The application is about to be given a directory role.
    AppRoleGranting,
    /// The application's directory role is about to be taken back.
    AppRoleRevoking,
    /// The application that acts in the tenant is about to be made, changed or deleted.
    ApplicationChanging,
    /// What proves that the application is itself ends within 30 days.
    CredentialExpiring,
    /// A new certificate is about to be added to the application.
    CredentialRotating,
    /// The new certificate has proved to work and is used from now on.
    CredentialRotated,
    /// What it replaced is about to be removed from the application.
    CredentialRemoving,
    /// A passkey is about to be made for an account and registered.
    PasskeyRegistering,
    /// An account's passkey is about to be deleted.
    PasskeyDeleting,
    /// A page's request for a passkey is about to be answered.
    PasskeyUsed,
    /// A page's request for a passkey was refused.
    PasskeyRefused,
    /// An OATH token is about to be made for an account and added to its tenant.
    OathTokenAdding,
    /// An account's OATH token is about to be deleted.
    OathTokenDeleting,
    /// The page refused a lease's credential; the next one in line is about to be issued.
    CredentialReplacing,
    /// The person at this machine was verified.
    PersonVerified,
    /// A PIN is about to be set, changed or removed.
    PinChanging,
    /// A PIN was not the one.
    PinRefused,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// The tenant (directory id).
    pub tenant_id: Uuid,
    /// Position in the tenant's chain, from 1.
    pub sequence: i64,
    /// Unix time in milliseconds.
    pub at: i64,
    /// What happened.
    pub event: AuditEvent,
    /// The technician's name.
    pub technician: String,
    /// Through what it was asked.
    pub caller: Caller,
    /// The lease it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_id: Option<Uuid>,
    /// The account it concerns, by user principal name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// What else is worth knowing: roles, origin, document, reason, `request-id`. Never a credential.
    pub detail: serde_json::Value,
    /// SHA-256 of this entry and the hash of the one before it, in hexadecimal.
    pub hash: String,
}

/// Which entries to read. What is absent does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Of one tenant.
    pub tenant_id: Option<Uuid>,
    /// Of one lease.
    pub lease_id: Option<Uuid>,
    /// Of one technician, by name in any case.
    pub technician: Option<String>,
    /// Of one kind.
    pub event: Option<AuditEvent>,
    /// Not before, Unix time in milliseconds.
    pub since: Option<i64>,
    /// Before, Unix time in milliseconds.
    pub until: Option<i64>,
    /// At most so many, the newest.
    pub limit: Option<u32>,
}

impl AuditQuery {
    /// Whether whole chains are read, so that what is missing shows.
    #[must_use]
    pub fn is_whole_chains(&self) -> bool {
        *self == Self { tenant_id: self.tenant_id, ..Self::default() }
    }
}

/// What [`crate::Engine::verify_audit`] or [`verify_export`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// How many entries were checked.
    pub entries: u64,
    /// Where the log is broken.
    pub faults: Vec<AuditFault>,
    /// Every chain, with the entry it begins at (later than 1 when older ones were removed as configured) and its newest.
    pub chains: Vec<AuditChain>,
    /// Some entries were left out on purpose (an export with filters): each was checked, but not that none is missing.
    pub extract: bool,
}

impl AuditReport {
    /// Whether every chain is whole.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.faults.is_empty()
    }
}

/// One tenant's chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditChain {
    /// The tenant (directory id).
    pub tenant_id: Uuid,
    /// The first entry that is still there.
    pub from: i64,
    /// The newest entry.
    pub to: i64,
    /// The newest entry's hash, in hexadecimal: note it elsewhere, and nobody can cut the log short or rewrite it unseen.
    pub hash: String,
}

/// A place where the log is broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditFault {
    /// The tenant whose chain it is, if that can be told.
    pub tenant_id: Option<Uuid>,
    /// The entry at which it shows.
    pub sequence: Option<i64>,
    /// The line of the file at which it shows, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// What is wrong there.
    pub what: String,
}

impl AuditEvent {
    /// As it stands in the log, e.g. `lease_granted`.
    #[must_use]
    pub fn name(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => name,
            _ => String::new(),
        }
    }

    /// The event of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::read(name).ok()
    }

    /// Every name that there is.
    #[must_use]
    pub fn names() -> &'static [&'static str] {
        // No event is called nothing.
        Self::read("").map_or_else(|unknown| unknown.known, |_| &[])
    }

    fn read(name: &str) -> Result<Self, Unknown> {
        Self::deserialize(StrDeserializer::new(name))
    }
}

/// What the derived code says of a name that is none: those that are.
#[derive(Debug, thiserror::Error)]
#[error("there is no such event")]
struct Unknown {
    known: &'static [&'static str],
}

impl serde::de::Error for Unknown {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Self { known: &[] }
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self { known }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_found_by_its_name() {
        assert!(AuditEvent::names().len() > 30, "{:?}", AuditEvent::names());
        for name in AuditEvent::names() {
            assert_eq!(AuditEvent::named(name).map(AuditEvent::name).as_deref(), Some(*name));
        }
        assert_eq!(AuditEvent::named("lease_grantd"), None);
        assert_eq!(AuditEvent::named(""), None);
    }
}
