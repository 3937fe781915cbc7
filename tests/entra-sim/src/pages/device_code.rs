//! The device code page: `input[name=otc]` that must never get anything from a password manager. A phisher's favourite.

use axum::http::Method;
use axum::response::Response;

use super::login::{note, take_transaction};
use super::session::Transaction;
use super::shell::Page;
use super::visit::Visit;
use super::{Pages, Refusal, finish, interrupts};

/// Asks for the code, and takes any.
pub(super) fn visit(pages: &Pages, visit: &Visit) -> Result<Response, Refusal> {
    let knobs = pages.knobs("common")?;
    if visit.method == Method::POST {
        let Some(transaction) = take_transaction(pages, visit) else {
            return finish::expired(pages, visit);
        };
        note(pages, visit, "", 0);
        return Ok(interrupts::confirm_app(pages, visit, &knobs, transaction));
    }
    let transaction = Transaction::bare("common", &visit.path_and_query, &knobs.language);
    let page = Page::new("ConvergedRemoteConnect", "device-code", "/common/oauth2/deviceauth");
    Ok(finish::show(pages, visit, &knobs, transaction, page))
}
