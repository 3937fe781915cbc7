//! The passkey's leg: `/{tenant}/fido/get` on the relying party's host asks the browser for a signature, and the page
//! there posts it back to the host on which the sign-in began.
//!
//! Two hosts take part, so that the usual check for one origin cannot be made: a canary of its own (`lmcCanary`) stands in
//! for it on the way back, and both origins are checked by name.

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::hosts::Host;
use super::login::note;
use super::session::{Transaction, random};
use super::shell::{self, Page};
use super::strings::Strings;
use super::visit::Visit;
use super::{Pages, Refusal, authorize, finish, interrupts};
use crate::directory::SignInError;
use crate::directory::strong::PasskeyQuestion;
use crate::passkeys::Assertion;

/// The page that asks for the signature.
pub(super) fn ask(pages: &Pages, visit: &Visit) -> Result<Response, Refusal> {
    let relying_party = pages.simulation().knobs().passkey_relying_party;
    if visit.host != relying_party {
        return Err(Refusal::NoSuchPage);
    }
    let Some(mut transaction) = take_transaction(pages, visit) else {
        return finish::expired(pages, visit);
    };
    let user = match &transaction.signed_in {
        Some(signed_in) => signed_in.user_name.clone(),
        None => visit.posted("username").trim().to_owned(),
    };
    let question = pages.simulation().ask_for_passkey(Some(user.as_str()).filter(|name| !name.is_empty()));
    let Ok(question) = question else {
        return finish::expired(pages, visit);
    };
    let knobs = pages.knobs(&transaction.tenant)?;
    let segment = shell::post_segment(&transaction, &pages.tenant(&transaction.tenant));
    let home = format!("https://{}/{segment}", transaction.host);
    let mut page = Page::new("ConvergedSignIn", "fido", format!("{home}/login"));
    let hint: String = url::form_urlencoded::byte_serialize(user.as_bytes()).collect();
    transaction.cross_domain_canary = random();
    page.config.extend([
        ("sFidoChallenge".to_owned(), json!(URL_SAFE_NO_PAD.encode(&question.challenge))),
        ("arrFidoAllowList".to_owned(), question.allowed.iter().map(|id| URL_SAFE_NO_PAD.encode(id)).collect()),
        ("sFidoRpId".to_owned(), json!(relying_party)),
        ("sCrossDomainCanary".to_owned(), json!(transaction.cross_domain_canary)),
        (
            "urlFidoCancel".to_owned(),
            json!(format!("{home}/resume?ctx={}&fidoCancel=1&login_hint={hint}", transaction.id)),
        ),
    ]);
    page.user = user;
    transaction.passkey = Some(question);
    Ok(finish::show(pages, visit, &knobs, transaction, page))
}

/// The signature, at the host where the sign-in began.
pub(super) fn answer(pages: &Pages, visit: &Visit) -> Result<Response, Refusal> {
    let user = visit.posted("login").trim().to_owned();
    let Some((mut transaction, question)) = take_question(pages, visit) else {
        note(pages, visit, &user, 50_089);
        return finish::expired(pages, visit);
    };
    let knobs = pages.knobs(&transaction.tenant)?;
    let simulation = pages.simulation();
    let result = match (read(visit.posted("assertion")), knobs.force_error) {
        (_, Some(number)) => Err(number),
        (None, None) => Err(SignInError::PasskeyRefused.number()),
        (Some(answer), None) => match &transaction.signed_in {
            Some(signed_in) => simulation.add_passkey(signed_in, &question, &answer),
            None => {
                let named = Some(user.as_str()).filter(|name| !name.is_empty());
                simulation.sign_in_with_passkey(Some(&transaction.tenant), named, &question, &answer)
            }
        }
        .map_err(SignInError::number),
    };
    note(pages, visit, &user, result.as_ref().err().copied().unwrap_or_default());
    match result {
        Ok(signed_in) => {
            transaction.signed_in = Some(signed_in);
            finish::next(pages, visit, transaction)
        }
        Err(number) if transaction.signed_in.is_some() => {
            let message = Strings::of(&transaction.language).error(number);
            let proofs = transaction.signed_in.as_ref().map(|known| simulation.proofs_of(&known.user_id));
            Ok(interrupts::second_factor(pages, visit, &knobs, transaction, &proofs.unwrap_or_default(), Some(message)))
        }
        Err(number) => {
            transaction.renew_flow_token();
            Ok(authorize::after_refusal(pages, visit, &knobs, transaction, &user, 7, number))
        }
    }
}

/// The transaction of a page on a sign-in host that sends the browser here, with its flow token used up.
fn take_transaction(pages: &Pages, visit: &Visit) -> Option<Transaction> {
    let mut memory = pages.memory();
    let transaction = memory.transactions.get_mut(visit.posted("ctx"))?;
    let from_here = visit
        .header("origin")
        .is_none_or(|origin| origin.strip_prefix("https://").is_some_and(|host| Host::of(host, true) == Host::SignIn));
    let right = from_here
        && visit.posted("canary") == transaction.canary
        && transaction.take_flow_token(visit.posted("flowToken"));
    right.then(|| transaction.clone())
}

/// The transaction and the question that a signature belongs to. Whatever becomes of it, the question is used up.
fn take_question(pages: &Pages, visit: &Visit) -> Option<(Transaction, PasskeyQuestion)> {
    let mut memory = pages.memory();
    let transaction = memory.transactions.get_mut(visit.posted("ctx"))?;
    let question = transaction.passkey.take()?;
    let origin = format!("https://{}", question.relying_party);
    let right = visit.header("origin").is_none_or(|known| known == origin)
        && !transaction.cross_domain_canary.is_empty()
        && visit.posted("lmcCanary") == transaction.cross_domain_canary
        && visit.posted("canary") == transaction.canary
        && transaction.take_flow_token(visit.posted("flowToken"));
    transaction.cross_domain_canary.clear();
    right.then(|| (transaction.clone(), question))
}

fn read(text: &str) -> Option<Assertion> {
    let object: Value = serde_json::from_str(text).ok()?;
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(object.get(name)?.as_str()?).ok();
    Some(Assertion {
        id: bytes("id")?,
        client_data: bytes("clientDataJSON")?,
        authenticator_data: bytes("authenticatorData")?,
        signature: bytes("signature")?,
        user_handle: match object.get("userHandle") {
            None | Some(Value::Null) => None,
            Some(_) => Some(bytes("userHandle")?).filter(|handle| !handle.is_empty()),
        },
    })
}
