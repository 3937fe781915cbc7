//! One sign-in on one tab, from the click to the portal: what has been done to which document, and what was refused.
//!
//! A flow begins with a click in the popup and with nothing else. It is saved across the worker's death, so it holds
//! no secret and nothing of a page but its ids.

use latchkey_protocol::{
    CredentialKind, FillField,
    cloud::{Cloud, SignInOrigin},
};
use serde::Serialize;
use uuid::Uuid;

use super::page::View;
use crate::{
    elements::ElementKey,
    json::{fields, names},
    popup::view::StepProgress,
    words::{Text, Word},
};

/// How many documents one sign-in may load in one kind of page before it is a loop.
const MAXIMUM_VISITS: usize = 10;
/// How often one document is tried again when a click or a user name did not arrive.
const MAXIMUM_ATTEMPTS: u32 = 6;
/// How many clicks one sign-in may make at all.
const MAXIMUM_PRESSES: u32 = 60;
/// How long Latchkey tries again by itself for one reason.
pub const MAXIMUM_WAIT_MS: i64 = 60_000;
/// Seconds before each new try.
const DELAYS: [i64; 7] = [2, 3, 5, 8, 13, 13, 13];

/// The steps that the popup shows, in order.
pub const STEPS: [Word; 6] =
    [Word::StepActivate, Word::StepUserName, Word::StepNext, Word::StepCredential, Word::StepStay, Word::StepPortal];

/// A step of [`STEPS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The account.
    Activate = 0,
    /// The user name.
    UserName = 1,
    /// Next.
    Next = 2,
    /// The credential.
    Credential = 3,
    /// 'Stay signed in?'.
    Stay = 4,
    /// The portal.
    Portal = 5,
}

/// Where the browser stands with the passkey of a sign-in that has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Passkey {
    /// It cannot be used here: the browser has no door for it, nobody can show who is there, or the host refused.
    #[default]
    Unusable,
    /// The browser does not hand the page's request over yet.
    Shut,
    /// The page may ask.
    Ready,
    /// The page has asked, and the host is to answer.
    Asked,
    /// A person has to show who is there first.
    Person,
}

/// One sign-in on one tab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Flow {
    /// The tab.
    pub tab_id: i32,
    /// The tenant.
    pub tenant_id: Uuid,
    /// Its name.
    pub tenant_name: String,
    /// The account that signs in.
    pub user_name: String,
    /// The cloud whose sign-in pages may be filled.
    pub cloud: Cloud,
    /// What is planned to sign it in; the lease says what really does.
    pub credential: CredentialKind,
    /// The lease, once there is one.
    pub lease_id: Option<Uuid>,
    /// How far each of [`STEPS`] is.
    pub steps: [StepProgress; 6],
    /// What has been done to each document.
    pub documents: Vec<DocumentRecord>,
    /// The click that the page has not answered yet. Not saved: what must not happen twice is in the documents.
    #[serde(skip)]
    pub pressed: Option<Pressed>,
    /// A fill or a click that `content.js` has not answered yet.
    #[serde(skip)]
    pub acting: Option<Acting>,
    /// A secret that the host has not handed out yet.
    #[serde(skip)]
    pub asking: Option<Asking>,
    /// Waiting before trying again, one for each reason.
    pub waits: [Backoff; 4],
    /// The document in which the technician allowed one more try.
    pub allowed: Option<String>,
    /// Whether that has been used.
    pub allowed_once: bool,
    /// Where the browser stands with the passkey. Not saved: a new worker finds out.
    #[serde(skip)]
    pub passkey: Passkey,
    /// The sign-in host that the tab was last known to be at.
    #[serde(skip)]
    pub at: Option<SignInOrigin>,
    /// Until when the browser's door may stand open for it.
    pub passkey_until: i64,
    /// The host could not answer the page with the passkey.
    pub passkey_failed: bool,
    /// The page was answered with the passkey: once.
    pub passkey_answered: bool,
    /// The account has a passkey, whatever signs it in here: the page may ask for it first.
    pub passkey_kept: bool,
    /// What the page refused, or could not be used: the next credential in line signs in.
    pub replaced: Option<CredentialKind>,
    /// Whether a credential was submitted, or a signed-in account chosen.
    pub submitted: bool,
    /// How often 'sign-in options' and the back arrow were used to find the right way to sign in.
    pub detours: u32,
    /// How many clicks were made.
    pub presses: u32,
    /// How often the lease was asked for.
    pub starts: u32,
    /// What is going on, or what the person must do.
    pub status: Text,
    /// Whether it waits for the person.
    pub needs_person: bool,
    /// Whether 'Try again' helps.
    pub can_retry: bool,
    /// Whether the tab is away from the sign-in pages.
    pub away: bool,
    /// Until when it may come to one (again): a click is a consent for a short time.
    pub away_until: i64,
    /// Whether Latchkey opened the tab: then only pages of the flow's own tenant count.
    pub opened: bool,
    /// Set when the sign-in is over.
    pub over: Option<Over>,
}

