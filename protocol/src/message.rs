//! The messages themselves: a closed set of verbs, their replies, and the events a host pushes.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{CredentialKind, ErrorBody, Finding, LeaseSummary, TenantSummary};

/// Joins a reply and its events to a request. Chosen by the extension, unique per connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub u32);

/// What the extension sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestFrame {
    /// Joins the reply to this request.
    pub id: RequestId,
    /// What is asked.
    pub request: Request,
}

/// The closed set of verbs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// The handshake; always first. Answered by [`Reply::Welcome`].
    Hello(Hello),
    /// Which tenants the technician may enter; with a hint, which one the page is about (and the host warms its
    /// token and connection). Answered by [`Reply::Tenants`].
    ListTenants {
        /// What the sign-in page's address says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<TenantHint>,
    },
    /// Activate the JIT account. Events: [`HostFrame::Progress`]. Answered by [`Reply::Lease`] once a credential
    /// can be filled. While an own lease of the same tenant is open, that one is answered again (its credential is
    /// renewed if it is not held any more).
    StartLease {
        /// Directory (tenant) id.
        tenant_id: Uuid,
        /// How long, in minutes; the tenant's default when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        minutes: Option<u32>,
        /// Why, in the technician's words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Which of the tenant's profiles; the least powerful one when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        profile: Option<String>,
        /// The number of the ticket it is for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ticket: Option<String>,
        /// Whether this browser can answer a page with a passkey; without it the next credential in line is used.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        passkey: bool,
    },
    /// Let an open lease last longer. Answered by [`Reply::Lease`].
    ExtendLease {
        /// The lease.
        lease_id: Uuid,
        /// How many minutes longer.
        minutes: u32,
        /// Why, in the technician's words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Hand out the credential to fill one field of one document. Once per field and document. Answered by
    /// [`Reply::Secret`]; a one-time code is computed at that moment, which may take until the next one begins (half a
    /// minute) when the present one has left already.
    FillCredential {
        /// The lease.
        lease_id: Uuid,
        /// The field it will fill.
        field: FillField,
        /// The document, as the browser (not the page) describes it.
        document: Document,
    },
    /// A sign-in with the lease's credential reached its end. Answered by [`Reply::Lease`].
    ConfirmSignIn {
        /// The lease.
        lease_id: Uuid,
    },
    /// Show the credential to the technician: an explicit act, audited. Answered by [`Reply::Secret`].
    RevealCredential {
        /// The lease.
        lease_id: Uuid,
    },
    /// The page refused the lease's credential, or it cannot be used there: issue the next one in line. Answered by
    /// [`Reply::Lease`].
    ReplaceCredential {
        /// The lease.
        lease_id: Uuid,
        /// What was refused.
        refused: CredentialKind,
    },
    /// Answer a page's request for a passkey. Answered by [`Reply::Passkey`].
    AssertPasskey {
        /// The lease.
        lease_id: Uuid,
        /// What the browser hands over as `requestDetailsJson`, to the letter.
        request: String,
    },
    /// Find out whether the person who works here is the one, by the operating system or by the PIN. Answered by
    /// [`Reply::Person`].
    VerifyPerson {
        /// What the person typed; without it the operating system is asked, if it can tell.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pin: Option<Pin>,
        /// The tenant that is to be signed in to, which the operating system's window names.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tenant_id: Option<Uuid>,
    },
    /// End the lease now. Events: [`HostFrame::Progress`]. Answered by [`Reply::Lease`].
    EndLease {
        /// The lease.
        lease_id: Uuid,
    },
    /// Every lease that is not closed. Answered by [`Reply::Leases`].
    ListLeases {},
    /// A sign-in met a page that the extension does not know. The host counts it for `latchkey doctor`; nothing of the
    /// page is told. Answered by [`Reply::Noted`].
    NoteUnknownPage {},
    /// Look over every link from this machine to Microsoft, and change nothing. Answered by [`Reply::Findings`].
    Examine {},
}

/// Who calls and in which version of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// [`crate::PROTOCOL_VERSION`] of the caller.
    pub protocol: u32,
    /// The extension's version, for the log.
    pub extension_version: String,
}

/// What the address of a sign-in page says about the tenant. Both come from the URL that the browser reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantHint {
    /// The tenant segment of the path: a GUID or a domain; absent for `common`, `organizations` and `consumers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// `login_hint`, `username` or `domain_hint`/`whr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
}

/// The field that a credential is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FillField {
    /// The password box of the password view.
    Password,
    /// The box of the Temporary Access Pass view.
    AccessPass,
    /// The code box of the MFA view; never a box for a device code.
    OneTimeCode,
}

impl FillField {
    /// Whether something of that kind of credential may go into this field.
    #[must_use]
    pub const fn takes(self, kind: CredentialKind) -> bool {
        matches!(
            (self, kind),
            (Self::Password, CredentialKind::Password | CredentialKind::PasswordTotp)
                | (Self::AccessPass, CredentialKind::TemporaryAccessPass)
                | (Self::OneTimeCode, CredentialKind::PasswordTotp)
        )
    }
}

