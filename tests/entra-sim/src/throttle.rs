//! The published limits of Graph, in resource units, with the headers that go with them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Moment;
use crate::graph::{Call, GraphError};

/// Resource units per 10 s for an app in a small tenant.
const UNITS: f64 = 3_500.0;
const UNITS_WINDOW: Duration = Duration::from_secs(10);
/// Writes per 150 s for an app in a tenant.
const WRITES: f64 = 3_000.0;
const WRITES_WINDOW: Duration = Duration::from_secs(150);
/// Calls to authentication methods per 10 s for an app in a tenant.
const METHODS: f64 = 5.0;
const METHODS_WINDOW: Duration = Duration::from_secs(10);
/// Calls to Conditional Access per second in a tenant.
const CONDITIONAL_ACCESS: f64 = 1.0;
const CONDITIONAL_ACCESS_WINDOW: Duration = Duration::from_secs(1);

/// Buckets by app, tenant and kind.
#[derive(Debug, Default)]
pub struct Throttle {
    buckets: Mutex<HashMap<(String, &'static str), Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Moment,
}

impl Throttle {
    /// Takes what `call` costs, or refuses.
    ///
    /// # Errors
    /// 429 with its headers.
    pub fn take(&self, call: &Call, client_id: &str, tenant: &str, moment: Moment) -> Result<(), GraphError> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let key = format!("{client_id}/{tenant}");
        let mut draw = |kind: &'static str, amount: f64, size: f64, window: Duration| {
            let bucket = buckets.entry((key.clone(), kind)).or_insert(Bucket { left: size, at: moment });
            let refill = moment.saturating_sub(bucket.at).as_secs_f64() * size / window.as_secs_f64();
            bucket.left = (bucket.left + refill).min(size);
            bucket.at = moment;
            if bucket.left >= amount {
                bucket.left -= amount;
                return Ok(());
            }
            let wait = (amount - bucket.left) * window.as_secs_f64() / size;
            Err(wait.ceil().max(1.0))
        };
        let refused = |wait: f64, information: &str| {
            GraphError::new(429, "TooManyRequests", "Too many requests. Please wait and try again.")
                .with_header("Retry-After", format!("{wait:.0}"))
                .with_header("x-ms-throttle-scope", format!("Tenant_Application/ReadWrite/{client_id}/{tenant}"))
                .with_header("x-ms-throttle-information", information)
        };
        if call.segments.iter().any(|segment| segment == "authentication") {
            draw("methods", 1.0, METHODS, METHODS_WINDOW).map_err(|wait| refused(wait, "ResourceUnitLimitExceeded"))?;
        }
        if call.segments.iter().any(|segment| segment == "conditionalAccess") {
            draw("conditional access", 1.0, CONDITIONAL_ACCESS, CONDITIONAL_ACCESS_WINDOW).map_err(|_| {
                GraphError::new(429, "TooManyRequests", "Too many requests. Please wait and try again.")
            })?;
        }
        draw("units", f64::from(cost(call)), UNITS, UNITS_WINDOW)
            .map_err(|wait| refused(wait, "ResourceUnitLimitExceeded"))?;
        if call.method != "GET" {
            draw("writes", 1.0, WRITES, WRITES_WINDOW).map_err(|wait| refused(wait, "WriteLimitExceeded"))?;
        }
        Ok(())
    }

    /// Fills every bucket.
    pub fn clear(&self) {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// What a call costs, in resource units.
#[must_use]
pub fn cost(call: &Call) -> u32 {
    let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    let base: i32 = match (call.method.as_str(), segments.as_slice()) {
        ("GET", ["users"])
        | (
            _,
            [
                _,
                _,
                "getMemberObjects" | "getMemberGroups" | "memberOf" | "transitiveMemberOf" | "appRoleAssignments",
                ..,
            ],
        ) => 2,
        ("GET", ["groups", _, "members", ..] | ["subscribedSkus"]) => 3,
        (_, [_, _, "checkMemberGroups" | "checkMemberObjects"]) => 4,
        (_, [_, _, "transitiveMembers", ..] | ["directoryObjects", "getByIds"]) => 5,
        _ => 1,
    };
    let option = |name: &str| call.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let mut units = base;
    units -= i32::from(option("$select").is_some());
    units += i32::from(option("$expand").is_some());
    units -= i32::from(option("$top").and_then(|top| top.parse::<u32>().ok()).is_some_and(|top| top < 20));
    units.max(1).unsigned_abs()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn call(method: &str, target: &str) -> Call {
        let mut call = Call { method: method.to_owned(), ..Call::default() };
        call.set_target(target);
        call
    }

    #[test]
    fn costs_follow_the_table() {
        assert_eq!(cost(&call("GET", "/users")), 2);
        assert_eq!(cost(&call("GET", "/users?$select=id&$top=5")), 1);
        assert_eq!(cost(&call("GET", "/groups/1/members")), 3);
        assert_eq!(cost(&call("GET", "/users/1?$expand=extensions")), 2);
        assert_eq!(cost(&call("POST", "/users/1/getMemberObjects")), 2);
    }

    #[test]
    fn the_sixth_call_to_authentication_methods_waits() {
        let throttle = Throttle::default();
        let pass = call("GET", "/users/1/authentication/temporaryAccessPassMethods");
        for _ in 0..5 {
            throttle.take(&pass, "app", "tenant", Duration::ZERO).unwrap();
        }
        let refusal = throttle.take(&pass, "app", "tenant", Duration::ZERO).unwrap_err();
        assert_eq!(refusal.status, 429);
        assert!(refusal.headers.contains(&("Retry-After", "2".to_owned())));
        throttle.take(&pass, "another app", "tenant", Duration::ZERO).unwrap();
        throttle.take(&pass, "app", "tenant", Duration::from_secs(2)).unwrap();
    }
}
