//! Tells a receiver (a SIEM, a PSA) of what the audit log says, so that an expected change raises no false alarm.
//!
//! What is to be told is written in the transaction that writes the audit entry, and sent by whoever comes by: a host, a
//! sweep. No lease waits for it. Delivery is at least once, with an id that stays the same; a receiver that is away is
//! tried again, ever more rarely, for a week. The secret that signs never leaves the key store but to sign here.
//!
//! Facts: the Standard Webhooks specification: three headers, HMAC-SHA256 over `id.timestamp.body`, `whsec_` secrets.

use std::{collections::HashMap, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, Mac as _};
use latchkey_protocol::{ErrorBody, ErrorCode};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::task::JoinSet;
use url::{Host, Url};
use uuid::Uuid;

use crate::{
    AuditEntry, AuditEvent, Engine, EngineError, Failure, NetworkSettings, TenantName,
    engine::Shared,
    store::{LeaseFacts, Message, Outcome},
    transport::{HttpRequest, Silence, SystemTransport, Transport},
};

/// How many messages are on their way at once.
const AT_ONCE: i64 = 8;
/// For so long a message is tried, in milliseconds.
const TRIED_FOR: i64 = 7 * DAY;
/// After the first failure it is tried again in so long; each further one doubles that.
const FIRST_WAIT: i64 = 5_000;
const LONGEST_WAIT: i64 = 30 * 60_000;
const DAY: i64 = 86_400_000;

/// Who is told of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookSettings {
    url: Url,
    /// Of which events; of all when empty.
    pub events: Vec<AuditEvent>,
    /// Of which tenants; of all when empty.
    pub tenants: Vec<TenantName>,
}

impl WebhookSettings {
    /// A receiver of everything.
    ///
    /// # Errors
    /// Why the address cannot be used: what is told is nobody else's business, so that it must be HTTPS (or this machine).
    pub fn new(url: Url) -> Result<Self, String> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err("an address with a user name or password in it; the signature shows who is calling".to_owned());
        }
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            _ => return Err("only https is used (http only for this machine itself)".to_owned()),
        }
        Ok(Self { url, events: Vec::new(), tenants: Vec::new() })
    }

    /// Where messages go.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) fn wants(&self, event: AuditEvent) -> bool {
        self.events.is_empty() || self.events.contains(&event)
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// What signs: one key, or after a change the new one and the one before, so that the receiver can be changed later.
pub struct WebhookSecret(SecretString);

/// Bytes of a key.
const KEY_BYTES: usize = 32;
const PREFIX: &str = "whsec_";

impl WebhookSecret {
    /// A new key, beside `previous`'s newest.
    ///
    /// # Errors
    /// When the operating system has no randomness.
    pub fn generate(previous: Option<&Self>) -> Result<Self, EngineError> {
        let mut key = zeroize::Zeroizing::new([0_u8; KEY_BYTES]);
        getrandom::fill(&mut key[..]).map_err(|error| Failure::Internal(format!("no randomness: {error}")))?;
        let mut text = format!("{PREFIX}{}", BASE64_STANDARD.encode(&key[..]));
        if let Some(previous) = previous {
            text = format!("{text} {}", previous.newest().expose_secret());
        }
        Ok(Self(text.into()))
    }

    /// Reads what [`WebhookSecret::stored`] gave.
    #[must_use]
    pub fn parse(stored: SecretString) -> Option<Self> {
        let secret = Self(stored);
        let all = secret.keys().collect::<Option<Vec<_>>>()?;
        (!all.is_empty()).then_some(secret)
    }

    /// For the key store.
    #[must_use]
    pub const fn stored(&self) -> &SecretString {
        &self.0
    }

    /// The key that the receiver is to be given.
    #[must_use]
    pub fn newest(&self) -> SecretString {
        self.0.expose_secret().split(' ').next().unwrap_or_default().into()
    }

    fn keys(&self) -> impl Iterator<Item = Option<zeroize::Zeroizing<Vec<u8>>>> {
        self.0.expose_secret().split(' ').map(|key| {
            let key = BASE64_STANDARD.decode(key.strip_prefix(PREFIX)?).ok().map(zeroize::Zeroizing::new)?;
            (24..=64).contains(&key.len()).then_some(key)
        })
    }

