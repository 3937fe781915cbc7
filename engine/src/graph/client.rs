//! One HTTP client for everything, and one session per tenant on top of it.
//!
//! Facts: Microsoft Graph best practices (client-request-id, Retry-After), JSON batching, throttling.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use latchkey_protocol::cloud::Cloud;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{
    Answer, Body, Priority, Request, Trouble,
    throttle::{Applications, NotYet, Throttle},
    token::{self, Capabilities, Granted, Token},
};
use crate::{
    Clock, EXCHANGE_TIMEOUT, EngineError, Failure, HttpAnswer, HttpRequest, SecretStore, SecretStoreError, Silence,
    Transport,
    application::ApplicationKey,
    clock::milliseconds,
    guards::{Guard, holds},
};

/// A token is renewed so long before it runs out, in milliseconds.
const TOKEN_MARGIN: i64 = 300_000;
/// A connection that was used so lately is still open, in milliseconds.
const STAYS_WARM: i64 = 60_000;
const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("client-request-id");
/// Advanced queries are answered only when they say that an index that lags is good enough.
const EVENTUAL: &str = "eventual";
/// More than one batch may hold.
const BATCH_LIMIT: usize = 20;
/// Differences between two clocks below this are the `Date` header's resolution and the way.
const CLOCK_NOISE: i64 = 2_000;

/// The way out of this process and what it has learned about this machine's clock.
pub(crate) struct Http {
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    measured: std::sync::Mutex<Measured>,
    /// What each application has sent lately.
    applications: Applications,
}

/// How Microsoft's time compares with this machine's.
#[derive(Clone, Copy)]
enum Measured {
    Never,
    /// By another process lately: Microsoft's time minus this machine's.
    Remembered(i64),
    /// By this process: Microsoft's time, and [`Clock::elapsed`] then. So a wall clock that is set while we run shows
    /// at once.
    Here(i64, i64),
}

impl Http {
    pub(crate) fn new(transport: Arc<dyn Transport>, clock: Arc<dyn Clock>, remembered_offset: Option<i64>) -> Self {
        let measured = remembered_offset.map_or(Measured::Never, Measured::Remembered);
        Self { transport, clock, measured: std::sync::Mutex::new(measured), applications: Applications::default() }
    }

    /// Microsoft's time minus this machine's, in milliseconds, once an exchange has shown it; small differences are 0.
    pub(crate) fn offset(&self) -> Option<i64> {
        let measured = self.measured.lock().map_or(Measured::Never, |measured| *measured);
        let offset = match measured {
            Measured::Never => return None,
            Measured::Remembered(offset) => offset,
            Measured::Here(server, at) => server + (self.clock.elapsed() - at) - self.clock.now(),
        };
        Some(if offset.abs() < CLOCK_NOISE { 0 } else { offset })
    }

    /// Whether this process has seen Microsoft's time itself.
    pub(crate) fn has_measured(&self) -> bool {
        self.measured.lock().is_ok_and(|measured| matches!(*measured, Measured::Here(..)))
    }

    /// Sends and reads to the end.
    async fn exchange(&self, request: HttpRequest) -> Result<HttpAnswer, Trouble> {
        let answer = self.transport.exchange(request).await.map_err(silence)?;
        if let Some(server) = date(&answer.headers) {
            // The header has whole seconds: half of one is the fairest guess.
            if let Ok(mut measured) = self.measured.lock() {
                *measured = Measured::Here(server + 500, self.clock.elapsed());
            }
        }
        Ok(answer)
    }
}

fn silence(silence: Silence) -> Trouble {
    match silence {
        Silence::Unusable(failure) => Trouble::before_sending(failure, None),
        Silence::Unreached(message) => Trouble::silence(message, false),
        Silence::Unanswered(message) => Trouble::silence(message, true),
    }
}

