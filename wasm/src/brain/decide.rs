//! What to do on a page: one pure function from a sign-in and a look at its page to one decision.
//!
//! This is the table of sign-in pages that a reader can check against the facts. It is asked only for a page whose
//! origin and frame have passed ([`super::machine`]), only after a click, and it errs on the side of doing nothing.

use latchkey_protocol::{CredentialKind, FillField, cloud::SignInOrigin};
use uuid::Uuid;

use super::{
    address::hint,
    flow::{Flow, Purpose, Reason, key_of},
    page::View,
    snapshot::{Element, Snapshot},
};
use crate::{
    elements::ElementKey as Key,
    words::{Text, Word},
};

/// A page that may be acted on: its document and origin as the browser gave them, and what was seen.
#[derive(Clone, Debug)]
pub struct Page {
    /// The document.
    pub document_id: String,
    /// Its origin.
    pub origin: SignInOrigin,
    /// What it shows.
    pub view: View,
    /// The look itself.
    pub snapshot: Snapshot,
    /// The address, for the tenant hint.
    pub url: String,
    /// How long it has shown this kind of thing: when it began.
    pub since: i64,
}

/// What is known about the lease that a sign-in needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// The account is being activated.
    Pending,
    /// The host holds a credential.
    Held {
        /// The lease.
        lease_id: Uuid,
        /// What was issued.
        credential: CredentialKind,
        /// Whether the account was created for this lease.
        created: bool,
    },
    /// There is none and none is coming.
    None,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: something else will happen.
    Wait(Text),
    /// Nothing before a moment.
    WaitUntil(i64, Reason),
    /// Begin to wait before trying again; the text says what is wrong if there has been enough of it.
    Again(Reason, String, Text),
    /// Write the user name into its box.
    FillUserName,
    /// Ask the host for the secret for this field.
    AskSecret(Uuid, FillField),
    /// Click something.
    Press(Key, Option<String>, Purpose),
    /// Nothing: the person must do something. With `true`, 'Try again' is offered.
    Tell(Text, bool),
}

/// How long a page may show nothing that is known.
pub const UNKNOWN_AFTER_MS: i64 = 8_000;
/// How long a page may be busy, or leave a click without an answer.
pub const STALLED_AFTER_MS: i64 = 20_000;

/// The decision for a page.
#[must_use]
pub fn decide(flow: &Flow, grant: Grant, page: &Page, now: i64) -> Decision {
    if !flow.cloud.signs_in_at(&page.origin) {
        return tell_with(Word::PageWrongCloud, &flow.tenant_name);
    }
    if flow.acting.is_some() {
        return wait(Word::StatusFilling);
    }
    if flow.is_looping(&page.document_id) {
        return tell(Word::PageLoop);
    }
    let stalled = |limit: i64| now.saturating_sub(page.since) >= limit;
    match page.view {
        View::Loading | View::Unknown if stalled(UNKNOWN_AFTER_MS) => return tell(Word::PageUnknown),
        View::Busy | View::Sliding if stalled(STALLED_AFTER_MS) => return tell(Word::PageChanging),
        View::Loading | View::Unknown | View::Busy | View::Sliding => {
            return wait(if flow.pressed.is_some() { Word::StatusSubmitted } else { Word::StatusPage });
        }
        _ => {}
    }
    let here = flow.document(&page.document_id);
    let unanswered = flow
        .pressed
        .as_ref()
        .is_some_and(|pressed| pressed.document_id == page.document_id && pressed.view == page.view);
    match page.view {
        View::UserName => on_user_name(flow, grant, page, here.map_or(0, |document| document.nexts), now),
        _ if unanswered && stalled(STALLED_AFTER_MS) => tell(Word::PageChanging),
        _ if unanswered => wait(Word::StatusSubmitted),
        View::Password => on_credential(flow, grant, page, FillField::Password, now),
        View::AccessPass => on_credential(flow, grant, page, FillField::AccessPass, now),
        View::Picker => on_picker(flow, page),
        View::WorkOrPersonal => press_or(page, Key::WorkTile, Purpose::WorkTile, Word::PageWorkOrPersonal),
        View::Credentials => on_credentials(flow, grant, page),
        View::StaySignedIn => on_stay_signed_in(flow, page),
        View::Methods if credential(flow, grant) == CredentialKind::TemporaryAccessPass => {
            press_or(page, Key::AccessPassTile, Purpose::AccessPassTile, Word::PageMethods)
        }
        View::Error | View::ConditionalAccess => on_error_page(page),
        other => tell(what_to_do(other)),
    }
}

