//! The POST of a credential to `/{tenant}/login`, checked as the real page's server checks it: same origin, canary,
//! a flow token that was not used before; then the directory decides.

use axum::response::Response;
use serde_json::Value;

use super::hosts::Host;
use super::journal::Attempt;
use super::session::Transaction;
use super::visit::Visit;
use super::{Pages, Refusal, authorize, finish, interrupts};
use crate::directory::SignInError;

/// Fields that can hold a credential.
const SECRET_FIELDS: [&str; 10] = [
    "assertion",
    "passwd",
    "accesspass",
    "otc",
    "currentpasswd",
    "newpasswd",
    "confirmnewpasswd",
    "secret",
    "password",
    "Password",
];

/// A password or a pass.
pub(super) fn post(pages: &Pages, visit: &Visit) -> Result<Response, Refusal> {
    let user_name = visit.posted("login").trim().to_owned();
    let Some(transaction) = take_transaction(pages, visit) else {
        note(pages, visit, &user_name, 50_089);
        return finish::expired(pages, visit);
    };
    let knobs = pages.knobs(&transaction.tenant)?;
    let with_pass =
        visit.posted("ps") == "56" || (visit.posted("passwd").is_empty() && !visit.posted("accesspass").is_empty());
    let hint = Some(transaction.tenant.as_str());
    // Federated credentials, forced errors and the like never reach the directory's lockout counter.
    let result = if let Some(number) = knobs.force_error {
        Err(number)
    } else if with_pass {
        pages
            .simulation()
            .sign_in_with_access_pass(hint, &user_name, visit.posted("accesspass"))
            .map_err(SignInError::number)
    } else {
        pages.simulation().sign_in_with_password(hint, &user_name, visit.posted("passwd")).map_err(SignInError::number)
    };
    note(pages, visit, &user_name, result.as_ref().err().copied().unwrap_or_default());
    match result {
        Ok(signed_in) => {
            let mut transaction = transaction;
            transaction.signed_in = Some(signed_in);
            finish::next(pages, visit, transaction)
        }
        Err(50_055) => Ok(interrupts::change_password(pages, visit, &knobs, transaction, &user_name, None)),
        Err(number @ (50_020 | 51_004 | 53_000..=53_004)) => {
            Ok(interrupts::blocked(pages, visit, &knobs, &transaction, &user_name, number))
        }
        Err(number) => {
            let mut transaction = transaction;
            transaction.renew_flow_token();
            let preferred = if with_pass { 13 } else { 1 };
            Ok(authorize::after_refusal(pages, visit, &knobs, transaction, &user_name, preferred, number))
        }
    }
}

/// The transaction that a form belongs to, with its flow token used up. Nothing when the form is not one that a page
/// of this origin just sent.
pub(super) fn take_transaction(pages: &Pages, visit: &Visit) -> Option<Transaction> {
    let ctx = match visit.posted("ctx") {
        "" => visit.posted("request"),
        ctx => ctx,
    };
    let mut memory = pages.memory();
    let transaction = memory.transactions.get_mut(ctx)?;
    let right = visit.is_from_same_origin()
        && visit.posted("canary") == transaction.canary
        && transaction.take_flow_token(visit.posted("flowToken"));
    right.then(|| transaction.clone())
}

/// What the page counted while it was open.
pub(super) fn observed(visit: &Visit) -> Value {
    serde_json::from_str(visit.posted("i21")).unwrap_or(Value::Null)
}

/// Notes an attempt: kinds of fields, never their values.
pub(super) fn note(pages: &Pages, visit: &Visit, user_name: &str, error: u32) {
    let fields: Vec<&str> = SECRET_FIELDS.into_iter().filter(|name| !visit.posted(name).is_empty()).collect();
    // Browsers post all sorts of things to all sorts of hosts; only a credential is worth a note there.
    if fields.is_empty() && visit.kind != Host::SignIn {
        return;
    }
    pages.note(|journal, at_ms| {
        journal.attempts.push(Attempt {
            at_ms,
            host: visit.host.clone(),
            path: visit.path.clone(),
            user_name: user_name.to_owned(),
            fields,
            view: visit.posted("ps").to_owned(),
            matched: error == 0,
            error,
            observed: observed(visit),
        });
    });
}
