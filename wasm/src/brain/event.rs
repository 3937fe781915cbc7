//! What goes into the brain: everything that happened, as the JavaScript shell passes it on.
//!
//! On the wire: `{"now": <Unix milliseconds>, "event": {"type": "page_seen", …}}`. The shell adds nothing of its
//! own and decides nothing; what a browser vouches for (sender, tab, document) is copied from the browser's objects,
//! never from a message's content.

use latchkey_protocol::HostFrame;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::snapshot::Snapshot;
use crate::json::{Parse, Read, fields, member, names, parsed};
pub use crate::popup::action::Action;
use crate::preferences::Preferences;

/// One event with its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFrame {
    /// `Date.now()`.
    pub now: i64,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The worker has started and made its `BrainHandle` (with the state from `storage.session`, or without).
    /// The first event of all, but for [`Self::PasskeyDoor`].
    WorkerStarted {},
    /// `content.js` looked at its page (`runtime.onMessage` in the worker).
    PageSeen(PageSeen),
    /// How the browser hands over what pages ask of passkeys (`chrome.webAuthenticationProxy`). Right before
    /// [`Self::WorkerStarted`] where it has a door for that, and after every `Effect::PasskeyDoor`.
    PasskeyDoor {
        /// What it is like.
        door: Door,
    },
    /// `webAuthenticationProxy.onGetRequest`.
    PasskeyAsked {
        /// `requestId`.
        request_id: i32,
        /// `requestDetailsJson`.
        details: String,
    },
    /// `webAuthenticationProxy.onRequestCanceled`: the page gave up, or time did.
    PasskeyCanceled {
        /// `requestId`.
        request_id: i32,
    },
    /// `tabs.onUpdated` with a `url` or with `status: "loading"`. `url` is absent where the browser does not show it
    /// to the extension: then it is not a sign-in page.
    TabNavigated {
        /// The tab.
        tab_id: i32,
        /// `tab.url`.
        #[serde(default)]
        url: Option<String>,
    },
    /// `tabs.onRemoved`.
    TabClosed {
        /// The tab.
        tab_id: i32,
    },
    /// What the technician prefers, with what the organisation sets laid over it: right after [`Self::WorkerStarted`],
    /// and whenever it changes.
    PreferencesRead {
        /// All of it; what is missing has its default.
        preferences: Preferences,
    },
    /// The popup was opened (its port connected) over the active tab of its window.
    PopupOpened {
        /// `tab.id`.
        #[serde(default)]
        tab_id: Option<i32>,
        /// `tab.url`.
        #[serde(default)]
        url: Option<String>,
    },
    /// The popup was closed (its port disconnected).
    PopupClosed {},
    /// The technician did something in the popup: what `act(action_json)` was called with.
    PopupAction {
        /// What.
        action: Action,
    },
    /// A message from the native host, as it came.
    HostMessage {
        /// A message of the protocol; nothing stands for what is none (and is answered with a sentence, not trusted).
        frame: Option<HostFrame>,
    },
    /// `port.onDisconnect`, or `connectNative` threw.
    HostGone {
        /// `runtime.lastError.message` (Firefox: `port.error.message`), or the exception's message.
        #[serde(default)]
        reason: Option<String>,
    },
    /// A timer of `Effect::SetTimer` or an alarm of `Effect::SetAlarm` rang.
    TimerRang {
        /// Its name.
        name: String,
    },
    /// An `Effect::OpenTab` was carried out, or was not.
    TabOpened {
        /// The effect's number.
        act: u32,
        /// The tab; absent where the browser did not open one.
        #[serde(default)]
        tab_id: Option<i32>,
    },
    /// The button of an `Effect::Notify` was pressed.
    NotificationPressed {
        /// The effect's lease.
        lease_id: Uuid,
    },
    /// An `Effect::Fill` or `Effect::Click` was carried out, or was not.
    Acted {
        /// The effect's tab.
        tab_id: i32,
        /// The effect's document.
        document_id: String,
        /// The effect's number.
        act: u32,
        /// What came of it.
        outcome: Outcome,
        /// The page just after it, when the page is still there.
        #[serde(default)]
        snapshot: Option<Snapshot>,
    },
}

