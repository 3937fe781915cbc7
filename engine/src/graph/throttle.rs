//! Keeps this process below Graph's published limits, per tenant and per application over all tenants, so that a 429 is
//! the exception; and leaves alone whoever asks to be left alone.
//!
//! Each limit is kept as a window that slides: at no moment have more gone out in the time before it than the limit says.
//! Whether Microsoft counts in windows or lets a bucket fill up, that is never too much, and over a longer time it is all
//! that is allowed. (A token bucket, as rate-limiting crates have them, lets up to twice the limit through in one window,
//! or half of it when that must not be.) Bulk work leaves a share of each limit to people who wait.
//!
//! Facts: Microsoft Graph throttling limits, identity and access: 3,000 writes per 150 s and 3,500 resource units (in a
//! small tenant) per 10 s per application and tenant, 35,000 writes per 5 min and 150,000 units per 20 s per application;
//! authentication methods: 5 calls per 10 s per application and tenant, 122 per application.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use uuid::Uuid;

use super::{Priority, Request};
use crate::Clock;

/// A limit: so much in so long a time, in milliseconds.
#[derive(Clone, Copy)]
struct Limit {
    amount: u32,
    window: i64,
}

const TENANT_WRITES: Limit = Limit { amount: 3_000, window: 150_000 };
const TENANT_UNITS: Limit = Limit { amount: 3_500, window: 10_000 };
const TENANT_METHODS: Limit = Limit { amount: 5, window: METHODS_WINDOW };
const APPLICATION_WRITES: Limit = Limit { amount: 35_000, window: 300_000 };
const APPLICATION_UNITS: Limit = Limit { amount: 150_000, window: 20_000 };
const APPLICATION_METHODS: Limit = Limit { amount: 122, window: METHODS_WINDOW };

/// How much later than its answer another request may have arrived that was sent at the same time.
const MARGIN: i64 = 100;
/// Nothing waits here for longer, in milliseconds: together with the exchange that follows it must fit into what is left
/// of a loan that was just looked at. Longer waits are the caller's, who renews the loan or gives it back meanwhile.
const LONGEST_WAIT: i64 = 4_500;
const METHODS_WINDOW: i64 = 10_000;
/// Bulk work leaves one part in so many of a limit to others.
const SHARE_LEFT: u32 = 20;

/// What was sent lately under one limit.
struct Window {
    limit: Limit,
    /// When what goes out now counts until, and how much; oldest first.
    sent: VecDeque<(i64, u32)>,
    total: u32,
    /// Microsoft asked to be left alone.
    resting_until: i64,
}

impl Window {
    const fn new(limit: Limit) -> Self {
        Self { limit, sent: VecDeque::new(), total: 0, resting_until: i64::MIN }
    }

    /// How long `amount` must wait; zero when it need not.
    fn wait(&mut self, now: i64, amount: u32, left_to_others: bool) -> i64 {
        if amount == 0 {
            return 0;
        }
        while let Some((_, sent)) = self.sent.pop_front_if(|(until, _)| *until <= now) {
            self.total -= sent;
        }
        let share = if left_to_others { self.limit.amount / SHARE_LEFT } else { 0 };
        let mut room = i64::from(self.limit.amount) - i64::from(share) - i64::from(self.total);
        let mut free_at = now;
        for (until, sent) in &self.sent {
            if room >= i64::from(amount) {
                break;
            }
            room += i64::from(*sent);
            free_at = *until;
        }
        // (What is more than the whole limit goes out alone.)
        (free_at - now).max(0)
    }

    /// For how long it is to be left alone.
    fn rest(&self, now: i64, amount: u32) -> i64 {
        if amount == 0 { 0 } else { self.resting_until.saturating_sub(now).max(0) }
    }

    fn take(&mut self, now: i64, amount: u32) {
        if amount == 0 {
            return;
        }
        // In steps of a part of the window, so that there are never many.
        let step = (self.limit.window / 500).max(1);
        let until = now + self.limit.window + MARGIN;
        let until = until + step - until.rem_euclid(step);
        match self.sent.back_mut() {
            Some((last, sent)) if *last == until => *sent += amount,
            _ => self.sent.push_back((until, amount)),
        }
        self.total += amount;
    }
}

