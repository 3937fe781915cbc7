//! All tenants of the technician: found by name, domain or ticket, pinned and recent ones first.
//!
//! There may be a thousand, and the popup has to be usable before somebody notices that it was not: so each is read when it
//! is to be seen, and only what is to be seen is sorted. Pure, so that it is tested without a browser.

use std::{cell::OnceCell, cmp::Reverse};

use latchkey_protocol::{LeaseSummary, TenantSummary};
use uuid::Uuid;

use super::list::{days_of_credential, needs_somebody};
use crate::{
    json::read_text,
    words::{Text, Word},
};

/// Every tenant the technician may enter.
#[derive(Default)]
pub struct Directory {
    entries: Vec<Entry>,
    read: Option<Box<Reader>>,
}

/// Gives a tenant of the list by its place: a `TenantSummary` as JSON.
pub type Reader = dyn Fn(u32) -> Option<String>;

struct Entry {
    place: u32,
    tenant_id: Uuid,
    last_used: Option<i64>,
    /// What it is found by, in lower case: the name, then the domains.
    words: String,
    /// Read when somebody wants to see it: of a thousand tenants a page shows a dozen.
    tenant: OnceCell<Option<TenantSummary>>,
}

impl Directory {
    /// From the worker's list: what it is sorted and searched by, a line for each tenant with tabs between its id, when a
    /// lease was last started there (Unix time in milliseconds, or nothing), the name and the verified domains; and where
    /// the rest of a tenant is read.
    #[must_use]
    pub fn new(index: &str, read: Box<Reader>) -> Self {
        let entries = (0..).zip(index.lines()).filter_map(|(place, line)| {
            let mut parts = line.splitn(3, '\t');
            let tenant_id = Uuid::try_parse(parts.next()?).ok()?;
            let last_used = parts.next()?.parse().ok();
            let words = parts.next()?.replace('\t', " ").to_lowercase();
            Some(Entry { place, tenant_id, last_used, words, tenant: OnceCell::new() })
        });
        Self { entries: entries.collect(), read: Some(read) }
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
        self.read(self.entries.iter().find(|entry| entry.tenant_id == tenant_id)?)
    }

    /// The tenants that a search finds, the likeliest first. Every word of the search must occur in the name, in a
    /// domain, or in the ticket of an open lease. What begins as the search does comes first; then what is pinned, then
    /// what was used last, then by name.
    #[must_use]
    pub fn find(&self, search: &str, pinned: &[Uuid], leases: &[LeaseSummary]) -> Vec<&TenantSummary> {
        self.find_first(usize::MAX, search, pinned, leases).1
    }

    /// How many tenants a search finds, and so many of the likeliest as [`Self::find`] has them first. A page has room for
    /// a few rows, and to sort a thousand for it at every key takes longer than all of the rest.
    #[must_use]
    pub fn find_first(
        &self,
        rows: usize,
        search: &str,
        pinned: &[Uuid],
        leases: &[LeaseSummary],
    ) -> (usize, Vec<&TenantSummary>) {
        let search = search.trim().to_lowercase();
        let wanted: Vec<&str> = search.split_whitespace().collect();
        let fits = self.entries.iter().filter_map(|entry| {
            let is_pinned = pinned.contains(&entry.tenant_id);
            let fit = entry.fit(&search, &wanted, leases)?;
            Some(((fit, !is_pinned, Reverse(entry.last_used), &entry.words, entry.place), entry))
        });
        let mut found: Vec<_> = fits.collect();
        let total = found.len();
        if (1..total).contains(&rows) {
            found.select_nth_unstable_by_key(rows, |(rank, _)| *rank);
        }
        found.truncate(rows);
        found.sort_unstable_by_key(|(rank, _)| *rank);
        (total, found.into_iter().filter_map(|(_, entry)| self.read(entry)).collect())
    }

    fn read<'a>(&'a self, entry: &'a Entry) -> Option<&'a TenantSummary> {
        let read = self.read.as_ref()?;
        entry.tenant.get_or_init(|| read_text(&read(entry.place)?)).as_ref()
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
            .filter(|lease| lease.tenant_id == self.tenant_id)
            .find_map(|lease| lease.ticket.as_deref())?
            .to_lowercase();
        wanted.iter().all(|word| ticket.contains(word) || self.words.contains(word)).then_some(1)
    }
}
