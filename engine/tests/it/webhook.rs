//! What a receiver is told: once the entry is there, signed, until it has been taken.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use latchkey_engine::{AuditEvent, AuditQuery, Engine, TenantName, WebhookSecret, WebhookSettings};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use sha2::Sha256;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
};

use crate::lab::{CONTOSO, FABRIKAM, Lab, PERSON, QUIET};

/// A SIEM of this machine: takes what it is told, or answers with another status.
#[derive(Clone)]
struct Receiver {
    url: String,
    status: Arc<AtomicU16>,
    retry_after: Arc<AtomicU16>,
    told: Arc<Mutex<Vec<Told>>>,
}

#[derive(Clone, Debug)]
struct Told {
    id: String,
    timestamp: String,
    signature: String,
    body: String,
}

impl Told {
    fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn is_signed_by(&self, secret: &SecretString) -> bool {
        use base64::Engine as _;
        use hmac::Mac as _;
        let key = base64::prelude::BASE64_STANDARD.decode(&secret.expose_secret()["whsec_".len()..]).unwrap();
        let mut mac = hmac::Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{}.{}.{}", self.id, self.timestamp, self.body).as_bytes());
        let expected = format!("v1,{}", base64::prelude::BASE64_STANDARD.encode(mac.finalize().into_bytes()));
        self.signature.split(' ').any(|signature| signature == expected)
    }
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            url: format!("http://{}/events", listener.local_addr().unwrap()),
            status: Arc::new(AtomicU16::new(204)),
            retry_after: Arc::default(),
            told: Arc::default(),
        };
        let of_server = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let receiver = of_server.clone();
                tokio::spawn(async move { receiver.serve(stream).await });
            }
        });
        receiver
    }

    async fn serve(&self, stream: tokio::net::TcpStream) {
        let mut stream = BufReader::new(stream);
        loop {
            let mut told =
                Told { id: String::new(), timestamp: String::new(), signature: String::new(), body: String::new() };
            let mut length = 0;
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                    return;
                }
                let Some((name, value)) = line.trim().split_once(": ") else {
                    if line.trim().is_empty() {
                        break;
                    }
                    continue;
                };
                match name.to_lowercase().as_str() {
                    "content-length" => length = value.parse().unwrap(),
                    "webhook-id" => told.id = value.to_owned(),
                    "webhook-timestamp" => told.timestamp = value.to_owned(),
                    "webhook-signature" => told.signature = value.to_owned(),
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            told.body = String::from_utf8(body).unwrap();
            self.told.lock().unwrap().push(told);
            let status = self.status.load(Ordering::SeqCst);
            let retry_after = match self.retry_after.load(Ordering::SeqCst) {
                0 => String::new(),
                seconds => format!("Retry-After: {seconds}\r\n"),
            };
            let answer = format!("HTTP/1.1 {status} X\r\n{retry_after}Content-Length: 0\r\n\r\n");
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    fn types(&self) -> Vec<String> {
        self.told().iter().map(|told| told.event()["type"].as_str().unwrap().to_owned()).collect()
    }

    fn forget(&self) {
        self.told.lock().unwrap().clear();
    }
}

async fn engine(lab: &Lab, receiver: &Receiver, change: impl FnOnce(&mut WebhookSettings)) -> Engine {
    let mut settings = lab.settings();
    let mut webhook = WebhookSettings::new(receiver.url.parse().unwrap()).unwrap();
    change(&mut webhook);
    settings.webhook = Some(webhook);
    let engine = lab.try_engine(settings).await.unwrap();
    engine.add_tenant(lab.wish(CONTOSO), &PERSON, QUIET).await.unwrap();
    engine
}

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_is_told_of_each_grant_and_end_and_can_tell_who_says_so() {
    let lab = Lab::new().await;
    let receiver = Receiver::start().await;
    let engine = engine(&lab, &receiver, |_| {}).await;
    let secret = WebhookSecret::generate(None).unwrap();
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    let value = engine.reveal_credential(lease.lease_id, &PERSON).await.unwrap().value;
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    assert!(receiver.told().is_empty(), "a lease does not wait for a receiver");

    let report = engine.deliver_webhook(&secret, PATIENCE).await.unwrap();
    let entries = engine.audit(&AuditQuery::default()).await.unwrap();
    assert_eq!((report.delivered as usize, report.failed), (entries.len(), 0));
    let mut types = receiver.types();
    let mut expected: Vec<_> = entries.iter().map(|entry| entry.event.name()).collect();
    types.sort();
    expected.sort();
    assert_eq!(types, expected);
    for told in receiver.told() {
        assert!(told.is_signed_by(&secret.newest()), "{told:?}");
        assert!(!told.is_signed_by(&WebhookSecret::generate(None).unwrap().newest()));
        assert!(!told.body.contains(&value) && !told.body.contains(&lab.client_secret(CONTOSO)));
    }
    let granted = receiver.told().iter().map(Told::event).find(|event| event["type"] == "lease_granted").unwrap();
    let data = &granted["data"];
    assert_eq!(data["tenant"]["name"], "Contoso");
    assert_eq!(data["technician"], "Alex");
    assert_eq!(data["account"], "jit-alex@contoso.onmicrosoft.com");
    assert_eq!(data["lease"]["reason"], "ticket 4711");
    assert_eq!(data["lease"]["roles"][0], "User Administrator");
    assert!(data["lease"]["until"].as_str().unwrap() > data["lease"]["from"].as_str().unwrap());
    let entry = entries.iter().find(|entry| entry.event == AuditEvent::LeaseGranted).unwrap();
    assert_eq!(data["hash"], entry.hash, "what proves later that the log was not rewritten");

    // Nothing is told twice without need.
    assert_eq!(engine.deliver_webhook(&secret, PATIENCE).await.unwrap().delivered, 0);
    let status = engine.webhook_status().await.unwrap();
    assert_eq!((status.waiting, status.delivered as usize, status.problem), (0, entries.len(), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_away_is_told_when_it_is_back() {
    let lab = Lab::new().await;
    let receiver = Receiver::start().await;
    let secret = WebhookSecret::generate(None).unwrap();
    let first = engine(&lab, &receiver, |_| {}).await;
    receiver.answer(503);
    let report = first.deliver_webhook(&secret, PATIENCE).await.unwrap();
    assert_eq!(report.delivered, 0);
    assert!(report.problem.unwrap().contains("503"));
    let tried = receiver.told();
    let resting = first.webhook_status().await.unwrap();
    assert!(resting.resting_until.unwrap() > lab.clock_now());
    // It is left alone for a while, by every process.
    drop(first);
    let mut settings = lab.settings();
    settings.webhook = Some(WebhookSettings::new(receiver.url.parse().unwrap()).unwrap());
    let engine = lab.try_engine(settings).await.unwrap();
    assert!(!engine.webhook_is_due().await.unwrap());
    engine.deliver_webhook(&secret, PATIENCE).await.unwrap();
    assert_eq!(receiver.told().len(), tried.len());

    receiver.forget();
    receiver.answer(200);
    lab.advance(3_600);
    engine.deliver_webhook(&secret, PATIENCE).await.unwrap();
    let entries = engine.audit(&AuditQuery::default()).await.unwrap().len();
    assert_eq!(receiver.told().len(), entries);
    // The same message has the same id and a signature of its own.
    let again = receiver.told().into_iter().find(|told| told.id == tried[0].id).unwrap();
    assert_eq!(again.body, tried[0].body);
    assert_ne!((again.timestamp, again.signature), (tried[0].timestamp.clone(), tried[0].signature.clone()));

    // It may say how long it wants to be left alone.
    receiver.answer(429);
    receiver.retry_after.store(7_200, Ordering::SeqCst);
    lab.start(&engine, CONTOSO).await.unwrap();
    engine.deliver_webhook(&secret, PATIENCE).await.unwrap();
    lab.advance(7_000);
    assert!(!engine.webhook_is_due().await.unwrap());
    lab.advance(300);
    assert!(engine.webhook_is_due().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message_that_is_refused_holds_nothing_up_and_a_week_is_enough() {
    let lab = Lab::new().await;
    let receiver = Receiver::start().await;
    let secret = WebhookSecret::generate(None).unwrap();
    let engine = engine(&lab, &receiver, |_| {}).await;
    receiver.answer(422);
    let report = engine.deliver_webhook(&secret, PATIENCE).await.unwrap();
    assert!(report.failed > 0);
    receiver.answer(200);
    let lease = lab.start(&engine, CONTOSO).await.unwrap();
    engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    receiver.forget();
    engine.deliver_webhook(&secret, PATIENCE).await.unwrap();
    assert!(receiver.types().contains(&"end_verified".to_owned()), "{:?}", receiver.types());

    let waiting = engine.webhook_status().await.unwrap().waiting;
    assert!(waiting > 0);
    lab.advance(8 * 86_400);
    receiver.answer(422);
    engine.deliver_webhook(&secret, PATIENCE).await.unwrap();
    let status = engine.webhook_status().await.unwrap();
    assert_eq!((status.waiting, status.gave_up), (0, waiting));
    // Until a person says so.
    receiver.answer(200);
    receiver.forget();
    assert_eq!(engine.retry_webhook().await.unwrap(), waiting);
    engine.deliver_webhook(&secret, PATIENCE).await.unwrap();
    assert_eq!(receiver.told().len() as u64, waiting);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_asked_for_is_told() {
    let lab = Lab::new().await;
    let receiver = Receiver::start().await;
    let secret = WebhookSecret::generate(None).unwrap();
    let engine = engine(&lab, &receiver, |webhook| {
        webhook.events = vec![AuditEvent::LeaseGranted, AuditEvent::EndVerified];
        webhook.tenants = vec![TenantName("Fabrikam".to_owned())];
    })
    .await;
    engine.add_tenant(lab.wish(FABRIKAM), &PERSON, QUIET).await.unwrap();
    for tenant in [CONTOSO, FABRIKAM] {
        let lease = lab.start(&engine, tenant).await.unwrap();
        engine.end_lease(lease.lease_id, &PERSON, QUIET).await.unwrap();
    }
    engine.deliver_webhook(&secret, PATIENCE).await.unwrap();
    let mut told: Vec<_> = receiver.told().iter().map(Told::event).collect();
    told.sort_by_key(|event| event["data"]["sequence"].as_i64());
    let told: Vec<_> = told
        .iter()
        .map(|event| (event["type"].as_str().unwrap(), event["data"]["tenant"]["name"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("lease_granted", "Fabrikam"), ("end_verified", "Fabrikam")]);
    assert_eq!(engine.webhook_status().await.unwrap().waiting, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_message_says_how_the_receiver_answers() {
    let lab = Lab::new().await;
    let receiver = Receiver::start().await;
    let secret = WebhookSecret::generate(None).unwrap();
    let engine = engine(&lab, &receiver, |_| {}).await;
    engine.test_webhook(&secret).await.unwrap();
    assert_eq!(receiver.types(), ["test"]);
    assert!(receiver.told()[0].is_signed_by(&secret.newest()));
    receiver.answer(401);
    let error = engine.test_webhook(&secret).await.unwrap_err();
    assert!(error.message.contains("401"), "{error:?}");
}
