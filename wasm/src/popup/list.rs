//! A tenant as the popup shows it: its standing, its profile, its portals. Pure, so that it is tested without a browser.
//! The list of all of them: `Directory`.

use latchkey_protocol::{
    LeaseState, LeaseSummary, ProfileSummary, TenantSummary,
    portal::{Portal, PortalTarget},
};
use uuid::Uuid;

#[cfg(feature = "popup")]
pub use super::directory::{Directory, Reader};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// An application's credential is worth a word for so long before it ends.
const CREDENTIAL_WARNING_MS: i64 = 30 * DAY_MS;

/// Where a tenant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No lease is open.
    Dormant,
    /// A lease is being granted.
    Starting,
    /// A lease is active, for so many milliseconds more.
    Active(i64),
    /// Access is being taken back.
    Ending,
    /// Somebody has to look.
    Problem,
}

/// Where a tenant stands now.
#[must_use]
pub fn standing(tenant_id: Uuid, leases: &[LeaseSummary], now: i64) -> Standing {
    let Some(lease) = leases.iter().find(|lease| lease.tenant_id == tenant_id) else {
        return Standing::Dormant;
    };
    match lease.state {
        _ if needs_somebody(lease) => Standing::Problem,
        LeaseState::Requested | LeaseState::Activating => Standing::Starting,
        LeaseState::Active | LeaseState::Usable => Standing::Active(lease.until.saturating_sub(now).max(0)),
        LeaseState::Ended | LeaseState::Failed => Standing::Dormant,
        LeaseState::Ending | LeaseState::Stuck | LeaseState::ExternallyModified => Standing::Ending,
    }
}

/// Whether access could not be taken back yet, or somebody else changed the account.
#[must_use]
pub const fn needs_somebody(lease: &LeaseSummary) -> bool {
    match lease.state {
        LeaseState::Stuck | LeaseState::ExternallyModified => true,
        LeaseState::Ending => lease.problem.is_some(),
        _ => false,
    }
}

/// How many whole days the application's credential is still good for, when that is worth a word.
#[must_use]
pub fn days_of_credential(tenant: &TenantSummary, now: i64) -> Option<i64> {
    let left = tenant.credential_expires?.saturating_sub(now);
    (left <= CREDENTIAL_WARNING_MS).then(|| left.div_euclid(DAY_MS))
}

/// The profile that is chosen, or the least powerful one; none where the tenant has no profiles.
#[must_use]
pub fn profile<'a>(tenant: &'a TenantSummary, chosen: Option<&str>) -> Option<&'a ProfileSummary> {
    tenant.profiles.iter().find(|profile| Some(profile.name.as_str()) == chosen).or_else(|| tenant.profiles.first())
}

/// Whether a lease there needs words of the technician, so that it cannot be opened with one key.
#[must_use]
pub const fn asks_for_words(tenant: &TenantSummary) -> bool {
    tenant.reason_required || tenant.ticket_pattern.is_some()
}

/// The portals of a tenant with their addresses, in the order of the table.
#[must_use]
pub fn portals(tenant: &TenantSummary) -> Vec<(Portal, String)> {
    let target = PortalTarget {
        cloud: tenant.cloud,
        tenant_id: tenant.tenant_id,
        domains: &tenant.domains,
        user_name: &tenant.user_name,
    };
    Portal::ALL.iter().filter_map(|portal| Some((*portal, portal.address(&target)?))).collect()
}

/// The preferred portal, or the first one where the tenant's cloud does not have it.
#[must_use]
pub fn preferred(tenant: &TenantSummary, portal: Portal) -> Option<(Portal, String)> {
    let mut all = portals(tenant);
    let place = all.iter().position(|(one, _)| *one == portal).unwrap_or_default();
    (place < all.len()).then(|| all.swap_remove(place))
}