/// Sets a header whose value is known to be one.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Milliseconds of a `Date` header (IMF-fixdate).
fn date(headers: &HeaderMap) -> Option<i64> {
    let text = headers.get(reqwest::header::DATE)?.to_str().ok()?;
    let time = parse_http_date(text)?;
    i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn parse_http_date(text: &str) -> Option<SystemTime> {
    let mut parts = text.split_whitespace().skip(1);
    let day: i64 = parts.next()?.parse().ok()?;
    let month = parts.next()?;
    let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        .iter()
        .position(|name| *name == month)?;
    let month = i64::try_from(month).ok()? + 1;
    let year: i64 = parts.next()?.parse().ok()?;
    let mut clock = parts.next()?.split(':').map(str::parse::<i64>);
    let (hour, minute, second) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    let days = days_since_1970(year, month, day);
    let seconds = u64::try_from(((days * 24 + hour) * 60 + minute) * 60 + second).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Days since 1970 of a civil date.
pub(crate) const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    // The year begins in March, so that the leap day is its last.
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    days - 719_468
}

/// Where the application's secret or key comes from.
pub(crate) enum KeySource {
    /// An entry of the key store.
    Store(Arc<dyn SecretStore>, Uuid),
    /// At hand: typed in just now, or a key that is not in use yet.
    Given(ApplicationKey),
    /// None: a person has signed in, and this is the token. It is not renewed.
    Token(SecretString),
}

/// Until when what is sent must have arrived, by this machine's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    /// When the lease ends.
    pub(crate) lease: i64,
    /// When the loan on the account lapses.
    pub(crate) loan: i64,
}

/// One tenant's connection.
pub(crate) struct Session {
    http: Arc<Http>,
    tenant_id: Uuid,
    client_id: Uuid,
    cloud: Cloud,
    key: KeySource,
    token: Mutex<Option<Arc<Token>>>,
    throttle: Throttle,
    /// When the last answer came, by [`Clock::elapsed`].
    used: std::sync::Mutex<Option<i64>>,
}

impl Session {
    pub(crate) fn new(http: Arc<Http>, tenant_id: Uuid, client_id: Uuid, cloud: Cloud, key: KeySource) -> Self {
        Self {
            throttle: Throttle::new(Arc::clone(&http.clock), &http.applications, client_id),
            http,
            tenant_id,
            client_id,
            cloud,
            key,
            token: Mutex::new(None),
            used: std::sync::Mutex::new(None),
        }
    }

    pub(crate) const fn client_id(&self) -> Uuid {
        self.client_id
    }

    pub(crate) const fn cloud(&self) -> Cloud {
        self.cloud
    }

    /// What the application may do, from a token that is fetched if there is none.
    pub(crate) async fn capabilities(&self) -> Result<Capabilities, Trouble> {
        Ok(self.token().await?.capabilities.clone())
    }

    /// Forgets the token: the next one carries what has been granted since.
    pub(crate) async fn forget_token(&self) {
        *self.token.lock().await = None;
    }

    /// Whether a call was made so lately that the connection is still open.
    pub(crate) fn is_warm(&self) -> bool {
        self.used.lock().is_ok_and(|used| used.is_some_and(|at| self.http.clock.elapsed() - at < STAYS_WARM))
    }

    /// One call. A token that is not accepted any more is fetched anew once.
    pub(crate) async fn send(&self, request: &Request, priority: Priority) -> Result<Answer, Trouble> {
        self.admit(std::slice::from_ref(request), priority).await?;
        let body = match &request.body {
            Some(body) => Some(encode(body)?),
            None => None,
        };
        let answer = self.call(request.version(), request.method, &request.path, body.clone(), priority).await?;
        self.heed(request, &answer);
        if answer.status != 401 {
            return Ok(answer);
        }
        self.forget_token().await;
        self.call(request.version(), request.method, &request.path, body, priority).await
    }

    /// Several requests in one exchange; answers come in the order of the requests. In a chain each begins only when
    /// the one before has succeeded; otherwise they are independent of each other.
    pub(crate) async fn batch(
        &self,
        requests: &[Request],
        chain: bool,
        priority: Priority,
    ) -> Result<Vec<Answer>, Trouble> {
        self.batch_in_time(requests, chain, priority, None).await
    }

