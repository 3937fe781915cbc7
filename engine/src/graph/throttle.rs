//! Keeps one tenant below Graph's published limits, so that a 429 is the exception.
//!
//! Facts: Microsoft Graph throttling limits (identity and access): 3,000 writes per 150 s per app and tenant;
//! authentication methods: 5 calls per 10 s per app and tenant.

use std::{
    collections::VecDeque,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};

use super::Request;
use crate::Clock;

/// Authentication-method calls per window.
const METHOD_CALLS: usize = 5;
/// In milliseconds.
const METHOD_WINDOW: i64 = 10_000;

pub(crate) struct Throttle {
    clock: Arc<dyn Clock>,
    writes: RateLimiter<NotKeyed, InMemoryState, Steady, NoOpMiddleware<Nanos>>,
    /// When the last calls went out. A bucket that refills would let up to twice the limit through in one window, or
    /// make a person wait who is within it; with five calls the window itself is as easy to keep.
    method_calls: Mutex<VecDeque<i64>>,
}

/// The caller's clock as the rate limiter reads it.
#[derive(Clone)]
struct Steady(Arc<dyn Clock>);

impl governor::clock::Clock for Steady {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Duration::from_millis(u64::try_from(self.0.elapsed()).unwrap_or(0)).into()
    }
}

impl Throttle {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        // A burst and what flows in meanwhile must fit the window together: 300 + 18/s × 150 s = 3,000.
        let writes = Quota::per_second(const { NonZeroU32::new(18).expect("not zero") })
            .allow_burst(const { NonZeroU32::new(300).expect("not zero") });
        let limiter = RateLimiter::direct_with_clock(writes, Steady(Arc::clone(&clock)));
        Self { clock, writes: limiter, method_calls: Mutex::default() }
    }

    /// Waits until `requests` may go out. What takes something back does not wait for the small budget: disabling an
    /// account is worth a 429 on its pass.
    pub(crate) async fn admit(&self, requests: &[Request]) {
        let writes = requests.iter().filter(|request| request.is_write()).count();
        if let Some(writes) = u32::try_from(writes).ok().and_then(NonZeroU32::new) {
            // Only a batch larger than the whole burst cannot be admitted, and a batch has 20 requests at most.
            while let Ok(Err(not_until)) = self.writes.check_n(writes) {
                let now = governor::clock::Clock::now(&Steady(Arc::clone(&self.clock)));
                // The clock has milliseconds: a wait of less would be none.
                self.clock.sleep(not_until.wait_time_from(now).max(Duration::from_millis(1))).await;
            }
        }
        let takes_back = requests.iter().any(|request| request.method == "DELETE");
        for _ in requests.iter().filter(|request| request.authentication_method) {
            while let Some(wait) = self.method_call(takes_back) {
                self.clock.sleep(wait).await;
            }
        }
    }

    /// Notes a call, or says how long it must wait.
    fn method_call(&self, at_once: bool) -> Option<Duration> {
        let mut calls = self.method_calls.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.elapsed();
        if calls.len() >= METHOD_CALLS {
            let wait = calls.front().map_or(0, |oldest| oldest + METHOD_WINDOW - now);
            if wait > 0 && !at_once {
                return u64::try_from(wait).ok().map(Duration::from_millis);
            }
            calls.pop_front();
        }
        calls.push_back(now);
        None
    }
}
