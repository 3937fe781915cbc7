//! One HTTP exchange with the token endpoint or Graph, from arrival to answer: numbering, round trip, faults, effect,
//! log, schema check.
//!
//! The work runs in a task of its own: a client that goes away does not undo what it asked for, as in life.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::batch;
use crate::clock::{error_time, http_time};
use crate::directory::{Application, Directory, Tenant, new_id};
use crate::exchanges::{Endpoint, Exchange};
use crate::faults::{FOR_EVER, Kind, Subject};
use crate::graph::{self, Call, Context, GraphError, Reply};
use crate::schema::Sample;
use crate::simulation::Simulation;
use crate::throttle::{self, Size};
use crate::token::{Claims, TokenRequest};

/// The connection is to be closed without an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Vanished;

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Upper case.
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// `https://host[:port]`.
    pub origin: String,
    /// Host without port, lower case.
    pub host: String,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
    /// Becomes an error when the client has gone away.
    pub client: watch::Receiver<()>,
}

impl Incoming {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Where an exchange stands, for faults and the log.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Number of the HTTP exchange.
    pub number: u64,
    /// Our id of this request.
    pub request_id: String,
    /// The client's, or ours.
    pub client_request_id: String,
    sent_client_request_id: Option<String>,
    at_ms: u64,
}

/// A request for a token, or for a device code (`operation` is `token` or `devicecode`).
///
/// # Errors
/// A fault closes the connection.
pub async fn token(
    sim: Arc<Simulation>,
    incoming: Incoming,
    tenant_segment: String,
    operation: &'static str,
) -> Result<Response<Body>, Vanished> {
    let trace = arrive(&sim, &incoming);
    let knobs = sim.knobs();
    let half = Duration::from_millis(knobs.round_trip_ms) / 2;
    pass(half).await;
    let path = format!("/{tenant_segment}/oauth2/v2.0/{operation}");
    let tenant = sim.directory().tenant(&tenant_segment).map(|tenant| tenant.id.clone());
    let kinds = sim.faults.strike(Subject {
        method: &incoming.method,
        path: &path,
        tenant: tenant.as_deref(),
        in_batch: false,
    });
    let refusal = before(&sim, &kinds, &incoming.client).await?;
    let form: HashMap<String, String> = url::form_urlencoded::parse(&incoming.body).into_owned().collect();
    let request = TokenRequest {
        tenant: tenant_segment,
        host: incoming.host.clone(),
        form,
        authorization: incoming.header("authorization").map(str::to_owned),
    };
    let (status, body, retry_after, error) = match refusal {
        Some((status, retry_after)) => (
            status,
            json!({
                "error": "temporarily_unavailable",
                "error_description": format!("AADSTS90033: A transient error has occurred. Please try again. Trace ID: {}", trace.request_id),
                "error_codes": [90033],
            }),
            retry_after,
            Some("temporarily_unavailable".to_owned()),
        ),
        None => {
            let granted = if operation == "token" {
                sim.tokens.grant(&request, &sim.directory(), &sim.clock, &knobs).1
            } else {
                sim.tokens.begin_device(&request, &sim.directory(), &sim.clock, &knobs)
            };
            match granted {
                Ok(body) => (200, body, None, None),
                Err(error) => {
                    let body = error.body(&sim.clock, &trace.request_id, &trace.client_request_id);
                    (error.status, body, None, Some(format!("AADSTS{}", error.number)))
                }
            }
        }
    };
    let gone = after(&sim, &kinds, &incoming.client).await;
    pass(half).await;
    if knobs.journal {
        sim.exchanges.record(Exchange {
            number: trace.number,
            at_ms: trace.at_ms,
            endpoint: Endpoint::Token,
            tenant,
            method: incoming.method.clone(),
            path,
            status: if gone.is_err() { 0 } else { status },
            error,
            client_request_id: trace.sent_client_request_id.clone(),
            request_id: trace.request_id.clone(),
            in_batch: false,
            eventual: false,
        });
    }
    gone?;
    let mut response = json_response(&sim, status, Some(&body), "application/json; charset=utf-8");
    let headers = response.headers_mut();
    set(headers, "x-ms-request-id", &trace.request_id);
    set(headers, "client-request-id", &trace.client_request_id);
    set(headers, "cache-control", "no-store, no-cache");
    if let Some(seconds) = retry_after {
        set(headers, "retry-after", &seconds.to_string());
    }
    Ok(response)
}