/// What the person must do on a page on which there is nothing to fill.
#[must_use]
pub const fn what_to_do(view: View) -> Word {
    match view {
        View::Code => Word::PageCode,
        View::Methods => Word::PageMethods,
        View::Approval => Word::PageApproval,
        View::ApprovalOver => Word::PageApprovalOver,
        View::ProofUp => Word::PageProofUp,
        View::ChangePassword => Word::PageChangePassword,
        View::Consent => Word::PageConsent,
        View::ConditionalAccess => Word::PageConditionalAccess,
        View::DeviceCode => Word::PageDeviceCode,
        View::ConfirmApplication => Word::PageConfirmApplication,
        View::Federated => Word::PageFederated,
        View::Captcha => Word::PageCaptcha,
        View::Passkey => Word::PagePasskey,
        View::SignOut => Word::PageSignOut,
        View::Picker => Word::PageNoTile,
        View::WorkOrPersonal => Word::PageWorkOrPersonal,
        View::Error => Word::RefusedNoNumber,
        View::Loading
        | View::Busy
        | View::Sliding
        | View::UserName
        | View::Password
        | View::AccessPass
        | View::Credentials
        | View::StaySignedIn
        | View::Unknown => Word::PageUnknown,
    }
}

/// Whether two user principal names are the same.
#[must_use]
pub fn is_same_account(left: &str, right: &str) -> bool {
    left.trim().eq_ignore_ascii_case(right.trim())
}

/// The one field that a secret may go into, or why not.
///
/// # Errors
/// What to tell the person; [`Word::StatusHidden`] and [`Word::StatusPage`] pass by themselves.
pub fn field_for_secret(flow: &Flow, page: &Page, field: FillField) -> Result<(), Text> {
    let key = key_of(field);
    let Some(element) = page.snapshot.visible(key) else {
        return Err(Text::of(Word::StatusPage));
    };
    if element.visible != 1 {
        return Err(Text::of(Word::PageManyFields));
    }
    let masked = element.input_type.as_deref() == Some("password");
    // A pass may be shown in the clear by the page's own switch; a password never is.
    let type_fits = masked || (field == FillField::AccessPass && element.input_type.as_deref() == Some("text"));
    if !type_fits {
        return Err(Text::of(Word::PageUnknown));
    }
    let other_boxes = [Key::UserName, Key::Password, Key::AccessPass, Key::Code, Key::DeviceCode, Key::ChangePassword];
    let masked_boxes = page.snapshot.visible(Key::Masked).map_or(0, |boxes| boxes.visible);
    if masked_boxes > u32::from(masked)
        || other_boxes.iter().any(|other| *other != key && page.snapshot.visible(*other).is_some())
    {
        return Err(Text::of(Word::PageManyFields));
    }
    if !page.snapshot.form_origin.as_deref().is_some_and(|origin| leads_home(flow, origin)) {
        return Err(Text::of(Word::PageForeignForm));
    }
    match identity(page) {
        None if is_for_us(flow, page, field) => {}
        None => return Err(Text::of(Word::StatusPage)),
        Some(identity) if !is_same_account(identity, &flow.user_name) => {
            return Err(Text::with(Word::PageOtherAccount, identity));
        }
        Some(_) => {}
    }
    if !page.snapshot.on_screen {
        return Err(Text::of(Word::StatusHidden));
    }
    if !element.enabled || element.read_only {
        return Err(Text::of(Word::StatusPage));
    }
    if !element.clear {
        return Err(Text::of(Word::PageCovered));
    }
    Ok(())
}

/// Whether a form leads to where the flow signs in.
fn leads_home(flow: &Flow, form_origin: &str) -> bool {
    SignInOrigin::of_address(form_origin).is_some_and(|origin| flow.cloud.signs_in_at(&origin))
}

/// Who the page says is signing in.
fn identity(page: &Page) -> Option<&str> {
    page.snapshot.identity.as_deref().filter(|identity| !identity.is_empty())
}

/// Whether a page that names nobody is our sign-in all the same: the pass view may leave the banner out, and then either
/// this document had the user name from us or its address carries it. A password never goes to a page that names nobody.
fn is_for_us(flow: &Flow, page: &Page, field: FillField) -> bool {
    let named_by_us = flow.document(&page.document_id).is_some_and(|document| document.user_name_filled);
    let named_in_address = || {
        hint(&page.url, page.snapshot.post_url.as_deref())
            .user_name
            .is_some_and(|user_name| is_same_account(&user_name, &flow.user_name))
    };
    field == FillField::AccessPass && (named_by_us || named_in_address())
}

