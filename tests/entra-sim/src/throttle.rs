//! The published limits of Graph, in resource units, with the headers that go with them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Moment;
use crate::graph::{Call, GraphError};

/// How big a tenant is: it decides how much an application may ask for there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Size {
    /// Below 50 users.
    Small,
    /// 50 to 500.
    Medium,
    /// Above 500.
    Large,
}

impl Size {
    /// The size of a tenant with so many users.
    #[must_use]
    pub fn of(users: usize) -> Self {
        match users {
            0..50 => Self::Small,
            50..=500 => Self::Medium,
            _ => Self::Large,
        }
    }

    /// Resource units per 10 s for an app in such a tenant.
    fn units(self) -> f64 {
        match self {
            Self::Small => 3_500.0,
            Self::Medium => 5_000.0,
            Self::Large => 8_000.0,
        }
    }
}

/// A limit: so much in so long a time.
#[derive(Clone, Copy, Debug)]
struct Limit {
    kind: &'static str,
    size: f64,
    window: Duration,
}

const fn limit(kind: &'static str, size: f64, seconds: u64) -> Limit {
    Limit { kind, size, window: Duration::from_secs(seconds) }
}

/// Writes for an app in a tenant.
const WRITES: Limit = limit("writes", 3_000.0, 150);
/// Writes for an app in all tenants together.
const APP_WRITES: Limit = limit("writes of an app", 35_000.0, 300);
/// Writes of all apps in a tenant.
const TENANT_WRITES: Limit = limit("writes in a tenant", 18_000.0, 300);
/// Resource units for an app in all tenants together.
const APP_UNITS: Limit = limit("units of an app", 150_000.0, 20);
/// Calls to authentication methods for an app in a tenant.
const METHODS: Limit = limit("methods", 5.0, 10);
/// The same for an app in all tenants together.
const APP_METHODS: Limit = limit("methods of an app", 122.0, 10);
/// Calls to reports and logs for an app in a tenant.
const REPORTS: Limit = limit("reports", 5.0, 10);
/// The same for an app in all tenants together.
const APP_REPORTS: Limit = limit("reports of an app", 122.0, 10);
/// Calls to Conditional Access in a tenant.
const CONDITIONAL_ACCESS: Limit = limit("conditional access", 1.0, 1);

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
    /// Takes what `call` costs out of every bucket it belongs to, or refuses and takes nothing. `speed` says how many
    /// times as fast as Microsoft's the buckets fill. Says how full the fullest limit is when that is four fifths or more.
    ///
    /// # Errors
    /// 429 with its headers.
    pub fn take(
        &self,
        call: &Call,
        client_id: &str,
        tenant: &str,
        size: Size,
        moment: Moment,
        speed: u32,
    ) -> Result<Option<f64>, GraphError> {
        let units = f64::from(cost(call));
        let pair = format!("{client_id}/{tenant}");
        let small = "ResourceUnitLimitExceeded";
        let mut draws = vec![
            (pair.clone(), limit("units", size.units(), 10), units, small),
            (client_id.to_owned(), APP_UNITS, units, small),
        ];
        // Reports share the numbers of the authentication methods, not their buckets.
        if call.segments.first().is_some_and(|first| first == "auditLogs") {
            draws.push((pair.clone(), REPORTS, 1.0, small));
            draws.push((client_id.to_owned(), APP_REPORTS, 1.0, small));
        }
        if call.segments.iter().any(|segment| segment == "authentication") {
            draws.push((pair.clone(), METHODS, 1.0, small));
            draws.push((client_id.to_owned(), APP_METHODS, 1.0, small));
        }
        if call.segments.iter().any(|segment| segment == "conditionalAccess") {
            draws.push((tenant.to_owned(), CONDITIONAL_ACCESS, 1.0, ""));
        }
        if call.method != "GET" {
            draws.push((pair, WRITES, 1.0, "WriteLimitExceeded"));
            draws.push((client_id.to_owned(), APP_WRITES, 1.0, "WriteLimitExceeded"));
            draws.push((tenant.to_owned(), TENANT_WRITES, 1.0, "WriteLimitExceeded"));
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let speed = f64::from(speed.max(1));
        let mut refusal: Option<(f64, &'static str)> = None;
        for (key, limit, amount, information) in &draws {
            let fresh = || Bucket { left: limit.size, at: moment };
            let bucket = buckets.entry((key.clone(), limit.kind)).or_insert_with(fresh);
            let rate = limit.size / limit.window.as_secs_f64() * speed;
            bucket.left = (bucket.left + moment.saturating_sub(bucket.at).as_secs_f64() * rate).min(limit.size);
            bucket.at = moment;
            let wait = (amount - bucket.left) / rate;
            if wait > 0.0 && refusal.is_none_or(|(longest, _)| wait > longest) {
                refusal = Some((wait, information));
            }
        }
        let Some((wait, information)) = refusal else {
            let mut fullest: f64 = 0.0;
            for (key, limit, amount, _) in draws {
                if let Some(bucket) = buckets.get_mut(&(key, limit.kind)) {
                    bucket.left -= amount;
                    fullest = fullest.max(1.0 - bucket.left / limit.size);
                }
            }
            return Ok(Some(fullest).filter(|share| *share >= 0.8));
        };
        let error = GraphError::new(429, "TooManyRequests", "Too many requests. Please wait and try again.");
        if information.is_empty() {
            // Conditional Access does not say how long.
            return Err(error);
        }
        Err(error
            .with_header("x-ms-throttle-limit-percentage", "1.00")
            .with_header("Retry-After", format!("{:.0}", wait.ceil().max(1.0)))
            .with_header("x-ms-throttle-scope", format!("Tenant_Application/ReadWrite/{client_id}/{tenant}"))
            .with_header("x-ms-throttle-information", information))
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
        for number in 1..=5 {
            let full = throttle.take(&pass, "app", "tenant", Size::Small, Duration::ZERO, 1).unwrap();
            assert_eq!(full.is_some(), number >= 4, "the fourth of five says that it gets tight");
        }
        let refusal = throttle.take(&pass, "app", "tenant", Size::Small, Duration::ZERO, 1).unwrap_err();
        assert_eq!(refusal.status, 429);
        assert!(refusal.headers.contains(&("Retry-After", "2".to_owned())));
        throttle.take(&pass, "another app", "tenant", Size::Small, Duration::ZERO, 1).unwrap();
        throttle.take(&pass, "app", "tenant", Size::Small, Duration::from_secs(2), 1).unwrap();
    }

    #[test]
    fn the_sixth_call_to_the_logs_waits_and_others_do_not() {
        let throttle = Throttle::default();
        let take =
            |target: &str| throttle.take(&call("GET", target), "app", "tenant", Size::Small, Duration::ZERO, 1).is_ok();
        assert_eq!((0..6).filter(|_| take("/auditLogs/signIns")).count(), 5);
        assert!(!take("/auditLogs/directoryAudits"));
        assert!(take("/users/1/authentication/methods"));
    }

    #[test]
    fn an_app_may_write_less_in_all_tenants_together_than_in_each() {
        let throttle = Throttle::default();
        let write = call("PATCH", "/users/1");
        let take =
            |tenant: u32, moment, speed| throttle.take(&write, "app", &tenant.to_string(), Size::Large, moment, speed);
        for number in 0..35_000 {
            take(number % 20, Duration::ZERO, 1).unwrap();
        }
        let refusal = take(0, Duration::ZERO, 1).unwrap_err();
        assert!(refusal.headers.contains(&("x-ms-throttle-information", "WriteLimitExceeded".to_owned())));
        // 35,000 in 300 s, and ten times that when the limits are told to hurry.
        let second = Duration::from_secs(1);
        let taken = (0..2_000).filter(|number| take(number % 20, second, 10).is_ok()).count();
        assert_eq!(taken, 1_166);
    }

    #[test]
    fn a_bigger_tenant_has_a_bigger_bucket() {
        assert_eq!(
            [0, 49, 50, 500, 501].map(Size::of),
            [Size::Small, Size::Small, Size::Medium, Size::Medium, Size::Large]
        );
        let throttle = Throttle::default();
        let read = call("GET", "/users/1");
        let taken = |tenant: &str, size| {
            (0..9_000).filter(|_| throttle.take(&read, "app", tenant, size, Duration::ZERO, 1).is_ok()).count()
        };
        assert_eq!((taken("a", Size::Small), taken("b", Size::Large)), (3_500, 8_000));
    }
}
