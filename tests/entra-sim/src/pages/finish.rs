//! What comes after a right credential: interrupts, "stay signed in?", and the way back to the portal.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value, json};

use super::knobs::{PageKnobs, ProofUp};
use super::session::{ResponseMode, SIGN_IN_COOKIE, Step, Transaction, random};
use super::shell::{self, Page};
use super::strings::Strings;
use super::template::escaped;
use super::visit::Visit;
use super::{Pages, Refusal, headers, interrupts, kmsi};
use crate::directory::access::Demand;
use crate::people::{self, AnswerMode, AuthorizationRequest};

/// The next page of a transaction that has a signed-in user; in the end, the way back to the portal.
pub(super) fn next(pages: &Pages, visit: &Visit, mut transaction: Transaction) -> Result<Response, Refusal> {
    let knobs = pages.knobs(&transaction.tenant)?;
    let Some(signed_in) = transaction.signed_in.clone() else {
        return expired(pages, visit);
    };
    if let Some(interrupt) = knobs.interrupt.filter(|_| !transaction.passed.contains(&Step::Interrupt)) {
        return Ok(interrupts::show(pages, visit, &knobs, transaction, interrupt));
    }
    let client_id = transaction.asked.as_ref().map_or(&transaction.client_id, |asked| &asked.client_id);
    match pages.simulation().demand(&signed_in, client_id) {
        Demand::Blocked(number) => {
            return Ok(interrupts::blocked(pages, visit, &knobs, &transaction, &signed_in.user_name, number));
        }
        // Nothing that this page could offer would do.
        Demand::More(proofs) if proofs.is_empty() => {
            return Ok(interrupts::proof_up(pages, visit, &knobs, transaction, Step::ProofUp, true));
        }
        Demand::More(proofs) => {
            return Ok(interrupts::second_factor(pages, visit, &knobs, transaction, &proofs, None));
        }
        Demand::Met => {}
    }
    let registration = signed_in.mfa_required && knobs.proof_up != ProofUp::Off;
    if registration && !transaction.passed.contains(&Step::ProofUp) {
        let proofs = pages.simulation().proofs_of(&signed_in.user_id);
        return Ok(if proofs.is_empty() {
            interrupts::proof_up(pages, visit, &knobs, transaction, Step::ProofUp, false)
        } else {
            interrupts::second_factor(pages, visit, &knobs, transaction, &proofs, None)
        });
    }
    if let Some(asked) = &transaction.asked
        && !transaction.passed.contains(&Step::Consent)
        && asked.asks_for_consent(&pages.simulation().directory(), &signed_in)
    {
        return Ok(interrupts::consent(pages, visit, &knobs, transaction));
    }
    let tenant = pages.tenant(&signed_in.tenant_id);
    let asks_to_stay = knobs.kmsi.unwrap_or(!tenant.branding.keep_me_signed_in_disabled);
    if asks_to_stay && !transaction.passed.contains(&Step::StaySignedIn) {
        return Ok(kmsi::show(pages, visit, &knobs, transaction));
    }
    transaction.flow_token.clear();
    if let Some(asked) = transaction.asked.clone() {
        let simulation = pages.simulation();
        let answer = simulation.answer(&asked, &signed_in);
        return Ok(match answer {
            Ok(answer) => {
                back_to_application(pages, visit, &knobs, &transaction, &asked, &answer, &signed_in.session_id)
            }
            Err(refusal) => refused(pages, visit, &knobs, &transaction, &refusal),
        });
    }
    Ok(back_to_portal(pages, visit, &knobs, &transaction, &signed_in.session_id))
}

/// Shows a page of a transaction, with a new flow token.
pub(super) fn show(
    pages: &Pages,
    visit: &Visit,
    knobs: &PageKnobs,
    mut transaction: Transaction,
    mut page: Page,
) -> Response {
    transaction.renew_flow_token();
    name_passkey_page(pages, &transaction, &mut page);
    let tenant = pages.tenant(&transaction.tenant);
    pages.note_page(visit, page.id, page.error);
    let response = shell::respond(visit, knobs, &tenant, &transaction, page);
    pages.memory().transactions.insert(transaction.id.clone(), transaction);
    response
}

