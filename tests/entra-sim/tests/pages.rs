//! The HTTP side of the sign-in pages and portals, without a browser: what the server sends, what it takes, and what
//! it refuses. What the page's script does with it is tested in a real browser elsewhere.
#![allow(clippy::unwrap_used)]

mod authenticator;
mod strong;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode};
use entra_sim::directory::AccessPass;
use entra_sim::{Settings, Simulation, pages};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};

const TENANT: &str = "contoso.onmicrosoft.com";
const USER: &str = "alice@contoso.onmicrosoft.com";
const PASSWORD: &str = "correct horse battery";
const CODE: &str = "7K3M9PQR";

/// A browser without a screen: follows nothing by itself, keeps cookies per host.
struct Browser {
    simulation: Arc<Simulation>,
    router: Router,
    cookies: BTreeMap<String, BTreeMap<String, String>>,
}

/// What came back.
struct Answer {
    status: StatusCode,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Answer {
    fn location(&self) -> String {
        self.headers.get("location").cloned().unwrap_or_else(|| panic!("no redirect: {}", self.body))
    }

    fn page_id(&self) -> String {
        between(&self.body, "<meta name=\"PageID\" content=\"", "\"").to_owned()
    }

    /// `$Config`, as a content script would read it.
    fn config(&self) -> Value {
        serde_json::from_str(between(&self.body, "$Config=", ";\n//]]>")).unwrap()
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("no {start:?} in {text}"));
    rest.split_once(end).unwrap_or_else(|| panic!("no {end:?} after {start:?}")).0
}

fn text<'a>(page: &'a Value, name: &str) -> &'a str {
    page[name].as_str().unwrap_or_else(|| panic!("no {name} in {page}"))
}

impl Browser {
    fn new() -> Self {
        let simulation = Simulation::new(Settings::default()).unwrap();
        simulation.directory().tenant_mut(TENANT).unwrap().user_mut(USER).unwrap().password = Some(PASSWORD.to_owned());
        let router = pages::router(Arc::clone(&simulation));
        Self { simulation, router, cookies: BTreeMap::new() }
    }

    /// A user with a pass and no "stay signed in?" page.
    async fn with_pass() -> Self {
        let mut browser = Self::new();
        browser.give_pass(false);
        browser.turn(json!({"kmsi": false})).await;
        browser
    }

    fn give_pass(&self, once: bool) {
        let now = self.simulation.clock.now();
        let mut directory = self.simulation.directory();
        directory.tenant_mut(TENANT).unwrap().user_mut(USER).unwrap().access_pass = Some(AccessPass {
            id: "pass".to_owned(),
            code: CODE.to_owned(),
            start: now,
            lifetime_minutes: 60,
            once,
            used: false,
            created: now,
            created_moment: Duration::ZERO,
        });
    }

    fn set_enabled(&self, enabled: bool) {
        let mut directory = self.simulation.directory();
        directory.tenant_mut(TENANT).unwrap().user_mut(USER).unwrap().account_enabled = enabled;
    }

