//! Pages between the credential and the portal on which there is nothing to fill: MFA, registration, change of
//! password, consent, Conditional Access, confirmation of an app.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::knobs::{Interrupt, PageKnobs, ProofUp, Push};
use super::login::{note, take_transaction};
use super::session::{Step, Transaction, template_of};
use super::shell::Page;
use super::strings::Strings;
use super::visit::Visit;
use super::{Pages, Refusal, finish, headers};
use crate::directory::access::Proof;

/// The page of a forced interrupt.
pub(super) fn show(
    pages: &Pages,
    visit: &Visit,
    knobs: &PageKnobs,
    transaction: Transaction,
    interrupt: Interrupt,
) -> Response {
    let user = transaction.signed_in.as_ref().map(|known| known.user_name.clone()).unwrap_or_default();
    match interrupt {
        Interrupt::ProofUp => proof_up(pages, visit, knobs, transaction, Step::Interrupt, false),
        Interrupt::ChangePassword => change_password(pages, visit, knobs, transaction, &user, None),
        Interrupt::ConditionalAccess => blocked(pages, visit, knobs, &transaction, &user, 53_003),
        Interrupt::Error => blocked(pages, visit, knobs, &transaction, &user, 50_020),
        Interrupt::TfaCode | Interrupt::TfaMethods | Interrupt::TfaPush => {
            mfa(pages, visit, knobs, transaction, template_of(interrupt), None)
        }
        Interrupt::Consent => consent(pages, visit, knobs, transaction),
        Interrupt::Cmsi => confirm_app(pages, visit, knobs, transaction),
    }
}

/// "Permissions requested".
pub(super) fn consent(pages: &Pages, visit: &Visit, knobs: &PageKnobs, transaction: Transaction) -> Response {
    let mut page = Page::new("ConvergedConsent", "consent", "/common/Consent/Set");
    finish::for_user(&mut page, &transaction);
    let scopes = json!(["Sign you in and read your profile", "Maintain access to data you have given it access to"]);
    page.config.insert("arrScopes".to_owned(), scopes.clone());
    page.context.insert("scopes".to_owned(), scopes);
    finish::show(pages, visit, knobs, transaction, page)
}

/// `ConvergedTFA`; view numbers of its own.
fn mfa(
    pages: &Pages,
    visit: &Visit,
    knobs: &PageKnobs,
    transaction: Transaction,
    view: &'static str,
    message: Option<String>,
) -> Response {
    let strings = Strings::of(&transaction.language);
    let mut page = Page::new("ConvergedTFA", view, format!("{}/common/SAS/ProcessAuth", visit.origin));
    page.error = Some(if message.is_some() { 500_121 } else { 50_074 });
    page.message = Some(message.unwrap_or_default());
    finish::for_user(&mut page, &transaction);
    page.context.extend(mfa_context(&strings, transaction.number));
    page.config.insert(
        "arrUserProofs".to_owned(),
        json!([
            {"authMethodId": "PhoneAppNotification", "data": "PhoneAppNotification", "display": "+X XXXXXXXX12", "isDefault": view == "tfa-push", "isLocationAware": false},
            {"authMethodId": "PhoneAppOTP", "data": "PhoneAppOTP", "display": "+X XXXXXXXX12", "isDefault": view == "tfa-code", "isLocationAware": false},
        ]),
    );
    finish::show(pages, visit, knobs, transaction, page)
}

/// `ConvergedTFA` for somebody who has registered these.
pub(super) fn second_factor(
    pages: &Pages,
    visit: &Visit,
    knobs: &PageKnobs,
    transaction: Transaction,
    proofs: &[Proof],
    message: Option<String>,
) -> Response {
    let strings = Strings::of(&transaction.language);
    let view = if proofs == [Proof::Code] { "tfa-code" } else { "tfa-methods" };
    let mut page = Page::new("ConvergedTFA", view, format!("{}/common/SAS/ProcessAuth", visit.origin));
    page.error = Some(if message.is_some() { 500_121 } else { 50_074 });
    page.message = Some(message.unwrap_or_default());
    finish::for_user(&mut page, &transaction);
    page.context.extend(mfa_context(&strings, transaction.number));
    let of = |proof: &Proof| match proof {
        Proof::Passkey => ("FidoKey", "toFido", "usePasskey"),
        Proof::Code => ("PhoneAppOTP", "toCode", "useCode"),
    };
    let tiles = proofs
        .iter()
        .map(of)
        .map(|(value, click, word)| json!({"value": value, "click": click, "text": strings.word(word)}));
    page.context.insert("proofs".to_owned(), tiles.collect());
    let listed = proofs.iter().map(of).enumerate().map(|(position, (value, _, word))| {
        json!({
            "authMethodId": value, "data": value, "display": strings.word(word), "isDefault": position == 0,
            "isLocationAware": false,
        })
    });
    page.config.insert("arrUserProofs".to_owned(), listed.collect());
    finish::show(pages, visit, knobs, transaction, page)
}

