//! The tenants as the popup lists them: found by name, domain or ticket, pinned and recent ones first, each with its
//! standing. Pure, so that a thousand of them are tested without a browser.

use std::cmp::Reverse;

use latchkey_protocol::{
    LeaseState, LeaseSummary, ProfileSummary, TenantSummary,
    portal::{Portal, PortalTarget},
};
use uuid::Uuid;

use crate::words::{Text, Word};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// An application's credential is worth a word for so long before it ends.
const CREDENTIAL_WARNING_MS: i64 = 30 * DAY_MS;

/// Every tenant the technician may enter.
#[derive(Debug, Default)]
pub struct Directory {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    tenant: TenantSummary,
    /// What it is found by, in lower case: the name, then the domains.
    words: String,
}

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

impl Directory {
    /// From the host's list.
    #[must_use]
    pub fn new(tenants: Vec<TenantSummary>) -> Self {
        let entries = tenants.into_iter().map(|tenant| {
            let mut words = tenant.name.to_lowercase();
            for domain in &tenant.domains {
                words.push(' ');
                words.push_str(&domain.to_lowercase());
            }
            Entry { tenant, words }
        });
        Self { entries: entries.collect() }
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A tenant by its id.
    #[must_use]
    pub fn tenant(&self, tenant_id: Uuid) -> Option<&TenantSummary> {
        self.entries.iter().map(|entry| &entry.tenant).find(|tenant| tenant.tenant_id == tenant_id)
    }

    /// The tenants that a search finds, the likeliest first. Every word of the search must occur in the name, in a
    /// domain, or in the ticket of an open lease. What begins as the search does comes first; then what is pinned, then
    /// what was used last, then by name.
    #[must_use]
    pub fn find(&self, search: &str, pinned: &[Uuid], leases: &[LeaseSummary]) -> Vec<&TenantSummary> {
        let search = search.trim().to_lowercase();
        let wanted: Vec<&str> = search.split_whitespace().collect();
        let mut found: Vec<_> =
            self.entries.iter().filter_map(|entry| Some((entry.fit(&search, &wanted, leases)?, entry))).collect();
        found.sort_by_cached_key(|(fit, entry)| {
            let tenant = &entry.tenant;
            (*fit, !pinned.contains(&tenant.tenant_id), Reverse(tenant.last_used), entry.words.clone())
        });
        found.into_iter().map(|(_, entry)| &entry.tenant).collect()
    }

    /// What needs somebody, whatever is shown: ends that fail (but for the tenant that is shown, whose own screen says
    /// so), and the credential of the application in the tenant that is shown.
    #[must_use]
    pub fn notices(&self, shown: Option<Uuid>, leases: &[LeaseSummary], now: i64) -> Vec<Text> {
        let elsewhere = leases.iter().filter(|lease| needs_somebody(lease) && Some(lease.tenant_id) != shown);
        let mut notices: Vec<_> = elsewhere.map(|lease| Text::with(Word::StuckNotice, &lease.tenant_name)).collect();
        if let Some(tenant) = shown.and_then(|tenant_id| self.tenant(tenant_id))
            && let Some(days) = days_of_credential(tenant, now)
        {
            notices.push(match days {
                ..0 => Text::with(Word::CredentialEnded, &tenant.name),
                _ => Text {
                    key: Word::CredentialEnds.key().to_owned(),
                    args: vec![tenant.name.clone(), days.to_string()],
                },
            });
        }
        notices
    }
}

impl Entry {
    /// How well a search fits; less is better.
    fn fit(&self, search: &str, wanted: &[&str], leases: &[LeaseSummary]) -> Option<u8> {
        if wanted.is_empty() {
            return Some(0);
        }
        if wanted.iter().all(|word| self.words.contains(word)) {
            let begins = |word: &&str| self.words.split([' ', '-', '.']).any(|part| part.starts_with(*word));
            return Some(if self.words.starts_with(search) {
                0
            } else if wanted.iter().all(begins) {
                1
            } else {
                2
            });
        }
        let ticket = leases
            .iter()
            .filter(|lease| lease.tenant_id == self.tenant.tenant_id)
            .find_map(|lease| lease.ticket.as_deref())?
            .to_lowercase();
        wanted.iter().all(|word| ticket.contains(word) || self.words.contains(word)).then_some(1)
    }
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
