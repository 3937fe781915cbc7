//! What was sent, and the time that Graph's published limits alone allow for it.
//!
//! Facts: Microsoft Graph throttling limits, identity and access, and authentication methods.

use std::collections::HashMap;

use serde_json::{Value, json};

/// A limit: so many in so many milliseconds.
type Limit = (usize, i64);

const TENANT_WRITES: Limit = (3_000, 150_000);
const APPLICATION_WRITES: Limit = (35_000, 300_000);
const TENANT_METHODS: Limit = (5, 10_000);
const APPLICATION_METHODS: Limit = (122, 10_000);

/// One request, alone or in a batch, when it arrived.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    /// Virtual milliseconds.
    pub(crate) at: i64,
    pub(crate) tenant: u128,
    pub(crate) write: bool,
    /// It counts against the small budget of the authentication methods.
    pub(crate) method: bool,
    /// Answered with 429.
    pub(crate) refused: bool,
}

/// A part's figures.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    pub(crate) took_ms: i64,
    pub(crate) calls: usize,
    writes: usize,
    methods: usize,
    pub(crate) refused: usize,
    /// What each limit allows at best, in milliseconds.
    bounds: Vec<(&'static str, i64)>,
    /// The most that arrived in one window, over its limit.
    pub(crate) fullest: f64,
}

impl Figures {
    pub(crate) fn of(calls: &[Call], took_ms: i64) -> Self {
        let moments = |of: &dyn Fn(&&Call) -> bool| {
            let mut moments: Vec<_> = calls.iter().filter(of).map(|call| call.at).collect();
            moments.sort_unstable();
            moments
        };
        let (writes, methods) = (moments(&|call| call.write), moments(&|call| call.method));
        let mut tenants: HashMap<u128, (Vec<i64>, Vec<i64>)> = HashMap::new();
        for call in calls {
            let of_tenant = tenants.entry(call.tenant).or_default();
            if call.write {
                of_tenant.0.push(call.at);
            }
            if call.method {
                of_tenant.1.push(call.at);
            }
        }
        let (mut of_tenant_writes, mut of_tenant_methods) = (0, 0);
        let mut fullest = fill(&writes, APPLICATION_WRITES).max(fill(&methods, APPLICATION_METHODS));
        for (mut writes, mut methods) in tenants.into_values() {
            writes.sort_unstable();
            methods.sort_unstable();
            of_tenant_writes = least(writes.len(), TENANT_WRITES).max(of_tenant_writes);
            of_tenant_methods = least(methods.len(), TENANT_METHODS).max(of_tenant_methods);
            fullest = fullest.max(fill(&writes, TENANT_WRITES)).max(fill(&methods, TENANT_METHODS));
        }
        Self {
            took_ms,
            calls: calls.len(),
            writes: writes.len(),
            methods: methods.len(),
            refused: calls.iter().filter(|call| call.refused).count(),
            bounds: vec![
                ("writes of the application", least(writes.len(), APPLICATION_WRITES)),
                ("writes of the application in one tenant", of_tenant_writes),
                ("method calls of the application", least(methods.len(), APPLICATION_METHODS)),
                ("method calls of the application in one tenant", of_tenant_methods),
            ],
            fullest,
        }
    }

    /// As much of it as answered requests were refused.
    pub(crate) fn share_refused(&self) -> f64 {
        self.refused as f64 / self.calls.max(1) as f64
    }

    pub(crate) fn report(&self) -> Value {
        let rounded = |value: f64| (value * 10_000.0).round() / 10_000.0;
        let (which, bound_ms) = self.bounds.iter().max_by_key(|(_, bound)| *bound).copied().unwrap_or_default();
        let bounded = bound_ms > 0;
        json!({
            "seconds": self.took_ms as f64 / 1000.0,
            "bound_seconds": bound_ms as f64 / 1000.0,
            "bound_by": bounded.then_some(which),
            "over_bound": bounded.then(|| rounded(self.took_ms as f64 / bound_ms as f64)),
            "calls": self.calls,
            "writes": self.writes,
            "authentication_method_calls": self.methods,
            "refused_429": self.refused,
            "share_429": rounded(self.share_refused()),
            "fullest_window": rounded(self.fullest),
        })
    }
}

/// The least time in which so many can go out under a limit. A whole limit may go out at once, the next one when a window
/// has passed, and so on: the last of `calls` waits for `(calls - 1) / limit` windows, rounded down. (20,000 method calls
/// of one application: 19,999 / 122 = 163 windows of 10 s, 1,630 s.)
fn least(calls: usize, (limit, window): Limit) -> i64 {
    i64::try_from(calls.saturating_sub(1) / limit).unwrap_or(i64::MAX / window) * window
}

/// The most in any window, as a part of the limit. `moments` are sorted.
fn fill(moments: &[i64], (limit, window): Limit) -> f64 {
    let (mut first, mut most) = (0, 0);
    for (last, at) in moments.iter().enumerate() {
        while moments[first] <= at - window {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most as f64 / limit as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_whole_windows() {
        assert_eq!(least(0, TENANT_METHODS), 0);
        assert_eq!(least(5, TENANT_METHODS), 0);
        assert_eq!(least(6, TENANT_METHODS), 10_000);
        assert_eq!(least(20_000, APPLICATION_METHODS), 1_630_000);
        assert_eq!(least(35_001, APPLICATION_WRITES), 300_000);
    }

    #[test]
    fn a_window_slides() {
        assert!((fill(&[0, 9_999, 10_000, 19_999], TENANT_METHODS) - 0.4).abs() < 1e-9);
        assert!((fill(&[0; 5], TENANT_METHODS) - 1.0).abs() < 1e-9);
    }
}
