//! What the popup shows, as data: made by the brain from its state, drawn by the popup, and nothing secret in it.
//!
//! A secret that the technician asked to see comes by its own way ([`crate::popup`], `show_secret`), so that no view
//! ever holds one.

use latchkey_protocol::CredentialKind;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::words::Text;

/// One screen of the popup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "screen", rename_all = "snake_case")]
pub enum PopupView {
    /// The host has not answered yet.
    Connecting {},
    /// The host cannot be reached, and what to do.
    HostMissing {
        /// What is wrong.
        title: Text,
        /// What to do.
        advice: Text,
        /// The browser's own words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// The list of tenants with a search box. Enter takes the first.
    ChooseTenant {
        /// Most recently used first.
        tenants: Vec<TenantRow>,
        /// Something to know about the tab's page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        page: Option<Text>,
        /// What needs somebody, whatever the tab is about.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notices: Vec<Text>,
    },
    /// One tenant; Enter starts.
    Confirm(Confirm),
    /// A sign-in or an activation under way.
    Progress(ProgressView),
    /// A lease is active.
    Active(ActiveView),
    /// A lease is being taken back.
    Ending {
        /// What is going on.
        title: Text,
        /// What to know.
        note: Text,
        /// Whether it needs the technician.
        alarming: bool,
        /// What went wrong, in the host's words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        problem: Option<ProblemView>,
    },
    /// Something did not work.
    Problem {
        /// What.
        problem: ProblemView,
        /// The tenant it was about, to go back to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tenant_name: Option<String>,
    },
}

/// One tenant in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantRow {
    /// The tenant.
    pub tenant_id: Uuid,
    /// Its name.
    pub name: String,
    /// Its domain.
    pub domain: String,
    /// All it can be found by.
    pub search: String,
    /// Where its lease stands, if one is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Text>,
}

/// What the technician confirms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirm {
    /// The tenant.
    pub tenant_id: Uuid,
    /// Its name.
    pub name: String,
    /// Its domain.
    pub domain: String,
    /// The account that will be activated.
    pub user_name: String,
    /// The roles it will get.
    pub roles: Vec<String>,
    /// Minutes proposed.
    pub minutes: u32,
    /// Minutes allowed.
    pub maximum_minutes: u32,
    /// What signs it in.
    pub credential: CredentialKind,
    /// What the portals will ask for, or why not better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_note: Option<Text>,
    /// Why no better credential is available, in the host's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// Whether the tab shows a page on which Latchkey can sign in.
    pub on_sign_in_page: bool,
    /// Something to know about the tab's page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<Text>,
    /// Whether there are other tenants to choose from.
    pub others: bool,
    /// What needs somebody, here or in another tenant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<Text>,
}

/// A sign-in under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressView {
    /// The tenant's name.
    pub tenant_name: String,
    /// The account.
    pub user_name: String,
    /// The steps, in order.
    pub steps: Vec<StepRow>,
    /// What is going on now; announced.
    pub status: Text,
    /// Whether it waits for the technician.
    pub needs_person: bool,
    /// The lease, once there is one: it can be ended and its credential shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_id: Option<Uuid>,
    /// Whether 'Try again' makes sense.
    pub can_retry: bool,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRow {
    /// Its name.
    pub label: Text,
    /// How far it is.
    pub state: StepProgress,
}

/// How far a step is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepProgress {
    /// Not begun.
    #[default]
    Waiting,
    /// Under way.
    Running,
    /// Done.
    Done,
    /// Being tried again.
    Retrying,
    /// Failed.
    Failed,
    /// The page did not ask for it.
    Skipped,
}

/// An active lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveView {
    /// The lease.
    pub lease_id: Uuid,
    /// The tenant.
    pub tenant_id: Uuid,
    /// The tenant's name.
    pub tenant_name: String,
    /// The account.
    pub user_name: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// When it ends, Unix time in milliseconds. The popup counts down by itself.
    pub until: i64,
    /// What signs it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialKind>,
    /// Whether the tab shows a page on which Latchkey can sign in.
    pub on_sign_in_page: bool,
    /// Something to know: what became of the sign-in, or about the tab's page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<Text>,
    /// Names of the portals that can be opened.
    pub portals: Vec<String>,
    /// What is wrong with the lease, if anything is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<ProblemView>,
    /// What needs somebody, here or in another tenant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<Text>,
}

/// Something that went wrong, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemView {
    /// What happened.
    pub title: Text,
    /// What happened, in the host's own words: shown where `title` has no words in the browser's language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What to do next, in the host's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
    /// Microsoft's `request-id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}
