//! Keeps one tenant below Graph's published limits, so that a 429 is the exception.
//!
//! Facts: Microsoft Graph throttling limits (identity and access): 3,000 writes per 150 s per app and tenant;
//! authentication methods: 5 calls per 10 s per app and tenant.

use std::{
    collections::VecDeque,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::Request;

/// Authentication-method calls per window.
const METHOD_CALLS: usize = 5;
const METHOD_WINDOW: Duration = Duration::from_secs(10);

pub(crate) struct Throttle {
    writes: DefaultDirectRateLimiter,
    /// When the last calls went out. A bucket that refills would let up to twice the limit through in one window, or
    /// make a person wait who is within it; with five calls the window itself is as easy to keep.
    method_calls: Mutex<VecDeque<Instant>>,
}

impl Throttle {
    pub(crate) fn new() -> Self {
        // A burst and what flows in meanwhile must fit the window together: 300 + 18/s × 150 s = 3,000.
        let writes = Quota::per_second(const { NonZeroU32::new(18).expect("not zero") })
            .allow_burst(const { NonZeroU32::new(300).expect("not zero") });
        Self { writes: RateLimiter::direct(writes), method_calls: Mutex::default() }
    }

    /// Waits until `requests` may go out. What takes something back does not wait for the small budget: disabling an
    /// account is worth a 429 on its pass.
    pub(crate) async fn admit(&self, requests: &[Request]) {
        let writes = requests.iter().filter(|request| request.is_write()).count();
        if let Some(writes) = u32::try_from(writes).ok().and_then(NonZeroU32::new) {
            // Only a batch larger than the whole burst cannot be admitted, and a batch has 20 requests at most.
            let _ = self.writes.until_n_ready(writes).await;
        }
        let takes_back = requests.iter().any(|request| request.method == "DELETE");
        for _ in requests.iter().filter(|request| request.authentication_method) {
            while let Some(wait) = self.method_call(takes_back) {
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// Notes a call, or says how long it must wait.
    fn method_call(&self, at_once: bool) -> Option<Duration> {
        let mut calls = self.method_calls.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if calls.len() >= METHOD_CALLS {
            let wait =
                calls.front().map_or(Duration::ZERO, |oldest| (*oldest + METHOD_WINDOW).saturating_duration_since(now));
            if !wait.is_zero() && !at_once {
                return Some(wait);
            }
            calls.pop_front();
        }
        calls.push_back(now);
        None
    }
}