    /// The value of `webhook-signature`.
    fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let signatures: Vec<String> = self
            .keys()
            .flatten()
            .filter_map(|key| {
                let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
                mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
                Some(format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())))
            })
            .collect();
        signatures.join(" ")
    }
}

/// How the receiver is, and what it is still to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WebhookStatus {
    /// Messages that are to be sent.
    pub waiting: u64,
    /// When the oldest of them was written, Unix time in milliseconds.
    pub oldest: Option<i64>,
    /// Messages that were tried for a week and are not tried any more.
    pub gave_up: u64,
    /// Messages that were delivered, ever.
    pub delivered: u64,
    /// When one was delivered last.
    pub delivered_at: Option<i64>,
    /// Failures in a row.
    pub failures: u64,
    /// Nothing is sent before.
    pub resting_until: Option<i64>,
    /// Why the last attempt failed.
    pub problem: Option<String>,
}

/// What a round of deliveries did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WebhookReport {
    /// Messages that the receiver took.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Why the last of them failed.
    pub problem: Option<String>,
}

/// How one attempt went.
enum Attempt {
    Taken,
    /// Nobody asked for it.
    Unwanted,
    /// The receiver does not want this one, or cannot take any for now.
    Failed {
        problem: String,
        receiver_away: bool,
        retry_after: Option<i64>,
    },
}

impl Engine {
    /// Whether a receiver is configured.
    #[must_use]
    pub fn has_webhook(&self) -> bool {
        self.shared().settings.webhook.is_some()
    }

    /// How the receiver is.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn webhook_status(&self) -> Result<WebhookStatus, EngineError> {
        self.shared().store.webhook_status().await
    }

    /// Whether something could be sent now. Reads the database only.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn webhook_is_due(&self) -> Result<bool, EngineError> {
        if !self.has_webhook() {
            return Ok(false);
        }
        self.shared().store.webhook_due(self.shared().clock.now()).await
    }

    /// Has messages that were given up on tried again. Returns how many.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn retry_webhook(&self) -> Result<u64, EngineError> {
        self.shared().store.webhook_retry(self.shared().clock.now()).await
    }

    /// Sends what is due, for no longer than `patience` (and the exchanges that are under way then).
    ///
    /// # Errors
    /// When the database cannot be used. What the receiver answers is in the report and in [`Engine::webhook_status`].
    pub async fn deliver_webhook(
        &self,
        secret: &WebhookSecret,
        patience: Duration,
    ) -> Result<WebhookReport, EngineError> {
        let shared = self.shared();
        let mut report = WebhookReport::default();
        let Some(settings) = &shared.settings.webhook else { return Ok(report) };
        let transport = transport(settings, &shared.settings.network);
        let until = shared.clock.elapsed().saturating_add(crate::clock::milliseconds(patience));
        let mut names = HashMap::new();
        while shared.clock.elapsed() < until {
            let now = shared.clock.now();
            let messages = shared.store.take_messages(now, AT_ONCE, now - TRIED_FOR).await?;
            if messages.is_empty() {
                break;
            }
            let mut sending = JoinSet::new();
            let mut outcomes = Vec::new();
            for message in messages {
                let Some(body) = body(shared, settings, &message, &mut names).await? else {
                    outcomes.push((message, Attempt::Unwanted));
                    continue;
                };
                let request = request(settings, secret, &message.event_id, shared.clock.now(), body)?;
                let transport = Arc::clone(&transport);
                sending.spawn(async move { (message, attempt(transport.exchange(request).await)) });
            }
            while let Some(finished) = sending.join_next().await {
                // An attempt that was interrupted is made again when its time comes.
                outcomes.extend(finished.ok());
            }
            let mut away = false;
            for (message, attempt) in outcomes {
                let now = shared.clock.now();
                let outcome = match attempt {
                    Attempt::Taken => {
                        report.delivered += 1;
                        Outcome::Delivered { at: now }
                    }
                    Attempt::Unwanted => Outcome::Dropped,
                    Attempt::Failed { problem, receiver_away, retry_after } => {
                        report.failed += 1;
                        report.problem = Some(problem.clone());
                        away |= receiver_away;
                        let rest = receiver_away.then_some(retry_after);
                        Outcome::Failed { next_at: now + wait(message.attempts), problem, rest, now }
                    }
                };
                shared.store.record_attempt(&message.event_id, &outcome, wait).await?;
            }
            if away {
                break;
            }
        }
        Ok(report)
    }

    /// Sends one message that says nothing but that it is a test, now, and tells how the receiver answered.
    ///
    /// # Errors
    /// `ConfigurationInvalid` when there is no receiver, `NetworkUnreachable` and `GraphRefused`-like answers as a body.
    pub async fn test_webhook(&self, secret: &WebhookSecret) -> Result<(), ErrorBody> {
        let shared = self.shared();
        let Some(settings) = &shared.settings.webhook else {
            return Err(ErrorBody::new(
                ErrorCode::ConfigurationInvalid,
                "No receiver is configured.",
                "Add [webhook] with its url to config.toml.",
            ));
        };
        let now = shared.clock.now();
        let technician = &shared.settings.technician.name;
        let body = json!({ "type": "test", "timestamp": written(now), "data": { "technician": technician } });
        let id = Uuid::now_v7().to_string();
        let request = request(settings, secret, &id, now, body.to_string())?;
        match attempt(transport(settings, &shared.settings.network).exchange(request).await) {
            Attempt::Taken | Attempt::Unwanted => Ok(()),
            Attempt::Failed { problem, .. } => Err(ErrorBody::new(
                ErrorCode::NetworkUnreachable,
                format!("The receiver did not take the test message: {problem}."),
                "Check the address under [webhook] in config.toml, and that the receiver has the secret that 'latchkey webhook secret' showed.",
            )),
        }
    }
}