fn credential(flow: &Flow, grant: Grant) -> CredentialKind {
    match grant {
        Grant::Held { credential, .. } => credential,
        Grant::Pending | Grant::None => flow.credential,
    }
}

fn on_user_name(flow: &Flow, grant: Grant, page: &Page, nexts: u32, now: i64) -> Decision {
    let snapshot = &page.snapshot;
    let Some(field) = snapshot.visible(Key::UserName) else {
        return wait(Word::StatusPage);
    };
    if field.visible != 1 {
        return tell(Word::PageManyFields);
    }
    if !field.enabled || field.read_only {
        return wait(Word::StatusPage);
    }
    if snapshot.form_origin.as_deref().is_some_and(|origin| !leads_home(flow, origin)) {
        return tell(Word::PageForeignForm);
    }
    let is_ours = field.value.as_deref().is_some_and(|value| is_same_account(value, &flow.user_name));
    let filled = flow.document(&page.document_id).is_some_and(|document| document.user_name_filled);
    if !is_ours {
        // A value that was ours and is not any more was changed by somebody: hands off.
        return if filled { tell(Word::PageRefusesValue) } else { Decision::FillUserName };
    }
    let pressed_here = flow.pressed.as_ref().is_some_and(|pressed| {
        pressed.document_id == page.document_id && pressed.view == View::UserName && pressed.purpose == Purpose::Next
    });
    let refused = snapshot.visible(Key::UserNameError).is_some() || code(snapshot) == Some("50034");
    let may_try_again = flow.allowed.as_deref() == Some(page.document_id.as_str());
    if refused && !may_try_again && (pressed_here || nexts == 0) {
        let unknown = Text::of(Word::RefusedUnknownUser);
        // The page may have been asked before the account was there.
        match grant {
            Grant::Pending => return wait(Word::StatusActivating),
            Grant::Held { created: true, .. } => {}
            Grant::Held { .. } if nexts == 0 => {}
            Grant::Held { .. } | Grant::None => return Decision::Tell(unknown, true),
        }
        if nexts > 0 || code(snapshot) == Some("50034") {
            match waited(flow, Reason::UnknownUser, about(page, nexts), unknown, now) {
                None => {}
                Some(decision) => return decision,
            }
        }
    } else if pressed_here && !may_try_again {
        return if now.saturating_sub(page.since) >= STALLED_AFTER_MS {
            tell(Word::PageChanging)
        } else {
            wait(Word::StatusSubmitted)
        };
    }
    press_or(page, Key::Primary, Purpose::Next, Word::PageUnknown)
}

fn on_credential(flow: &Flow, grant: Grant, page: &Page, field: FillField, now: i64) -> Decision {
    let snapshot = &page.snapshot;
    match identity(page) {
        None if is_for_us(flow, page, field) => {}
        None if now.saturating_sub(page.since) >= UNKNOWN_AFTER_MS => return tell(Word::PageUnknown),
        None => return wait(Word::StatusPage),
        Some(identity) if !is_same_account(identity, &flow.user_name) => {
            let other = tell_with(Word::PageOtherAccount, identity);
            let went_back = flow.document(&page.document_id).is_some_and(|document| document.backs > 0);
            return if went_back { other } else { press(page, Key::Back, Purpose::BackForAccount).unwrap_or(other) };
        }
        Some(_) => {}
    }
    let credential = credential(flow, grant);
    if credential != field.takes() {
        return match credential {
            CredentialKind::TemporaryAccessPass => towards_pass(flow, grant, page, now),
            CredentialKind::Password => {
                press(page, Key::ToPassword, Purpose::ToPassword).unwrap_or_else(|| not_offered(credential))
            }
        };
    }
    let here = flow.document(&page.document_id);
    if let Some(document) = here
        && document.secret_filled == Some(field)
    {
        let is_empty = snapshot.visible(key_of(field)).is_none_or(|element| element.empty);
        return if document.submitted {
            wait(Word::StatusSubmitted)
        } else if is_empty {
            tell(Word::PageRefusesValue)
        } else {
            press_or(page, Key::Primary, Purpose::Submit, Word::PageUnknown)
        };
    }
    let may_try_again = flow.allowed.as_deref() == Some(page.document_id.as_str());
    if !may_try_again && let Some(decision) = refused(flow, page, now) {
        return decision;
    }
    if !may_try_again && code(snapshot).is_none() && flow.was_submitted_before(&page.document_id, field) {
        return Decision::Tell(Text::of(Word::PageAsksAgain), !flow.allowed_once);
    }
    let Grant::Held { lease_id, .. } = grant else {
        return wait(Word::StatusActivating);
    };
    if here.is_some_and(|document| document.secret_asked.is_some()) {
        return if flow.asking.is_some() { wait(Word::StatusFilling) } else { tell(Word::PageChanging) };
    }
    match field_for_secret(flow, page, field) {
        Ok(()) => Decision::AskSecret(lease_id, field),
        Err(text) if text.key == Word::StatusPage.key() || text.key == Word::StatusHidden.key() => Decision::Wait(text),
        Err(text) => Decision::Tell(text, false),
    }
}

