//! What goes into the brain: everything that happened, as the JavaScript shell passes it on.
//!
//! On the wire: `{"now": <Unix milliseconds>, "event": {"type": "page_seen", …}}`. The shell adds nothing of its
//! own and decides nothing; what a browser vouches for (sender, tab, document) is copied from the browser's objects,
//! never from a message's content.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Unprinted, snapshot::Snapshot};

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
    /// Always the first event.
    WorkerStarted {},
    /// `content.js` looked at its page (`runtime.onMessage` in the worker).
    PageSeen(PageSeen),
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
        /// A `HostFrame` of the protocol crate; anything else is answered with a sentence, not trusted.
        frame: Unprinted<serde_json::Value>,
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

/// What the technician did in the popup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Took a tenant from the list; the popup now asks to confirm.
    Choose {
        /// The tenant.
        tenant_id: Uuid,
    },
    /// Back to the list of tenants.
    List {},
    /// The click: activate the account, and sign in on the popup's tab if that shows a sign-in page.
    Start {
        /// The tenant.
        tenant_id: Uuid,
        /// How long; the tenant's default when absent.
        #[serde(default)]
        minutes: Option<u32>,
    },
    /// The click, for a lease that is open: sign in with it on the popup's tab.
    SignIn {
        /// The tenant.
        tenant_id: Uuid,
    },
    /// End the lease now.
    EndNow {
        /// The lease.
        lease_id: Uuid,
    },
    /// Show the credential. Answered with [`super::Effect::ShowSecret`].
    Reveal {
        /// The lease.
        lease_id: Uuid,
    },
    /// Stop the sign-in on this tab; the lease stays as it is.
    StopSignIn {},
    /// Open a portal of the tenant's cloud in a new tab, for the lease's account.
    OpenPortal {
        /// The tenant.
        tenant_id: Uuid,
        /// Place in the list that the view showed.
        portal: u32,
    },
    /// Try again what failed: the host, the activation, or the sign-in.
    Retry {},
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