/// How a sign-in ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Over {
    /// Signed in.
    SignedIn,
    /// Signed in, but Microsoft wants a second factor registered first.
    Registration,
    /// It did not come to an end; `status` says why.
    GivenUp,
}

/// What has been done to one document. A document comes back from the back-forward cache with the same id, and is not
/// filled again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DocumentRecord {
    /// The browser's id.
    pub id: String,
    /// Its `PageID`.
    pub page_id: String,
    /// The user name was written.
    pub user_name_filled: bool,
    /// The host was asked for a secret for this document.
    pub secret_asked: Option<FillField>,
    /// A secret was handed to the content script.
    pub secret_filled: Option<FillField>,
    /// The credential was submitted.
    pub submitted: bool,
    /// A fill or a click there has had no answer. Saved before it is carried out, so that the next worker knows.
    pub unanswered: bool,
    /// Next was pressed this often.
    pub nexts: u32,
    /// The back arrow was used this often.
    pub backs: u32,
    /// Acts that did not arrive.
    pub attempts: u32,
    /// The host has counted it as unknown.
    pub noted: bool,
}

/// A click that the page has not answered yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pressed {
    /// Where.
    pub document_id: String,
    /// What the page showed then.
    pub view: View,
    /// Why.
    pub purpose: Purpose,
}

/// A fill or a click under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acting {
    /// Its number.
    pub act: u32,
    /// Where.
    pub document_id: String,
    /// What.
    pub what: Act,
}

/// What is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The user name.
    FillUserName,
    /// The credential.
    FillSecret(FillField),
    /// A click.
    Press(Purpose),
}

/// A secret asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    /// The request.
    pub request: u32,
    /// For which document.
    pub document_id: String,
    /// For which field.
    pub field: FillField,
}

/// Why something is clicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Next after the user name.
    Next,
    /// Sign in after the credential.
    Submit,
    /// No to 'Stay signed in?'.
    DoNotStay,
    /// Yes to it, where the technician prefers that.
    Stay,
    /// Back to the user name, so that Microsoft looks again whether there is a pass.
    BackForPass,
    /// Back to the user name, because the page is about another account.
    BackForAccount,
    /// 'Use a Temporary Access Pass'.
    ToAccessPass,
    /// 'Use your password instead'.
    ToPassword,
    /// The way to the passkey.
    ToPasskey,
    /// The code of the account's own token, in a list.
    ToCode,
    /// 'Sign-in options', or 'Sign in another way'.
    ToCredentials,
    /// Temporary Access Pass in a list.
    AccessPassTile,
    /// The account's own tile.
    AccountTile,
    /// 'Use another account'.
    OtherTile,
    /// 'Work or school account'.
    WorkTile,
}

/// Why Latchkey waits before it tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// 50057: the account is not enabled everywhere yet.
    Disabled = 0,
    /// 50034: the new account is not known everywhere yet.
    UnknownUser = 1,
    /// 130503: the pass is not known everywhere yet.
    PassUnknown = 2,
    /// The page does not offer the pass yet.
    PassNotOffered = 3,
}

impl Reason {
    /// How often it is tried again by itself.
    #[must_use]
    pub const fn maximum_tries(self) -> u32 {
        match self {
            // Growing delays; the total is limited by `MAXIMUM_WAIT_MS`.
            Self::Disabled | Self::UnknownUser => 7,
            // A refused pass counts towards the lockout: once, then the person decides.
            Self::PassUnknown => 1,
            Self::PassNotOffered => 4,
        }
    }
}

/// Waiting that grows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Backoff {
    /// How often it has waited.
    pub tries: u32,
    /// When it first did.
    pub since: i64,
    /// Until when it waits now.
    pub until: i64,
    /// What it waited about last: a document and how often something was done there.
    pub about: String,
}

impl Flow {
    /// A sign-in that has just been asked for.
    #[must_use]
    pub fn new(tab_id: i32, tenant: &latchkey_protocol::TenantSummary) -> Self {
        Self {
            tab_id,
            tenant_id: tenant.tenant_id,
            tenant_name: tenant.name.clone(),
            user_name: tenant.user_name.clone(),
            cloud: tenant.cloud,
            credential: tenant.credential.kind,
            lease_id: None,
            steps: [StepProgress::Waiting; 6],
            documents: Vec::new(),
            pressed: None,
            acting: None,
            asking: None,
            waits: Default::default(),
            allowed: None,
            allowed_once: false,
            passkey: Passkey::Unusable,
            at: None,
            passkey_until: 0,
            passkey_failed: false,
            passkey_answered: false,
            passkey_kept: tenant.credential.passkey_kept,
            replaced: None,
            submitted: false,
            detours: 0,
            presses: 0,
            starts: 0,
            status: Text::of(Word::StatusActivating),
            needs_person: false,
            can_retry: false,
            away: false,
            away_until: 0,
            opened: false,
            over: None,
        }
    }

