//! What `content.js` reports about a page: a small, plain summary without any secret.
//!
//! Everything in here is claimed by the page and is used only to tell *which step* it shows. Which page it is
//! (tab, frame, document, address) comes from the browser's own sender record, in [`super::event::PageSeen`].
//!
//! How `content.js` builds it, for every key of [`ElementKey::table`] with its selector:
//! - `count` = number of nodes that `querySelectorAll` finds. A key without a node is left out of `elements`.
//! - `visible` = number of those that a person can see: connected, neither the node nor an ancestor has the class
//!   `moveOffScreen` or `aria-hidden="true"`, `checkVisibility({opacityProperty: true, visibilityProperty: true})`,
//!   more than a speck in size, not beside the document, not cut off by a box around it; for `input` elements also
//!   `tabindex` other than `-1`. The cover of a page at work counts as soon as it is displayed.
//! - all other fields describe the first visible node, or the first node when none is visible.
//! - `clear` = product of the opacity up the ancestor chain is at least 0.7, and `elementFromPoint` at the middle of
//!   the node is that node or inside it.
//!
//! `fingerprint` is opaque to the brain: a string in which `content.js` writes down what must not change between
//! looking and acting (origin, page id, views, each element's key, count, visible and enabled, identity, tiles). An
//! effect hands it back; `content.js` computes it afresh and refuses when it differs.
//!
//! A new snapshot is sent when the fingerprint, the value of the user-name box, an error, `ready` or `on_screen`
//! changed: on `load`, `pageshow`, `visibilitychange` and from one `MutationObserver` (batched), and on
//! `Effect::Look`.

use serde::{Deserialize, Serialize};

use crate::{
    elements::ElementKey,
    json::{fields, names},
};

/// One look at one document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    /// What must not change between looking and acting; made and read by `content.js` alone.
    pub fingerprint: String,
    /// `content` of `meta[name=PageID]`, else `pgid` from the text of the inline `$Config` script.
    pub page_id: Option<String>,
    /// `sErrorCode` from the same text, else the digits behind `AADSTS` in the message of an error page.
    pub error_code: Option<String>,
    /// `urlPost` from the same text: a path or an address, which names the tenant.
    pub post_url: Option<String>,
    /// `sPOST_Username` from the same text: the account that the server was given before it wrote the page.
    pub posted_name: Option<String>,
    /// `sFidoChallenge` from the same text: what the page asks a passkey to sign, so that its request is told from
    /// that of any other page.
    pub challenge: Option<String>,
    /// The known elements that are present.
    pub elements: Vec<Element>,
    /// `data-viewid` of every view that is present and visible; two while one slides out and the next one in.
    pub views: Vec<String>,
    /// `title` of `#displayName`, else its text.
    pub identity: Option<String>,
    /// `data-test-id` of every tile in the account picker.
    pub tiles: Vec<String>,
    /// Serialised origin of the `action` of the form that holds the visible field, as the browser resolves it.
    pub form_origin: Option<String>,
    /// Whether `self === top`.
    pub top: bool,
    /// `document.readyState`.
    pub ready: Ready,
    /// `document.visibilityState === 'visible'`.
    pub on_screen: bool,
    /// `document.hasFocus()`. The popup holds the focus while it is open.
    pub focused: bool,
}

/// `document.readyState`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ready {
    /// Still being parsed.
    #[default]
    Loading,
    /// Parsed; pictures and scripts may be missing.
    Interactive,
    /// Loaded. Entra builds its form only after this.
    Complete,
}

/// One known element that is present.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Element {
    /// Which one.
    pub key: ElementKey,
    /// How many nodes the selector finds.
    #[serde(default)]
    pub count: u32,
    /// How many of them a person can see.
    #[serde(default)]
    pub visible: u32,
    /// Neither `disabled` nor `aria-disabled`.
    #[serde(default)]
    pub enabled: bool,
    /// `readOnly`.
    #[serde(default)]
    pub read_only: bool,
    /// Nothing lies over it and it is not see-through.
    #[serde(default)]
    pub clear: bool,
    /// `type` of an input.
    #[serde(default)]
    pub input_type: Option<String>,
    /// Whether an input's value is empty, or that of another element its text.
    #[serde(default)]
    pub empty: bool,
    /// The value, for [`ElementKey::UserName`] only. Never of any other input.
    #[serde(default)]
    pub value: Option<String>,
}

fields!(Snapshot {
    ; fingerprint, page_id, error_code, post_url, posted_name, challenge, elements, views, identity, tiles, form_origin, top, ready, on_screen, focused
});
fields!(Element { key; count, visible, enabled, read_only, clear, input_type, empty, value });
names!(Ready { "loading" = Loading, "interactive" = Interactive, "complete" = Complete });

impl Snapshot {
    /// The element, if the page has one that a person can see.
    #[must_use]
    pub fn visible(&self, key: ElementKey) -> Option<&Element> {
        self.elements.iter().find(|element| element.key == key && element.visible > 0)
    }

    /// Whether the page has a node for it at all, seen or not.
    #[must_use]
    pub fn has(&self, key: ElementKey) -> bool {
        self.elements.iter().any(|element| element.key == key && element.count > 0)
    }
}
