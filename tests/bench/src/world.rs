//! Virtual time and the way to the simulated Entra without sockets.
//!
//! Time stands while any thread of this process has something to do, and jumps to the next moment that somebody waits for
//! once all of them sleep. So an hour of waiting for a limit costs nothing, what the machine needs to compute does not
//! count, and a busy machine changes no figure. (Whether threads sleep is read from `/proc`; where there is none, a quiet
//! while stands for it.)

use std::{
    collections::BTreeMap,
    fs,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::http::HeaderMap;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use entra_sim::{
    Simulation,
    endpoint::{self, Incoming},
};
use latchkey_engine::{Carried, Clock, HttpAnswer, HttpRequest, Silence, Transport};
use serde_json::Value;
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use crate::limits::Call;

/// How often the driver looks whether everybody waits.
const LOOK_EVERY: Duration = Duration::from_micros(150);
/// Where threads cannot be looked at: nothing has been asked of the clock or the wire for so long.
const QUIET: Duration = Duration::from_millis(20);

pub(crate) struct World {
    beginning: i64,
    now: AtomicI64,
    sleepers: Mutex<BTreeMap<(i64, u64), oneshot::Sender<()>>>,
    next: AtomicU64,
    started: Instant,
    /// When something was asked last, in microseconds since `started`.
    touched: AtomicU64,
    over: AtomicBool,
}

impl World {
    /// A world that begins at this Unix time in milliseconds.
    pub(crate) fn new(beginning: i64) -> Arc<Self> {
        let world = Arc::new(Self {
            beginning,
            now: AtomicI64::new(0),
            sleepers: Mutex::default(),
            next: AtomicU64::new(0),
            started: Instant::now(),
            touched: AtomicU64::new(0),
            over: AtomicBool::new(false),
        });
        let of_driver = Arc::clone(&world);
        std::thread::spawn(move || of_driver.drive());
        world
    }

    /// Milliseconds since the beginning.
    pub(crate) fn passed(&self) -> i64 {
        self.now.load(Ordering::SeqCst)
    }

    /// Lets time pass until then, whoever waits.
    pub(crate) async fn until(&self, moment: i64) {
        while self.passed() < moment {
            self.wait(moment - self.passed()).await;
        }
    }

    /// Time stands still from now on.
    pub(crate) fn stop(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    fn touch(&self) {
        let at = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.touched.store(at, Ordering::SeqCst);
    }

    async fn wait(&self, milliseconds: i64) {
        let (wake, woken) = oneshot::channel();
        {
            let mut sleepers = self.sleepers.lock().unwrap_or_else(PoisonError::into_inner);
            let until = self.passed() + milliseconds.max(1);
            sleepers.insert((until, self.next.fetch_add(1, Ordering::SeqCst)), wake);
        }
        self.touch();
        // Only a world that has stopped lets go of it without waking.
        let _ = woken.await;
        self.touch();
    }

    fn drive(&self) {
        let me = own_thread();
        while !self.over.load(Ordering::SeqCst) {
            std::thread::sleep(LOOK_EVERY);
            if !self.everybody_waits(me.as_deref()) {
                continue;
            }
            let mut sleepers = self.sleepers.lock().unwrap_or_else(PoisonError::into_inner);
            let Some((&(moment, _), _)) = sleepers.first_key_value() else { continue };
            let later = sleepers.split_off(&(moment + 1, 0));
            let due = std::mem::replace(&mut *sleepers, later);
            self.now.fetch_max(moment, Ordering::SeqCst);
            self.touch();
            drop(sleepers);
            for (_, wake) in due {
                // Whoever waited may have given up.
                let _ = wake.send(());
            }
        }
    }

    fn everybody_waits(&self, me: Option<&str>) -> bool {
        let Some(me) = me else {
            let quiet_since = Duration::from_micros(self.touched.load(Ordering::SeqCst));
            return self.started.elapsed().saturating_sub(quiet_since) >= QUIET;
        };
        // Two looks: who slept in both and was not switched to in between slept at the moment between the two, and so
        // did everybody. Then only time can wake anybody.
        match sleeping(me) {
            Some(first) => sleeping(me).is_some_and(|second| first == second),
            None => false,
        }
    }
}

/// This thread's number, where threads can be looked at.
fn own_thread() -> Option<String> {
    let link = fs::read_link("/proc/thread-self").ok()?;
    Some(link.file_name()?.to_str()?.to_owned())
}

/// How often each thread but `me` has been switched away from; none if one of them is not asleep.
fn sleeping(me: &str) -> Option<BTreeMap<String, u64>> {
    let mut switches = BTreeMap::new();
    for thread in fs::read_dir("/proc/self/task").ok()? {
        let name = thread.ok()?.file_name().into_string().ok()?;
        if name == me {
            continue;
        }
        // A thread that ended meanwhile has no status: look again.
        let status = fs::read_to_string(format!("/proc/self/task/{name}/status")).ok()?;
        let mut count = 0;
        for line in status.lines() {
            if let Some(state) = line.strip_prefix("State:") {
                if !state.trim_start().starts_with('S') {
                    return None;
                }
            } else if line.contains("voluntary_ctxt_switches:") {
                count += line.rsplit(['\t', ' ']).next()?.parse::<u64>().ok()?;
            }
        }
        switches.insert(name, count);
    }
    Some(switches)
}

/// The world's time as the engine reads it.
pub(crate) struct VirtualClock(pub(crate) Arc<World>);

impl Clock for VirtualClock {
    fn now(&self) -> i64 {
        self.0.touch();
        self.0.beginning + self.0.passed()
    }

    fn elapsed(&self) -> i64 {
        self.0.touch();
        self.0.passed()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let milliseconds = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4);
        Box::pin(self.0.wait(milliseconds))
    }
}

/// The way there and back, half a round trip each; counts what arrives.
pub(crate) struct Wire {
    world: Arc<World>,
    lab: Arc<Simulation>,
    round_trip: i64,
    calls: Mutex<Vec<Call>>,
    _client: watch::Sender<()>,
    client: watch::Receiver<()>,
}

impl Wire {
    pub(crate) fn new(world: Arc<World>, lab: Arc<Simulation>, round_trip: i64) -> Self {
        let (sender, client) = watch::channel(());
        Self { world, lab, round_trip, calls: Mutex::default(), _client: sender, client }
    }

    /// What has arrived since this was asked last.
    pub(crate) fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn carry(&self, request: HttpRequest) -> Result<HttpAnswer, Silence> {
        self.world.wait(self.round_trip / 2).await;
        let answer = self.answer(request).await;
        self.world.wait(self.round_trip - self.round_trip / 2).await;
        answer
    }

    async fn answer(&self, request: HttpRequest) -> Result<HttpAnswer, Silence> {
        let at = self.world.passed();
        self.lab.clock.set_elapsed(at);
        let unreached = || Silence::Unreached("not an address of the simulation".to_owned());
        let rest = request.url.strip_prefix("https://").ok_or_else(unreached)?;
        let (host, target) = rest.split_at(rest.find('/').ok_or_else(unreached)?);
        let (method, body) = (request.method, request.body.clone());
        let tenant = tenant_of_token(&request.headers).unwrap_or_default();
        let incoming = Incoming {
            method: request.method.to_owned(),
            target: target.to_owned(),
            origin: format!("https://{host}"),
            host: host.to_owned(),
            headers: HeaderMap::from_iter(request.headers.iter().map(|(name, value)| (name.clone(), value.clone()))),
            body: request.body,
            client: self.client.clone(),
        };
        let lab = Arc::clone(&self.lab);
        let graph = target.strip_prefix("/v1.0").map(ToOwned::to_owned);
        let response = match &graph {
            Some(path) => endpoint::graph(lab, incoming, "v1.0", path).await,
            None => {
                let tenant = target.trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
                endpoint::token(lab, incoming, tenant, "token").await
            }
        };
        let response = response.map_err(|_| Silence::Unanswered("the connection was closed".to_owned()))?;
        let (parts, answered) = response.into_parts();
        let answered = axum::body::to_bytes(answered, usize::MAX).await.map(|bytes| bytes.to_vec()).unwrap_or_default();
        let status = parts.status.as_u16();
        if let Some(path) = graph {
            self.count(at, tenant, method, &path, status, &body, &answered);
        }
        Ok(HttpAnswer { status, headers: parts.headers, body: answered })
    }

    #[allow(clippy::too_many_arguments, reason = "one exchange, as it was")]
    fn count(&self, at: i64, tenant: u128, method: &str, path: &str, status: u16, asked: &[u8], answered: &[u8]) {
        let call = |method: &str, path: &str, status: u64| Call {
            at,
            tenant,
            write: method != "GET",
            method: path.contains("/authentication/"),
            refused: status == 429,
        };
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if !path.starts_with("/$batch") {
            calls.push(call(method, path, status.into()));
            return;
        }
        // A batch counts for what is in it.
        let read = |bytes| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
        let (asked, answered) = (read(asked), read(answered));
        let answers = answered["responses"].as_array();
        for item in asked["requests"].as_array().into_iter().flatten() {
            let answer = answers.into_iter().flatten().find(|answer| answer["id"] == item["id"]);
            let status = answer.and_then(|answer| answer["status"].as_u64()).unwrap_or_default();
            // What waited in vain for the one before was not asked.
            if status != 424 {
                let text = |name: &str| item[name].as_str().unwrap_or_default();
                calls.push(call(text("method"), text("url"), status));
            }
        }
    }
}

/// The tenant that a request's token was issued for.
fn tenant_of_token(headers: &HeaderMap) -> Option<u128> {
    let bearer = headers.get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")?;
    let claims = URL_SAFE_NO_PAD.decode(bearer.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    Some(claims["tid"].as_str()?.parse::<Uuid>().ok()?.as_u128())
}

impl Transport for Wire {
    fn exchange(&self, request: HttpRequest) -> Carried<'_, Result<HttpAnswer, Silence>> {
        Box::pin(self.carry(request))
    }
}
