//! Bad days on demand: which exchange goes wrong, how, and how often.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Which exchanges a fault is for. All given members must fit.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Match {
    /// HTTP method.
    pub method: Option<String>,
    /// Part of the path or query, without case.
    pub path_contains: Option<String>,
    /// Directory id.
    pub tenant: Option<String>,
    /// Only the n-th fitting exchange, from 1, counted from when the fault was set.
    pub nth: Option<u64>,
    /// Only requests inside a batch (`true`) or only HTTP exchanges (`false`).
    pub in_batch: Option<bool>,
}

/// What goes wrong.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Kind {
    /// Answered with this status; nothing happened unless `after_effect`.
    Status {
        /// 429, 500, 503 …
        status: u16,
        /// Seconds in `Retry-After`.
        #[serde(default)]
        retry_after: Option<u64>,
        /// The operation was done all the same.
        #[serde(default)]
        after_effect: bool,
    },
    /// The connection is closed without an answer and without an effect.
    DropBefore {},
    /// The connection is closed without an answer, after the effect.
    DropAfter {},
    /// No answer ever, no effect.
    HangBefore {},
    /// No answer ever, after the effect.
    HangAfter {},
    /// The items of a `$batch` from this position on (from 1) are answered 503 and not done.
    HalfBatch {
        /// First item that fails.
        from_item: usize,
    },
    /// The answer comes so much later; the effect is at once unless `before_effect`.
    Delay {
        /// Milliseconds.
        delay_ms: u64,
        /// The effect is late too.
        #[serde(default)]
        before_effect: bool,
    },
    /// Held before the effect until released. When the client goes away meanwhile nothing happens, unless
    /// `survives_client`: then the effect comes with the release.
    HoldBefore {
        /// The request outlives the client that sent it.
        #[serde(default)]
        survives_client: bool,
    },
    /// Held after the effect, before the answer, until released.
    HoldAfter {},
}

/// A fault as set by a test.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Fault {
    /// Which exchanges.
    #[serde(default, rename = "match")]
    pub matches: Match,
    /// What happens.
    #[serde(flatten)]
    pub kind: Kind,
    /// How many exchanges it hits; for ever when absent.
    #[serde(default)]
    pub times: Option<u64>,
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    fitting: u64,
    hits: u64,
}

/// An exchange as faults see it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// Directory id.
    pub tenant: Option<&'a str>,
    /// Inside a batch.
    pub in_batch: bool,
}

/// The faults that are set, and the exchanges that are held.
#[derive(Debug)]
pub struct Faults {
    armed: Mutex<Vec<Armed>>,
    held: watch::Sender<u64>,
    releases: watch::Sender<u64>,
}

impl Default for Faults {
    fn default() -> Self {
        Self { armed: Mutex::new(Vec::new()), held: watch::Sender::new(0), releases: watch::Sender::new(0) }
    }
}

impl Faults {
    /// Sets these faults instead of the ones before.
    pub fn replace(&self, faults: Vec<Fault>) {
        let mut armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        armed.clear();
        armed.extend(faults.into_iter().map(|fault| Armed { fault, fitting: 0, hits: 0 }));
    }

    /// Sets one more.
    pub fn add(&self, fault: Fault) {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner).push(Armed { fault, fitting: 0, hits: 0 });
    }

    /// What goes wrong with this exchange; counts it.
    pub fn strike(&self, subject: Subject<'_>) -> Vec<Kind> {
        let mut armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kinds = Vec::new();
        for entry in armed.iter_mut() {
            if !fits(&entry.fault.matches, subject) {
                continue;
            }
            entry.fitting += 1;
            let turn = entry.fault.matches.nth.is_none_or(|nth| nth == entry.fitting);
            let left = entry.fault.times.is_none_or(|times| entry.hits < times);
            if turn && left {
                entry.hits += 1;
                kinds.push(entry.fault.kind.clone());
            }
        }
        kinds
    }

    /// Holds the caller until the next [`Self::release`].
    pub async fn hold(&self) {
        let mut releases = self.releases.subscribe();
        self.held.send_modify(|count| *count += 1);
        let _guard = Leave(&self.held);
        // The sender lives as long as `self`; an error cannot happen while we borrow it.
        let _ = releases.changed().await;
    }

    /// Lets every held exchange go on.
    pub fn release(&self) {
        self.releases.send_modify(|count| *count += 1);
    }

    /// How many exchanges are held now.
    #[must_use]
    pub fn held(&self) -> u64 {
        *self.held.borrow()
    }

    /// Returns when at least one exchange is held.
    pub async fn wait_for_held(&self) {
        let _ = self.held.subscribe().wait_for(|count| *count > 0).await;
    }
}

/// An exchange whose client went away is no longer held.
struct Leave<'a>(&'a watch::Sender<u64>);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// How long a hanging exchange is kept: longer than any client waits.
pub const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

fn fits(wanted: &Match, subject: Subject<'_>) -> bool {
    let same = |wanted: &Option<String>, is: Option<&str>| {
        wanted.as_ref().is_none_or(|wanted| is.is_some_and(|is| wanted.eq_ignore_ascii_case(is)))
    };
    same(&wanted.method, Some(subject.method))
        && same(&wanted.tenant, subject.tenant)
        && wanted.in_batch.is_none_or(|in_batch| in_batch == subject.in_batch)
        && wanted
            .path_contains
            .as_ref()
            .is_none_or(|part| subject.path.to_ascii_lowercase().contains(&part.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn subject(path: &str) -> Subject<'_> {
        Subject { method: "GET", path, tenant: None, in_batch: false }
    }

    #[test]
    fn the_nth_fitting_exchange_and_no_other() {
        let faults = Faults::default();
        let fault = json!({"match": {"path_contains": "/USERS", "nth": 2}, "kind": "status", "status": 503});
        faults.replace(vec![serde_json::from_value(fault).unwrap()]);
        assert!(faults.strike(subject("/v1.0/users/1")).is_empty());
        assert!(faults.strike(subject("/v1.0/groups")).is_empty());
        assert!(matches!(faults.strike(subject("/v1.0/users/2"))[..], [Kind::Status { status: 503, .. }]));
        assert!(faults.strike(subject("/v1.0/users/3")).is_empty());
    }

    #[test]
    fn a_misspelt_fault_is_refused() {
        for fault in [
            json!({"kind": "status", "status": 503, "tiems": 1}),
            json!({"kind": "drop_after", "tiems": 1}),
            json!({"kind": "status"}),
            json!({"kind": "dropp"}),
            json!({"match": {"paht_contains": "x"}, "kind": "drop_after"}),
        ] {
            assert!(serde_json::from_value::<Fault>(fault.clone()).is_err(), "{fault}");
        }
    }

    #[test]
    fn a_fault_stops_after_its_times() {
        let faults = Faults::default();
        let fault = json!({"kind": "drop_after", "times": 1});
        faults.replace(vec![serde_json::from_value(fault).unwrap()]);
        assert_eq!(faults.strike(subject("/")).len(), 1);
        assert!(faults.strike(subject("/")).is_empty());
    }
}