/// From the password to the pass. Microsoft decides after Next what it offers: a pass that was made later is offered
/// only when it is asked again.
fn towards_pass(flow: &Flow, grant: Grant, page: &Page, now: i64) -> Decision {
    if let Some(decision) = press(page, Key::ToAccessPass, Purpose::ToAccessPass)
        .or_else(|| press(page, Key::AccessPassTile, Purpose::AccessPassTile))
    {
        return decision;
    }
    if !matches!(grant, Grant::Held { .. }) {
        return wait(Word::StatusActivating);
    }
    if flow.detours == 0
        && let Some(decision) = press(page, Key::ToCredentials, Purpose::ToCredentials)
    {
        return decision;
    }
    let Some(back) = press(page, Key::Back, Purpose::BackForPass) else {
        return tell(Word::PageNoPass);
    };
    let backs = flow.document(&page.document_id).map_or(0, |document| document.backs);
    if backs == 0 && flow.wait(Reason::PassNotOffered).tries == 0 {
        // The first time at once: most often the pass is there by now.
        return back;
    }
    waited(flow, Reason::PassNotOffered, about(page, backs), Text::of(Word::PageNoPass), now).unwrap_or(back)
}

fn on_credentials(flow: &Flow, grant: Grant, page: &Page) -> Decision {
    match credential(flow, grant) {
        CredentialKind::TemporaryAccessPass => {
            if let Some(decision) = press(page, Key::AccessPassTile, Purpose::AccessPassTile) {
                return decision;
            }
            if !matches!(grant, Grant::Held { .. }) {
                return wait(Word::StatusActivating);
            }
            press(page, Key::Back, Purpose::BackForPass)
                .filter(|_| flow.detours < 6)
                .unwrap_or_else(|| not_offered(CredentialKind::TemporaryAccessPass))
        }
        CredentialKind::Password => {
            press(page, Key::ToPassword, Purpose::ToPassword).unwrap_or_else(|| not_offered(CredentialKind::Password))
        }
    }
}

fn on_picker(flow: &Flow, page: &Page) -> Decision {
    let mut own = page.snapshot.tiles.iter().filter(|tile| is_same_account(tile, &flow.user_name));
    match (own.next(), own.next()) {
        (Some(tile), None) => Decision::Press(Key::Tiles, Some(tile.clone()), Purpose::AccountTile),
        (None, _) => press_or(page, Key::OtherTile, Purpose::OtherTile, Word::PageNoTile),
        (Some(_), Some(_)) => tell(Word::PageNoTile),
    }
}

fn on_stay_signed_in(flow: &Flow, page: &Page) -> Decision {
    let is_ours = match page.snapshot.identity.as_deref() {
        Some(identity) if !identity.is_empty() => is_same_account(identity, &flow.user_name),
        _ => flow.submitted,
    };
    if !is_ours {
        return tell_with(Word::PageOtherAccount, page.snapshot.identity.as_deref().unwrap_or_default());
    }
    press_or(page, Key::Back, Purpose::DoNotStay, Word::PageUnknown)
}

fn on_error_page(page: &Page) -> Decision {
    let word = match (page.view, code(&page.snapshot)) {
        (View::ConditionalAccess, Some(number)) => return tell_with(Word::PageConditionalAccess, number),
        (View::ConditionalAccess, None) => return tell_with(Word::PageConditionalAccess, ""),
        (_, None) => Word::RefusedNoNumber,
        (_, Some(number)) => {
            let text = refusal(number);
            return if text.key == Word::RefusedOther.key() {
                tell_with(Word::PageError, number)
            } else {
                Decision::Tell(text, false)
            };
        }
    };
    tell(word)
}