/// A request to Graph; `target` is what follows the version.
///
/// # Errors
/// A fault closes the connection.
pub async fn graph(
    sim: Arc<Simulation>,
    incoming: Incoming,
    version: &str,
    target: &str,
) -> Result<Response<Body>, Vanished> {
    let trace = arrive(&sim, &incoming);
    let knobs = sim.knobs();
    let half = Duration::from_millis(knobs.round_trip_ms) / 2;
    pass(half).await;
    let mut call = Call {
        method: incoming.method.clone(),
        base: format!("{}/{version}", incoming.origin),
        beta: version == "beta",
        headers: incoming
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
            .collect(),
        ..Call::default()
    };
    call.set_target(target);
    let caller = authenticate(&sim, &incoming);
    match &caller {
        Ok(caller) => name_oneself(&mut call, caller),
        // Nobody knows whose; what was asked for is held to the schema all the same.
        Err(_) => name_person(&mut call, "me"),
    }
    let tenant = caller.as_ref().ok().map(|caller| caller.tid.clone());
    let kinds = sim.faults.strike(Subject {
        method: &call.method,
        path: &incoming.target,
        tenant: tenant.as_deref(),
        in_batch: false,
    });
    let is_batch = call.segments == ["$batch"];
    // Also a request that is refused is held to the schema, so it is read whatever becomes of it.
    let unread = match read_body(&incoming) {
        Ok(body) => {
            call.body = body;
            None
        }
        Err(error) => Some(error),
    };
    let result = match before(&sim, &kinds, &incoming.client).await? {
        Some((status, retry_after)) => Err(injected(status, retry_after)),
        None => match (caller, unread) {
            (Err(error), _) | (Ok(_), Some(error)) => Err(error),
            (Ok(caller), None) => {
                if is_batch && call.method == "POST" {
                    let half_from = kinds.iter().find_map(|kind| match kind {
                        Kind::HalfBatch { from_item } => Some(*from_item),
                        _ => None,
                    });
                    batch::run(&sim, &caller, &call, &trace, half_from, &incoming.client).await?
                } else {
                    perform(&sim, &caller, &call)
                }
            }
        },
    };
    let result = match struck_after_effect(&kinds) {
        Some((status, retry_after)) => Err(injected(status, retry_after)),
        None => result,
    };
    let gone = after(&sim, &kinds, &incoming.client).await;
    pass(half).await;
    let (Reply { status, headers, body }, error) = rendered(&sim, result, &trace.request_id, &trace.client_request_id);
    record(&sim, &trace, &call, tenant.as_deref(), if gone.is_err() { 0 } else { status }, error, body.as_ref());
    gone?;
    let mut response = json_response(
        &sim,
        status,
        body.as_ref(),
        "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8",
    );
    let out = response.headers_mut();
    set(out, "request-id", &trace.request_id);
    set(out, "client-request-id", &trace.client_request_id);
    set(out, "cache-control", "no-cache");
    set(out, "odata-version", "4.0");
    set(out, "strict-transport-security", "max-age=31536000");
    if status == 401 {
        set(
            out,
            "www-authenticate",
            "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", \
             client_id=\"00000003-0000-0000-c000-000000000000\"",
        );
    }
    if !is_batch {
        set(out, "x-ms-resource-unit", &throttle::cost(&call).to_string());
    }
    for (name, value) in headers {
        set(out, name, &value);
    }
    Ok(response)
}

/// `/me` is the signed-in person's `/users/{id}`.
pub fn name_oneself(call: &mut Call, caller: &Claims) {
    if caller.is_delegated() {
        name_person(call, &caller.oid);
    }
}

fn name_person(call: &mut Call, id: &str) {
    if call.segments.first().is_some_and(|first| first == "me") {
        call.segments.splice(0..1, ["users".to_owned(), id.to_owned()]);
    }
}

