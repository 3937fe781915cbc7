//! Keeps one tenant below Graph's published limits, so that a 429 is the exception.
//!
//! Facts: Microsoft Graph throttling limits (identity and access): 3,000 writes per 150 s per app and tenant;
//! authentication methods: 5 calls per 10 s per app and tenant.

use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::Request;

pub(crate) struct Throttle {
    writes: DefaultDirectRateLimiter,
    authentication_methods: DefaultDirectRateLimiter,
}

impl Throttle {
    pub(crate) fn new() -> Self {
        // A burst and what flows in meanwhile must fit the window together: 300 + 18/s × 150 s = 3,000.
        let writes = Quota::per_second(const { NonZeroU32::new(18).expect("not zero") })
            .allow_burst(const { NonZeroU32::new(300).expect("not zero") });
        // 3 + 0.2/s × 10 s = 5.
        let methods = Quota::per_minute(const { NonZeroU32::new(12).expect("not zero") })
            .allow_burst(const { NonZeroU32::new(3).expect("not zero") });
        Self { writes: RateLimiter::direct(writes), authentication_methods: RateLimiter::direct(methods) }
    }

    /// Waits until `requests` may go out.
    pub(crate) async fn admit(&self, requests: &[Request]) {
        let count = |matching: &dyn Fn(&Request) -> bool| {
            NonZeroU32::new(u32::try_from(requests.iter().filter(|request| matching(request)).count()).unwrap_or(u32::MAX))
        };
        if let Some(writes) = count(&Request::is_write) {
            // Only a batch larger than the whole burst cannot be admitted, and a batch has 20 requests at most.
            let _ = self.writes.until_n_ready(writes).await;
        }
        if let Some(calls) = count(&|request| request.authentication_method) {
            for _ in 0..calls.get() {
                self.authentication_methods.until_ready().await;
            }
        }
    }
}
