//! Leases: who asks, for how long, why.

use latchkey_protocol::CredentialKind;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a technician asks for.
#[derive(Clone, Debug)]
pub struct StartLease {
    /// Directory (tenant) id.
    pub tenant_id: Uuid,
    /// How long, in minutes; the tenant's default when absent.
    pub minutes: Option<u32>,
    /// Why, in the technician's words.
    pub reason: Option<String>,
    /// Who gets the lease, by name or local part; the one who works here when absent.
    pub technician: Option<String>,
    /// Which profile; the least powerful one when absent.
    pub profile: Option<String>,
    /// The number of the ticket that it is for.
    pub ticket: Option<String>,
    /// Whether whoever asks can answer a page with a passkey; otherwise the next credential in line is used.
    pub passkey: bool,
    /// What the page refused: the next credential in line is issued.
    pub refused: Option<CredentialKind>,
    /// Through what the technician asks.
    pub caller: Caller,
}

impl StartLease {
    /// The least powerful profile for the usual time, for the one who works here, without a reason.
    #[must_use]
    pub const fn new(tenant_id: Uuid, caller: Caller) -> Self {
        Self {
            tenant_id,
            minutes: None,
            reason: None,
            technician: None,
            profile: None,
            ticket: None,
            passkey: false,
            refused: None,
            caller,
        }
    }
}

/// Through what something was asked; goes to the audit log beside the technician's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Caller {
    /// A person at a command line.
    CommandLine,
    /// A browser's extension, by its id.
    Extension(String),
    /// Nobody: the lease's time was up, or the sweep found something.
    Sweep,
}
