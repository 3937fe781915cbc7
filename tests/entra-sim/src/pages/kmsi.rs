//! "Stay signed in?".

use axum::response::Response;

use super::journal::StaySignedIn;
use super::knobs::PageKnobs;
use super::login::{observed, take_transaction};
use super::session::{Step, Transaction};
use super::shell::Page;
use super::visit::Visit;
use super::{Pages, Refusal, finish};

/// The question.
pub(super) fn show(pages: &Pages, visit: &Visit, knobs: &PageKnobs, transaction: Transaction) -> Response {
    let mut page = Page::new("KmsiInterrupt", "kmsi", "/kmsi");
    page.error = Some(50_140);
    finish::for_user(&mut page, &transaction);
    // The interrupt has a number but is not an error that the page shows.
    page.message = Some(String::new());
    finish::show(pages, visit, knobs, transaction, page)
}

/// The answer: `LoginOptions` 1 is yes, 3 is no.
pub(super) fn answer(pages: &Pages, visit: &Visit) -> Result<Response, Refusal> {
    let Some(mut transaction) = take_transaction(pages, visit) else {
        return finish::expired(pages, visit);
    };
    pages.note(|journal, at_ms| {
        journal.stay_signed_in.push(StaySignedIn {
            at_ms,
            user_name: transaction.signed_in.as_ref().map(|known| known.user_name.clone()).unwrap_or_default(),
            stay: visit.posted("LoginOptions") == "1",
            do_not_show_again: visit.posted("DontShowAgain") == "true",
            observed: observed(visit),
        });
    });
    transaction.stay = visit.posted("LoginOptions") == "1";
    transaction.passed.insert(Step::StaySignedIn);
    finish::next(pages, visit, transaction)
}