    async fn send(&mut self, method: &str, address: &str, headers: &[(&str, &str)], body: String) -> Answer {
        let (host, path) = address.strip_prefix("https://").unwrap().split_once('/').unwrap();
        let cookies = self.cookies.entry(host.to_owned()).or_default();
        let cookie = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let mut request =
            Request::builder().method(method).uri(format!("/{path}")).header("host", host).header("cookie", cookie);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let service = TowerToHyperService::new(self.router.clone());
        let response: Response<Body> = service.call(request.body(Body::from(body)).unwrap()).await.unwrap();
        for cookie in response.headers().get_all("set-cookie") {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            match rest.split(';').next().unwrap() {
                "" => cookies.remove(name),
                value => cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        let headers = response.headers().iter();
        Answer {
            status: response.status(),
            headers: headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect(),
            body: String::from_utf8(to_bytes(response.into_body(), 1 << 22).await.unwrap().to_vec()).unwrap(),
        }
    }

    async fn get(&mut self, address: &str) -> Answer {
        self.send("GET", address, &[], String::new()).await
    }

    /// Posts a form of the same origin.
    async fn post(&mut self, address: &str, fields: &[(&str, &str)]) -> Answer {
        let origin = address.split('/').take(3).collect::<Vec<_>>().join("/");
        self.post_from(&origin, address, fields).await
    }

    async fn post_from(&mut self, origin: &str, address: &str, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("origin", origin)];
        self.send("POST", address, &headers, body).await
    }

    async fn post_json(&mut self, address: &str, body: &Value) -> Answer {
        self.send("POST", address, &[("content-type", "application/json")], body.to_string()).await
    }

    async fn turn(&mut self, knobs: Value) {
        let answer = self.post_json("https://control.test/sim/pages", &knobs).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    }

    async fn journal(&mut self) -> Value {
        let answer = self.get("https://control.test/sim/pages").await;
        serde_json::from_str::<Value>(&answer.body).unwrap()["journal"].clone()
    }

    /// Opens the portal and follows to the sign-in page.
    async fn open_portal(&mut self) -> Answer {
        let portal = self.get(&format!("https://portal.azure.com/?tenant={TENANT}")).await;
        assert_eq!(portal.status, StatusCode::FOUND);
        self.get(&portal.location()).await
    }

    /// Asks GetCredentialType as the page's script does; the answer holds the next flow token.
    async fn ask_credential_type(&mut self, page: &Value, user: &str, flow_token: &str) -> Value {
        let question = json!({"username": user, "originalRequest": text(page, "sCtx"), "flowToken": flow_token});
        let headers = [("content-type", "application/json"), ("canary", text(page, "apiCanary"))];
        let answer = self.send("POST", text(page, "urlGetCredentialType"), &headers, question.to_string()).await;
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Posts a credential to where the page's form goes.
    async fn post_credential(&mut self, page: &Value, flow_token: &str, field: &str, secret: &str) -> Answer {
        let view = if field == "accesspass" { "56" } else { "2" };
        let address = format!("https://login.microsoftonline.com{}", text(page, "urlPost"));
        let fields = [
            ("login", USER),
            ("loginfmt", USER),
            (field, secret),
            ("ps", view),
            ("ctx", text(page, "sCtx")),
            ("canary", text(page, "canary")),
            ("flowToken", flow_token),
        ];
        self.post(&address, &fields).await
    }

    /// Opens the portal and signs in with the pass; what comes back is the page after it.
    async fn sign_in_with_pass(&mut self) -> Answer {
        let page = self.open_portal().await.config();
        self.post_credential(&page, text(&page, "sFT"), "accesspass", CODE).await
    }

    /// Posts the form of a page that is not the sign-in page.
    async fn post_step(&mut self, page: &Value, path: &str, more: &[(&str, &str)]) -> Answer {
        let mut fields =
            vec![("ctx", text(page, "sCtx")), ("canary", text(page, "canary")), ("flowToken", text(page, "sFT"))];
        fields.extend(more);
        self.post(&format!("https://login.microsoftonline.com{path}"), &fields).await
    }

    /// Answers "stay signed in?".
    async fn answer_stay(&mut self, page: &Value, option: &str) -> Answer {
        assert_eq!(page["pgid"], "KmsiInterrupt", "{page}");
        self.post_step(page, "/kmsi", &[("LoginOptions", option)]).await
    }

    /// Carries the self-submitting form to the portal and opens the portal.
    async fn return_to_portal(&mut self, working: &Answer) -> Answer {
        let action = between(&working.body, "action=\"", "\"").to_owned();
        let fields = [("code", hidden(working, "code")), ("state", hidden(working, "state"))];
        let back = self.post_from("https://login.microsoftonline.com", &action, &fields).await;
        assert_eq!(back.status, StatusCode::SEE_OTHER, "{}", back.body);
        self.get(&format!("https://portal.azure.com{}", back.location())).await
    }
}

/// Value of a hidden field.
fn hidden<'a>(answer: &'a Answer, name: &str) -> &'a str {
    between(&answer.body, &format!("name=\"{name}\" value=\""), "\"")
}

