//! The beginning: `/{tenant}/oauth2/v2.0/authorize` and its relatives. Decides which page comes first.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::knobs::{Hint, PageKnobs, View};
use super::session::{ResponseMode, SIGN_IN_COOKIE, Step, Transaction};
use super::shell::{self, Page};
use super::visit::Visit;
use super::{Pages, Refusal, credential_type, finish, headers};
use crate::directory::SignedIn;
use crate::people::{AuthorizationRequest, Purpose};

/// A request to sign in, or for an administrator's consent.
pub(super) fn begin(pages: &Pages, visit: &Visit, tenant: &str, purpose: Purpose) -> Result<Response, Refusal> {
    let knobs = pages.knobs(tenant)?;
    if knobs.sso_reload && visit.asked("sso_reload").is_none() {
        return Ok(reload_once(visit, &knobs));
    }
    let mut transaction = transaction_of(visit, tenant, &knobs);
    transaction.renew_flow_token();
    let parameter = |name: &str| visit.asked(name).map(str::to_owned);
    let read = AuthorizationRequest::read(purpose, tenant, &parameter, &pages.simulation().directory());
    match read {
        Ok(asked) => transaction.asked = asked,
        Err(refusal) => return Ok(finish::refused(pages, visit, &knobs, &transaction, &refusal)),
    }
    if pages.tenant(tenant).id.is_none() && !matches!(tenant, "common" | "organizations" | "consumers") {
        return Ok(finish::error_page(
            pages,
            visit,
            &knobs,
            &transaction,
            90_002,
            &format!("Tenant '{tenant}' not found."),
        ));
    }
    first_page(pages, visit, &knobs, transaction)
}

/// `/resume`: goes on with an account of this browser that is signed in, or asks for its credential.
pub(super) fn resume(pages: &Pages, visit: &Visit) -> Result<Response, Refusal> {
    let ctx = visit.asked("ctx").unwrap_or_default();
    let Some(mut transaction) = pages.memory().transactions.get(ctx).cloned() else {
        return finish::expired(pages, visit);
    };
    let knobs = pages.knobs(&transaction.tenant)?;
    let chosen = visit.asked("login_hint").unwrap_or_default();
    // Back from the passkey's page without a signature: another way is chosen.
    if visit.asked("fidoCancel").is_some() {
        transaction.renew_flow_token();
        if transaction.signed_in.is_some() {
            return finish::next(pages, visit, transaction);
        }
        let view = if chosen.is_empty() { View::Username } else { View::CredentialPicker };
        return Ok(sign_in_page(pages, visit, &knobs, transaction, First::View(view, chosen.to_owned())));
    }
    let session =
        living_sessions(pages, visit).into_iter().find(|session| session.user_name.eq_ignore_ascii_case(chosen));
    if let Some(session) = session {
        transaction.signed_in = Some(session);
        return finish::next(pages, visit, transaction);
    }
    transaction.renew_flow_token();
    Ok(sign_in_page(pages, visit, &knobs, transaction, First::Credential(chosen.to_owned())))
}

/// The sign-in page again, after a refused credential.
pub(super) fn after_refusal(
    pages: &Pages,
    visit: &Visit,
    knobs: &PageKnobs,
    transaction: Transaction,
    user: &str,
    preferred: u8,
    error: u32,
) -> Response {
    let first = if error == 50034 {
        First::View(View::Username, user.to_owned())
    } else {
        First::CredentialOf(user.to_owned(), preferred)
    };
    let mut page = page_for(pages, visit, knobs, &transaction, first);
    page.error = Some(error);
    show(pages, visit, knobs, transaction, page)
}

/// Sessions of this browser that still live.
#[must_use]
pub(super) fn living_sessions(pages: &Pages, visit: &Visit) -> Vec<SignedIn> {
    let ids = pages.memory().sessions_of(visit.cookie(SIGN_IN_COOKIE));
    ids.iter().filter_map(|id| pages.simulation().session(id)).collect()
}

enum First {
    /// This view, with a user name known.
    View(View, String),
    /// Whatever this user signs in with.
    Credential(String),
    /// The view of one `PrefCredential` for this user.
    CredentialOf(String, u8),
}

fn transaction_of(visit: &Visit, tenant: &str, knobs: &PageKnobs) -> Transaction {
    let asked = |name: &str| {
        let posted = visit.posted(name);
        visit.asked(name).unwrap_or(posted).to_owned()
    };
    let language = if knobs.language.is_empty() {
        format!("{}{}", asked("mkt"), asked("ui_locales"))
    } else {
        knobs.language.clone()
    };
    Transaction {
        client_id: asked("client_id"),
        redirect_uri: asked("redirect_uri"),
        response_mode: match asked("response_mode").as_str() {
            "query" => ResponseMode::Query,
            "form_post" => ResponseMode::FormPost,
            _ => ResponseMode::Fragment,
        },
        state: asked("state"),
        host: visit.host.clone(),
        ..Transaction::bare(tenant, &visit.path_and_query, &language)
    }
}

