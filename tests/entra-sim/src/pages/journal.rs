//! What the pages saw, for tests to read: attempts to sign in, answers to "stay signed in?", policy violations.
//!
//! It never holds a secret: of a credential it keeps which kind was there and whether it was right.

use serde::Serialize;
use serde_json::Value;

/// Everything noted since the start or the last reset, oldest first.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Journal {
    /// Pages shown.
    pub(super) pages: Vec<PageShown>,
    /// GetCredentialType questions.
    pub(super) credential_types: Vec<CredentialTypeAsked>,
    /// Credentials posted.
    pub(super) attempts: Vec<Attempt>,
    /// Answers to "stay signed in?".
    pub(super) stay_signed_in: Vec<StaySignedIn>,
    /// Portals opened, signed in.
    pub(super) portals: Vec<PortalOpened>,
    /// Reports of content security policy violations, as the browser sent them.
    pub(super) violations: Vec<Value>,
}

/// A page that was shown.
#[derive(Clone, Debug, Serialize)]
pub(super) struct PageShown {
    /// Milliseconds since the simulation started.
    pub(super) at_ms: u64,
    /// Host.
    pub(super) host: String,
    /// Path, without the query.
    pub(super) path: String,
    /// PageID.
    pub(super) page: String,
    /// `sErrorCode`, unless it is the usual 50058.
    pub(super) error: Option<u32>,
}

/// A GetCredentialType question.
#[derive(Clone, Debug, Serialize)]
pub(super) struct CredentialTypeAsked {
    /// Milliseconds since the simulation started.
    pub(super) at_ms: u64,
    /// Host.
    pub(super) host: String,
    /// As typed.
    pub(super) user_name: String,
    /// `IfExistsResult` of the answer.
    pub(super) if_exists: i32,
    /// `PrefCredential` of the answer.
    pub(super) preferred: u8,
}

/// A credential that was posted.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Attempt {
    /// Milliseconds since the simulation started.
    pub(super) at_ms: u64,
    /// Host; anything but a sign-in host means that a look-alike got a credential.
    pub(super) host: String,
    /// Path of the POST.
    pub(super) path: String,
    /// As posted.
    pub(super) user_name: String,
    /// Names of the fields that were there and not empty, of those that can hold a credential.
    pub(super) fields: Vec<&'static str>,
    /// `ps`: id of the view that posted.
    pub(super) view: String,
    /// Whether it was right.
    pub(super) matched: bool,
    /// AADSTS number; 0 means success.
    pub(super) error: u32,
    /// What the page counted: events per field, clicks, clicks while busy, decoys that were written to.
    pub(super) observed: Value,
}

/// An answer to "stay signed in?".
#[derive(Clone, Debug, Serialize)]
pub(super) struct StaySignedIn {
    /// Milliseconds since the simulation started.
    pub(super) at_ms: u64,
    /// Who.
    pub(super) user_name: String,
    /// Yes or no.
    pub(super) stay: bool,
    /// "Don't show this again".
    pub(super) do_not_show_again: bool,
    /// What the page counted.
    pub(super) observed: Value,
}

/// A portal that showed somebody signed in.
#[derive(Clone, Debug, Serialize)]
pub(super) struct PortalOpened {
    /// Milliseconds since the simulation started.
    pub(super) at_ms: u64,
    /// Host.
    pub(super) host: String,
    /// Who.
    pub(super) user_name: String,
    /// Names of the roles held at that moment.
    pub(super) roles: Vec<String>,
}