/// Tells a page where a passkey is asked for.
pub(super) fn name_passkey_page(pages: &Pages, transaction: &Transaction, page: &mut Page) {
    let relying_party = pages.simulation().knobs().passkey_relying_party;
    let segment = shell::post_segment(transaction, &pages.tenant(&transaction.tenant));
    page.config.insert("urlFidoLogin".to_owned(), json!(format!("https://{relying_party}/{segment}/fido/get")));
}

/// `ConvergedError`.
pub(super) fn error_page(
    pages: &Pages,
    visit: &Visit,
    knobs: &PageKnobs,
    transaction: &Transaction,
    number: u32,
    message: &str,
) -> Response {
    let mut page = Page::new("ConvergedError", "error", "");
    let sentence = format!("AADSTS{number}: {message}");
    page.context.insert("serviceException".to_owned(), Value::from(sentence.as_str()));
    page.config.insert("strServiceExceptionMessage".to_owned(), Value::from(sentence));
    page.config.insert("iErrorCode".to_owned(), Value::from(number));
    page.config.insert("sErrorCode".to_owned(), Value::from(number.to_string()));
    page.status = StatusCode::BAD_REQUEST;
    pages.note_page(visit, page.id, Some(number));
    let tenant = pages.tenant(&transaction.tenant);
    shell::respond(visit, knobs, &tenant, transaction, page)
}

/// The form is not one of a page that was just shown: 50089.
pub(super) fn expired(pages: &Pages, visit: &Visit) -> Result<Response, Refusal> {
    refuse(pages, visit, 50_089, "Flow token expired. Authentication Failed, start again.")
}

/// An error page without a sign-in behind it.
pub(super) fn refuse(pages: &Pages, visit: &Visit, number: u32, message: &str) -> Result<Response, Refusal> {
    let tenant = visit.segments().first().map_or("common", |segment| *segment).to_owned();
    let knobs = pages.knobs(&tenant)?;
    let nowhere = Transaction::bare(&tenant, "/", &knobs.language);
    Ok(error_page(pages, visit, &knobs, &nowhere, number, message))
}

/// `prompt=none` without a session: nothing is shown, the portal is told.
#[must_use]
pub(super) fn refuse_silently(transaction: &Transaction) -> Response {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("error", "login_required")
        .append_pair("error_description", "AADSTS50058: A silent sign-in request was sent but no user is signed in.")
        .append_pair("state", &transaction.state)
        .finish();
    let separator = if transaction.response_mode == ResponseMode::Query { '?' } else { '#' };
    let mut response = StatusCode::FOUND.into_response();
    headers::set(&mut response, "location", &format!("{}{separator}{query}", transaction.redirect_uri));
    response
}

/// What an application may not have: shown to the person, or told to the application when that may be trusted with it.
pub(super) fn refused(
    pages: &Pages,
    visit: &Visit,
    knobs: &PageKnobs,
    transaction: &Transaction,
    refusal: &people::Refusal,
) -> Response {
    match refusal {
        people::Refusal::Page { number, message } => error_page(pages, visit, knobs, transaction, *number, message),
        people::Refusal::Application { error, number, message } => {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("error", error)
                .append_pair("error_description", &format!("AADSTS{number}: {message}"))
                .append_pair("state", &transaction.state)
                .finish();
            interrupts::redirect(&format!("{}?{query}", transaction.redirect_uri))
        }
    }
}

/// The way back to an application that the directory knows.
fn back_to_application(
    pages: &Pages,
    visit: &Visit,
    knobs: &PageKnobs,
    transaction: &Transaction,
    asked: &AuthorizationRequest,
    answer: &people::Answer,
    session_id: &str,
) -> Response {
    let browser = remember_browser(pages, visit, transaction, session_id);
    let mut response = match asked.mode {
        AnswerMode::Form => {
            let fields: Vec<(&str, &str)> = answer.iter().map(|(name, value)| (*name, value.as_str())).collect();
            working(knobs, &transaction.language, &asked.redirect_uri, &fields)
        }
        AnswerMode::Query | AnswerMode::Fragment => interrupts::redirect(&asked.back(answer)),
    };
    headers::add_cookie(&mut response, &session_cookie(&browser, transaction));
    response
}

