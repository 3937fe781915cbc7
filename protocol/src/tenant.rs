//! What the extension may know about tenants, accounts and leases: names and times, nothing secret.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{ErrorBody, cloud::Cloud};

/// What signs a JIT account in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// A passkey that the host keeps: nothing is typed, and no page but Microsoft's can use it.
    Passkey,
    /// A Temporary Access Pass: one code, counts as MFA, ends with the lease.
    TemporaryAccessPass,
    /// A password, and after it a one-time code that the host computes (beta; only where the configuration says so).
    PasswordTotp,
    /// A password: the portals ask for MFA registration after it.
    Password,
}

/// The credential that the next lease will use, and why not a better one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialPlan {
    /// What will be issued.
    pub kind: CredentialKind,
    /// Why a better kind is not available, as one sentence; empty for the best kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// Every better kind with the reason why it is not available, the best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unavailable: Vec<CredentialUnavailable>,
    /// What is issued where a browser cannot use [`CredentialPlan::kind`], if that can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<CredentialKind>,
    /// Whether the account has a passkey at Microsoft, whatever signs it in: its sign-in page may ask for that first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub passkey_kept: bool,
}

/// A kind of credential that a tenant's leases do not get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialUnavailable {
    /// Which.
    pub kind: CredentialKind,
    /// Why, as one sentence.
    pub because: String,
    /// What would have to be done, as one sentence.
    pub remedy: String,
}

/// Where a lease stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseState {
    /// Written down; nothing has been sent yet.
    Requested,
    /// The calls that grant are under way.
    Activating,
    /// Granted; the sign-in page may still refuse for some seconds.
    Active,
    /// A sign-in with it succeeded.
    Usable,
    /// Being taken back; retried until it has been read back.
    Ending,
    /// Taken back and read back.
    Ended,
    /// Never became active; what it left has been taken back and read back.
    Failed,
    /// Ending has failed for so long that a person must look.
    Stuck,
    /// Somebody else changed the account.
    ExternallyModified,
}

impl LeaseState {
    /// Whether nothing of the lease is left to be done.
    #[must_use]
    pub const fn is_closed(self) -> bool {
        matches!(self, Self::Ended | Self::Failed)
    }
}

/// Something about a lease that a person should know.
pub type Problem = ErrorBody;

/// One bounded period for which a JIT account is active.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseSummary {
    /// The lease.
    pub lease_id: Uuid,
    /// Its tenant (directory id).
    pub tenant_id: Uuid,
    /// The tenant's display name.
    pub tenant_name: String,
    /// The account's user principal name.
    pub user_name: String,
    /// Display names of the directory roles.
    pub roles: Vec<String>,
    /// Where it stands.
    pub state: LeaseState,
    /// What was issued, once something was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialKind>,
    /// Whether this connection's host still holds the credential, so that it can be filled or shown.
    #[serde(default)]
    pub credential_held: bool,
    /// When it began, Unix time in milliseconds.
    pub from: i64,
    /// When it ends, Unix time in milliseconds.
    pub until: i64,
    /// What is wrong, if anything is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// The profile that it was started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Whose it is, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub technician: Option<String>,
    /// The ticket it was started for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// When its credential ends by itself, if that is before the lease does: whoever signs in again after that needs
    /// a new one. Unix time in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_until: Option<i64>,
}

/// One way of working in a tenant, for the technician to choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileSummary {
    /// What it is called.
    pub name: String,
    /// The directory roles it grants.
    pub roles: Vec<String>,
    /// The groups it makes the account a member of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// How long a lease lasts unless the technician asks for another length, in minutes.
    pub minutes: u32,
    /// The longest a lease may last, in minutes.
    pub maximum_minutes: u32,
}

/// One customer's tenant as the technician sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantSummary {
    /// Directory (tenant) id.
    pub tenant_id: Uuid,
    /// The customer's name.
    pub name: String,
    /// Verified domains, the one for the accounts first: how a page's address is recognised.
    pub domains: Vec<String>,
    /// Which Microsoft cloud it lives in.
    pub cloud: Cloud,
    /// The technician's own JIT account there.
    pub user_name: String,
    /// Display names of the roles a lease grants.
    pub roles: Vec<String>,
    /// How long a lease lasts unless the technician asks for another length, in minutes.
    pub minutes: u32,
    /// The longest a lease may last, in minutes.
    pub maximum_minutes: u32,
    /// The credential that the next lease will use.
    pub credential: CredentialPlan,
    /// When the application's secret or certificate ends, Unix time in milliseconds, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_expires: Option<i64>,
    /// The technician's open lease there (also one that is still ending).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseSummary>,
    /// When a lease was last started there, Unix time in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<i64>,
    /// What the technician may choose, the least powerful first; empty when nothing entitles her or him.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<ProfileSummary>,
    /// Whether a reason must be given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reason_required: bool,
    /// A regular expression that a ticket number must fit; a ticket must be given when this is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket_pattern: Option<String>,
}