    /// The same, but nothing is sent unless it can arrive in time. Waiting for the limits, and for a token, is over
    /// when that is looked at.
    pub(crate) async fn batch_in_time(
        &self,
        requests: &[Request],
        chain: bool,
        priority: Priority,
        deadline: Option<Deadline>,
    ) -> Result<Vec<Answer>, Trouble> {
        if requests.len() > BATCH_LIMIT {
            return Err(Trouble::before_sending(
                Failure::Internal(format!("{} requests do not fit one batch", requests.len())),
                None,
            ));
        }
        self.admit(requests, priority).await?;
        let ids: Vec<String> = (1..=requests.len()).map(|number| number.to_string()).collect();
        let nothing = Body::plain(Value::Null);
        let items: Vec<_> = requests
            .iter()
            .enumerate()
            .map(|(index, request)| BatchItem {
                id: &ids[index],
                method: request.method,
                url: &request.path,
                headers: ItemHeaders::of(request),
                // Graph refuses the whole batch when one request that writes has no body.
                body: request.body.as_ref().or_else(|| has_body_in_batch(request).then_some(&nothing)),
                depends_on: (chain && index > 0).then(|| [ids[index - 1].as_str()]),
            })
            .collect();
        let body = encode(&Batch { requests: items })?;
        self.in_time(deadline).await?;
        let mut answer = self.call(super::VERSION, "POST", "/$batch", Some(body.clone()), priority).await?;
        if answer.status == 401 {
            self.forget_token().await;
            self.in_time(deadline).await?;
            answer = self.call(super::VERSION, "POST", "/$batch", Some(body), priority).await?;
        }
        if !answer.is_success() {
            return Err(Trouble::of_answer(&answer));
        }
        let unreadable = || Trouble {
            status: 502,
            may_have_happened: true,
            ..Trouble::silence("the answer to the batch cannot be read".to_owned(), true)
        };
        let batch: BatchAnswer = serde_json::from_value(answer.body).map_err(|_| unreadable())?;
        let mut answers: Vec<Option<Answer>> = requests.iter().map(|_| None).collect();
        for item in batch.responses {
            let place = ids.iter().position(|id| *id == item.id).ok_or_else(unreadable)?;
            let header = |name: &str| {
                item.headers
                    .iter()
                    .find(|(key, _)| key.eq_ignore_ascii_case(name))
                    .and_then(|(_, value)| value.as_str())
            };
            answers[place] = Some(Answer {
                status: item.status,
                retry_after: header("Retry-After").and_then(seconds),
                request_id: header("request-id").map(ToOwned::to_owned).or_else(|| answer.request_id.clone()),
                body: item.body,
            });
        }
        let answers = answers.into_iter().collect::<Option<Vec<_>>>().ok_or_else(unreadable)?;
        for (request, answer) in requests.iter().zip(&answers) {
            self.heed(request, answer);
        }
        Ok(answers)
    }

    /// Waits until the requests fit Graph's limits, if that is soon. Otherwise it is for the caller to wait.
    async fn admit(&self, requests: &[Request], priority: Priority) -> Result<(), Trouble> {
        self.throttle.admit(requests, priority).await.map_err(|not_yet| {
            let (NotYet::Full(wait) | NotYet::Resting(wait)) = not_yet;
            Trouble {
                retry_after: Some(wait),
                queued: matches!(not_yet, NotYet::Full(_)),
                ..Trouble::before_sending(Failure::Throttled(wait.as_secs().max(1)), None)
            }
        })
    }

    /// Whether so many calls to authentication methods, of which Graph allows very few, would go out at once.
    pub(crate) fn has_room_for_methods(&self, methods: usize) -> bool {
        u32::try_from(methods).is_ok_and(|methods| self.throttle.has_room_for_methods(methods))
    }