/// The limits of one application over all its tenants, or of it in one tenant.
struct Windows {
    writes: Window,
    units: Window,
    methods: Window,
}

/// What requests count for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cost {
    writes: u32,
    units: u32,
    methods: u32,
}

impl Windows {
    const fn new(writes: Limit, units: Limit, methods: Limit) -> Self {
        Self { writes: Window::new(writes), units: Window::new(units), methods: Window::new(methods) }
    }

    fn wait(&mut self, now: i64, cost: Cost, left_to_others: bool) -> i64 {
        self.writes
            .wait(now, cost.writes, left_to_others)
            .max(self.units.wait(now, cost.units, left_to_others))
            .max(self.methods.wait(now, cost.methods, left_to_others))
    }

    fn rest(&self, now: i64, cost: Cost) -> i64 {
        self.writes
            .rest(now, cost.writes)
            .max(self.units.rest(now, cost.units))
            .max(self.methods.rest(now, cost.methods))
    }

    fn take(&mut self, now: i64, cost: Cost) {
        self.writes.take(now, cost.writes);
        self.units.take(now, cost.units);
        self.methods.take(now, cost.methods);
    }
}

/// The limits that an application has over all its tenants, by application.
#[derive(Default)]
pub(crate) struct Applications {
    windows: Mutex<HashMap<Uuid, Arc<Mutex<Windows>>>>,
}

impl Applications {
    fn of(&self, client_id: Uuid) -> Arc<Mutex<Windows>> {
        let mut all = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Mutex::new(Windows::new(APPLICATION_WRITES, APPLICATION_UNITS, APPLICATION_METHODS)));
        Arc::clone(all.entry(client_id).or_insert_with(new))
    }
}

/// Why requests may not go out for so long yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotYet {
    /// Others went out lately: it is a matter of taking turns.
    Full(Duration),
    /// Microsoft asked for it.
    Resting(Duration),
}

/// The limits of one application in one tenant.
pub(crate) struct Throttle {
    clock: Arc<dyn Clock>,
    tenant: Mutex<Windows>,
    application: Arc<Mutex<Windows>>,
}

impl Throttle {
    pub(crate) fn new(clock: Arc<dyn Clock>, applications: &Applications, client_id: Uuid) -> Self {
        let tenant = Mutex::new(Windows::new(TENANT_WRITES, TENANT_UNITS, TENANT_METHODS));
        Self { clock, tenant, application: applications.of(client_id) }
    }

    /// Waits until `requests` may go out, if that is soon.
    pub(crate) async fn admit(&self, requests: &[Request], priority: Priority) -> Result<(), NotYet> {
        let cost = requests.iter().map(cost).fold(Cost::default(), |sum, cost| Cost {
            writes: sum.writes + cost.writes,
            units: sum.units + cost.units,
            methods: sum.methods + cost.methods,
        });
        let began = self.clock.elapsed();
        loop {
            let Some(not_yet) = self.try_admit(cost, priority == Priority::Low) else { return Ok(()) };
            let (NotYet::Full(wait) | NotYet::Resting(wait)) = not_yet;
            if self.clock.elapsed() - began + crate::clock::milliseconds(wait) > LONGEST_WAIT {
                return Err(not_yet);
            }
            self.clock.sleep(wait).await;
        }
    }

    /// Whether so many calls to authentication methods would go out at once.
    pub(crate) fn has_room_for_methods(&self, methods: u32) -> bool {
        let mut tenant = self.tenant.lock().unwrap_or_else(PoisonError::into_inner);
        let mut application = self.application.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.elapsed();
        let full = tenant.methods.wait(now, methods, false).max(application.methods.wait(now, methods, false));
        full.max(tenant.methods.rest(now, methods)) == 0
    }

    /// Notes that requests go out now, or says why they may not.
    fn try_admit(&self, cost: Cost, left_to_others: bool) -> Option<NotYet> {
        let mut tenant = self.tenant.lock().unwrap_or_else(PoisonError::into_inner);
        let mut application = self.application.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.elapsed();
        let full = tenant.wait(now, cost, left_to_others).max(application.wait(now, cost, left_to_others));
        let resting = tenant.rest(now, cost);
        let wait = |milliseconds: i64| Duration::from_millis(milliseconds.unsigned_abs());
        if resting > 0 && resting >= full {
            return Some(NotYet::Resting(wait(resting)));
        }
        if full > 0 {
            return Some(NotYet::Full(wait(full)));
        }
        tenant.take(now, cost);
        application.take(now, cost);
        None
    }