#[tokio::test]
async fn the_server_sends_no_form_a_nonce_and_the_copyright_before_the_doctype() {
    let mut browser = Browser::new();
    let page = browser.open_portal().await;
    assert_eq!(page.page_id(), "ConvergedSignIn");
    assert!(
        page.body.starts_with("<!-- Copyright (C) Microsoft Corporation. All rights reserved. -->\n<!DOCTYPE html>")
    );
    assert!(!page.body.contains("<input") && !page.body.contains("<form"), "{}", page.body);
    assert!(page.body.contains("style=\"display: none\""));
    let policy = &page.headers["content-security-policy"];
    let nonce = between(policy, "'nonce-", "'");
    assert!(nonce.len() >= 16 && !policy.contains("unsafe-inline"), "{policy}");
    for script in page.body.split("<script").skip(1) {
        assert!(script.split('>').next().unwrap().contains(&format!("nonce=\"{nonce}\"")), "{script}");
    }
    assert_eq!(page.headers["x-frame-options"], "DENY");
    assert_eq!(page.headers["cache-control"], "no-store, no-cache");
    let again = browser.open_portal().await;
    assert_ne!(between(&again.headers["content-security-policy"], "'nonce-", "'"), nonce);
}

#[tokio::test]
async fn config_says_where_things_go_and_keeps_the_tenant_in_the_path_only() {
    let mut browser = Browser::new();
    let config = browser.open_portal().await.config();
    assert_eq!(config["sErrorCode"], "50058");
    assert_eq!(config["urlPost"], "/11111111-1111-4111-8111-111111111111/login");
    assert!(config.get("sTenantId").is_none());
    assert_eq!(config["sPOST_Username"], "");
    let portal = browser.get("https://entra.microsoft.com/").await;
    assert!(portal.location().starts_with("https://login.microsoftonline.com/organizations/oauth2/v2.0/authorize?"));
    let page = browser.get(&portal.location()).await;
    assert_eq!(page.config()["urlPost"], "/common/login");
}

#[tokio::test]
async fn a_pass_leads_through_stay_signed_in_to_the_portal() {
    let mut browser = Browser::new();
    browser.give_pass(false);
    let page = browser.open_portal().await.config();
    let known = browser.ask_credential_type(&page, USER, text(&page, "sFT")).await;
    assert_eq!((&known["IfExistsResult"], &known["Credentials"]["PrefCredential"]), (&json!(0), &json!(13)));
    let stay = browser.post_credential(&page, text(&known, "FlowToken"), "accesspass", CODE).await;
    let working = browser.answer_stay(&stay.config(), "3").await;
    assert!(working.body.contains("name=\"hiddenform\""), "{}", working.body);
    let portal = browser.return_to_portal(&working).await;
    assert_eq!(portal.status, StatusCode::OK);
    assert!(between(&portal.body, "id=\"signed-in-as\"", "</dd>").ends_with(USER));
    assert!(portal.body.contains("data-kind=\"access_pass\""));
    let journal = browser.journal().await;
    assert_eq!(journal["stay_signed_in"][0]["stay"], false);
    assert_eq!(journal["attempts"][0]["fields"], json!(["accesspass"]));
    assert_eq!(journal["attempts"][0]["matched"], true);
    assert!(!journal.to_string().contains(CODE), "the journal holds a secret");
}

#[tokio::test]
async fn the_portal_shows_roles_live_and_sends_back_when_the_session_is_over() {
    let mut browser = Browser::with_pass().await;
    let working = browser.sign_in_with_pass().await;
    let portal = browser.return_to_portal(&working).await;
    assert!(portal.body.contains("No directory role"));
    {
        let mut directory = browser.simulation.directory();
        let tenant = directory.tenant_mut(TENANT).unwrap();
        let admin = tenant.user(&format!("admin@{TENANT}")).unwrap().id.clone();
        let mut assignment = tenant.assignments.iter().find(|known| known.principal == admin).unwrap().clone();
        assignment.principal = tenant.user(USER).unwrap().id.clone();
        tenant.assignments.push(assignment);
    }
    let portal = browser.get("https://portal.azure.com/").await;
    assert!(portal.body.contains("<li>Global Administrator</li>"), "{}", portal.body);
    browser.set_enabled(false);
    let portal = browser.get("https://portal.azure.com/").await;
    assert_eq!(portal.status, StatusCode::FOUND);
    let page = browser.get(&portal.location()).await;
    assert_eq!(page.page_id(), "ConvergedSignIn");
}

