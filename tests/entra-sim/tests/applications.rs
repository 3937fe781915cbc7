//! Applications and people as Entra sees them: proof by certificate, registration and consent through Graph, delegated
//! sign-in of a public client. Through the CONNECT proxy, on the real host names, over TLS.
//!
//! The keys in `keys/` were made for these tests and open nothing else.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use entra_sim::assertion::read_certificate;
use entra_sim::directory::COMMAND_LINE_TOOLS;
use entra_sim::directory::seed::{CONTOSO, FABRIKAM, MSP, MSP_APPLICATION, MSP_PUBLIC_CLIENT};
use entra_sim::{Knobs, Running, Settings, Simulation};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Method;
use serde_json::{Value, json};

const LOGIN: &str = "https://login.microsoftonline.com";
const GRAPH: &str = "https://graph.microsoft.com/v1.0";
const GRAPH_APP: &str = "00000003-0000-0000-c000-000000000000";
const REDIRECT: &str = "http://localhost:40123/";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// RFC 7636, appendix B.
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
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
    let lab = Lab::start(Knobs { assertions_once: true, ..Knobs::default() }).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_may_be_written_as_microsofts_clients_write_theirs() {
    let lab = Lab::start(Knobs::default()).await;
    let id = lab.client_id(CONTOSO);
    lab.control("apps", json!({"tenant": CONTOSO, "add_certificates": [CERTIFICATE]})).await.expect(200);
    let mut claims = claims(&lab, &id, CONTOSO);
    claims.as_object_mut().unwrap().remove("nbf");
    for time in ["iat", "exp"] {
        claims[time] = json!(claims[time].as_f64().unwrap() + 0.5);
    }
    let known = read_certificate(CERTIFICATE.as_bytes(), None).unwrap();
    let mut header = Header::new(Algorithm::RS256);
    header.x5t = Some(base64::engine::general_purpose::URL_SAFE.encode(known.sha1));
    let assertion = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_rsa_der(KEY)).unwrap();
    for _ in 0..2 {
        lab.by_certificate(CONTOSO, &id, &assertion).await.expect(200);
    }
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

