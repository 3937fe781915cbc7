//! The way from a process to the simulated Entra, and what goes wrong on it.
//!
//! No sockets: a request is handed to the simulation's own handlers when it arrives, in virtual time. A request that
//! was sent arrives, whatever becomes of its sender.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::http::HeaderMap;
use entra_sim::{
    Simulation,
    endpoint::{self, Incoming},
    faults::{Fault as LabFault, Kind, Match},
};
use latchkey_engine::{Carried, EXCHANGE_TIMEOUT, HttpAnswer, HttpRequest, Silence, Transport};
use serde_json::Value;
use tokio::sync::watch;

use crate::{
    schedule::{Fault, Plan},
    truth::{CLOCK_NOISE, Effect, Truth},
    world::{Event, ProcessId, World},
};

/// How long a request takes to arrive, and its answer to come back, in milliseconds.
const ONE_WAY: i64 = 30;
/// How long an exchange may take, in milliseconds.
const TIMEOUT: i64 = 10_000;
const _: () = assert!(EXCHANGE_TIMEOUT.as_millis() == TIMEOUT.unsigned_abs() as u128, "the same as the product's");

/// A request on its way.
pub(crate) struct Arrival {
    incoming: Incoming,
    fault: Option<Kind>,
    answer: Arc<Mutex<Option<HttpAnswer>>>,
    pub(crate) effect: Effect,
}

impl Arrival {
    /// Lets the request take effect.
    pub(crate) async fn take_effect(self, lab: &Arc<Simulation>) {
        if let Some(kind) = self.fault {
            lab.faults.replace(vec![LabFault { matches: matching(&kind), kind, times: Some(1) }]);
        }
        let target = self.incoming.target.clone();
        let response = match target.strip_prefix("/v1.0") {
            Some(rest) => endpoint::graph(Arc::clone(lab), self.incoming, "v1.0", rest).await,
            None => {
                let tenant = target.trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
                endpoint::token(Arc::clone(lab), self.incoming, tenant, "token").await
            }
        };
        lab.faults.replace(Vec::new());
        let Ok(response) = response else { return };
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.map(|bytes| bytes.to_vec()).unwrap_or_default();
        let answer = HttpAnswer { status: parts.status.as_u16(), headers: parts.headers, body };
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
    }
}

/// Which exchanges of one arrival a fault is for: the batch as a whole, or one request in it.
fn matching(kind: &Kind) -> Match {
    match kind {
        Kind::HalfBatch { .. } => Match { in_batch: Some(false), ..Match::default() },
        _ => Match { nth: Some(1), in_batch: Some(false), ..Match::default() },
    }
}

/// The transport of one process.
pub(crate) struct Wire {
    pub(crate) world: Arc<World>,
    pub(crate) truth: Arc<Truth>,
    pub(crate) plan: Arc<Mutex<Plan>>,
    pub(crate) process: ProcessId,
}

impl Wire {
    async fn carry(&self, request: HttpRequest) -> Result<HttpAnswer, Silence> {
        let (world, process) = (&self.world, self.process);
        if world.is_dead(process) {
            return std::future::pending().await;
        }
        let grants = holds(&request, &mut granting);
        // What the store says when the process has made up its mind.
        let disables = holds(&request, &mut |method, _, body| {
            method == "PATCH" && body.is_some_and(|body| body["accountEnabled"] == false)
        });
        let (called_for, until) = if grants || disables { self.truth.lease_now(world).await } else { (true, i64::MAX) };
        let fault = self.choose(&request);
        let mut arrival = Box::new(Arrival {
            incoming: incoming(request)?,
            fault: None,
            answer: Arc::default(),
            effect: Effect {
                grants,
                called_for,
                until,
                // Where this machine's clock is behind, leases end by Microsoft's: that much earlier.
                takes_needed: disables && called_for && until - world.behind() > world.now() + CLOCK_NOISE,
                paused: false,
            },
        });
        let answer = Arc::clone(&arrival.answer);
        let mut takes = ONE_WAY;
        // When the process hears of it, and whether what it hears is the answer.
        let mut hears = Some((2 * ONE_WAY, true));
        match fault {
            Some(Fault::Pause { milliseconds }) => {
                world.wait(process, world.now() + milliseconds).await;
                arrival.effect.paused = true;
            }
            Some(Fault::DieBefore) => return self.die().await,
            Some(Fault::DieAfterSend { takes: late }) => {
                world.at(world.now() + late, Event::Arrive(arrival));
                return self.die().await;
            }
            Some(Fault::DieAfter) => {
                world.at(world.now() + takes, Event::Arrive(arrival));
                world.wait(process, world.now() + takes + 1).await;
                return self.die().await;
            }
            Some(Fault::NoEffect { after }) => {
                world.wait(process, world.now() + after).await;
                return Err(Silence::Unanswered("no answer in time".to_owned()));
            }
            Some(Fault::Unreached) => {
                world.wait(process, world.now() + ONE_WAY).await;
                return Err(Silence::Unreached("connection refused".to_owned()));
            }
            Some(Fault::Silence { takes: late, after }) => {
                takes = late;
                hears = Some((after, false));
            }
            Some(Fault::Slow { takes: late }) => {
                takes = late;
                hears = Some((late + ONE_WAY, true));
            }
            Some(Fault::Status { status, retry_after, after_effect }) => {
                arrival.fault = Some(Kind::Status { status, retry_after, after_effect });
            }
            Some(Fault::HalfBatch { from_item }) => arrival.fault = Some(Kind::HalfBatch { from_item }),
            Some(Fault::DieAtTick { .. }) | None => {}
        }
        let sent = world.now();
        world.at(sent + takes, Event::Arrive(arrival));
        let (after, real) = hears.take().unwrap_or((TIMEOUT, false));
        world.wait(process, sent + after).await;
        let answer = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        match answer {
            Some(answer) if real => Ok(answer),
            _ => Err(Silence::Unanswered("no answer in time".to_owned())),
        }
    }

