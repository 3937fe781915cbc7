//! Applications and people as Entra sees them: proof by certificate, registration and consent through Graph, delegated
//! sign-in of a public client. Through the CONNECT proxy, on the real host names, over TLS.
//!
//! The keys in `keys/` were made for these tests and open nothing else.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use entra_sim::assertion::read_certificate;
use entra_sim::directory::seed::{CONTOSO, FABRIKAM};
use entra_sim::{Knobs, Running, Settings, Simulation};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Method;
use serde_json::{Value, json};

const LOGIN: &str = "https://login.microsoftonline.com";
const GRAPH: &str = "https://graph.microsoft.com/v1.0";
const GRAPH_APP: &str = "00000003-0000-0000-c000-000000000000";
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
    fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

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

    async fn call(&self, token: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.client.request(method, format!("{GRAPH}{path}")).bearer_auth(token);
        if path.contains("$count=true") {
            request = request.header("ConsistencyLevel", "eventual");
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.send(request).await
    }

    fn now(&self) -> i64 {
        self.running.sim.clock.now().as_second()
    }

    /// A token of the tenant's application by its secret.
    async fn by_secret(&self, tenant: &str) -> String {
        let (id, secret) = {
            let directory = self.running.sim.directory();
            let application = &directory.tenant(tenant).unwrap().applications[0];
            (application.client_id.clone(), application.secrets[0].value.clone())
        };
        let form = [
            ("grant_type", "client_credentials"),
            ("scope", "https://graph.microsoft.com/.default"),
            ("client_id", &id),
            ("client_secret", &secret),
        ];
        self.token(tenant, &form).await.expect(200).text("access_token")
    }

    fn client_id(&self, tenant: &str) -> String {
        self.running.sim.directory().tenant(tenant).unwrap().applications[0].client_id.clone()
    }

    async fn assert_conforms(&self) {
        let found = self.running.sim.schema.settled().await;
        let violations: Vec<String> = found
            .violations
            .iter()
            .map(|found| format!("{} {} {}: {}", found.operation, found.status, found.part, found.problem))
            .collect();
        assert!(violations.is_empty(), "{violations:#?}");
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

fn der(certificate: &str) -> Vec<u8> {
    read_certificate(certificate.as_bytes(), None).unwrap().certificate
}

fn key_credential(certificate: &str) -> Value {
    json!({"type": "AsymmetricX509Cert", "usage": "Verify", "displayName": "Latchkey", "key": STANDARD.encode(der(certificate)).replace('+', "-").replace('/', "_")})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_registered_granted_proved_by_certificate_and_removed() {
    let lab = Lab::start(Knobs::default()).await;
    let permissions = json!(["Application.ReadWrite.All", "AppRoleAssignment.ReadWrite.All"]);
    let weak = lab.by_secret(CONTOSO).await;
    let refused = lab.call(&weak, Method::POST, "/applications", Some(json!({"displayName": "No"}))).await.expect(403);
    assert_eq!(refused.code(), "Authorization_RequestDenied");
    lab.control("apps", json!({"tenant": CONTOSO, "permissions": permissions})).await.expect(200);
    let token = lab.by_secret(CONTOSO).await;

    let organization = "498476ce-e0fe-48b0-b801-37ba7e2685c6";
    let body = json!({
        "displayName": "Latchkey",
        "signInAudience": "AzureADMyOrg",
        "keyCredentials": [key_credential(CERTIFICATE)],
        "requiredResourceAccess": [{"resourceAppId": GRAPH_APP, "resourceAccess": [{"id": organization, "type": "Role"}]}],
    });
    let made = lab.call(&token, Method::POST, "/applications", Some(body)).await.expect(201);
    let (application, client_id) = (made.text("id"), made.text("appId"));
    let assertion = || signed(Algorithm::PS256, CERTIFICATE, KEY, &claims(&lab, &client_id, CONTOSO));
    let early = lab.by_certificate(CONTOSO, &client_id, &assertion()).await.expect(400);
    assert_eq!(early.number(), 700_016, "no service principal yet");
    let made =
        lab.call(&token, Method::POST, "/servicePrincipals", Some(json!({"appId": client_id}))).await.expect(201);
    let principal = made.text("id");
    let again =
        lab.call(&token, Method::POST, "/servicePrincipals", Some(json!({"appId": client_id}))).await.expect(409);
    assert_eq!(again.code(), "Request_MultipleObjectsWithSameKeyValue");

    let graph =
        lab.call(&token, Method::GET, &format!("/servicePrincipals(appId='{GRAPH_APP}')"), None).await.expect(200);
    let roles = graph.body["appRoles"].as_array().unwrap();
    assert!(roles.iter().any(|role| role["id"] == organization && role["value"] == "Organization.Read.All"));
    let graph = graph.text("id");
    let by_filter = format!("/servicePrincipals?$filter=appId eq '{client_id}'&$select=id");
    let found = lab.call(&token, Method::GET, &by_filter, None).await.expect(200);
    assert_eq!(found.body["value"][0]["id"], principal.as_str());

    let before = lab.by_certificate(CONTOSO, &client_id, &assertion()).await.expect(200).text("access_token");
    let grant = json!({"principalId": principal, "resourceId": graph, "appRoleId": organization});
    let grants = format!("/servicePrincipals/{graph}/appRoleAssignedTo");
    let granted = lab.call(&token, Method::POST, &grants, Some(grant.clone())).await.expect(201);
    lab.call(&token, Method::POST, &grants, Some(grant)).await.expect(400);
    lab.call(&before, Method::GET, "/organization", None).await.expect(403);
    let after = lab.by_certificate(CONTOSO, &client_id, &assertion()).await.expect(200).text("access_token");
    lab.call(&after, Method::GET, "/organization", None).await.expect(200);
    let listed =
        lab.call(&token, Method::GET, &format!("/servicePrincipals/{principal}/appRoleAssignments"), None).await;
    assert_eq!(listed.expect(200).body["value"][0]["id"], granted.text("id").as_str());
    lab.call(&token, Method::DELETE, &format!("{grants}/{}", granted.text("id")), None).await.expect(204);

    // The application rolls its own certificate, without a permission for that.
    let now = lab.now();
    let claims =
        json!({"aud": "00000002-0000-0000-c000-000000000000", "iss": application, "nbf": now, "exp": now + 600});
    let proof = signed(Algorithm::RS256, CERTIFICATE, KEY, &claims);
    let body = json!({"keyCredential": key_credential(OTHER_CERTIFICATE), "passwordCredential": null, "proof": proof});
    let address = format!("/applications/{application}/addKey");
    let rolled = lab.call(&after, Method::POST, &address, Some(body)).await.expect(200);
    let forged = json!({"keyCredential": key_credential(OTHER_CERTIFICATE), "passwordCredential": null, "proof": signed(Algorithm::RS256, CERTIFICATE, OTHER_KEY, &claims)});
    let refused = lab.call(&after, Method::POST, &address, Some(forged)).await.expect(400);
    assert_eq!(refused.code(), "Authentication_MissingOrMalformed");
    let shown =
        lab.call(&token, Method::GET, &format!("/applications/{application}?$select=keyCredentials"), None).await;
    let keys = shown.expect(200).body["keyCredentials"].as_array().unwrap().clone();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[1]["keyId"], rolled.text("keyId").as_str());
    let proof = signed(Algorithm::PS256, OTHER_CERTIFICATE, OTHER_KEY, &claims);
    let body = json!({"keyId": keys[0]["keyId"], "proof": proof});
    lab.call(&after, Method::POST, &format!("/applications/{application}/removeKey"), Some(body)).await.expect(204);
    assert_eq!(lab.by_certificate(CONTOSO, &client_id, &assertion()).await.expect(401).number(), 700_027);

    let secret = lab
        .call(
            &token,
            Method::POST,
            &format!("/applications/{application}/addPassword"),
            Some(json!({"passwordCredential": {"displayName": "Latchkey"}})),
        )
        .await
        .expect(200);
    assert!(!secret.text("secretText").is_empty());
    let body = json!({"keyId": secret.text("keyId")});
    lab.call(&token, Method::POST, &format!("/applications/{application}/removePassword"), Some(body))
        .await
        .expect(204);
    let body = json!({"keyCredentials": [], "displayName": "Latchkey (old)"});
    lab.call(&token, Method::PATCH, &format!("/applications/{application}"), Some(body)).await.expect(204);
    lab.call(&token, Method::DELETE, &format!("/applications/{application}"), None).await.expect(204);
    lab.call(&token, Method::GET, &format!("/servicePrincipals/{principal}"), None).await.expect(404);
    lab.assert_conforms().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_application_is_not_everywhere_at_once() {
    let lab = Lab::start(Knobs::default()).await;
    let permissions = json!(["Application.ReadWrite.All", "AppRoleAssignment.ReadWrite.All"]);
    lab.control("apps", json!({"tenant": CONTOSO, "permissions": permissions})).await.expect(200);
    let token = lab.by_secret(CONTOSO).await;
    lab.control("knobs", json!({"create_lag_ms": 3_600_000})).await.expect(200);
    let body = json!({"displayName": "Latchkey", "keyCredentials": [key_credential(CERTIFICATE)]});
    let made = lab.call(&token, Method::POST, "/applications", Some(body)).await.expect(201);
    let client_id = made.text("appId");
    lab.call(&token, Method::GET, &format!("/applications/{}", made.text("id")), None).await.expect(404);
    let principal = json!({"appId": client_id});
    let early = lab.call(&token, Method::POST, "/servicePrincipals", Some(principal.clone())).await.expect(400);
    assert_eq!(early.code(), "NoBackingApplicationObject");
    lab.control("knobs", json!({"create_lag_ms": 0})).await.expect(200);
    lab.call(&token, Method::POST, "/servicePrincipals", Some(principal)).await.expect(201);
    lab.control("knobs", json!({"create_lag_ms": 3_600_000})).await.expect(200);
    let assertion = signed(Algorithm::PS256, CERTIFICATE, KEY, &claims(&lab, &client_id, CONTOSO));
    assert_eq!(lab.by_certificate(CONTOSO, &client_id, &assertion).await.expect(400).number(), 700_016);
    lab.control("knobs", json!({"create_lag_ms": 0})).await.expect(200);
    lab.by_certificate(CONTOSO, &client_id, &assertion).await.expect(200);
    lab.assert_conforms().await;
}