fn authorize_url(tenant: &str, client_id: &str, change: &[(&str, &str)]) -> String {
    let mut fields = vec![
        ("client_id", client_id),
        ("response_type", "code"),
        ("redirect_uri", REDIRECT),
        ("scope", "openid profile offline_access User.Read GroupMember.Read.All"),
        ("state", "state-1"),
        ("nonce", "nonce-1"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in change {
        fields.retain(|(known, _)| known != name);
        fields.push((name, value));
    }
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    format!("{LOGIN}/{tenant}/oauth2/v2.0/authorize?{query}")
}

fn parameter(address: &str, name: &str) -> String {
    let url = url::Url::parse(address).unwrap();
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

fn unverified(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

impl Lab {
    /// Where the browser ends up when `user` goes to `address`; nothing listens there.
    async fn visit(&self, user: &str, address: &str) -> Answer {
        self.control("sign-in", json!({"authorize_url": address, "user": user, "stay": true})).await.expect(200)
    }

    async fn redeem(&self, tenant: &str, client_id: &str, code: &str, verifier: &str) -> Answer {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", client_id),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", verifier),
        ];
        self.token(tenant, &form).await
    }

    async fn signed_in(&self, tenant: &str, client_id: &str, user: &str, scope: &str) -> Answer {
        let back = self.visit(user, &authorize_url(tenant, client_id, &[("scope", scope)])).await.text("redirect");
        let code = parameter(&back, "code");
        assert!(!code.is_empty(), "{back}");
        self.redeem(tenant, client_id, &code, VERIFIER).await.expect(200)
    }

    async fn refresh(&self, token: &str) -> Answer {
        let form = [("grant_type", "refresh_token"), ("client_id", MSP_PUBLIC_CLIENT), ("refresh_token", token)];
        self.token(MSP, &form).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_technician_signs_in_and_graph_knows_her_groups_until_she_is_disabled() {
    let lab = Lab::start(Knobs::default()).await;
    let user = "alex@msp.example";
    let back = lab.visit(user, &authorize_url(MSP, MSP_PUBLIC_CLIENT, &[])).await.text("redirect");
    assert!(back.starts_with(REDIRECT), "{back}");
    assert_eq!(parameter(&back, "state"), "state-1");
    let code = parameter(&back, "code");
    assert_eq!(lab.redeem(MSP, MSP_PUBLIC_CLIENT, &code, "wrong").await.expect(400).number(), 50_148);
    let tokens = lab.redeem(MSP, MSP_PUBLIC_CLIENT, &code, VERIFIER).await.expect(200);
    assert_eq!(lab.redeem(MSP, MSP_PUBLIC_CLIENT, &code, VERIFIER).await.expect(400).number(), 54_005);
    let claims = unverified(&tokens.text("id_token"));
    assert_eq!((claims["nonce"].as_str(), claims["tid"].as_str()), (Some("nonce-1"), Some(MSP)));
    assert_eq!((claims["aud"].as_str(), claims["preferred_username"].as_str()), (Some(MSP_PUBLIC_CLIENT), Some(user)));
    let access = unverified(&tokens.text("access_token"));
    assert_eq!((access["idtyp"].as_str(), access["upn"].as_str()), (Some("user"), Some(user)));
    assert!(access["scp"].as_str().unwrap().contains("GroupMember.Read.All"));

    let token = tokens.text("access_token");
    let me = lab.call(&token, Method::GET, "/me?$select=id,userPrincipalName,accountEnabled", None).await.expect(200);
    assert_eq!(me.text("userPrincipalName"), user);
    let groups = "/me/transitiveMemberOf?$select=id,displayName";
    let groups = lab.call(&token, Method::GET, groups, None).await.expect(200);
    let mut names: Vec<&str> = groups.body["value"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|object| object["@odata.type"] == "#microsoft.graph.group")
        .map(|group| group["displayName"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["Level 1", "Technicians"]);
    lab.call(&token, Method::GET, "/users", None).await.expect(403);
    lab.call(&token, Method::POST, "/users", Some(json!({}))).await.expect(403);
    let app_only = lab.by_secret(CONTOSO).await;
    assert_eq!(lab.call(&app_only, Method::GET, "/me", None).await.status, 400);

    let again = lab.refresh(&tokens.text("refresh_token")).await.expect(200);
    lab.control("users", json!({"user": user, "enabled": false})).await.expect(200);
    assert_eq!(lab.refresh(&again.text("refresh_token")).await.expect(400).number(), 50_057);
    let at_the_page = lab.visit(user, &authorize_url(MSP, MSP_PUBLIC_CLIENT, &[])).await;
    assert_eq!(at_the_page.body["error"]["number"], 50_057);
    lab.control("users", json!({"user": user, "delete": true})).await.expect(200);
    assert_eq!(lab.refresh(&again.text("refresh_token")).await.expect(400).number(), 50_034);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorize_address_is_refused_as_it_deserves() {
    let lab = Lab::start(Knobs::default()).await;
    let user = "alex@msp.example";
    let shown = [
        (authorize_url(MSP, MSP_PUBLIC_CLIENT, &[("redirect_uri", "https://evil.test/")]), 50_011),
        (authorize_url(MSP, MSP_PUBLIC_CLIENT, &[("redirect_uri", "http://localhost:1/elsewhere")]), 50_011),
        (authorize_url(MSP, "11111111-aaaa-4aaa-8aaa-111111111111", &[]), 700_016),
        (authorize_url("44444444-4444-4444-8444-444444444444", MSP_PUBLIC_CLIENT, &[]), 90_002),
        (authorize_url(CONTOSO, MSP_PUBLIC_CLIENT, &[]), 50_020),
    ];
    for (address, number) in shown {
        let answer = lab.visit(user, &address).await;
        assert_eq!(answer.body["error"]["number"], number, "{}", answer.body);
    }
    let told: [(&[(&str, &str)], &str); 4] = [
        (&[("code_challenge", "")], "invalid_request"),
        (&[("code_challenge_method", "plain")], "invalid_request"),
        (&[("response_type", "token")], "unsupported_response_type"),
        (&[("scope", "openid Everything.ReadWrite.All")], "invalid_scope"),
    ];
    for (change, error) in told {
        let back = lab.visit(user, &authorize_url(MSP, MSP_PUBLIC_CLIENT, change)).await.text("redirect");
        assert_eq!((parameter(&back, "error").as_str(), parameter(&back, "state").as_str()), (error, "state-1"));
    }
    let powerful = [("scope", "openid Application.ReadWrite.All")];
    let back = lab.visit(user, &authorize_url(MSP, MSP_PUBLIC_CLIENT, &powerful)).await.text("redirect");
    assert!(parameter(&back, "error_description").starts_with("AADSTS90094: "), "{back}");
    let address = authorize_url(MSP, MSP_PUBLIC_CLIENT, &powerful);
    let admin = "admin@latchkeymsp.onmicrosoft.com";
    let declined = json!({"authorize_url": address, "user": admin, "stay": true, "decline": true});
    let back = lab.control("sign-in", declined).await.expect(200).text("redirect");
    assert!(parameter(&back, "error_description").starts_with("AADSTS65004: "), "{back}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_global_administrator_registers_and_grants_and_lesser_people_do_not() {
    let lab = Lab::start(Knobs::default()).await;
    let scope = "openid Application.ReadWrite.All AppRoleAssignment.ReadWrite.All RoleManagement.ReadWrite.Directory";
    let admin = "admin@fabrikam.onmicrosoft.com";
    let token = lab.signed_in("organizations", COMMAND_LINE_TOOLS, admin, scope).await.text("access_token");
    let made =
        lab.call(&token, Method::POST, "/applications", Some(json!({"displayName": "Latchkey"}))).await.expect(201);
    let body = json!({"appId": made.text("appId")});
    let principal = lab.call(&token, Method::POST, "/servicePrincipals", Some(body)).await.expect(201).text("id");
    let graph =
        lab.call(&token, Method::GET, &format!("/servicePrincipals(appId='{GRAPH_APP}')?$select=id"), None).await;
    let graph = graph.expect(200).text("id");
    let body =
        json!({"principalId": principal, "resourceId": graph, "appRoleId": "498476ce-e0fe-48b0-b801-37ba7e2685c6"});
    let address = format!("/servicePrincipals/{graph}/appRoleAssignedTo");

    // Enough to register, not enough to grant Graph's permissions.
    lab.control(
        "users",
        json!({"user": "bob@fabrikam.onmicrosoft.com", "add_roles": ["Cloud Application Administrator"]}),
    )
    .await
    .expect(200);
    let lesser = lab
        .signed_in("organizations", COMMAND_LINE_TOOLS, "bob@fabrikam.onmicrosoft.com", scope)
        .await
        .text("access_token");
    let refused = lab.call(&lesser, Method::POST, &address, Some(body.clone())).await.expect(403);
    assert_eq!(refused.code(), "Authorization_RequestDenied");
    lab.call(&lesser, Method::PATCH, &format!("/applications/{}", made.text("id")), Some(json!({"notes": "seen"})))
        .await
        .expect(204);
    let role = json!({"roleDefinitionId": "f2ef992c-3afb-46b9-b7cf-a126ee74c451", "principalId": principal, "directoryScopeId": "/"});
    lab.call(&lesser, Method::POST, "/roleManagement/directory/roleAssignments", Some(role.clone())).await.expect(403);

    lab.call(&token, Method::POST, &address, Some(body)).await.expect(201);
    lab.call(&token, Method::POST, "/roleManagement/directory/roleAssignments", Some(role)).await.expect(201);
    lab.call(&token, Method::GET, "/oauth2PermissionGrants", None).await.expect(403);
    lab.assert_conforms().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_admits_the_msps_application() {
    let lab = Lab::start(Knobs::default()).await;
    lab.control("apps", json!({"tenant": MSP, "add_certificates": [CERTIFICATE]})).await.expect(200);
    let assertion = || signed(Algorithm::PS256, CERTIFICATE, KEY, &claims(&lab, MSP_APPLICATION, FABRIKAM));
    let early = lab.by_certificate(FABRIKAM, MSP_APPLICATION, &assertion()).await.expect(400);
    assert_eq!(early.number(), 700_016);
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("client_id", MSP_APPLICATION),
            ("scope", "https://graph.microsoft.com/.default"),
            ("redirect_uri", REDIRECT),
            ("state", "state-2"),
        ])
        .finish();
    let address = format!("{LOGIN}/organizations/v2.0/adminconsent?{query}");
    let back = lab.visit("bob@fabrikam.onmicrosoft.com", &address).await.text("redirect");
    assert_eq!(parameter(&back, "error"), "access_denied");
    let back = lab.visit("admin@fabrikam.onmicrosoft.com", &address).await.text("redirect");
    assert_eq!(parameter(&back, "admin_consent"), "True");
    assert_eq!((parameter(&back, "tenant").as_str(), parameter(&back, "state").as_str()), (FABRIKAM, "state-2"));
    let token = lab.by_certificate(FABRIKAM, MSP_APPLICATION, &assertion()).await.expect(200).text("access_token");
    assert_eq!(unverified(&token)["roles"].as_array().unwrap().len(), 13);
    lab.call(&token, Method::GET, "/organization", None).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_waits_for_its_code() {
    let lab = Lab::start(Knobs { device_code_interval_seconds: 1, ..Knobs::default() }).await;
    let begin = async || {
        let form = [("client_id", MSP_PUBLIC_CLIENT), ("scope", "openid offline_access User.Read")];
        lab.send(lab.client.post(format!("{LOGIN}/{MSP}/oauth2/v2.0/devicecode")).form(&form)).await.expect(200)
    };
    let poll = async |code: String| {
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("client_id", MSP_PUBLIC_CLIENT),
            ("device_code", &code),
        ];
        lab.token(MSP, &form).await
    };
    let device = begin().await;
    assert_eq!(poll(device.text("device_code")).await.expect(400).text("error"), "authorization_pending");
    let entered = json!({"user_code": device.text("user_code"), "user": "blake@msp.example"});
    lab.control("sign-in", entered).await.expect(200);
    let tokens = poll(device.text("device_code")).await.expect(200);
    assert_eq!(unverified(&tokens.text("access_token"))["upn"], "blake@msp.example");
    assert_eq!(poll(device.text("device_code")).await.expect(400).text("error"), "bad_verification_code");

    let device = begin().await;
    let entered = json!({"user_code": device.text("user_code"), "user": "blake@msp.example", "decline": true});
    lab.control("sign-in", entered).await.expect(200);
    assert_eq!(poll(device.text("device_code")).await.expect(400).text("error"), "authorization_declined");
    let device = begin().await;
    lab.running.sim.clock.advance_seconds(901);
    assert_eq!(poll(device.text("device_code")).await.expect(400).text("error"), "expired_token");
}
