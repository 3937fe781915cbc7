//! Signing out: a picker when several accounts are signed in, then the farewell.

use axum::response::Response;
use serde_json::{Value, json};

use super::session::{SIGN_IN_COOKIE, Transaction};
use super::shell::Page;
use super::strings::Strings;
use super::visit::Visit;
use super::{Pages, Refusal, authorize, finish, headers};

/// `/oauth2/v2.0/logout` and `/common/uxlogout`.
pub(super) fn visit(pages: &Pages, visit: &Visit) -> Result<Response, Refusal> {
    let tenant = visit.segments().first().map_or("common", |segment| *segment).to_owned();
    let knobs = pages.knobs(&tenant)?;
    let strings = Strings::of(&knobs.language);
    let accounts = authorize::picker_accounts(pages, visit, &knobs);
    let transaction = Transaction::bare(&tenant, &visit.path_and_query, &knobs.language);
    if accounts.len() > 1 && visit.asked("logout_hint").is_none() {
        let mut page = Page::new("ConvergedSignOut", "picker", "");
        page.context.insert("title".to_owned(), json!(strings.word("signOutPick")));
        page.context.insert("signOut".to_owned(), Value::Bool(true));
        page.context.insert("accounts".to_owned(), authorize::tiles(&accounts, &transaction.language));
        return Ok(finish::show(pages, visit, &knobs, transaction, page));
    }
    let leaving = visit.asked("logout_hint").map(str::to_owned);
    let living = authorize::living_sessions(pages, visit);
    if let Some(cookie) = visit.cookie(SIGN_IN_COOKIE) {
        let staying: Vec<String> = living
            .into_iter()
            .filter(|session| leaving.as_ref().is_some_and(|name| !session.user_name.eq_ignore_ascii_case(name)))
            .map(|session| session.session_id)
            .collect();
        pages.memory().browsers.insert(cookie.to_owned(), staying);
    }
    let mut page = Page::new("ConvergedSignOut", "message", "");
    page.context.insert("title".to_owned(), json!(strings.word("signedOutTitle")));
    page.context.insert("message".to_owned(), json!(strings.word("signedOutDescription")));
    let mut response = finish::show(pages, visit, &knobs, transaction, page);
    if leaving.is_none() {
        headers::add_cookie(
            &mut response,
            &format!("{SIGN_IN_COOKIE}=; Path=/; Secure; HttpOnly; SameSite=None; Max-Age=0"),
        );
    }
    Ok(response)
}