/// What the MFA views are filled with.
#[must_use]
pub(super) fn mfa_context(strings: &Strings, number: u8) -> serde_json::Map<String, Value> {
    let proof =
        |value: &str, click: &str, word: &str| json!({"value": value, "click": click, "text": strings.word(word)});
    serde_json::Map::from_iter([
        ("method".to_owned(), json!("PhoneAppOTP")),
        ("codeDescription".to_owned(), json!(strings.word("codeFromApp"))),
        ("number".to_owned(), json!(number)),
        (
            "proofs".to_owned(),
            json!([
                proof("PhoneAppNotification", "toPush", "useApp"),
                proof("PhoneAppOTP", "toCode", "useCode"),
                proof("OneWaySMS", "toCode", "textMe"),
                proof("TwoWayVoiceMobile", "toCode", "callMe"),
                proof("AccessPass", "toCode", "useAccessPass"),
            ]),
        ),
    ])
}

/// `BeginAuth` and `EndAuth` of a notification.
pub(super) fn notification(pages: &Pages, visit: &Visit, ending: bool) -> Result<Response, Refusal> {
    let question: Value = serde_json::from_slice(&visit.body).unwrap_or_default();
    let ctx = question.get("ctx").and_then(Value::as_str).unwrap_or_default();
    let Some(transaction) = pages.memory().transactions.get(ctx).cloned() else {
        return Ok(Json(json!({"Success": false, "ResultValue": "InvalidSession"})).into_response());
    };
    let push = pages.knobs(&transaction.tenant)?.push;
    let answer = match (ending, push) {
        (false, _) => json!({"Success": true, "ResultValue": "Success", "Entropy": transaction.number}),
        (true, Push::Approved) => json!({"Success": true, "ResultValue": "Success"}),
        (true, Push::Denied) => json!({"Success": false, "ResultValue": "PhoneAppDenied"}),
        (true, Push::Unanswered) => json!({"Success": false, "ResultValue": "PhoneAppNoResponse"}),
        (true, Push::Waits) => json!({"Success": false, "ResultValue": "AuthenticationPending", "Retry": true}),
    };
    Ok(Json(answer).into_response())
}

/// `ProcessAuth`: the code, or an approved notification.
pub(super) fn process_auth(pages: &Pages, visit: &Visit) -> Result<Response, Refusal> {
    let Some(mut transaction) = take_transaction(pages, visit) else {
        return finish::expired(pages, visit);
    };
    let knobs = pages.knobs(&transaction.tenant)?;
    let user = transaction.signed_in.as_ref().map(|known| known.user_name.clone()).unwrap_or_default();
    let code = visit.posted("otc");
    // Whoever has a token of her own is held to it.
    let own = transaction
        .signed_in
        .clone()
        .filter(|known| pages.simulation().proofs_of(&known.user_id).contains(&Proof::Code));
    if let Some(known) = own.filter(|_| !code.is_empty()) {
        let result = pages.simulation().add_code(&known, code);
        note(pages, visit, &user, result.as_ref().err().map_or(0, |error| error.number()));
        return match result {
            Ok(signed_in) => {
                transaction.signed_in = Some(signed_in);
                transaction.passed.insert(Step::Interrupt);
                finish::next(pages, visit, transaction)
            }
            Err(_) => {
                let message = Strings::of(&transaction.language).word("wrongCode");
                Ok(second_factor(pages, visit, &knobs, transaction, &[Proof::Code], Some(message)))
            }
        };
    }
    let right = if code.is_empty() { knobs.push == Push::Approved } else { code == knobs.otp };
    note(pages, visit, &user, if right { 0 } else { 500_121 });
    if right {
        transaction.passed.insert(Step::Interrupt);
        finish::next(pages, visit, transaction)
    } else {
        let message = Strings::of(&transaction.language).word("wrongCode");
        Ok(mfa(pages, visit, &knobs, transaction, "tfa-code", Some(message)))
    }
}

/// "More information required": the account has to register something before the portal opens.
pub(super) fn proof_up(
    pages: &Pages,
    visit: &Visit,
    knobs: &PageKnobs,
    transaction: Transaction,
    step: Step,
    required: bool,
) -> Response {
    let origin = &visit.origin;
    let skip = format!("{origin}/common/reprocess?ctx={}&skip={step:?}", transaction.id);
    let mut page = Page::new("ConvergedProofUpRedirect", "proof-up", "https://mysignins.microsoft.com/register");
    finish::for_user(&mut page, &transaction);
    let can_skip = knobs.proof_up == ProofUp::Skippable && !required;
    page.context.insert("canSkip".to_owned(), json!(can_skip));
    page.context.insert("skipUrl".to_owned(), json!(skip));
    page.config.insert("iRemainingDaysToSkipMfaRegistration".to_owned(), json!(if can_skip { 14 } else { 0 }));
    page.config.insert("urlSkipMfaRegistration".to_owned(), json!(can_skip.then_some(skip)));
    page.config.insert("sProofUpToken".to_owned(), json!(super::session::random()));
    finish::show(pages, visit, knobs, transaction, page)
}

