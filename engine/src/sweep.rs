//! The pass that ends leases that are due and repairs what drifted.

use latchkey_protocol::LeaseSummary;
use serde::Serialize;

/// What a sweep did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SweepReport {
    /// Leases that were taken back and read back.
    pub ended: Vec<LeaseSummary>,
    /// Leases whose ending is in trouble; they stay due.
    pub failing: Vec<LeaseSummary>,
    /// Active leases whose account somebody else changed, or whose account is as it should be again.
    pub changed: Vec<LeaseSummary>,
    /// User names of accounts without a lease that were found active and are dormant again.
    pub repaired: Vec<String>,
    /// How many accounts were looked at in the directory.
    pub looked_at: usize,
    /// When something is due next, Unix time in milliseconds.
    pub next_due: Option<i64>,
}