/// Ends a transaction: from now on the browser has this session.
fn remember_browser(pages: &Pages, visit: &Visit, transaction: &Transaction, session_id: &str) -> String {
    let browser = visit.cookie(SIGN_IN_COOKIE).map_or_else(random, str::to_owned);
    let mut memory = pages.memory();
    memory.transactions.remove(&transaction.id);
    let sessions = memory.browsers.entry(browser.clone()).or_default();
    if !sessions.iter().any(|known| known == session_id) {
        sessions.push(session_id.to_owned());
    }
    browser
}

fn session_cookie(browser: &str, transaction: &Transaction) -> String {
    let lifetime = if transaction.stay { "; Max-Age=7776000" } else { "" };
    format!("{SIGN_IN_COOKIE}={browser}; Path=/; Secure; HttpOnly; SameSite=None{lifetime}")
}

fn back_to_portal(
    pages: &Pages,
    visit: &Visit,
    knobs: &PageKnobs,
    transaction: &Transaction,
    session_id: &str,
) -> Response {
    let code = random();
    pages.memory().codes.insert(code.clone(), session_id.to_owned());
    let browser = remember_browser(pages, visit, transaction, session_id);
    let fields = [("code", code.as_str()), ("state", &transaction.state), ("session_state", &transaction.request_id)];
    let mut response = match transaction.response_mode {
        ResponseMode::FormPost => working(knobs, &transaction.language, &transaction.redirect_uri, &fields),
        mode => {
            let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
            let separator = if mode == ResponseMode::Query { '?' } else { '#' };
            let mut response = StatusCode::FOUND.into_response();
            headers::set(&mut response, "location", &format!("{}{separator}{query}", transaction.redirect_uri));
            response
        }
    };
    headers::add_cookie(&mut response, &session_cookie(&browser, transaction));
    response
}

/// "Working...": a form that submits itself.
pub(super) fn working(knobs: &PageKnobs, language: &str, action: &str, fields: &[(&str, &str)]) -> Response {
    let nonce = headers::nonce();
    let mut response = Html(working_document(language, action, fields, Some(&nonce))).into_response();
    headers::secure(&mut response, knobs, &nonce);
    response
}

/// The document of [`working`]; without a nonce it stays where it is.
#[must_use]
pub(super) fn working_document(language: &str, action: &str, fields: &[(&str, &str)], nonce: Option<&str>) -> String {
    let strings = Strings::of(language);
    let hidden: String = fields
        .iter()
        .map(|(name, value)| {
            format!("<input type=\"hidden\" name=\"{}\" value=\"{}\" />", escaped(name), escaped(value))
        })
        .collect();
    let script = nonce.map_or_else(String::new, |nonce| {
        format!("<script type=\"text/javascript\" nonce=\"{nonce}\">window.setTimeout(function () {{ document.forms[0].submit(); }}, 0);</script>")
    });
    format!(
        "<html><head><title>{}</title></head><body><form method=\"POST\" name=\"hiddenform\" action=\"{}\">{hidden}<noscript>\
         <p>Script is disabled. Click Submit to continue.</p><input type=\"submit\" value=\"Submit\" /></noscript></form>{script}</body></html>",
        escaped(&strings.word("working")),
        escaped(action)
    )
}

/// Context of a page for a user who is known.
pub(super) fn for_user(page: &mut Page, transaction: &Transaction) {
    if let Some(signed_in) = &transaction.signed_in {
        page.user.clone_from(&signed_in.user_name);
    }
    page.context.insert("appName".to_owned(), json!(app_name(&transaction.client_id)));
}

/// Name of a portal's application.
fn app_name(client_id: &str) -> &'static str {
    match client_id {
        "c44b4083-3bb0-49c1-b47d-974e53cbdf3c" => "Azure Portal",
        "" => "Unknown application",
        _ => "Microsoft portal",
    }
}