    /// Leaves the tenant alone when it asks for that.
    fn heed(&self, request: &Request, answer: &Answer) {
        if let Some(wait) = answer.retry_after.filter(|_| answer.status == 429) {
            self.throttle.rest(request, wait);
        }
    }

    /// An answer that may be the first page of a collection, with the pages after it.
    pub(crate) async fn rest_of(&self, mut first: Answer, priority: Priority) -> Result<Answer, Trouble> {
        let Some(next) = self.next_page(&first, super::VERSION)? else { return Ok(first) };
        let mut rest = self.collect(Request::get(next), priority).await?;
        if let (Some(all), Some(more)) = (first.body["value"].as_array_mut(), rest.body["value"].as_array_mut()) {
            all.append(more);
            std::mem::swap(all, more);
        }
        Ok(rest)
    }

    /// Where the next page of a collection is, below the version. A page that cannot be followed is a fault: without it
    /// the collection would only look whole.
    fn next_page(&self, answer: &Answer, version: &str) -> Result<Option<String>, Trouble> {
        let base = format!("{}/{version}", self.cloud.hosts().graph);
        let Some(link) = answer.body["@odata.nextLink"].as_str() else { return Ok(None) };
        let elsewhere = || Trouble {
            status: 502,
            request_id: answer.request_id.clone(),
            ..Trouble::silence("the next page of an answer is not below the address that was asked".to_owned(), false)
        };
        link.strip_prefix(&base).map(|path| Some(path.to_owned())).ok_or_else(elsewhere)
    }

    /// Every page of a collection, as one answer.
    pub(crate) async fn collect(&self, mut request: Request, priority: Priority) -> Result<Answer, Trouble> {
        let mut all = Vec::new();
        loop {
            let mut answer = self.send(&request, priority).await?;
            if !answer.is_success() {
                return Ok(answer);
            }
            if let Some(page) = answer.body["value"].as_array_mut() {
                all.append(page);
            }
            match self.next_page(&answer, request.version())? {
                Some(path) => request = Request { path, ..request },
                None => {
                    answer.body["value"] = Value::Array(all);
                    return Ok(answer);
                }
            }
        }
    }

    /// Refuses what could arrive too late if it were sent now. The token is there afterwards.
    async fn in_time(&self, deadline: Option<Deadline>) -> Result<(), Trouble> {
        let Some(deadline) = deadline.filter(|_| holds(Guard::DeadlineAfterTheWait)) else { return Ok(()) };
        self.token().await?;
        let arrives = self.http.clock.now() + milliseconds(EXCHANGE_TIMEOUT);
        if arrives + self.http.offset().unwrap_or(0).max(0) >= deadline.lease {
            return Err(Trouble::before_sending(Failure::LeaseOver, None));
        }
        if arrives >= deadline.loan {
            // It can be renewed; then this is tried again.
            return Err(Trouble::silence("the loan on the account ran short before the send".to_owned(), false));
        }
        Ok(())
    }