#[tokio::test]
async fn a_wrong_flow_token_is_refused_and_a_right_one_works_once() {
    let mut browser = Browser::new();
    let page = browser.open_portal().await.config();
    let refused = browser.post_credential(&page, "AQABIQEAAAinvented", "passwd", PASSWORD).await;
    assert_eq!((refused.status, refused.page_id().as_str()), (StatusCode::BAD_REQUEST, "ConvergedError"));
    assert_eq!(refused.config()["sErrorCode"], "50089");

    let flow_token = text(&page, "sFT");
    let known = browser.ask_credential_type(&page, USER, flow_token).await;
    let reused = browser.ask_credential_type(&page, USER, flow_token).await;
    assert_eq!(reused["error"]["code"], "6000");
    let reused = browser.post_credential(&page, flow_token, "passwd", PASSWORD).await;
    assert_eq!(reused.config()["sErrorCode"], "50089");
    let right = browser.post_credential(&page, text(&known, "FlowToken"), "passwd", PASSWORD).await;
    assert_eq!(right.page_id(), "ConvergedProofUpRedirect");
    let again = browser.post_credential(&page, text(&known, "FlowToken"), "passwd", PASSWORD).await;
    assert_eq!(again.config()["sErrorCode"], "50089");
}

#[tokio::test]
async fn a_form_from_another_origin_is_refused() {
    let mut browser = Browser::new();
    let page = browser.open_portal().await.config();
    let fields = [
        ("login", USER),
        ("passwd", PASSWORD),
        ("ctx", text(&page, "sCtx")),
        ("canary", text(&page, "canary")),
        ("flowToken", text(&page, "sFT")),
    ];
    let address = format!("https://login.microsoftonline.com{}", text(&page, "urlPost"));
    for origin in ["https://evil.test", "https://login.microsoftonline.com.evil.test", "null"] {
        let refused = browser.post_from(origin, &address, &fields).await;
        assert_eq!(refused.config()["sErrorCode"], "50089", "{origin}");
    }
}

#[tokio::test]
async fn a_disabled_account_is_refused_with_50057_and_let_in_once_enabled() {
    let mut browser = Browser::new();
    browser.set_enabled(false);
    let page = browser.open_portal().await.config();
    let known = browser.ask_credential_type(&page, USER, text(&page, "sFT")).await;
    assert_eq!(known["Credentials"]["PrefCredential"], 1);
    let refused = browser.post_credential(&page, text(&known, "FlowToken"), "passwd", PASSWORD).await;
    let page = refused.config();
    assert_eq!((refused.page_id().as_str(), text(&page, "sErrorCode")), ("ConvergedSignIn", "50057"));
    assert_eq!((text(&page, "sPOST_Username"), text(&page, "sDefaultView")), (USER, "credential"));
    browser.set_enabled(true);
    let proof_up = browser.post_credential(&page, text(&page, "sFT"), "passwd", PASSWORD).await.config();
    assert_eq!(proof_up["pgid"], "ConvergedProofUpRedirect");
    let stay = browser.get(text(&proof_up, "urlSkipMfaRegistration")).await;
    let working = browser.answer_stay(&stay.config(), "1").await;
    let portal = browser.return_to_portal(&working).await;
    assert!(portal.body.contains("data-kind=\"password\""));
    assert_eq!(browser.journal().await["stay_signed_in"][0]["stay"], true);
}

#[tokio::test]
async fn required_registration_cannot_be_skipped() {
    let mut browser = Browser::new();
    browser.turn(json!({"proof_up": "required"})).await;
    let page = browser.open_portal().await.config();
    let proof_up = browser.post_credential(&page, text(&page, "sFT"), "passwd", PASSWORD).await.config();
    assert_eq!(proof_up["urlSkipMfaRegistration"], Value::Null);
    let reprocess = format!("https://login.microsoftonline.com/common/reprocess?ctx={}", text(&proof_up, "sCtx"));
    assert_eq!(browser.get(&format!("{reprocess}&skip=ProofUp")).await.page_id(), "ConvergedProofUpRedirect");
    assert_eq!(browser.get(&format!("{reprocess}&registered=1")).await.page_id(), "KmsiInterrupt");
}

