//! The portals: they send people to sign in and then show plainly who is signed in, with which roles, as the directory
//! says at that moment. Every load asks the directory again, so an ended session sends back to the sign-in page.
//!
//! Stable ids for tests: `#signed-in-as`, `#tenant`, `#roles`, `#credential`, `#until`, `#sign-out`; `/api/me` has the
//! same as JSON. `/popup` signs in through a window of its own.

use axum::Json;
use axum::http::{Method, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::journal::PortalOpened;
use super::session::{PORTAL_COOKIE, random};
use super::template::fill;
use super::visit::Visit;
use super::{Pages, Refusal, headers, interrupts};
use crate::directory::{CredentialKind, SignedIn};

const PAGE: &str = include_str!("../../assets/portal.html");
const POPUP_SCRIPT: &str = include_str!("../../assets/popup.js");

/// Answers for a portal host.
pub(super) fn visit(pages: &Pages, visit: &Visit) -> Result<Response, Refusal> {
    match (&visit.method, visit.path.as_str()) {
        (&Method::POST, "/signin/index/") => redeem(pages, visit),
        (&Method::POST, "/popup/redeem") => redeem_popup(pages, visit),
        (_, "/popup.js") => Ok(([("content-type", "text/javascript")], POPUP_SCRIPT).into_response()),
        (_, "/popup") => Ok(match signed_in(pages, visit) {
            Some(session) => page(pages, visit, &session),
            None => Html(fill(PAGE, &context(visit, &[("popup", Value::Bool(true))]))).into_response(),
        }),
        (_, "/popup/start") => Ok(send_to_sign_in(pages, visit, "fragment", "/popup/done")),
        (_, "/popup/done") => Ok(Html("<!DOCTYPE html><title>Signing in</title>").into_response()),
        (_, "/signout") => Ok(sign_out(pages, visit)),
        (_, "/favicon.ico") => Ok(StatusCode::NO_CONTENT.into_response()),
        (_, "/api/me") => Ok(match signed_in(pages, visit) {
            Some(session) => Json(json!(session)).into_response(),
            None => StatusCode::UNAUTHORIZED.into_response(),
        }),
        _ => Ok(match signed_in(pages, visit) {
            Some(session) => page(pages, visit, &session),
            None => send_to_sign_in(pages, visit, "form_post", "/signin/index/"),
        }),
    }
}

/// Registration of security information, where "More information required" leads.
pub(super) fn security_info(visit: &Visit) -> Response {
    let ctx = if visit.posted("ctx").is_empty() { visit.posted("request") } else { visit.posted("ctx") };
    let came_from = visit.header("origin").unwrap_or("https://login.microsoftonline.com");
    let resume = format!("{came_from}/common/reprocess?ctx={ctx}&registered=1");
    let members = [("securityInfo", Value::Bool(true)), ("resume", Value::from(resume))];
    Html(fill(PAGE, &context(visit, &members))).into_response()
}

fn signed_in(pages: &Pages, visit: &Visit) -> Option<SignedIn> {
    let cookie = visit.cookie(PORTAL_COOKIE)?;
    let session_id = pages.memory().portals.get(cookie)?.clone();
    let session = pages.simulation().session(&session_id);
    if session.is_none() {
        pages.memory().portals.remove(cookie);
    }
    session
}

fn page(pages: &Pages, visit: &Visit, session: &SignedIn) -> Response {
    pages.note(|journal, at_ms| {
        journal.portals.push(PortalOpened {
            at_ms,
            host: visit.host.clone(),
            user_name: session.user_name.clone(),
            roles: session.roles.clone(),
        });
    });
    let kind = match session.credential {
        CredentialKind::Password if session.methods.contains(&"fido") => ("password_passkey", "Password and passkey"),
        CredentialKind::Password if session.methods.contains(&"otp") => ("password_code", "Password and code"),
        CredentialKind::Password | CredentialKind::Code => ("password", "Password"),
        CredentialKind::AccessPass => ("access_pass", "Temporary Access Pass"),
        CredentialKind::Passkey => ("passkey", "Passkey"),
    };
    let members = [
        ("signedIn", Value::Bool(true)),
        ("userName", json!(session.user_name)),
        ("userId", json!(session.user_id)),
        ("displayName", json!(session.display_name)),
        ("tenantName", json!(session.tenant_name)),
        ("tenantId", json!(session.tenant_id)),
        ("roles", json!(session.roles)),
        ("credentialKind", json!(kind.0)),
        ("credential", json!(kind.1)),
        ("until", json!(session.expires.to_string())),
    ];
    let mut response = Html(fill(PAGE, &context(visit, &members))).into_response();
    headers::set(&mut response, "cache-control", "no-store");
    headers::set(&mut response, "x-frame-options", "SAMEORIGIN");
    response
}

fn context(visit: &Visit, members: &[(&str, Value)]) -> Map<String, Value> {
    let mut context: Map<String, Value> =
        members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    context.insert("name".to_owned(), Value::from(name_of(&visit.host)));
    context
}

fn send_to_sign_in(pages: &Pages, visit: &Visit, response_mode: &str, return_path: &str) -> Response {
    let state = random();
    pages.memory().returns.insert(state.clone(), visit.path_and_query.clone());
    let authority = authority_of(&visit.host);
    let tenant = tenant_of(visit).unwrap_or("organizations");
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("redirect_uri", &format!("{}{return_path}", visit.origin))
        .append_pair("response_type", "code id_token")
        .append_pair("scope", "https://management.core.windows.net//user_impersonation openid email profile")
        .append_pair("state", &state)
        .append_pair("response_mode", response_mode)
        .append_pair("nonce", &random())
        .append_pair("client_id", client_id_of(&visit.host))
        .append_pair("client-request-id", &uuid::Uuid::new_v4().to_string())
        .append_pair("x-client-SKU", "ID_NET472");
    for hint in ["login_hint", "domain_hint", "prompt", "mkt", "ui_locales"] {
        if let Some(value) = visit.asked(hint) {
            query.append_pair(hint, value);
        }
    }
    interrupts::redirect(&format!("https://{authority}/{tenant}/oauth2/v2.0/authorize?{}", query.finish()))
}

/// The tenant that a portal's address names: `?tenant=` or a first path segment that is a domain or a directory id.
fn tenant_of(visit: &Visit) -> Option<&str> {
    visit.asked("tenant").or_else(|| {
        let first = visit.path.split('/').find(|segment| !segment.is_empty())?;
        (first.contains('.') || uuid::Uuid::try_parse(first).is_ok()).then_some(first)
    })
}

fn redeem(pages: &Pages, visit: &Visit) -> Result<Response, Refusal> {
    let (cookie, back) = take_code(pages, visit).ok_or(Refusal::UnknownCode)?;
    let mut response = StatusCode::SEE_OTHER.into_response();
    headers::set(&mut response, "location", &back);
    headers::add_cookie(&mut response, &cookie);
    Ok(response)
}

fn redeem_popup(pages: &Pages, visit: &Visit) -> Result<Response, Refusal> {
    let (cookie, _) = take_code(pages, visit).ok_or(Refusal::UnknownCode)?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    headers::add_cookie(&mut response, &cookie);
    Ok(response)
}

/// Exchanges a code for a portal cookie; says where the person wanted to go.
fn take_code(pages: &Pages, visit: &Visit) -> Option<(String, String)> {
    let mut memory = pages.memory();
    let back = memory.returns.remove(visit.posted("state"))?;
    let session_id = memory.codes.remove(visit.posted("code"))?;
    let portal = random();
    memory.portals.insert(portal.clone(), session_id);
    Some((format!("{PORTAL_COOKIE}={portal}; Path=/; Secure; HttpOnly; SameSite=Lax"), back))
}

fn sign_out(pages: &Pages, visit: &Visit) -> Response {
    if let Some(cookie) = visit.cookie(PORTAL_COOKIE) {
        pages.memory().portals.remove(cookie);
    }
    let address = format!("https://{}/common/oauth2/v2.0/logout", authority_of(&visit.host));
    let mut response = interrupts::redirect(&address);
    headers::add_cookie(&mut response, &format!("{PORTAL_COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"));
    response
}

fn authority_of(host: &str) -> &'static str {
    if host.ends_with(".us") || host.ends_with(".mil") {
        "login.microsoftonline.us"
    } else if host.ends_with(".cn") {
        "login.partner.microsoftonline.cn"
    } else {
        "login.microsoftonline.com"
    }
}

fn client_id_of(host: &str) -> &'static str {
    match host {
        "portal.azure.com" | "portal.azure.us" | "portal.azure.cn" => "c44b4083-3bb0-49c1-b47d-974e53cbdf3c",
        _ => "00000006-0000-0ff1-ce00-000000000000",
    }
}

fn name_of(host: &str) -> String {
    match host.split('.').next().unwrap_or_default() {
        "portal" => "Azure portal".to_owned(),
        "entra" => "Entra admin center".to_owned(),
        "admin" => "Microsoft 365 admin center".to_owned(),
        "intune" => "Intune admin center".to_owned(),
        "security" => "Defender portal".to_owned(),
        "mysignins" => "My sign-ins".to_owned(),
        _ => host.to_owned(),
    }
}