/// What a refusal that the page already shows means for the next fill; nothing when there was none.
fn refused(flow: &Flow, page: &Page, now: i64) -> Option<Decision> {
    let shows_error = page.snapshot.visible(Key::PasswordError).is_some();
    let Some(number) = code(&page.snapshot) else {
        return shows_error.then(|| Decision::Tell(Text::of(Word::RefusedNoNumber), !flow.allowed_once));
    };
    let again = match number {
        "50057" => Some(Reason::Disabled),
        "130503" => Some(Reason::PassUnknown),
        // The address was the one with the error; the account has been found since.
        "50034" => return None,
        _ => None,
    };
    let text = refusal(number);
    match again {
        Some(reason) => waited(flow, reason, about(page, 0), text, now),
        None => {
            let may_retry = number == "50126" && !flow.allowed_once;
            Some(Decision::Tell(text, may_retry))
        }
    }
}

/// What Microsoft's number means.
#[must_use]
pub fn refusal(number: &str) -> Text {
    let word = match number {
        "50034" => Word::RefusedUnknownUser,
        "50126" => Word::RefusedCredential,
        "50053" => Word::RefusedLocked,
        "50055" => Word::RefusedExpired,
        "50056" => Word::RefusedInvalidPassword,
        "50057" => Word::RefusedDisabled,
        "50089" => Word::RefusedFlow,
        "90094" => Word::RefusedConsent,
        "130502" => Word::RefusedPassPolicy,
        "130503" => Word::RefusedPassInvalid,
        "130504" => Word::RefusedPassExpired,
        "130505" => Word::RefusedPassUsed,
        "130506" => Word::RefusedPassElsewhere,
        "50128" | "90002" => return Text::with(Word::RefusedTenant, number),
        "50072" | "50074" | "50076" | "50079" => return Text::with(Word::RefusedFactor, number),
        "53000" | "53001" | "53003" | "53004" => return Text::with(Word::RefusedPolicy, number),
        "70044" | "70046" => return Text::with(Word::RefusedAgain, number),
        "130500" | "135016" => return Text::with(Word::RefusedMethod, number),
        other => return Text::with(Word::RefusedOther, other),
    };
    Text::of(word)
}

/// The number of an error that the page was loaded with. 50058 ('not signed in') is how every sign-in begins; 50140
/// and 50199 are questions, not refusals.
fn code(snapshot: &Snapshot) -> Option<&str> {
    let number = snapshot.error_code.as_deref()?;
    let is_number = (1..=8).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !matches!(number, "0" | "50058" | "50140" | "50199")).then_some(number)
}

/// Waiting for a reason: nothing when the wait about exactly this is over.
fn waited(flow: &Flow, reason: Reason, about: String, text: Text, now: i64) -> Option<Decision> {
    let wait = flow.wait(reason);
    if wait.about != about {
        return Some(Decision::Again(reason, about, text));
    }
    (now < wait.until).then_some(Decision::WaitUntil(wait.until, reason))
}

fn about(page: &Page, times: u32) -> String {
    let mut about = page.document_id.clone();
    about.push('#');
    about.push_str(&times.to_string());
    about
}

fn is_pressable(element: &Element) -> bool {
    element.visible == 1 && element.enabled
}

fn press(page: &Page, key: Key, purpose: Purpose) -> Option<Decision> {
    page.snapshot.visible(key).filter(|element| is_pressable(element)).map(|_| Decision::Press(key, None, purpose))
}

fn press_or(page: &Page, key: Key, purpose: Purpose, otherwise: Word) -> Decision {
    press(page, key, purpose).unwrap_or_else(|| tell(otherwise))
}

fn wait(word: Word) -> Decision {
    Decision::Wait(Text::of(word))
}

fn tell(word: Word) -> Decision {
    Decision::Tell(Text::of(word), false)
}

fn tell_with(word: Word, argument: &str) -> Decision {
    // The page may say anything; a user principal name has at most 113 characters.
    let argument: String = argument.chars().filter(|character| !character.is_control()).take(113).collect();
    Decision::Tell(Text::with(word, argument), false)
}

fn not_offered(credential: CredentialKind) -> Decision {
    tell(match credential {
        CredentialKind::TemporaryAccessPass => Word::PageNoPass,
        CredentialKind::Password => Word::PageNoPassword,
    })
}