fn first_page(
    pages: &Pages,
    visit: &Visit,
    knobs: &PageKnobs,
    mut transaction: Transaction,
) -> Result<Response, Refusal> {
    let hint = visit.asked("login_hint").or_else(|| visit.asked("username")).unwrap_or_default().to_owned();
    let prompt = visit.asked("prompt").unwrap_or_default();
    if let Some(view) = knobs.force_view {
        return Ok(sign_in_page(pages, visit, knobs, transaction, First::View(view, hint)));
    }
    let here = pages.tenant(&transaction.tenant);
    let sessions: Vec<SignedIn> = living_sessions(pages, visit)
        .into_iter()
        .filter(|session| here.id.as_ref().is_none_or(|id| *id == session.tenant_id))
        .filter(|session| hint.is_empty() || session.user_name.eq_ignore_ascii_case(&hint))
        .collect();
    match (prompt, sessions.as_slice()) {
        ("none", []) => return Ok(finish::refuse_silently(&transaction)),
        ("" | "none", [only]) => {
            transaction.signed_in = Some(only.clone());
            transaction.passed.insert(Step::StaySignedIn);
            transaction.passed.insert(Step::ProofUp);
            return finish::next(pages, visit, transaction);
        }
        ("" | "select_account", [_, ..]) => {
            return Ok(sign_in_page(pages, visit, knobs, transaction, First::View(View::Picker, String::new())));
        }
        _ => {}
    }
    let first = if hint.is_empty() && !knobs.picker.is_empty() && prompt != "login" {
        First::View(View::Picker, String::new())
    } else if !hint.is_empty() && knobs.hint == Hint::Jump {
        First::Credential(hint)
    } else {
        First::View(View::Username, hint)
    };
    Ok(sign_in_page(pages, visit, knobs, transaction, first))
}

fn sign_in_page(pages: &Pages, visit: &Visit, knobs: &PageKnobs, transaction: Transaction, first: First) -> Response {
    let page = page_for(pages, visit, knobs, &transaction, first);
    show(pages, visit, knobs, transaction, page)
}

fn page_for(pages: &Pages, visit: &Visit, knobs: &PageKnobs, transaction: &Transaction, first: First) -> Page {
    let tenant = pages.tenant(&transaction.tenant);
    let mut page =
        Page::new("ConvergedSignIn", "username", format!("/{}/login", shell::post_segment(transaction, &tenant)));
    match first {
        First::View(view, user) => {
            page.view = view.template();
            if !user.is_empty() {
                page.config.insert("oGetCredTypeResult".to_owned(), credential_type::describe(pages, knobs, &user));
            }
            page.user = user;
        }
        First::Credential(user) => {
            let known = credential_type::describe(pages, knobs, &user);
            // A name that nobody has only stands in the box: the person may still change it.
            if known.get("IfExistsResult") != Some(&json!(1)) {
                page.view = "credential";
                page.config.insert("oGetCredTypeResult".to_owned(), known);
            }
            page.user = user;
        }
        First::CredentialOf(user, preferred) => {
            let knobs = PageKnobs { pref_credential: Some(preferred), ..knobs.clone() };
            page.view = "credential";
            page.config.insert("oGetCredTypeResult".to_owned(), credential_type::describe(pages, &knobs, &user));
            page.user = user;
        }
    }
    let accounts = picker_accounts(pages, visit, knobs);
    page.context.insert(
        "title".to_owned(),
        Value::from(super::strings::Strings::of(&transaction.language).word("pickAccount")),
    );
    page.config.insert(
        "arrSessions".to_owned(),
        Value::from_iter(accounts.iter().map(|(name, signed_in)| json!({"name": name, "isSignedIn": signed_in}))),
    );
    page.context.insert("accounts".to_owned(), tiles(&accounts, &transaction.language));
    page
}

fn show(pages: &Pages, visit: &Visit, knobs: &PageKnobs, transaction: Transaction, mut page: Page) -> Response {
    finish::name_passkey_page(pages, &transaction, &mut page);
    let tenant = pages.tenant(&transaction.tenant);
    pages.note_page(visit, page.id, page.error);
    let response = shell::respond(visit, knobs, &tenant, &transaction, page);
    pages.memory().transactions.insert(transaction.id.clone(), transaction);
    response
}

/// Accounts for the picker: this browser's sessions, then those a test asked for.
#[must_use]
pub(super) fn picker_accounts(pages: &Pages, visit: &Visit, knobs: &PageKnobs) -> Vec<(String, bool)> {
    let mut accounts: Vec<(String, bool)> =
        living_sessions(pages, visit).into_iter().map(|session| (session.user_name, true)).collect();
    for account in &knobs.picker {
        if !accounts.iter().any(|(name, _)| name.eq_ignore_ascii_case(&account.name)) {
            accounts.push((account.name.clone(), account.signed_in));
        }
    }
    accounts
}

/// What the tiles show.
#[must_use]
pub(super) fn tiles(accounts: &[(String, bool)], language: &str) -> Value {
    let strings = super::strings::Strings::of(language);
    accounts
        .iter()
        .map(|(name, signed_in)| {
            Value::Object(Map::from_iter([
                ("upn".to_owned(), Value::from(name.as_str())),
                ("label".to_owned(), Value::from(strings.word_with("tileLabel", name))),
                ("state".to_owned(), Value::from(strings.word(if *signed_in { "signedIn" } else { "signedOut" }))),
            ]))
        })
        .collect()
}

/// "Redirecting": the page asks the browser to come again with `sso_reload=true`, once.
fn reload_once(visit: &Visit, knobs: &PageKnobs) -> Response {
    let nonce = headers::nonce();
    let strings = super::strings::Strings::of("en");
    let config = json!({"pgid": "BssoInterrupt", "sessionId": uuid::Uuid::new_v4().to_string(), "oPostParams": {}});
    let head = shell::head(&strings, "BssoInterrupt", &nonce, &config, None, &visit.origin);
    let separator = if visit.path_and_query.contains('?') { '&' } else { '?' };
    let address = Value::from(format!("{}{separator}sso_reload=true", visit.path_and_query));
    let body = format!(
        "{}<script nonce=\"{nonce}\">//<![CDATA[\nwindow.addEventListener('load', function () {{ location.replace({}); }});\n//]]></script>",
        shell::BODY_START,
        shell::script_json(&address)
    );
    let mut response = (StatusCode::OK, axum::response::Html(shell::document(&strings, &head, &body))).into_response();
    headers::secure(&mut response, knobs, &nonce);
    response
}