fn transport(settings: &WebhookSettings, network: &NetworkSettings) -> Arc<SystemTransport> {
    Arc::new(if is_loopback(&settings.url) {
        SystemTransport::to_this_machine(network.clone())
    } else {
        SystemTransport::new(network.clone())
    })
}

fn request(
    settings: &WebhookSettings,
    secret: &WebhookSecret,
    id: &str,
    now: i64,
    body: String,
) -> Result<HttpRequest, EngineError> {
    let timestamp = now / 1000;
    let mut headers = HeaderMap::new();
    let mut put = |name: &'static str, value: &str| {
        let value =
            HeaderValue::from_str(value).map_err(|_| Failure::Internal("a header cannot be written".to_owned()))?;
        headers.insert(HeaderName::from_static(name), value);
        Ok::<(), Failure>(())
    };
    put("content-type", "application/json")?;
    put("webhook-id", id)?;
    put("webhook-timestamp", &timestamp.to_string())?;
    put("webhook-signature", &secret.sign(id, timestamp, &body))?;
    Ok(HttpRequest { method: "POST", url: settings.url.to_string(), headers, body: body.into_bytes() })
}

fn attempt(answer: Result<crate::transport::HttpAnswer, Silence>) -> Attempt {
    let answer = match answer {
        Ok(answer) => answer,
        Err(Silence::Unusable(failure)) => {
            return Attempt::Failed { problem: failure.to_string(), receiver_away: true, retry_after: None };
        }
        Err(Silence::Unreached(what) | Silence::Unanswered(what)) => {
            return Attempt::Failed { problem: what, receiver_away: true, retry_after: None };
        }
    };
    let status = answer.status;
    if (200..300).contains(&status) {
        return Attempt::Taken;
    }
    let header = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = header.and_then(|value| value.trim().parse::<i64>().ok()).filter(|seconds| *seconds >= 0);
    Attempt::Failed {
        problem: format!("it answers with HTTP {status}"),
        // Something about this message alone: the others may still get through.
        receiver_away: !matches!(status, 400 | 406 | 409 | 411..=417 | 421 | 422 | 431),
        retry_after: retry_after.map(|seconds| seconds.saturating_mul(1000).min(DAY)),
    }
}

/// How long to wait after so many failures, with some jitter so that nobody is asked by everybody at once.
fn wait(failures: i64) -> i64 {
    let doubled = FIRST_WAIT.saturating_mul(1 << failures.clamp(0, 20)).min(LONGEST_WAIT);
    let mut random = [0_u8; 1];
    let _ = getrandom::fill(&mut random);
    doubled + doubled * i64::from(random[0]) / 1024
}