    /// Whether it is still going on.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        self.over.is_none()
    }

    /// What was done to a document.
    #[must_use]
    pub fn document(&self, id: &str) -> Option<&DocumentRecord> {
        self.documents.iter().find(|document| document.id == id)
    }

    /// The record of a document, made if there is none.
    pub fn document_mut(&mut self, id: &str) -> &mut DocumentRecord {
        let place = self.documents.iter().position(|document| document.id == id).unwrap_or_else(|| {
            self.documents.push(DocumentRecord { id: id.to_owned(), ..DocumentRecord::default() });
            self.documents.len() - 1
        });
        &mut self.documents[place]
    }

    /// Whether another document of the same kind was given the credential already: the page came back without a word,
    /// or the technician went back to it.
    #[must_use]
    pub fn was_submitted_before(&self, document_id: &str, field: FillField) -> bool {
        let page_id = self.document(document_id).map(|here| here.page_id.as_str());
        self.documents.iter().any(|document| {
            document.id != document_id
                && document.submitted
                && document.secret_filled == Some(field)
                && Some(document.page_id.as_str()) == page_id
        })
    }

    /// Whether the sign-in goes round in circles, or a document does not take what is done to it.
    #[must_use]
    pub fn is_looping(&self, document_id: &str) -> bool {
        let Some(here) = self.document(document_id) else {
            return false;
        };
        let visits = self.documents.iter().filter(|document| document.page_id == here.page_id).count();
        visits > MAXIMUM_VISITS || here.attempts > MAXIMUM_ATTEMPTS || self.presses > MAXIMUM_PRESSES
    }

    /// The next wait for a reason; `false` when there has been enough of it.
    pub fn wait_again(&mut self, reason: Reason, about: String, now: i64) -> bool {
        let wait = &mut self.waits[reason as usize];
        if wait.tries == 0 {
            wait.since = now;
        }
        let delay = DELAYS[(wait.tries as usize).min(DELAYS.len() - 1)] * 1000;
        if wait.tries >= reason.maximum_tries() || now + delay - wait.since > MAXIMUM_WAIT_MS {
            return false;
        }
        wait.tries += 1;
        wait.until = now + delay;
        wait.about = about;
        true
    }

    /// The wait for a reason.
    #[must_use]
    pub const fn wait(&self, reason: Reason) -> &Backoff {
        &self.waits[reason as usize]
    }

    /// Sets a step, and every earlier one that never began to 'skipped'.
    pub fn step(&mut self, step: Step, progress: StepProgress) {
        let place = step as usize;
        self.steps[place] = progress;
        for earlier in &mut self.steps[1..place.max(1)] {
            match *earlier {
                StepProgress::Waiting => *earlier = StepProgress::Skipped,
                StepProgress::Running | StepProgress::Retrying => *earlier = StepProgress::Done,
                _ => {}
            }
        }
    }

    /// A click did not arrive.
    pub fn not_pressed(&mut self, purpose: Purpose) {
        self.pressed = None;
        if matches!(purpose, Purpose::ToCredentials | Purpose::BackForPass | Purpose::BackForAccount) {
            self.detours = self.detours.saturating_sub(1);
        }
    }

    /// There is no account to sign in with.
    pub fn activation_failed(&mut self, error: &latchkey_protocol::ErrorBody) {
        self.status = Text::error(error);
        self.needs_person = true;
        self.can_retry = true;
        self.step(Step::Activate, StepProgress::Failed);
    }

    /// The end, well or not.
    pub fn finish(&mut self, over: Over, status: Text) {
        if over == Over::GivenUp {
            for step in &mut self.steps {
                if matches!(*step, StepProgress::Running | StepProgress::Retrying) {
                    *step = StepProgress::Failed;
                }
            }
        } else {
            self.step(Step::Portal, StepProgress::Done);
        }
        self.over = Some(over);
        self.status = status;
        self.needs_person = over == Over::GivenUp;
        self.can_retry = over == Over::GivenUp;
        self.acting = None;
        self.asking = None;
        self.pressed = None;
    }
}

/// The field of the page that takes a credential.
#[must_use]
pub const fn key_of(field: FillField) -> ElementKey {
    match field {
        FillField::Password => ElementKey::Password,
        FillField::AccessPass => ElementKey::AccessPass,
        FillField::OneTimeCode => ElementKey::Code,
    }
}

fields!(DocumentRecord {
    id,
    page_id,
    user_name_filled,
    secret_asked,
    secret_filled,
    submitted,
    unanswered,
    nexts,
    backs,
    attempts,
    noted
});
fields!(Backoff { tries, since, until, about });
names!(Over { "SignedIn" = SignedIn, "Registration" = Registration, "GivenUp" = GivenUp });

fields!(Flow {
    tab_id, tenant_id, tenant_name, user_name, cloud, credential, lease_id, steps, documents, waits, allowed, allowed_once,
    passkey_until, passkey_failed, passkey_answered, replaced, submitted, detours, presses, starts, status, needs_person,
    can_retry, away, away_until, opened, over; passkey_kept; pressed, acting, asking, passkey, at
});