#[tokio::test]
async fn a_pass_made_after_the_first_next_is_offered_at_the_second() {
    let mut browser = Browser::new();
    let page = browser.open_portal().await.config();
    let first = browser.ask_credential_type(&page, USER, text(&page, "sFT")).await;
    assert_eq!(first["Credentials"]["HasAccessPass"], false);
    browser.give_pass(false);
    let second = browser.ask_credential_type(&page, USER, text(&first, "FlowToken")).await;
    assert_eq!(second["Credentials"]["HasAccessPass"], true);
    assert_eq!(second["Credentials"]["PrefCredential"], 13);
}

#[tokio::test]
async fn a_single_use_pass_is_refused_the_second_time_on_its_own_view() {
    let mut browser = Browser::with_pass().await;
    browser.give_pass(true);
    let working = browser.sign_in_with_pass().await;
    browser.return_to_portal(&working).await;
    browser.cookies.clear();
    let refused = browser.sign_in_with_pass().await.config();
    assert_eq!(refused["sErrorCode"], "130505");
    assert_eq!(refused["oGetCredTypeResult"]["Credentials"]["PrefCredential"], 13);
}

#[tokio::test]
async fn unknown_people_and_tenants_are_named_as_such() {
    let mut browser = Browser::new();
    let page = browser.open_portal().await.config();
    let known = browser.ask_credential_type(&page, "nobody@contoso.onmicrosoft.com", text(&page, "sFT")).await;
    assert_eq!(known["IfExistsResult"], 1);
    let page = browser.get("https://login.microsoftonline.com/no-such.example/oauth2/v2.0/authorize").await;
    assert_eq!((page.page_id().as_str(), text(&page.config(), "sErrorCode")), ("ConvergedError", "90002"));
}

#[tokio::test]
async fn a_hint_begins_with_the_credential_and_an_unknown_one_stands_in_the_box() {
    let mut browser = Browser::new();
    for (hint, view) in [(USER, "credential"), ("nobody@contoso.onmicrosoft.com", "username")] {
        let portal = browser.get(&format!("https://portal.azure.com/?tenant={TENANT}&login_hint={hint}")).await;
        let page = browser.get(&portal.location()).await.config();
        assert_eq!((text(&page, "sPOST_Username"), text(&page, "sDefaultView")), (hint, view));
        assert_eq!(text(&page, "sErrorCode"), "50058");
    }
}

#[tokio::test]
async fn a_login_address_without_a_sign_in_is_an_error() {
    let mut browser = Browser::new();
    let page = browser.get("https://login.microsoftonline.com/common/login").await;
    assert_eq!((page.page_id().as_str(), text(&page.config(), "sErrorCode")), ("ConvergedError", "900144"));
}

#[tokio::test]
async fn yes_outlives_the_browser_and_no_does_not() {
    for (option, outlives) in [("1", true), ("3", false)] {
        let mut browser = Browser::new();
        browser.give_pass(false);
        let stay = browser.sign_in_with_pass().await.config();
        let working = browser.answer_stay(&stay, option).await;
        assert_eq!(working.headers["set-cookie"].contains("Max-Age"), outlives, "{option}");
    }
}

#[tokio::test]
async fn a_reset_forgets_knobs_journal_and_sign_ins() {
    let mut browser = Browser::new();
    browser.turn(json!({"language": "de"})).await;
    let page = browser.open_portal().await.config();
    let state = browser.send("DELETE", "https://control.test/sim/pages", &[], String::new()).await;
    let state: Value = serde_json::from_str(&state.body).unwrap();
    assert_eq!((&state["knobs"]["language"], &state["journal"]["pages"]), (&json!(""), &json!([])));
    let refused = browser.post_credential(&page, text(&page, "sFT"), "passwd", PASSWORD).await;
    assert_eq!(refused.config()["sErrorCode"], "50089");
}

#[tokio::test]
async fn a_federated_user_is_sent_to_the_organisations_own_page() {
    let mut browser = Browser::new();
    let page = browser.open_portal().await.config();
    let known = browser.ask_credential_type(&page, "carol@fed.contoso.com", text(&page, "sFT")).await;
    let address = text(&known["Credentials"], "FederationRedirectUrl");
    assert!(address.starts_with("https://adfs.fed.contoso.com/adfs/ls/?"), "{address}");
    let page = browser.get(address).await;
    assert!(page.body.contains("id=\"passwordInput\" name=\"Password\""));
}

