//! Applications and people as Entra sees them: proof by certificate, registration and consent through Graph, delegated
//! sign-in of a public client. Through the CONNECT proxy, on the real host names, over TLS.
//!
//! The keys in `keys/` were made for these tests and open nothing else.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entra_sim::assertion::read_certificate;
use entra_sim::directory::seed::{CONTOSO, FABRIKAM};
use entra_sim::{Knobs, Running, Settings, Simulation};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

const LOGIN: &str = "https://login.microsoftonline.com";
const CERTIFICATE: &str = include_str!("keys/application.cert.pem");
const KEY: &[u8] = include_bytes!("keys/application.key.der");
const OTHER_CERTIFICATE: &str = include_str!("keys/other.cert.pem");
const OTHER_KEY: &[u8] = include_bytes!("keys/other.key.der");

struct Lab {
    running: Running,
    client: reqwest::Client,
}

struct Answer {
    status: u16,
    body: Value,
}

impl Answer {
    fn number(&self) -> u64 {
        self.body["error_codes"][0].as_u64().unwrap_or_default()
    }

    fn text(&self, name: &str) -> String {
        self.body[name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.body)).to_owned()
    }

    #[track_caller]
    fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }
}

impl Lab {
    async fn start(knobs: Knobs) -> Self {
        // Another test in this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let running = Simulation::start(Settings { knobs, ..Settings::default() }).await.unwrap();
        let certificate = reqwest::Certificate::from_pem(running.sim.authority.pem().as_bytes()).unwrap();
        let client = reqwest::Client::builder()
            .proxy(reqwest::Proxy::all(format!("http://127.0.0.1:{}", running.proxy_port)).unwrap())
            .tls_certs_only([certificate])
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        Self { running, client }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::Null) }
    }

    async fn token(&self, tenant: &str, form: &[(&str, &str)]) -> Answer {
        self.send(self.client.post(format!("{LOGIN}/{tenant}/oauth2/v2.0/token")).form(form)).await
    }

    /// Asks for an app-only token by certificate.
    async fn by_certificate(&self, tenant: &str, client_id: &str, assertion: &str) -> Answer {
        let form = [
            ("grant_type", "client_credentials"),
            ("scope", "https://graph.microsoft.com/.default"),
            ("client_id", client_id),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion),
        ];
        self.token(tenant, &form).await
    }

    async fn control(&self, path: &str, body: Value) -> Answer {
        let address = format!("http://127.0.0.1:{}/sim/{path}", self.running.control_port);
        self.send(reqwest::Client::new().post(address).json(&body)).await
    }

    fn now(&self) -> i64 {
        self.running.sim.clock.now().as_second()
    }

    fn client_id(&self, tenant: &str) -> String {
        self.running.sim.directory().tenant(tenant).unwrap().applications[0].client_id.clone()
    }
}

/// A signed token, named by the thumbprint that goes with its algorithm.
fn signed(algorithm: Algorithm, certificate: &str, key: &[u8], claims: &Value) -> String {
    let known = read_certificate(certificate.as_bytes(), None).unwrap();
    let mut header = Header::new(algorithm);
    if algorithm == Algorithm::PS256 {
        header.x5t_s256 = Some(URL_SAFE_NO_PAD.encode(known.sha256));
    } else {
        header.x5t = Some(URL_SAFE_NO_PAD.encode(known.sha1));
    }
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_rsa_der(key)).unwrap()
}

fn claims(lab: &Lab, client_id: &str, tenant: &str) -> Value {
    let now = lab.now();
    json!({
        "aud": format!("{LOGIN}/{tenant}/oauth2/v2.0/token"), "iss": client_id, "sub": client_id,
        "jti": uuid::Uuid::new_v4().to_string(), "nbf": now, "iat": now, "exp": now + 600,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_proves_the_application_and_everything_else_has_its_number() {
    let lab = Lab::start(Knobs::default()).await;
    let id = lab.client_id(CONTOSO);
    let good = claims(&lab, &id, CONTOSO);
    let unknown = signed(Algorithm::PS256, CERTIFICATE, KEY, &good);
    assert_eq!(lab.by_certificate(CONTOSO, &id, &unknown).await.expect(401).number(), 700_027, "not registered yet");

    lab.control("apps", json!({"tenant": CONTOSO, "add_certificates": [CERTIFICATE]})).await.expect(200);
    let assertion = signed(Algorithm::PS256, CERTIFICATE, KEY, &good);
    let granted = lab.by_certificate(CONTOSO, &id, &assertion).await.expect(200);
    assert_eq!(lab.running.sim.tokens.recognise(&granted.text("access_token")).unwrap().appidacr, "2");
    assert_eq!(lab.by_certificate(CONTOSO, &id, &assertion).await.expect(401).number(), 50_013, "used twice");
    let older = signed(Algorithm::RS256, CERTIFICATE, KEY, &claims(&lab, &id, CONTOSO));
    lab.by_certificate(CONTOSO, &id, &older).await.expect(200);

    let with = |name: &str, value: Value| {
        let mut changed = claims(&lab, &id, CONTOSO);
        changed[name] = value;
        changed
    };
    let now = lab.now();
    let cases = [
        (signed(Algorithm::PS256, CERTIFICATE, OTHER_KEY, &with("jti", json!("1"))), 700_027),
        (signed(Algorithm::PS256, OTHER_CERTIFICATE, OTHER_KEY, &with("jti", json!("2"))), 700_027),
        (signed(Algorithm::PS256, CERTIFICATE, KEY, &with("exp", json!(now - 600))), 700_024),
        (signed(Algorithm::PS256, CERTIFICATE, KEY, &with("nbf", json!(now + 900))), 700_024),
        (
            signed(
                Algorithm::PS256,
                CERTIFICATE,
                KEY,
                &with("aud", json!(format!("{LOGIN}/{FABRIKAM}/oauth2/v2.0/token"))),
            ),
            700_023,
        ),
        (signed(Algorithm::PS256, CERTIFICATE, KEY, &with("sub", json!("somebody"))), 700_021),
        (signed(Algorithm::PS256, CERTIFICATE, KEY, &with("jti", Value::Null)), 50_013),
        (signed(Algorithm::PS384, CERTIFICATE, KEY, &good), 50_012),
        ("a.b.c".to_owned(), 50_013),
    ];
    for (assertion, number) in cases {
        assert_eq!(lab.by_certificate(CONTOSO, &id, &assertion).await.expect(401).number(), number);
    }
    lab.running.sim.clock.advance_seconds(110 * 365 * 24 * 3600);
    let late = signed(Algorithm::PS256, CERTIFICATE, KEY, &claims(&lab, &id, CONTOSO));
    assert_eq!(lab.by_certificate(CONTOSO, &id, &late).await.expect(401).number(), 700_027, "the certificate is over");
}
