//! Leases: who asks, for how long, why.

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
    /// Through what the technician asks.
    pub caller: Caller,
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