#[tokio::test]
async fn a_living_session_opens_another_portal_without_a_page() {
    let mut browser = Browser::with_pass().await;
    let working = browser.sign_in_with_pass().await;
    browser.return_to_portal(&working).await;
    let entra = browser.get("https://entra.microsoft.com/").await;
    let working = browser.get(&entra.location()).await;
    assert!(working.body.contains("action=\"https://entra.microsoft.com/signin/index/\""), "{}", working.body);
    let asked_again = browser.get(&format!("{}&prompt=login", entra.location())).await;
    assert_eq!(asked_again.page_id(), "ConvergedSignIn");
}

#[tokio::test]
async fn a_portal_in_a_frame_is_told_silently_that_nobody_is_signed_in() {
    let mut browser = Browser::new();
    let portal = browser.get("https://portal.azure.com/?prompt=none").await;
    let answer = browser.get(&portal.location()).await;
    assert!(answer.location().starts_with("https://portal.azure.com/signin/index/#error=login_required"));
}

#[tokio::test]
async fn every_interrupt_stands_between_the_credential_and_the_portal() {
    for (name, page_id) in [
        ("tfa_code", "ConvergedTFA"),
        ("tfa_methods", "ConvergedTFA"),
        ("tfa_push", "ConvergedTFA"),
        ("proof_up", "ConvergedProofUpRedirect"),
        ("change_password", "ConvergedChangePassword"),
        ("consent", "ConvergedConsent"),
        ("conditional_access", "ConvergedConditionalAccess"),
        ("error", "ConvergedError"),
        ("cmsi", "CmsiInterrupt"),
    ] {
        let mut browser = Browser::with_pass().await;
        browser.turn(json!({"interrupt": name})).await;
        let answer = browser.sign_in_with_pass().await;
        assert_eq!(answer.page_id(), page_id, "{name}");
        assert!(!answer.body.contains("<input"), "{name}");
    }
}

#[tokio::test]
async fn mfa_takes_the_right_code_only() {
    let mut browser = Browser::with_pass().await;
    browser.turn(json!({"interrupt": "tfa_code", "otp": "246810"})).await;
    let mfa = browser.sign_in_with_pass().await.config();
    assert_eq!(mfa["urlPost"], "https://login.microsoftonline.com/common/SAS/ProcessAuth");
    let again = browser.post_step(&mfa, "/common/SAS/ProcessAuth", &[("otc", "111111")]).await;
    assert_eq!(again.page_id(), "ConvergedTFA");
    let working = browser.post_step(&again.config(), "/common/SAS/ProcessAuth", &[("otc", "246810")]).await;
    assert!(browser.return_to_portal(&working).await.body.contains(USER));
}

#[tokio::test]
async fn the_page_reloads_itself_once_when_told_to() {
    let mut browser = Browser::new();
    browser.turn(json!({"sso_reload": true})).await;
    let page = browser.open_portal().await;
    assert_eq!(page.page_id(), "BssoInterrupt");
    let address: String = serde_json::from_str(between(&page.body, "location.replace(", ");")).unwrap();
    assert!(address.ends_with("&sso_reload=true"));
    let page = browser.get(&format!("https://login.microsoftonline.com{address}")).await;
    assert_eq!(page.page_id(), "ConvergedSignIn");
}