/// One document in one tab, as the browser's own sender record describes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The browser's id of the tab.
    pub tab_id: i32,
    /// The browser's id of the document; changes with every navigation.
    pub document_id: String,
    /// Serialised origin, e.g. `https://login.microsoftonline.com`.
    pub origin: String,
}

/// What a person typed to show who is there. Cannot be printed with `{:?}`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pin(pub String);

impl std::fmt::Debug for Pin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Pin(..)")
    }
}

/// What the host sends: one reply per request, and events in between or on their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum HostFrame {
    /// The answer to a request that succeeded.
    Reply {
        /// The request.
        id: RequestId,
        /// The answer.
        reply: Reply,
    },
    /// The answer to a request that failed. `id` is absent when the request could not be read.
    Error {
        /// The request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        /// What went wrong.
        error: ErrorBody,
    },
    /// A part of a list that is too long for one message; [`Reply::Tenants`] brings the rest of it.
    Tenants {
        /// The request.
        id: RequestId,
        /// Those before the ones that follow.
        tenants: Vec<TenantSummary>,
    },
    /// A request is moving on.
    Progress {
        /// The request.
        id: RequestId,
        /// What moved.
        progress: Progress,
    },
    /// A lease changed without being asked: it ended at its time, or its ending is in trouble.
    LeaseChanged {
        /// The lease as it stands now.
        lease: LeaseSummary,
    },
}

/// The answers.
// One at a time is made and written out at once; a box would only be another allocation.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// To [`Request::Hello`].
    Welcome(Welcome),
    /// To [`Request::ListTenants`].
    Tenants {
        /// Most recently used first.
        tenants: Vec<TenantSummary>,
        /// The tenant that the hint means, if it is one of them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recognized: Option<Uuid>,
    },
    /// A lease.
    Lease {
        /// As it stands now.
        lease: LeaseSummary,
    },
    /// To [`Request::ListLeases`].
    Leases {
        /// Ending soonest first.
        leases: Vec<LeaseSummary>,
    },
    /// To [`Request::Examine`].
    Findings {
        /// One for each link, in the order of the chain.
        findings: Vec<Finding>,
    },
    /// To [`Request::FillCredential`] and [`Request::RevealCredential`], and to nothing else.
    Secret(Secret),
    /// To [`Request::NoteUnknownPage`].
    Noted {},
    /// To [`Request::AssertPasskey`], and to nothing else.
    Passkey(PasskeyResponse),
    /// To [`Request::VerifyPerson`].
    Person(PersonState),
}

/// The host's side of the handshake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// [`crate::PROTOCOL_VERSION`] of the host.
    pub protocol: u32,
    /// The host's version.
    pub host_version: String,
}

/// A credential on its way to one field or to the technician's eyes. Cannot be printed with `{:?}`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// The lease it belongs to.
    pub lease_id: Uuid,
    /// What it is.
    pub credential: CredentialKind,
    /// The account it signs in.
    pub user_name: String,
    /// The secret itself.
    pub value: String,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Secret").field("lease_id", &self.lease_id).finish_non_exhaustive()
    }
}

/// The answer to a page's request for a passkey. It signs in once; cannot be printed with `{:?}`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasskeyResponse {
    /// The lease it belongs to.
    pub lease_id: Uuid,
    /// What the browser takes as `responseJson`.
    pub response: String,
}

impl std::fmt::Debug for PasskeyResponse {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PasskeyResponse").field("lease_id", &self.lease_id).finish_non_exhaustive()
    }
}

/// Whether the person who works here has shown who that is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonState {
    /// Whether that is so now.
    pub verified: bool,
    /// Until when that is remembered, Unix time in milliseconds; a screen lock ends it earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// Whether there is a PIN to ask for.
    #[serde(default)]
    pub pin_set: bool,
    /// Whether the PIN that was typed is not the one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wrong: bool,
    /// How often a PIN may still be tried before there is a wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tries_left: Option<u32>,
    /// No PIN is looked at before then, Unix time in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_until: Option<i64>,
}

/// One step of an activation or a deactivation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The step.
    pub step: Step,
    /// How far it is.
    pub state: StepState,
}

/// The steps that a person can follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The app-only token.
    Token,
    /// Creating the account (first lease, or it was deleted).
    CreateAccount,
    /// Setting a new random password.
    SetPassword,
    /// Enabling the account.
    Enable,
    /// Issuing a Temporary Access Pass.
    IssuePass,
    /// Adding to groups.
    AddGroups,
    /// Assigning directory roles.
    AssignRoles,
    /// Removing directory roles.
    RemoveRoles,
    /// Removing from groups.
    RemoveGroups,
    /// Disabling the account.
    Disable,
    /// Revoking sign-in sessions.
    RevokeSessions,
    /// Deleting passes.
    DeletePass,
    /// Reading everything back.
    ReadBack,
    /// Making a passkey and registering it.
    RegisterPasskey,
    /// Deleting passkeys.
    DeletePasskey,
    /// Adding an OATH token and giving it to the account.
    AddOathToken,
    /// Deleting OATH tokens.
    DeleteOathToken,
}

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Under way.
    Started,
    /// Done.
    Done,
    /// Failed this time; it will be tried again.
    Retrying,
}