    /// Microsoft asks to wait with requests like this one; the tenant's others go on.
    pub(crate) fn rest(&self, request: &Request, wait: Duration) {
        let mut tenant = self.tenant.lock().unwrap_or_else(PoisonError::into_inner);
        let until = self.clock.elapsed().saturating_add(crate::clock::milliseconds(wait));
        let window = if request.authentication_method {
            &mut tenant.methods
        } else if request.is_write() {
            &mut tenant.writes
        } else {
            &mut tenant.units
        };
        window.resting_until = window.resting_until.max(until);
    }
}

/// What a request counts for.
fn cost(request: &Request) -> Cost {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let mut segments = path.split('/').skip(1);
    let (first, second, third) = (segments.next(), segments.next(), segments.next());
    let units: u32 = match (first, second, third) {
        (Some("users"), None, _) if request.method == "GET" => 2,
        (
            _,
            _,
            Some("memberOf" | "transitiveMemberOf" | "getMemberObjects" | "getMemberGroups" | "appRoleAssignments"),
        ) => 2,
        (Some("groups"), _, Some("members")) if request.method == "GET" => 3,
        (Some("subscribedSkus"), ..) => 3,
        (_, _, Some("checkMemberGroups" | "checkMemberObjects")) => 4,
        (_, _, Some("transitiveMembers")) | (Some("directoryObjects"), Some("getByIds"), _) => 5,
        _ => 1,
    };
    let units = units + u32::from(query.contains("$expand")) - u32::from(query.contains("$select")).min(units - 1);
    Cost { writes: u32::from(request.is_write()), units, methods: u32::from(request.authentication_method) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{
        pin::Pin,
        sync::atomic::{AtomicI64, Ordering},
    };

    use super::*;

    /// A clock that passes exactly as long as is slept.
    #[derive(Default)]
    struct Slept(AtomicI64);

    impl Clock for Slept {
        fn now(&self) -> i64 {
            self.elapsed()
        }

        fn elapsed(&self) -> i64 {
            self.0.load(Ordering::SeqCst)
        }

        fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
            self.0.fetch_add(crate::clock::milliseconds(duration), Ordering::SeqCst);
            Box::pin(std::future::ready(()))
        }
    }

    fn write() -> Request {
        Request::with("PATCH", "/users/1".to_owned(), None)
    }

    fn pass() -> Request {
        Request::get("/users/1/authentication/temporaryAccessPassMethods".to_owned()).of_authentication_methods()
    }

    /// Sends as fast as is admitted; returns when each went out.
    async fn flood(
        clock: &Arc<Slept>,
        throttles: &[Throttle],
        request: fn() -> Request,
        priority: Priority,
    ) -> Vec<i64> {
        let mut sent = Vec::new();
        for number in 0..throttles.len() * 80 {
            let throttle = &throttles[number % throttles.len()];
            while let Err(NotYet::Full(wait) | NotYet::Resting(wait)) = throttle.admit(&[request()], priority).await {
                assert!(wait > Duration::from_millis(4_500), "shorter waits are not the caller's");
                clock.sleep(wait).await;
            }
            sent.push(clock.elapsed());
        }
        sent
    }

    fn most_in_a_window(sent: &[i64], window: i64) -> usize {
        sent.iter().map(|from| sent.iter().filter(|at| (*from..from + window).contains(*at)).count()).max().unwrap()
    }

    #[tokio::test]
    async fn no_window_ever_holds_more_than_its_limit_and_hardly_less() {
        let clock = Arc::new(Slept::default());
        let applications = Applications::default();
        let client = Uuid::from_u128(1);
        let throttle = |_| Throttle::new(Arc::clone(&clock) as Arc<dyn Clock>, &applications, client);
        let one: Vec<_> = (0..1).map(throttle).collect();
        let sent = flood(&clock, &one, pass, Priority::High).await;
        assert_eq!(most_in_a_window(&sent, TENANT_METHODS.window), 5);
        // 80 calls are sixteen windows of five; the last begins after fifteen.
        let bound = 15 * TENANT_METHODS.window;
        assert!((bound..bound * 103 / 100).contains(&(sent[79] - sent[0])), "{}", sent[79] - sent[0]);

        // Forty tenants of one application: together no more than that may.
        clock.sleep(Duration::from_secs(1_000)).await;
        let many: Vec<_> = (0..40).map(throttle).collect();
        let sent = flood(&clock, &many, pass, Priority::High).await;
        assert!(most_in_a_window(&sent, APPLICATION_METHODS.window) <= 122);
    }

    #[tokio::test]
    async fn another_application_has_limits_of_its_own() {
        let clock = Arc::new(Slept::default());
        let applications = Applications::default();
        for client in 1..=3 {
            let throttle = Throttle::new(Arc::clone(&clock) as Arc<dyn Clock>, &applications, Uuid::from_u128(client));
            let writes: Vec<_> = (0..1_000).map(|_| write()).collect();
            for _ in 0..3 {
                throttle.admit(&writes, Priority::High).await.unwrap();
            }
            assert_eq!(clock.elapsed(), 0);
            let NotYet::Full(wait) = throttle.admit(&writes, Priority::High).await.unwrap_err() else {
                unreachable!("nobody asked to be left alone")
            };
            assert!(wait >= Duration::from_millis(150_000), "{wait:?}");
        }
    }

    #[tokio::test]
    async fn bulk_work_leaves_room_for_a_person() {
        let clock = Arc::new(Slept::default());
        let throttle =
            Throttle::new(Arc::clone(&clock) as Arc<dyn Clock>, &Applications::default(), Uuid::from_u128(1));
        let mut bulk = 0;
        while throttle.admit(&[write()], Priority::Low).await.is_ok() {
            bulk += 1;
        }
        assert_eq!(bulk, 3_000 - 3_000 / SHARE_LEFT);
        assert_eq!(throttle.admit(&[write()], Priority::High).await, Ok(()));
        assert_eq!(clock.elapsed(), 0);
    }

    #[tokio::test]
    async fn whoever_asks_to_be_left_alone_is_and_the_rest_still_goes() {
        let clock = Arc::new(Slept::default());
        let throttle =
            Throttle::new(Arc::clone(&clock) as Arc<dyn Clock>, &Applications::default(), Uuid::from_u128(1));
        throttle.rest(&pass(), Duration::from_secs(60));
        assert_eq!(throttle.admit(&[pass()], Priority::High).await, Err(NotYet::Resting(Duration::from_secs(60))));
        assert_eq!(throttle.admit(&[write()], Priority::High).await, Ok(()));
        assert!(!throttle.has_room_for_methods(1));
        throttle.rest(&pass(), Duration::from_secs(3));
        clock.sleep(Duration::from_secs(58)).await;
        assert_eq!(throttle.admit(&[pass()], Priority::High).await, Ok(()));
        assert_eq!(clock.elapsed(), 60_000);
    }

    #[tokio::test]
    async fn no_wait_outlasts_a_loan_that_was_just_looked_at() {
        for seconds in 0..10 {
            let clock = Arc::new(Slept::default());
            let throttle =
                Throttle::new(Arc::clone(&clock) as Arc<dyn Clock>, &Applications::default(), Uuid::from_u128(1));
            for _ in 0..5 {
                throttle.admit(&[pass()], Priority::High).await.unwrap();
            }
            clock.sleep(Duration::from_secs(seconds)).await;
            let before = clock.elapsed();
            let admitted = throttle.admit(&[pass()], Priority::High).await;
            assert_eq!(admitted.is_ok(), seconds >= 6, "{seconds}");
            assert!(clock.elapsed() - before <= LONGEST_WAIT);
        }
    }

    #[test]
    fn costs_follow_the_table() {
        let units = |method, path: &str| cost(&Request::with(method, path.to_owned(), None)).units;
        assert_eq!(units("GET", "/users"), 2);
        assert_eq!(units("GET", "/users?$select=id"), 1);
        assert_eq!(units("GET", "/users/1?$select=id"), 1);
        assert_eq!(units("GET", "/users/1/memberOf"), 2);
        assert_eq!(units("GET", "/groups/1/members"), 3);
        assert_eq!(units("POST", "/groups/1/members/$ref"), 1);
        assert_eq!(units("GET", "/users/1?$expand=extensions"), 2);
    }
}
