//! What to do on a page: one pure function from a sign-in and a look at its page to one decision, by the first line of
//! the table ([`super::table`]) that fits.
//!
//! It is asked only for a page whose origin and frame have passed ([`super::machine`]), only after a click, and it
//! errs on the side of doing nothing.

use latchkey_protocol::{CredentialKind, FillField, cloud::SignInOrigin};
use uuid::Uuid;

use super::{
    address::hint,
    flow::{DocumentRecord, Flow, Passkey, Purpose, Reason, key_of},
    page::View,
    snapshot::{Element, Snapshot},
    table::{After, Meaning, NO_REFUSAL, NUMBERS, ROWS, Row, Then, When},
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
    /// Have the next credential in line issued; the text says what is wrong if that has been done already.
    Replace(Text),
    /// Click something.
    Press(Key, Option<String>, Purpose),
    /// Nothing: the person must do something. With `true`, 'Try again' is offered.
    Tell(Text, bool),
}

/// How long a page may show nothing that is known.
pub const UNKNOWN_AFTER_MS: i64 = 8_000;
/// How long a page may be busy, or leave a click without an answer.
pub const STALLED_AFTER_MS: i64 = 20_000;
/// How often one sign-in looks in lists and goes back for its pass.
const MAXIMUM_DETOURS: u32 = 6;
/// AADSTS: there is no such user.
const UNKNOWN_USER: u32 = 50034;

/// The decision for a page.
#[must_use]
pub fn decide(flow: &Flow, grant: Grant, page: &Page, now: i64) -> Decision {
    line(flow, grant, page, now).map_or_else(|| tell(Word::PageUnknown), |(_, decision)| decision)
}

/// Whether a page waits for the credential and for nothing else.
#[must_use]
pub fn waits_for_credential(flow: &Flow, page: &Page, now: i64) -> bool {
    line(flow, Grant::None, page, now).is_some_and(|(row, _)| matches!(row.then, Then::Wait(Word::StatusActivating)))
}

/// The line of the table that counts, and what it comes to.
#[must_use]
pub fn line(flow: &Flow, grant: Grant, page: &Page, now: i64) -> Option<(&'static Row, Decision)> {
    let here = flow.document(&page.document_id);
    let look = Look { flow, grant, page, now, here, snapshot: &page.snapshot };
    ROWS.iter()
        .filter(|row| (row.on.is_empty() || row.on.contains(&page.view)) && look.holds(row.when))
        .find_map(|row| Some((row, look.carry_out(row.then)?)))
}