    /// What goes wrong with the exchange that begins now.
    fn choose(&self, request: &HttpRequest) -> Option<Fault> {
        let (now, call) = {
            let mut state = self.world.state();
            state.processes[self.process].calls += 1;
            (state.now, state.processes[self.process].calls)
        };
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(exchanges) = &mut plan.exchanges {
            let mut parts = Vec::new();
            holds(request, &mut |method, url, _| {
                let path = url.split_once(".com").map_or(url, |(_, path)| path);
                parts.push(format!("{method} {path}"));
                false
            });
            exchanges.push((now, format!("{now:>9} process {}, call {call}: {}", self.process, parts.join(", "))));
        }
        plan.at_call(now, self.process, call)
    }

    async fn die(&self) -> Result<HttpAnswer, Silence> {
        self.world.kill(self.process);
        std::future::pending().await
    }
}

impl Transport for Wire {
    fn exchange(&self, request: HttpRequest) -> Carried<'_, Result<HttpAnswer, Silence>> {
        Box::pin(self.carry(request))
    }
}

fn incoming(request: HttpRequest) -> Result<Incoming, Silence> {
    let HttpRequest { method, url, headers, body } = request;
    let unreached = || Silence::Unreached(format!("{url} is no address"));
    let rest = url.strip_prefix("https://").ok_or_else(unreached)?;
    let slash = rest.find('/').ok_or_else(unreached)?;
    let (host, target) = rest.split_at(slash);
    // Nobody goes away here: whoever gives up just does not listen any more.
    let (_, client) = watch::channel(());
    Ok(Incoming {
        method: method.to_owned(),
        target: target.to_owned(),
        origin: format!("https://{host}"),
        host: host.to_owned(),
        headers: HeaderMap::from_iter(headers.into_iter().filter_map(|(name, value)| Some((name?, value)))),
        body,
        client,
    })
}

/// Whether a request, or one in a batch, is of a kind.
fn holds(request: &HttpRequest, kind: &mut dyn FnMut(&str, &str, Option<&Value>) -> bool) -> bool {
    if !request.url.ends_with("/$batch") {
        return kind(request.method, &request.url, serde_json::from_slice(&request.body).as_ref().ok());
    }
    let Ok(batch) = serde_json::from_slice::<Value>(&request.body) else { return false };
    batch["requests"].as_array().is_some_and(|items| {
        items.iter().any(|item| {
            kind(
                item["method"].as_str().unwrap_or_default(),
                item["url"].as_str().unwrap_or_default(),
                item.get("body"),
            )
        })
    })
}

/// Whether a request makes an account active, or gives it anything.
fn granting(method: &str, url: &str, body: Option<&Value>) -> bool {
    let names = |part: &str| url.contains(part);
    match method {
        "PATCH" => body.is_some_and(|body| body["accountEnabled"] == true),
        "POST" if names("roleAssignmentScheduleRequests") => body.is_some_and(|body| body["action"] == "adminAssign"),
        "POST" => names("roleAssignments") || names("temporaryAccessPassMethods") || names("members/$ref"),
        _ => false,
    }
}

/// The longest that anything on the wire may take to arrive.
pub(crate) const LATEST: Duration = EXCHANGE_TIMEOUT;