/// Carries out one operation: throttle, tenant, lag, permission, resource. The one place where effects happen.
///
/// # Errors
/// Graph's refusal.
pub fn perform(sim: &Simulation, caller: &Claims, call: &Call) -> Result<Reply, GraphError> {
    let knobs = sim.knobs();
    if call.segments.first().is_some_and(|first| first == "me") {
        let message = "/me request is only valid with delegated authentication flow.";
        return Err(GraphError::new(400, "BadRequest", message));
    }
    // Taken before the lock: the first call waits until the schema has been read.
    let _ = sim.permissions_for(&call.method, &call.segments);
    let mut directory = sim.directory();
    let moment = sim.clock.elapsed();
    let mut full = None;
    if knobs.throttling {
        let tenant = directory.tenant(&caller.tid);
        let size = Size::of(tenant.map_or(0, |tenant| tenant.users.len()));
        full = sim.throttle.take(call, &caller.appid, &caller.tid, size, moment, knobs.throttling_speed)?;
    }
    let published = named_application(&directory, call);
    let position = directory.position(&caller.tid);
    let Directory { tenants, sign_ins, .. } = &mut *directory;
    let tenant = position
        .and_then(|position| tenants.get_mut(position))
        .ok_or_else(|| invalid_token("The tenant of this token is gone."))?;
    let context = Context {
        sim,
        caller,
        knobs: &knobs,
        call,
        now: sim.clock.now(),
        moment,
        ahead: sim.next_replica(),
        sign_ins,
        published: published.as_ref(),
    };
    let mut result = replicated(tenant, &context);
    if let (Ok(reply), Some(share)) = (&mut result, full) {
        reply.headers.push(("x-ms-throttle-limit-percentage", format!("{share:.2}")));
    }
    result
}

/// Carries out one operation where it finds the directory as its replica knows it.
fn replicated(tenant: &mut Tenant, context: &Context<'_>) -> Result<Reply, GraphError> {
    let Context { sim, knobs, call, moment, .. } = *context;
    let lag = if call.eventual() { knobs.read_lag_ms.max(knobs.index_lag_ms) } else { knobs.read_lag_ms };
    if call.method == "GET"
        && lag > 0
        && let Some(mut stale) = sim.as_of(&tenant.id, Duration::from_millis(lag), moment)
    {
        return graph::carry_out(&mut stale, context);
    }
    if call.method == "GET" || knobs.read_lag_ms.max(knobs.index_lag_ms) == 0 {
        return graph::carry_out(tenant, context);
    }
    let before = tenant.clone();
    let result = graph::carry_out(tenant, context);
    if result.is_ok() {
        sim.remember(&before, moment);
    }
    result
}

/// The multi-tenant application for which a service principal is to be made.
fn named_application(directory: &Directory, call: &Call) -> Option<Application> {
    if call.method != "POST" || call.segments != ["servicePrincipals"] {
        return None;
    }
    directory.published(call.body.as_ref()?.get("appId")?.as_str()?)
}

/// Writes an exchange to the log and hands it to the schema check.
pub fn record(
    sim: &Simulation,
    trace: &Trace,
    call: &Call,
    tenant: Option<&str>,
    status: u16,
    error: Option<String>,
    response: Option<&Value>,
) {
    let knobs = sim.knobs();
    let check = knobs.check_schema && status != 0 && !call.beta;
    if !knobs.journal && !check {
        return;
    }
    let mut path = format!("/{}", call.segments.join("/"));
    if !call.query.is_empty() {
        let query: Vec<String> = call.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        path = format!("{path}?{}", query.join("&"));
    }
    if knobs.journal {
        sim.exchanges.record(Exchange {
            number: trace.number,
            at_ms: trace.at_ms,
            endpoint: Endpoint::Graph,
            tenant: tenant.map(str::to_owned),
            method: call.method.clone(),
            path: format!("/{}{path}", if call.beta { "beta" } else { "v1.0" }),
            status,
            error,
            client_request_id: trace.sent_client_request_id.clone(),
            request_id: trace.request_id.clone(),
            in_batch: call.in_batch,
            eventual: call.eventual(),
        });
    }
    // An answer that was never sent has no shape; the beta endpoint has another schema.
    if check {
        sim.schema.check(Sample {
            number: trace.number,
            method: call.method.clone(),
            segments: call.segments.clone(),
            query: call.query.clone(),
            consistency_level: call.header("consistencylevel").map(str::to_owned),
            request: call.body.clone(),
            status,
            response: response.cloned(),
        });
    }
}

