//! What comes out of the brain: everything the JavaScript shell has to do, in this order.
//!
//! On the wire: an array of `{"type": "fill", …}`. The shell carries each out and reports only what [`super::Event`]
//! asks for. A secret is in [`Effect::Fill`], [`Effect::ShowSecret`] and [`Effect::AnswerPasskey`], what a person typed
//! to show who is there in one request of [`Effect::AskHost`], and neither in anything else: the shell passes them on and
//! keeps no copy.

use latchkey_protocol::{CredentialKind, LeaseSummary, RequestFrame};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Unprinted;
use crate::{
    elements::ElementKey,
    popup::{action::Place, view::PopupView},
    words::Text,
};

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Effect {
    /// `connectNative`. A port that is open stays open. Failure is reported as `HostGone`.
    ConnectHost {},
    /// `port.postMessage(frame)`. The brain sets its own timer for the deadline.
    AskHost {
        /// The frame, as it is.
        frame: RequestFrame,
    },
    /// `port.disconnect()`. Not followed by `HostGone`.
    DisconnectHost {},
    /// Write a value into one field of one document: `tabs.sendMessage(tab_id, effect, {documentId: document_id,
    /// frameId: 0})`. `content.js` looks afresh, compares `location.origin` with `origin` and the fingerprint with
    /// `fingerprint`, takes the one visible node of `key` (refuses unless exactly one, enabled, not read-only and
    /// clear), focuses it, sets the value with the native setter, sends bubbling `input` and `change`, and reads back
    /// one frame later. Answered by `Acted` in every case.
    Fill {
        /// The tab.
        tab_id: i32,
        /// The document; no other one.
        document_id: String,
        /// Joins `Acted` to this effect.
        act: u32,
        /// `location.origin` must be this.
        origin: String,
        /// The page must still look like this.
        fingerprint: String,
        /// The field.
        key: ElementKey,
        /// The user name or the secret.
        value: Unprinted<String>,
    },
    /// Click one element, with the same checks. Answered by `Acted` in every case.
    Click {
        /// The tab.
        tab_id: i32,
        /// The document; no other one.
        document_id: String,
        /// Joins `Acted` to this effect.
        act: u32,
        /// `location.origin` must be this.
        origin: String,
        /// The page must still look like this.
        fingerprint: String,
        /// The element.
        key: ElementKey,
        /// For [`ElementKey::Tiles`]: the tile inside it whose `data-test-id` is exactly this.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tile: Option<String>,
    },
    /// Ask the content script of a tab (top frame) for a fresh snapshot: it answers with a `PageSeen`. No answer is no
    /// error.
    Look {
        /// The tab.
        tab_id: i32,
    },
    /// `action.setIcon`.
    SetIcon {
        /// For one tab; for all others when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tab_id: Option<i32>,
        /// Which.
        icon: Icon,
    },
    /// `action.setBadgeText` and its colours. Empty text takes the badge away.
    SetBadge {
        /// For one tab; for all others when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tab_id: Option<i32>,
        /// At most four characters.
        text: String,
        /// How it looks.
        tone: Tone,
    },
    /// `action.setTitle`: what a pointer or a screen reader says about the icon.
    SetTitle {
        /// For one tab; for all others when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tab_id: Option<i32>,
        /// The words.
        title: Text,
    },
    /// Hand the list of tenants (`BrainHandle::tenants`) to the popup: `PopupHandle::list`. Once when it opens, and again
    /// when the list is another one.
    UpdateTenants {},
    /// Hand the view to the popup: `PopupHandle::receive`.
    UpdatePopup {
        /// What it shows.
        view: Box<PopupView>,
        /// Every lease that is open.
        leases: Vec<LeaseSummary>,
    },
    /// Hand the secret to the popup: `PopupHandle::receive`. Only after the technician asked.
    ShowSecret {
        /// What it is.
        credential: CredentialKind,
        /// The account.
        user_name: String,
        /// The secret.
        value: Unprinted<String>,
    },
    /// `webAuthenticationProxy.attach()` or `detach()`, after whatever was to be completed before. Answered by
    /// `PasskeyDoor` in every case.
    PasskeyDoor {
        /// Whether requests are to come here.
        open: bool,
    },
    /// `webAuthenticationProxy.completeGetRequest`.
    AnswerPasskey {
        /// `requestId`.
        request_id: i32,
        /// `responseJson`. Without it the page gets a `NotAllowedError`, as if a person had said no.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        response: Option<Unprinted<String>>,
    },
    /// `action.openPopup` over this tab, if it is in front and the browser lets it be: a person is needed and the popup is
    /// closed. Else a notification that leads there. The icon says so in any case.
    ShowPopup {
        /// The tab whose sign-in waits, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tab_id: Option<i32>,
    },
    /// `setTimeout` that reports `TimerRang`; replaces one of the same name. Lost with the worker, which is expected:
    /// what must outlive it is an alarm, and a new worker sets its timers afresh.
    SetTimer {
        /// Opaque.
        name: String,
        /// Milliseconds from now.
        after: u32,
    },
    /// `clearTimeout`.
    ClearTimer {
        /// Opaque.
        name: String,
    },
    /// `alarms.create(name, {when: at})`, reports `TimerRang`; replaces one of the same name. Outlives the worker.
    SetAlarm {
        /// Opaque.
        name: String,
        /// Unix time in milliseconds.
        at: i64,
    },
    /// `alarms.clear`.
    ClearAlarm {
        /// Opaque.
        name: String,
    },
    /// A notification of the operating system, where the extension may show one. It takes the place of an earlier one
    /// about the same lease.
    Notify {
        /// What it is about.
        lease_id: Uuid,
        /// The words.
        text: Text,
        /// The words of its button. Answered by `NotificationPressed` when that is pressed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        button: Option<Text>,
    },
    /// Open a portal. Answered by `TabOpened` in every case.
    OpenTab {
        /// Joins `TabOpened` to this effect.
        act: u32,
        /// The address.
        url: String,
        /// Where.
        place: Place,
        /// The tab for [`Place::ThisTab`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tab_id: Option<i32>,
    },
    /// Whether the browser may offer to keep passwords: `privacy.services.passwordSavingEnabled`, set to false or
    /// given back to the person's own choice (`clear`). What Latchkey fills must not end up in a password manager.
    SavePasswords {
        /// False while a sign-in runs.
        allowed: bool,
    },
    /// Write `BrainHandle::state()` to `storage.session`, and `BrainHandle::tenants()` if that is another list: it can be
    /// a thousand times as long.
    SaveState {
        /// The list, too.
        tenants: bool,
    },
    /// A line for the console. Never anything from a page, a secret or an address.
    Log {
        /// What happened.
        message: String,
    },
}

/// What the toolbar icon says; shapes differ, not only colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Icon {
    /// Nothing to do on this tab.
    Idle,
    /// This tab shows a sign-in page that Latchkey knows.
    Known,
    /// Working.
    Busy,
    /// A lease is active.
    Active,
    /// Something needs the technician.
    Problem,
}

/// How a badge looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// As a countdown does.
    Calm,
    /// Working.
    Busy,
    /// Five minutes are left, or something needs the technician.
    Warning,
}