/// What is told: `None` when nobody asked for it, or the entry is not there any more.
async fn body(
    shared: &Shared,
    settings: &WebhookSettings,
    message: &Message,
    names: &mut HashMap<Uuid, (String, bool)>,
) -> Result<Option<String>, EngineError> {
    let tenant_id = message.tenant_id;
    let known = match names.get(&tenant_id) {
        Some(known) => known,
        None => names.entry(tenant_id).or_insert(recipient(shared, settings, tenant_id).await),
    };
    let (name, true) = known else { return Ok(None) };
    let Some(entry) = shared.store.audit_entry(tenant_id, message.sequence).await? else { return Ok(None) };
    let lease = match entry.lease_id {
        Some(lease_id) => shared.store.lease_facts(lease_id).await?,
        None => None,
    };
    Ok(Some(told(&entry, name, lease.as_ref()).to_string()))
}

/// What a tenant is called, and whether the receiver is told of it.
async fn recipient(shared: &Shared, settings: &WebhookSettings, tenant_id: Uuid) -> (String, bool) {
    let (name, domains) = match shared.store.tenant(tenant_id).await {
        Ok(tenant) => (tenant.name, tenant.domains),
        Err(_) => (shared.store.tenant_name(tenant_id).await.unwrap_or_default(), Vec::new()),
    };
    let wanted =
        settings.tenants.is_empty() || settings.tenants.iter().any(|tenant| tenant.names(tenant_id, &name, &domains));
    (name, wanted)
}

fn told(entry: &AuditEntry, tenant_name: &str, lease: Option<&LeaseFacts>) -> Value {
    let account = entry.user_name.as_deref().or_else(|| lease.map(|lease| lease.user_name.as_str()));
    let mut data = json!({
        "tenant": { "id": entry.tenant_id, "name": tenant_name },
        "technician": entry.technician,
        "through": entry.caller,
        "account": account,
        "detail": entry.detail,
        // Kept by the receiver, these two prove later that the log was not rewritten.
        "sequence": entry.sequence,
        "hash": entry.hash,
    });
    if let (Some(lease_id), Some(lease)) = (entry.lease_id, lease) {
        data["lease"] = json!({
            "id": lease_id,
            "roles": lease.roles.iter().map(|role| &role.name).collect::<Vec<_>>(),
            "groups": lease.groups,
            "reason": lease.reason,
            "ticket": lease.ticket,
            "from": written(lease.from),
            "until": written(lease.until),
        });
    }
    json!({ "type": entry.event, "timestamp": written(entry.at), "data": data })
}

/// `2026-11-22T11:00:00.123Z`.
fn written(at: i64) -> String {
    jiff::Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |at| format!("{at:.3}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn a_signature_is_what_the_specification_says() {
        let secret = WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()).unwrap();
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn after_a_change_both_keys_sign_and_the_one_before_those_does_not() {
        let first = WebhookSecret::generate(None).unwrap();
        let second = WebhookSecret::generate(Some(&first)).unwrap();
        let third = WebhookSecret::generate(Some(&second)).unwrap();
        let sign = |secret: &WebhookSecret| secret.sign("id", 1, "{}");
        let newest = |secret: &WebhookSecret| sign(&WebhookSecret::parse(secret.newest()).unwrap());
        assert_eq!(sign(&second), format!("{} {}", newest(&second), sign(&first)));
        assert_eq!(sign(&third), format!("{} {}", newest(&third), newest(&second)));
        assert!(WebhookSecret::parse(third.stored().clone()).is_some());
        for wrong in ["", "whsec_", "whsec_QUJD", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            assert!(WebhookSecret::parse(wrong.into()).is_none(), "{wrong}");
        }
    }

    #[test]
    fn only_https_leaves_this_machine() {
        let parsed = |text: &str| WebhookSettings::new(text.parse().unwrap());
        for right in ["https://siem.example/in", "http://127.0.0.1:80/", "http://[::1]:9/x", "http://localhost/"] {
            assert!(parsed(right).is_ok(), "{right}");
        }
        for wrong in ["http://siem.example/", "http://10.0.0.1/", "ftp://siem.example/", "https://a:b@siem.example/"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn waits_grow_up_to_half_an_hour() {
        for (failures, low, high) in [(0, 5_000, 6_250), (3, 40_000, 50_000), (40, LONGEST_WAIT, LONGEST_WAIT * 5 / 4)]
        {
            let wait = wait(failures);
            assert!((low..=high).contains(&wait), "{failures}: {wait}");
        }
    }
}