/// `/reprocess`: goes on after registration, or without it.
pub(super) fn reprocess(pages: &Pages, visit: &Visit) -> Result<Response, Refusal> {
    let ctx = visit.asked("ctx").unwrap_or_default();
    let Some(mut transaction) = pages.memory().transactions.get(ctx).cloned() else {
        return finish::expired(pages, visit);
    };
    if transaction.signed_in.is_none() {
        return Ok(redirect(&transaction.began_at));
    }
    let may_skip = pages.knobs(&transaction.tenant)?.proof_up != ProofUp::Required;
    if may_skip || visit.asked("registered").is_some() {
        match visit.asked("skip") {
            Some("Interrupt") => transaction.passed.insert(Step::Interrupt),
            _ => transaction.passed.insert(Step::ProofUp),
        };
    }
    finish::next(pages, visit, transaction)
}

/// "Update your password".
pub(super) fn change_password(
    pages: &Pages,
    visit: &Visit,
    knobs: &PageKnobs,
    transaction: Transaction,
    user: &str,
    message: Option<String>,
) -> Response {
    let mut page = Page::new("ConvergedChangePassword", "change-password", "/common/SSPR/changepassword");
    finish::for_user(&mut page, &transaction);
    user.clone_into(&mut page.user);
    page.error = Some(50_055);
    page.message = Some(message.unwrap_or_default());
    finish::show(pages, visit, knobs, transaction, page)
}

/// The form of [`change_password`]: noted, and refused, because a just-in-time account never gets that far.
pub(super) fn post_new_password(pages: &Pages, visit: &Visit) -> Result<Response, Refusal> {
    let Some(transaction) = take_transaction(pages, visit) else {
        return finish::expired(pages, visit);
    };
    let user = transaction.signed_in.as_ref().map(|known| known.user_name.clone()).unwrap_or_default();
    note(pages, visit, &user, 50_055);
    let knobs = pages.knobs(&transaction.tenant)?;
    let message = "Your organization does not let you change this password here.".to_owned();
    Ok(change_password(pages, visit, &knobs, transaction, &user, Some(message)))
}

/// Conditional Access says no, or another refusal that no credential helps against.
pub(super) fn blocked(
    pages: &Pages,
    visit: &Visit,
    knobs: &PageKnobs,
    transaction: &Transaction,
    user: &str,
    number: u32,
) -> Response {
    if !(53_000..=53_004).contains(&number) {
        let message = format!("User account '{user}' does not exist in this tenant and cannot sign in here.");
        return finish::error_page(pages, visit, knobs, transaction, number, &message);
    }
    let mut page = Page::new("ConvergedConditionalAccess", "conditional-access", "");
    finish::for_user(&mut page, transaction);
    user.clone_into(&mut page.user);
    page.error = Some(number);
    page.message = Some(String::new());
    page.context.insert("code".to_owned(), json!(number));
    finish::show(pages, visit, knobs, transaction.clone(), page)
}

/// "Are you trying to sign in to …?"
pub(super) fn confirm_app(pages: &Pages, visit: &Visit, knobs: &PageKnobs, transaction: Transaction) -> Response {
    let strings = Strings::of(&transaction.language);
    let mut page = Page::new("CmsiInterrupt", "cmsi", "/appverify");
    page.error = Some(50_199);
    page.message = Some(String::new());
    finish::for_user(&mut page, &transaction);
    let title = strings.word_with("cmsiTitle", page.context.get("appName").and_then(Value::as_str).unwrap_or_default());
    page.context.insert("cmsiTitle".to_owned(), json!(title));
    finish::show(pages, visit, knobs, transaction, page)
}

/// The answer of [`confirm_app`] and of consent.
pub(super) fn go_on(pages: &Pages, visit: &Visit) -> Result<Response, Refusal> {
    let Some(mut transaction) = take_transaction(pages, visit) else {
        return finish::expired(pages, visit);
    };
    if transaction.redirect_uri.is_empty() {
        let knobs = pages.knobs(&transaction.tenant)?;
        let strings = Strings::of(&transaction.language);
        let mut page = Page::new("ConvergedRemoteConnect", "message", "");
        page.context.insert("title".to_owned(), json!(strings.word("signedIn")));
        page.context.insert("message".to_owned(), json!(strings.word("done")));
        return Ok(finish::show(pages, visit, &knobs, transaction, page));
    }
    transaction.passed.insert(Step::Interrupt);
    if visit.path == "/common/Consent/Set" {
        transaction.passed.insert(Step::Consent);
    }
    finish::next(pages, visit, transaction)
}

/// 302.
#[must_use]
pub(super) fn redirect(address: &str) -> Response {
    let mut response = axum::http::StatusCode::FOUND.into_response();
    headers::set(&mut response, "location", address);
    headers::set(&mut response, "cache-control", "no-store");
    response
}