/// What the person must do on a page on which there is nothing to fill.
#[must_use]
pub fn what_to_do(view: View) -> Word {
    let said = ROWS.iter().rev().filter(|row| row.on.contains(&view)).find_map(|row| match row.then {
        Then::Tell(word) | Then::TellNumber(word) => Some(word),
        Then::ByNumber(_) => Some(Word::RefusedNoNumber),
        _ => None,
    });
    said.unwrap_or(Word::PageUnknown)
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
    // A pass may be shown in the clear by the page's own switch; a code always is, and a password never.
    let type_fits = match element.input_type.as_deref() {
        Some("text") => field == FillField::AccessPass,
        Some("tel") => field == FillField::OneTimeCode,
        _ => masked,
    };
    if !type_fits {
        return Err(Text::of(Word::PageUnknown));
    }
    // The same box takes codes that were sent to a phone.
    if field == FillField::OneTimeCode && !page.snapshot.has(Key::OwnCode) {
        return Err(Text::of(Word::PageCode));
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
/// this document had the user name from us, or its address carries it, or the server was given it. A password never goes
/// to a page that names nobody.
fn is_for_us(flow: &Flow, page: &Page, field: FillField) -> bool {
    let named_by_us = flow.document(&page.document_id).is_some_and(|document| document.user_name_filled);
    let named_in_address = || {
        hint(&page.url, page.snapshot.post_url.as_deref())
            .user_name
            .is_some_and(|user_name| is_same_account(&user_name, &flow.user_name))
    };
    let named_to_server =
        || page.snapshot.posted_name.as_deref().is_some_and(|name| is_same_account(name, &flow.user_name));
    field == FillField::AccessPass && (named_by_us || named_to_server() || named_in_address())
}

/// Everything that a line of the table may ask about.
struct Look<'a> {
    flow: &'a Flow,
    grant: Grant,
    page: &'a Page,
    now: i64,
    here: Option<&'a DocumentRecord>,
    snapshot: &'a Snapshot,
}

impl Look<'_> {
    fn holds(&self, when: When) -> bool {
        let (flow, page) = (self.flow, self.page);
        let wants_pass = || self.credential() == CredentialKind::TemporaryAccessPass;
        let wants_passkey = || self.credential() == CredentialKind::Passkey;
        let may_need_passkey = |stand| wants_passkey() && !flow.passkey_answered && flow.passkey == stand;
        match when {
            When::Always => true,
            When::OtherCloud => !flow.cloud.signs_in_at(&page.origin),
            When::Acting => flow.acting.is_some() || self.is_in_doubt(),
            When::Looping => flow.is_looping(&page.document_id),
            When::EmptyForLong => self.lasts(UNKNOWN_AFTER_MS),
            When::StalledForLong => self.lasts(STALLED_AFTER_MS),
            When::AfterClick => flow.pressed.is_some(),
            When::SeveralBoxes => self.name_box().is_some_and(|field| field.visible != 1),
            When::NotWritable => self.name_box().is_none_or(|field| !field.enabled || field.read_only),
            // A user name is no secret; a form that leads nowhere yet may still become one that leads home.
            When::ForeignForm => self.snapshot.form_origin.as_deref().is_some_and(|origin| !leads_home(flow, origin)),
            // A value that was ours and is not any more was changed by somebody: hands off.
            When::NameTakenAway => !self.is_ours() && self.here.is_some_and(|document| document.user_name_filled),
            When::OtherName => !self.is_ours(),
            // The page may have been asked before the account was there.
            When::UnknownWhileActivating => self.is_unknown() && self.grant == Grant::Pending,
            When::UnknownForGood => {
                self.is_unknown()
                    && match self.grant {
                        Grant::Held { created, .. } => !created && self.nexts() > 0,
                        Grant::Pending | Grant::None => true,
                    }
            }
            When::UnknownYet => self.is_unknown() && (self.nexts() > 0 || code(self.snapshot) == Some(UNKNOWN_USER)),
            When::UnknownOnce => self.is_unknown(),
            When::UnansweredForLong => self.is_unanswered() && self.lasts(STALLED_AFTER_MS),
            When::Unanswered => self.is_unanswered(),
            When::NobodyForLong => self.is_nobody() && self.lasts(UNKNOWN_AFTER_MS),
            When::Nobody => self.is_nobody(),
            When::OtherAccount => self.is_other_account() && self.backs() == 0,
            When::OtherAccountAgain => self.is_other_account(),
            When::WantsPass => wants_pass(),
            When::WantsPassNotYet => wants_pass() && !self.is_held(),
            When::WantsPassListed => wants_pass() && flow.detours == 0,
            // Microsoft decides after Next what it offers: a pass that was made later is offered only when it is
            // asked again. The first time at once: most often the pass is there by now.
            When::WantsPassFirst => wants_pass() && self.backs() == 0 && flow.wait(Reason::PassNotOffered).tries == 0,
            When::WantsPassLater => wants_pass() && self.sees(Key::Back),
            When::WantsPassInList => wants_pass() && flow.detours < MAXIMUM_DETOURS,
            When::WantsPassword => {
                matches!(self.credential(), CredentialKind::Password | CredentialKind::PasswordTotp)
            }
            When::WantsCode => self.credential() == CredentialKind::PasswordTotp,
            When::WantsCodeHere => self.page.view == View::Code && self.field().is_some(),
            When::WantsCodeListed => self.credential() == CredentialKind::PasswordTotp && flow.detours == 0,
            When::CodeRefused => !self.may_try_again() && self.is_code_refused(),
            When::CodeRefusedHere => self.is_code_refused() && self.is_submitted(),
            When::Submitted => self.is_submitted(),
            When::Emptied => self.is_written() && self.is_empty(),
            When::Written => self.is_written(),
            When::RefusedHere => {
                self.is_written()
                    && code(self.snapshot).is_none()
                    && self.says(Key::PasswordError)
                    && self.here.is_some_and(|document| document.submitted)
            }
            When::ButtonOff => {
                (self.page.view == View::UserName || self.is_written())
                    && self.snapshot.visible(Key::Primary).is_some_and(|button| !button.enabled)
            }
            When::Refused => !self.may_try_again() && self.is_refused(),
            When::AsksAgain => {
                !self.may_try_again()
                    && code(self.snapshot).is_none()
                    && self.field().is_some_and(|field| flow.was_submitted_before(&page.document_id, field))
            }
            When::NotYet => !self.is_held(),
            When::Asking => self.was_asked() && flow.asking.is_some(),
            When::Asked => self.was_asked(),
            When::OwnTile => self.own_tiles().count() == 1,
            When::OwnTiles => self.own_tiles().count() > 1,
            When::Replacing => flow.replaced.is_some() && self.grant == Grant::Pending,
            When::Unusable => self.is_held() && may_need_passkey(Passkey::Unusable),
            When::DoorShut => {
                may_need_passkey(Passkey::Shut)
                    || (flow.passkey_kept && !wants_passkey() && flow.passkey == Passkey::Shut)
            }
            When::WantsPasskey => wants_passkey() && !flow.passkey_answered,
            When::WantsPasskeyListed => wants_passkey() && !flow.passkey_answered && flow.detours == 0,
            When::WantsOther => !wants_passkey() && flow.detours < MAXIMUM_DETOURS,
            When::PersonMissing => may_need_passkey(Passkey::Person),
            When::PasskeyAsked => may_need_passkey(Passkey::Asked),
            When::PasskeyAnswered => wants_passkey() && flow.passkey_answered,
            When::PasskeySilent => wants_passkey() && self.lasts(UNKNOWN_AFTER_MS) && flow.detours < MAXIMUM_DETOURS,
            When::PasskeySilentForLong => wants_passkey() && self.lasts(UNKNOWN_AFTER_MS),
            When::StayOfOther => match identity(page) {
                Some(identity) => !is_same_account(identity, &flow.user_name),
                None => !flow.submitted,
            },
        }
    }

    /// Nothing when the line does not count after all: what it would click is not there, or the wait is over.
    fn carry_out(&self, then: Then) -> Option<Decision> {
        Some(match then {
            Then::Wait(word) => Decision::Wait(Text::of(word)),
            Then::Tell(word) => tell(word),
            Then::TellTenant(word) => tell_with(word, &self.flow.tenant_name),
            Then::TellName(word) => tell_with(word, identity(self.page).unwrap_or_default()),
            Then::TellNumber(word) => Decision::Tell(with_number(word, code(self.snapshot)), false),
            Then::Offer(word) => Decision::Tell(Text::of(word), !self.flow.allowed_once),
            Then::Again(reason, word) => return self.again(reason, Text::of(word)),
            Then::Replace(word) => Decision::Replace(Text::of(word)),
            Then::ByNumber(otherwise) => return self.by_number(otherwise),
            Then::FillUserName => Decision::FillUserName,
            Then::FillSecret => self.secret()?,
            Then::Click(key, purpose) => self.sees(key).then_some(Decision::Press(key, None, purpose))?,
            Then::ClickOwnTile => {
                let tile = self.own_tiles().next()?.clone();
                Decision::Press(Key::Tiles, Some(tile), Purpose::AccountTile)
            }
        })
    }

    fn secret(&self) -> Option<Decision> {
        let (Grant::Held { lease_id, .. }, Some(field)) = (self.grant, self.field()) else {
            return None;
        };
        Some(match field_for_secret(self.flow, self.page, field) {
            Ok(()) => Decision::AskSecret(lease_id, field),
            Err(text) if text.key == Word::StatusPage.key() || text.key == Word::StatusHidden.key() => {
                Decision::Wait(text)
            }
            Err(text) => Decision::Tell(text, false),
        })
    }

    /// What a number means: on an error page the end, on the page of a credential what [`NUMBERS`] says.
    fn by_number(&self, otherwise: Word) -> Option<Decision> {
        let is_field = self.field().is_some();
        let offered = is_field && !self.flow.allowed_once;
        let Some(number) = code(self.snapshot) else {
            return Some(Decision::Tell(Text::of(Word::RefusedNoNumber), offered));
        };
        let Some(meaning) = meaning(number) else {
            return Some(Decision::Tell(with_number(otherwise, Some(number)), false));
        };
        let text = with_number(meaning.word, Some(number));
        match meaning.after {
            // The passkey's page is left by the next line, and asked for again.
            After::Again(reason) if is_field || self.page.view == View::Passkey => self.again(reason, text),
            After::Once => Some(Decision::Tell(text, offered)),
            After::Next if is_field || self.page.view == View::Passkey => Some(Decision::Replace(text)),
            _ => Some(Decision::Tell(text, false)),
        }
    }

    /// Waiting for a reason: nothing when the wait about exactly this is over.
    fn again(&self, reason: Reason, text: Text) -> Option<Decision> {
        let times = match reason {
            Reason::UnknownUser => self.nexts(),
            Reason::PassNotOffered => self.backs(),
            Reason::Disabled | Reason::PassUnknown => 0,
        };
        let mut about = self.page.document_id.clone();
        about.push('#');
        about.push_str(&times.to_string());
        let wait = self.flow.wait(reason);
        if wait.about != about {
            return Some(Decision::Again(reason, about, text));
        }
        (self.now < wait.until).then_some(Decision::WaitUntil(wait.until, reason))
    }

    fn sees(&self, key: Key) -> bool {
        self.snapshot.visible(key).is_some_and(|element| element.visible == 1 && element.enabled)
    }

    /// Whether an element for words holds any.
    fn says(&self, key: Key) -> bool {
        self.snapshot.visible(key).is_some_and(|element| !element.empty)
    }

    fn lasts(&self, limit: i64) -> bool {
        self.now.saturating_sub(self.page.since) >= limit
    }

    fn name_box(&self) -> Option<&Element> {
        self.snapshot.visible(Key::UserName)
    }

    fn is_ours(&self) -> bool {
        let value = self.name_box().and_then(|field| field.value.as_deref());
        value.is_some_and(|value| is_same_account(value, &self.flow.user_name))
    }

    /// Whether the page says that it does not know our name, and that is news.
    fn is_unknown(&self) -> bool {
        let refused = self.says(Key::UserNameError) || code(self.snapshot) == Some(UNKNOWN_USER);
        refused && !self.may_try_again() && (self.pressed_here() || self.nexts() == 0)
    }

    fn is_unanswered(&self) -> bool {
        // A user name may be sent once more when the technician says so.
        let is_allowed = self.page.view == View::UserName && self.may_try_again();
        self.pressed_here() && !is_allowed
    }

    fn pressed_here(&self) -> bool {
        let page = self.page;
        let is_here = |id: &str, view| id == page.document_id && view == page.view;
        self.flow.pressed.as_ref().is_some_and(|pressed| is_here(&pressed.document_id, pressed.view))
    }

    fn may_try_again(&self) -> bool {
        self.flow.allowed.as_deref() == Some(self.page.document_id.as_str())
    }

    fn nexts(&self) -> u32 {
        self.here.map_or(0, |document| document.nexts)
    }

    fn backs(&self) -> u32 {
        self.here.map_or(0, |document| document.backs)
    }

    fn field(&self) -> Option<FillField> {
        match self.page.view {
            View::Password => Some(FillField::Password),
            View::AccessPass => Some(FillField::AccessPass),
            View::Code if self.credential() == CredentialKind::PasswordTotp && self.snapshot.has(Key::OwnCode) => {
                Some(FillField::OneTimeCode)
            }
            _ => None,
        }
    }

    fn credential(&self) -> CredentialKind {
        match self.grant {
            Grant::Held { credential, .. } => credential,
            Grant::Pending | Grant::None => self.flow.credential,
        }
    }

    const fn is_held(&self) -> bool {
        matches!(self.grant, Grant::Held { .. })
    }

    fn is_nobody(&self) -> bool {
        identity(self.page).is_none() && self.field().is_some_and(|field| !is_for_us(self.flow, self.page, field))
    }

    fn is_other_account(&self) -> bool {
        identity(self.page).is_some_and(|identity| !is_same_account(identity, &self.flow.user_name))
    }

    fn is_written(&self) -> bool {
        let field = self.field();
        field.is_some() && self.here.is_some_and(|document| document.secret_filled == field)
    }

    /// Whether an earlier worker filled or sent the credential here and did not hear what became of it, and nothing shows it.
    fn is_in_doubt(&self) -> bool {
        let is_unclear = |document: &DocumentRecord| match self.page.view {
            View::Passkey => self.flow.passkey_answered && self.flow.pressed.is_none(),
            _ => self.is_written() && (document.submitted || self.is_empty()),
        };
        self.here.is_some_and(|document| document.unanswered && is_unclear(document))
    }

    fn is_submitted(&self) -> bool {
        self.is_written() && self.here.is_some_and(|document| document.submitted)
    }

    fn is_empty(&self) -> bool {
        self.field().is_some_and(|field| self.snapshot.visible(key_of(field)).is_none_or(|element| element.empty))
    }

    fn was_asked(&self) -> bool {
        self.here.is_some_and(|document| document.secret_asked.is_some())
    }

    fn is_refused(&self) -> bool {
        match code(self.snapshot) {
            Some(number) => meaning(number).is_none_or(|meaning| meaning.after != After::GoOn),
            None => self.says(Key::PasswordError),
        }
    }

    /// Whether the page refused our code. That it asks for a second factor is no refusal there.
    fn is_code_refused(&self) -> bool {
        let is_question = |number| meaning(number).is_some_and(|meaning| meaning.word == Word::RefusedFactor);
        self.field() == Some(FillField::OneTimeCode)
            && (self.snapshot.visible(Key::PasswordError).is_some()
                || code(self.snapshot).is_some_and(|number| !is_question(number)))
    }

    fn own_tiles(&self) -> impl Iterator<Item = &String> {
        self.snapshot.tiles.iter().filter(|tile| is_same_account(tile, &self.flow.user_name))
    }
}

fn meaning(number: u32) -> Option<&'static Meaning> {
    NUMBERS.iter().find(|meaning| meaning.number == number)
}

/// The number of an error that the page was loaded with, if it refuses anything.
fn code(snapshot: &Snapshot) -> Option<u32> {
    let text = match snapshot.error_code.as_deref()? {
        // A pass that is the second factor is refused by name.
        "AccessPassBlockedByPolicy" => "130502",
        "InvalidAccessPass" => "130503",
        "AccessPassExpired" => "130504",
        "AccessPassAlreadyUsed" => "130505",
        text => text,
    };
    let is_number = (1..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_number.then(|| text.parse().ok()).flatten()?;
    (!NO_REFUSAL.contains(&number)).then_some(number)
}

fn with_number(word: Word, number: Option<u32>) -> Text {
    Text::with(word, number.map(|number| number.to_string()).unwrap_or_default())
}

fn tell(word: Word) -> Decision {
    Decision::Tell(Text::of(word), false)
}

fn tell_with(word: Word, argument: &str) -> Decision {
    // The page may say anything; a user principal name has at most 113 characters.
    let argument: String = argument.chars().filter(|character| !character.is_control()).take(113).collect();
    Decision::Tell(Text::with(word, argument), false)
}