#[tokio::test]
async fn knobs_for_one_tenant_leave_the_others_and_unknown_ones_are_refused() {
    let mut browser = Browser::new();
    browser.turn(json!({"csp": "report_only", "tenants": {TENANT: {"language": "de"}}})).await;
    let page = browser.open_portal().await;
    assert!(page.body.contains("<title>Bei Ihrem Konto anmelden</title>"));
    assert!(page.headers.contains_key("content-security-policy-report-only"));
    assert!(!page.headers.contains_key("content-security-policy"));
    let other = browser.get("https://login.microsoftonline.com/fabrikam.onmicrosoft.com/oauth2/v2.0/authorize").await;
    assert!(other.body.contains("<title>Sign in to your account</title>"));
    let refused = browser.post_json("https://control.test/sim/pages", &json!({"delay": 1})).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn every_gallery_page_is_there_on_the_right_host_and_on_look_alikes() {
    let mut browser = Browser::new();
    let list = browser.get("https://login.microsoftonline.com/gallery/").await;
    let names: Vec<String> = serde_json::from_str(&list.body).unwrap();
    assert!(names.len() > 50);
    for name in &names {
        for host in ["login.microsoftonline.com", "login.microsoftonline.com.evil.test", "portal.azure.com"] {
            let page = browser.get(&format!("https://{host}/gallery/{name}")).await;
            assert_eq!(page.status, StatusCode::OK, "{host} {name}");
            assert!(!page.body.contains("{{"), "{name} has a gap: {}", page.body);
        }
    }
    for raw in names.iter().filter(|name| name.starts_with("raw-")) {
        let page = browser.get(&format!("https://login.microsoftonline.com/gallery/{raw}")).await;
        assert!(!page.body.contains("<input"), "{raw}");
    }
    let missing = browser.get("https://login.microsoftonline.com/gallery/no-such-page").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn frozen_pages_carry_the_fields_and_the_decoys() {
    let mut browser = Browser::new();
    let username = browser.get("https://login.microsoftonline.com/gallery/username").await.body;
    assert!(username.contains("name=\"loginfmt\" id=\"i0116\""));
    assert!(
        username.contains("name=\"passwd\" id=\"i0118\" autocomplete=\"off\" class=\"moveOffScreen\" tabindex=\"-1\"")
    );
    let password = browser.get("https://x.login.microsoftonline.com/gallery/password?user=a@b.test").await.body;
    assert!(password.contains("id=\"displayName\" class=\"identity\""));
    assert!(password.contains("title=\"a@b.test\""));
    assert!(password.contains("name=\"loginfmt\" class=\"moveOffScreen\""));
    let first = browser.get("https://login.microsoftonline.com/gallery/access-pass").await.body;
    let second = browser.get("https://login.microsoftonline.com/gallery/access-pass").await.body;
    let id = |body: &str| between(between(body, "name=\"accesspass\"", ">"), "id=\"", "\"").to_owned();
    assert_ne!(id(&first), id(&second), "the id of the pass box must not be something to rely on");
    let sliding = browser.get("https://login.microsoftonline.com/gallery/sliding").await.body;
    assert_eq!(sliding.matches("id=\"i0118\"").count(), 2);
    assert!(sliding.contains("lightbox-cover disable-lightbox"));
}

#[tokio::test]
async fn a_credential_that_reaches_a_look_alike_is_noted() {
    let mut browser = Browser::new();
    let places = [
        ("login.microsoftonline.com.evil.test", "/common/login"),
        ("login-microsoftonline.com", "/next.php"),
        ("adfs.contoso.example", "/adfs/ls/"),
        ("github.com", "/session"),
    ];
    for (host, path) in places {
        browser.post(&format!("https://{host}{path}"), &[("loginfmt", USER), ("passwd", "secret")]).await;
    }
    let journal = browser.journal().await;
    let attempts = journal["attempts"].as_array().unwrap();
    let hosts: Vec<&str> = attempts.iter().map(|attempt| text(attempt, "host")).collect();
    assert_eq!(hosts, places.map(|(host, _)| host));
}

#[tokio::test]
async fn policy_violations_are_kept() {
    let mut browser = Browser::new();
    let report = json!({"csp-report": {"violated-directive": "script-src"}});
    browser.post_json("https://csp.microsoft.com/report/ESTS-UX-All", &report).await;
    assert_eq!(browser.journal().await["violations"], json!([report]));
}

#[tokio::test]
async fn a_code_opens_a_portal_once() {
    let mut browser = Browser::with_pass().await;
    let working = browser.sign_in_with_pass().await;
    browser.return_to_portal(&working).await;
    let fields = [("code", hidden(&working, "code")), ("state", hidden(&working, "state"))];
    let again = browser.post("https://portal.azure.com/signin/index/", &fields).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn signing_out_ends_the_silent_sign_in() {
    let mut browser = Browser::with_pass().await;
    let working = browser.sign_in_with_pass().await;
    browser.return_to_portal(&working).await;
    let out = browser.get("https://portal.azure.com/signout").await;
    let farewell = browser.get(&out.location()).await;
    assert_eq!(farewell.page_id(), "ConvergedSignOut");
    assert_eq!(browser.open_portal().await.page_id(), "ConvergedSignIn");
}