/// The answer to a result, and its `error.code`.
#[must_use]
pub fn rendered(
    sim: &Simulation,
    result: Result<Reply, GraphError>,
    request_id: &str,
    client_request_id: &str,
) -> (Reply, Option<String>) {
    match result {
        Ok(reply) => (reply, None),
        Err(error) => {
            let body = error.body(&error_time(sim.clock.now()), request_id, client_request_id);
            let reply = Reply { status: error.status, headers: error.headers, body: Some(body) };
            (reply, Some(error.code.to_owned()))
        }
    }
}

/// The refusal that a fault asked for.
#[must_use]
pub fn injected(status: u16, retry_after: Option<u64>) -> GraphError {
    let (code, message) = match status {
        429 => ("TooManyRequests", "Too many requests. Please wait and try again."),
        503 => ("serviceNotAvailable", "The service is temporarily unavailable."),
        504 => ("GatewayTimeout", "The request timed out at the gateway."),
        401 => ("InvalidAuthenticationToken", "Access token validation failure."),
        403 => ("Authorization_RequestDenied", "Insufficient privileges to complete the operation."),
        404 => ("Request_ResourceNotFound", "Resource does not exist."),
        _ => ("UnknownError", "An internal server error occurred."),
    };
    let error = GraphError::new(status, code, message);
    match retry_after {
        Some(seconds) => error.with_header("Retry-After", seconds.to_string()),
        None => error,
    }
}

/// Faults that come before the effect: holds, delays, hangs, drops; the status to answer instead, if any.
///
/// # Errors
/// The connection is to be closed.
pub async fn before(
    sim: &Simulation,
    kinds: &[Kind],
    client: &watch::Receiver<()>,
) -> Result<Option<(u16, Option<u64>)>, Vanished> {
    let mut refusal = None;
    for kind in kinds {
        match kind {
            Kind::Delay { delay_ms, before_effect: true } => tokio::time::sleep(Duration::from_millis(*delay_ms)).await,
            Kind::HoldBefore { survives_client } => {
                let mut client = client.clone();
                tokio::select! {
                    () = sim.faults.hold() => {}
                    () = gone(&mut client), if !survives_client => return Err(Vanished),
                }
            }
            Kind::DropBefore {} => return Err(Vanished),
            Kind::HangBefore {} => {
                let mut client = client.clone();
                tokio::select! {
                    () = tokio::time::sleep(FOR_EVER) => {}
                    () = gone(&mut client) => {}
                }
                return Err(Vanished);
            }
            Kind::Status { status, retry_after, after_effect: false } => refusal = Some((*status, *retry_after)),
            _ => {}
        }
    }
    Ok(refusal)
}

/// Faults that come after the effect.
///
/// # Errors
/// The connection is to be closed.
pub async fn after(sim: &Simulation, kinds: &[Kind], client: &watch::Receiver<()>) -> Result<(), Vanished> {
    for kind in kinds {
        match kind {
            Kind::Delay { delay_ms, before_effect: false } => {
                tokio::time::sleep(Duration::from_millis(*delay_ms)).await
            }
            Kind::HoldAfter {} => {
                let mut client = client.clone();
                tokio::select! {
                    () = sim.faults.hold() => {}
                    () = gone(&mut client) => return Err(Vanished),
                }
            }
            Kind::DropAfter {} => return Err(Vanished),
            Kind::HangAfter {} => {
                let mut client = client.clone();
                tokio::select! {
                    () = tokio::time::sleep(FOR_EVER) => {}
                    () = gone(&mut client) => {}
                }
                return Err(Vanished);
            }
            _ => {}
        }
    }
    Ok(())
}

/// The status a fault wants answered although the effect took place.
#[must_use]
pub fn struck_after_effect(kinds: &[Kind]) -> Option<(u16, Option<u64>)> {
    kinds.iter().find_map(|kind| match kind {
        Kind::Status { status, retry_after, after_effect: true } => Some((*status, *retry_after)),
        _ => None,
    })
}