    async fn call(
        &self,
        version: &'static str,
        method: &'static str,
        path: &str,
        body: Option<Vec<u8>>,
        priority: Priority,
    ) -> Result<Answer, Trouble> {
        let token = self.token().await?;
        let client_request_id = Uuid::new_v4().to_string();
        let mut headers = HeaderMap::new();
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.value.expose_secret()))
            .map_err(|_| Trouble::before_sending(Failure::TokenRefused("it is not one".to_owned()), None))?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        set(&mut headers, CLIENT_REQUEST_ID, &client_request_id);
        set(&mut headers, HeaderName::from_static("return-client-request-id"), "true");
        set(&mut headers, HeaderName::from_static("x-ms-throttle-priority"), priority.as_header());
        if body.is_some() {
            set(&mut headers, CONTENT_TYPE, "application/json");
        }
        if super::is_advanced_query(path) {
            set(&mut headers, HeaderName::from_static("consistencylevel"), EVENTUAL);
        }
        let url = format!("{}/{version}{path}", self.cloud.hosts().graph);
        let request = HttpRequest { method, url, headers, body: body.unwrap_or_default() };
        let HttpAnswer { status, headers, body: bytes } = self.http.exchange(request).await?;
        if let Ok(mut used) = self.used.lock() {
            *used = Some(self.http.clock.elapsed());
        }
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
        let answer = Answer {
            status,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            request_id: text("request-id"),
            retry_after: text(RETRY_AFTER.as_str()).as_deref().and_then(seconds),
        };
        tracing::debug!(
            tenant = %self.tenant_id, %method, path, status, client_request_id,
            request_id = answer.request_id.as_deref(), "Graph"
        );
        Ok(answer)
    }

    async fn token(&self) -> Result<Arc<Token>, Trouble> {
        // The lock is held while a token is fetched, so that two callers fetch one.
        let mut held = self.token.lock().await;
        if let Some(token) = held.as_ref().filter(|token| token.renew_at > self.http.clock.elapsed()) {
            return Ok(Arc::clone(token));
        }
        if let KeySource::Token(value) = &self.key {
            let capabilities = Capabilities::default();
            let renew_at = i64::MAX;
            return Ok(held.insert(Arc::new(Token { value: value.clone(), renew_at, capabilities })).clone());
        }
        // The key store and the system's certificates each take their time in a fresh process: side by side.
        let (key, prepared) = tokio::join!(self.key(), self.http.transport.prepare());
        let key = key.map_err(|failure| Trouble::before_sending(failure, None))?;
        prepared.map_err(silence)?;
        let mut answer = self.ask_for_token(&key).await?;
        // A clock that is wrong makes an assertion that is not good yet, or not any more; the answer to it says what
        // time it is at Microsoft.
        if answer.status != 200 && token::is_about_time(&answer.body) && self.http.offset().is_some_and(|by| by != 0) {
            answer = self.ask_for_token(&key).await?;
        }
        let HttpAnswer { status, headers, body: bytes } = answer;
        if status != 200 {
            let retry_after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(seconds);
            let error = token::refusal(status, &bytes);
            let body = error.to_body();
            tracing::warn!(tenant = %self.tenant_id, status, %error, "no token");
            return Err(Trouble {
                retry_after,
                ..Trouble::before_sending(error.failure().clone(), body.graph_request_id)
            });
        }
        let refused = |error: EngineError| Trouble::before_sending(error.failure().clone(), None);
        let granted: Granted = serde_json::from_slice(&bytes)
            .map_err(|_| refused(Failure::TokenRefused("the answer cannot be read".to_owned()).into()))?;
        let capabilities =
            token::capabilities(granted.access_token.expose_secret(), self.tenant_id).map_err(refused)?;
        let lifetime = i64::try_from(granted.expires_in).unwrap_or(0).saturating_mul(1000);
        let token = Arc::new(Token {
            value: granted.access_token,
            renew_at: self.http.clock.elapsed() + lifetime - TOKEN_MARGIN.min(lifetime / 2),
            capabilities,
        });
        *held = Some(Arc::clone(&token));
        Ok(token)
    }

    /// One exchange with the token endpoint.
    async fn ask_for_token(&self, key: &ApplicationKey) -> Result<HttpAnswer, Trouble> {
        let hosts = self.cloud.hosts();
        let url = format!("{}/{}/oauth2/v2.0/token", hosts.authority, self.tenant_id);
        let body = self.token_form(key, &url)?;
        let mut headers = HeaderMap::new();
        set(&mut headers, CLIENT_REQUEST_ID, &Uuid::new_v4().to_string());
        set(&mut headers, CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.http.exchange(HttpRequest { method: "POST", url, headers, body }).await
    }

    fn token_form(&self, key: &ApplicationKey, url: &str) -> Result<Vec<u8>, Trouble> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("client_id", &self.client_id.to_string())
            .append_pair("scope", &format!("{}/.default", self.cloud.hosts().graph))
            .append_pair("grant_type", "client_credentials");
        match key {
            ApplicationKey::Secret(secret) => {
                form.append_pair("client_secret", secret.expose_secret());
            }
            ApplicationKey::Certificate(key) => {
                let now = self.http.clock.now() + self.http.offset().unwrap_or(0);
                let assertion = key
                    .assertion(url, self.client_id, now)
                    .map_err(|failure| Trouble::before_sending(failure, None))?;
                form.append_pair("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
                    .append_pair("client_assertion", assertion.expose_secret());
            }
        }
        Ok(form.finish().into_bytes())
    }

    async fn key(&self) -> Result<ApplicationKey, Failure> {
        match &self.key {
            KeySource::Given(key) => Ok(key.clone()),
            KeySource::Token(_) => Err(Failure::SecretMissing),
            KeySource::Store(store, entry) => stored_key(store, *entry).await?.ok_or(Failure::SecretMissing),
        }
    }
}

