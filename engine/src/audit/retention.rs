//! Keeps entries for as long as configured, and no longer.
//!
//! Removing the oldest entries of a chain is an entry of that chain, written first. It names the newest entry that goes
//! and its hash, so that the rest can still be verified, and a beginning that somebody cut off shows: no entry tells of it.
//! Entries of a lease that is open stay, and so does everything after them. A machine whose clock is wrong removes nothing.

use serde_json::json;

use super::chain::hexadecimal;
use crate::{AuditEvent, Caller, EngineError, engine::Shared, store};

const DAY: i64 = 86_400_000;
/// Microsoft's clock must agree with this machine's to so many milliseconds.
const CLOCK_TOLERANCE: i64 = 300_000;

/// Removes what has been kept for long enough. Returns how many entries.
pub(crate) async fn prune(shared: &Shared) -> Result<u64, EngineError> {
    let Some(keep_days) = shared.settings.audit_keep_days else { return Ok(0) };
    if !shared.http.has_measured() || shared.http.offset().is_none_or(|offset| offset.abs() > CLOCK_TOLERANCE) {
        return Ok(0);
    }
    let cutoff = shared.clock.now() - i64::from(keep_days) * DAY;
    // Each removal is an entry: done once a week at most, a quiet chain does not grow by being pruned.
    let slack = i64::from(keep_days.div_ceil(12).clamp(1, 7)) * DAY;
    let mut removed = 0;
    for tenant_id in shared.store.chains_older_than(cutoff - slack).await? {
        let mut write = shared.store.write().await?;
        let Some((link, entries)) = store::prunable(&mut write, tenant_id, cutoff).await? else { continue };
        let detail = json!({
            "entries": entries, "up_to": link.sequence, "hash": hexadecimal(&link.hash), "keep_days": keep_days,
        });
        let entry = shared.entry(tenant_id, AuditEvent::AuditPruned, &Caller::Sweep, None, None, detail);
        store::append(&mut write, &entry).await?;
        store::remove_up_to(&mut write, tenant_id, &link).await?;
        store::commit(write).await?;
        removed += u64::try_from(entries).unwrap_or_default();
    }
    Ok(removed)
}
