//! What the popup shows, as data: made by the brain from its state, drawn by the popup, and nothing secret in it.
//!
//! The brain says what the popup is about; the popup has the list of tenants and leases, and makes rows, facts and
//! words of them ([`super::list`]), because every byte in the worker's WASM is loaded with every sign-in page. A secret
//! that the technician asked to see comes by its own way (`show_secret`), so that no view ever holds one.

use latchkey_protocol::{CredentialKind, ErrorBody, PersonState};
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
        /// Whether the tab shows a sign-in page: then a tenant is confirmed before anything starts; elsewhere it is
        /// opened at once.
        on_sign_in_page: bool,
    },
    /// One tenant; Enter starts.
    Confirm(Confirm),
    /// A sign-in or an activation under way.
    Progress(ProgressView),
    /// A lease is active.
    Active(ActiveView),
    /// A lease is being taken back.
    Ending {
        /// The lease.
        lease_id: Uuid,
    },
    /// Something did not work.
    Problem {
        /// What.
        problem: ErrorBody,
    },
}

/// What the technician confirms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirm {
    /// The tenant.
    pub tenant_id: Uuid,
    /// Whether the tab shows a page on which Latchkey can sign in.
    pub on_sign_in_page: bool,
    /// Something to know about the tab's page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<Text>,
    /// What the host said to the last wish: it can be put right here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<ErrorBody>,
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
    /// What it signs in with.
    pub credential: CredentialKind,
    /// What was refused or could not be used before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<CredentialKind>,
    /// What is known of the person, who has to type the PIN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonState>,
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
    /// Whether the tab shows a page on which Latchkey can sign in.
    pub on_sign_in_page: bool,
    /// Something to know: what became of the sign-in, or about the tab's page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<Text>,
}