/// What an entry of the key store holds.
pub(crate) async fn stored_key(store: &Arc<dyn SecretStore>, entry: Uuid) -> Result<Option<ApplicationKey>, Failure> {
    let store = Arc::clone(store);
    Ok(blocking(move || store.get(entry)).await?.map(ApplicationKey::of_stored))
}

/// Asks the key store on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, SecretStoreError> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(ask).await {
        Ok(answer) => answer.map_err(|error| match error {
            SecretStoreError::Locked => Failure::KeyStoreLocked,
            SecretStoreError::Unavailable(what) | SecretStoreError::Other(what) => Failure::KeyStoreUnavailable(what),
        }),
        Err(_) => Err(Failure::KeyStoreUnavailable("asking it was interrupted".to_owned())),
    }
}

/// Whether a request in a batch has a body: of those that write only a DELETE may be without one, an empty one at least.
fn has_body_in_batch(request: &Request) -> bool {
    request.body.is_some() || matches!(request.method, "POST" | "PATCH" | "PUT")
}

fn encode(body: &impl Serialize) -> Result<Vec<u8>, Trouble> {
    serde_json::to_vec(body)
        .map_err(|_| Trouble::before_sending(Failure::Internal("a request cannot be written".to_owned()), None))
}

fn seconds(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(Duration::from_secs)
}

#[derive(Serialize)]
struct Batch<'a> {
    requests: Vec<BatchItem<'a>>,
}

#[derive(Serialize)]
struct BatchItem<'a> {
    id: &'a str,
    method: &'a str,
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<ItemHeaders>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a Body>,
    #[serde(rename = "dependsOn", skip_serializing_if = "Option::is_none")]
    depends_on: Option<[&'a str; 1]>,
}

#[derive(Serialize)]
struct ItemHeaders {
    #[serde(rename = "Content-Type", skip_serializing_if = "Option::is_none")]
    content_type: Option<&'static str>,
    #[serde(rename = "ConsistencyLevel", skip_serializing_if = "Option::is_none")]
    consistency_level: Option<&'static str>,
}

impl ItemHeaders {
    fn of(request: &Request) -> Option<Self> {
        let content_type = has_body_in_batch(request).then_some("application/json");
        let consistency_level = request.is_advanced_query().then_some(EVENTUAL);
        let any = content_type.is_some() || consistency_level.is_some();
        any.then_some(Self { content_type, consistency_level })
    }
}

#[derive(Deserialize)]
struct BatchAnswer {
    responses: Vec<BatchAnswerItem>,
}

#[derive(Deserialize)]
struct BatchAnswerItem {
    id: String,
    status: u16,
    #[serde(default)]
    headers: serde_json::Map<String, Value>,
    #[serde(default)]
    body: Value,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_dates_are_read() {
        let seconds = |text| {
            parse_http_date(text).and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map(|elapsed| elapsed.as_secs())
        };
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(seconds("Thu, 29 Feb 2024 23:59:59 GMT"), Some(1_709_251_199));
        assert_eq!(seconds("Sun, 22 Nov 2026 11:00:00 GMT"), Some(1_795_345_200));
        assert_eq!(seconds("yesterday"), None);
    }
}