/// Half of a round trip; none takes no time at all.
async fn pass(half: Duration) {
    if !half.is_zero() {
        tokio::time::sleep(half).await;
    }
}

async fn gone(client: &mut watch::Receiver<()>) {
    while client.changed().await.is_ok() {}
}

fn arrive(sim: &Simulation, incoming: &Incoming) -> Trace {
    let request_id = new_id();
    let sent = incoming.header("client-request-id").map(str::to_owned);
    Trace {
        number: sim.exchanges.arrive(),
        client_request_id: sent.clone().unwrap_or_else(|| request_id.clone()),
        sent_client_request_id: sent,
        at_ms: u64::try_from(sim.clock.elapsed().as_millis()).unwrap_or(u64::MAX),
        request_id,
    }
}

impl Trace {
    /// The trace of a request inside the batch that this is the trace of.
    #[must_use]
    pub fn inside(&self, sim: &Simulation, call: &Call) -> Self {
        Self {
            request_id: new_id(),
            sent_client_request_id: call.header("client-request-id").map(str::to_owned),
            at_ms: u64::try_from(sim.clock.elapsed().as_millis()).unwrap_or(u64::MAX),
            ..self.clone()
        }
    }
}

fn authenticate(sim: &Simulation, incoming: &Incoming) -> Result<Claims, GraphError> {
    let token = incoming
        .header("authorization")
        .and_then(|value| value.strip_prefix("Bearer "))
        .map(str::trim)
        .filter(|token| !token.is_empty())
        .ok_or_else(|| invalid_token("Access token is empty."))?;
    let claims = sim
        .tokens
        .recognise(token)
        .ok_or_else(|| invalid_token("Access token validation failure. Invalid signature or format."))?;
    let now = sim.clock.now().as_second();
    if claims.exp <= now {
        return Err(invalid_token("Lifetime validation failed, the token is expired."));
    }
    if claims.nbf > now + 300 {
        return Err(invalid_token("Lifetime validation failed, the token is not valid yet."));
    }
    let local = incoming.host == "localhost" || incoming.host == "127.0.0.1";
    if !local && claims.aud != format!("https://{}", incoming.host) {
        return Err(invalid_token("Access token validation failure. Invalid audience."));
    }
    let directory = sim.directory();
    let enabled = directory
        .tenant(&claims.tid)
        .and_then(|tenant| tenant.application(&claims.appid))
        .is_some_and(|application| application.enabled && application.principal);
    if enabled {
        return Ok(claims);
    }
    let challenge = json!({"access_token": {"nbf": {"essential": true, "value": now.to_string()}}});
    Err(invalid_token("Continuous access evaluation resulted in challenge.").with_header(
        "WWW-Authenticate",
        format!(
            "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", \
             error=\"insufficient_claims\", claims=\"{}\"",
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, challenge.to_string())
        ),
    ))
}

fn invalid_token(message: &str) -> GraphError {
    GraphError::new(401, "InvalidAuthenticationToken", message)
}

fn read_body(incoming: &Incoming) -> Result<Option<Value>, GraphError> {
    if incoming.body.is_empty() {
        return Ok(None);
    }
    let kind = incoming.header(header::CONTENT_TYPE.as_str()).unwrap_or_default();
    if !kind.starts_with("application/json") {
        return Err(GraphError::new(
            400,
            "RequestBodyRead",
            "Write requests must contain the Content-Type header declaration: application/json.",
        ));
    }
    serde_json::from_slice(&incoming.body)
        .map(Some)
        .map_err(|_| GraphError::new(400, "BadRequest", "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format."))
}

fn json_response(sim: &Simulation, status: u16, body: Option<&Value>, kind: &str) -> Response<Body> {
    let mut response = Response::new(body.map_or_else(Body::empty, |body| Body::from(body.to_string())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if body.is_some() {
        set(headers, "content-type", kind);
    }
    set(headers, "date", &http_time(sim.clock.now()));
    response
}

/// Sets a header; a value that cannot stand in one is left out.
fn set(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (header::HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}