/// A look at a page, with the browser's own words on where it was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageSeen {
    /// `sender.tab.id`.
    pub tab_id: i32,
    /// `sender.frameId`; only 0 is ever acted on.
    pub frame_id: i32,
    /// `sender.documentId`.
    pub document_id: String,
    /// `sender.url`.
    pub url: String,
    /// `sender.origin`, where the browser gives it.
    #[serde(default)]
    pub origin: Option<String>,
    /// What `content.js` says.
    pub snapshot: Snapshot,
}

/// The browser's door for what pages ask of passkeys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// There is none, or somebody else holds it.
    #[default]
    Missing,
    /// `detach()` was called, or nobody has attached yet: requests go their usual way.
    Shut,
    /// `attach()` was called: every page's request comes here.
    Open,
}

/// What came of a fill or a click.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done; a filled value was still there one frame later.
    Done,
    /// The document is gone (the browser refused its id, or nothing listens there).
    DocumentGone,
    /// The fingerprint differs: the page is not the one that was seen.
    PageChanged,
    /// No visible, enabled node, or more than one.
    NotThere,
    /// Something lies over the field, or it is see-through.
    Covered,
    /// The field did not keep the value.
    ValueLost,
}

fields!(EventFrame { now, event });
fields!(PageSeen { tab_id, frame_id, document_id, url, origin, snapshot });
names!(Door { "missing" = Missing, "shut" = Shut, "open" = Open });
names!(Outcome {
    "done" = Done, "document_gone" = DocumentGone, "page_changed" = PageChanged, "not_there" = NotThere, "covered" = Covered,
    "value_lost" = ValueLost,
});

parsed!(Event, Self::WorkerStarted {});

impl Parse for Event {
    fn parse(value: &Value) -> Option<Self> {
        let object = value.as_object()?;
        Some(match object.get("type")?.as_str()? {
            "worker_started" => Self::WorkerStarted {},
            "page_seen" => Self::PageSeen(Read::read(value)?),
            "passkey_door" => Self::PasskeyDoor { door: member(object, "door")? },
            "passkey_asked" => {
                Self::PasskeyAsked { request_id: member(object, "request_id")?, details: member(object, "details")? }
            }
            "passkey_canceled" => Self::PasskeyCanceled { request_id: member(object, "request_id")? },
            "tab_navigated" => Self::TabNavigated { tab_id: member(object, "tab_id")?, url: member(object, "url")? },
            "preferences_read" => Self::PreferencesRead { preferences: member(object, "preferences")? },
            "tab_closed" => Self::TabClosed { tab_id: member(object, "tab_id")? },
            "popup_opened" => Self::PopupOpened { tab_id: member(object, "tab_id")?, url: member(object, "url")? },
            "popup_closed" => Self::PopupClosed {},
            "popup_action" => Self::PopupAction { action: member(object, "action")? },
            "host_message" => Self::HostMessage { frame: object.get("frame").and_then(HostFrame::read) },
            "host_gone" => Self::HostGone { reason: member(object, "reason")? },
            "timer_rang" => Self::TimerRang { name: member(object, "name")? },
            "tab_opened" => Self::TabOpened { act: member(object, "act")?, tab_id: member(object, "tab_id")? },
            "notification_pressed" => Self::NotificationPressed { lease_id: member(object, "lease_id")? },
            "acted" => Self::Acted {
                tab_id: member(object, "tab_id")?,
                document_id: member(object, "document_id")?,
                act: member(object, "act")?,
                outcome: member(object, "outcome")?,
                snapshot: member(object, "snapshot")?,
            },
            _ => return None,
        })
    }
}
