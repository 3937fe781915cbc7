//! What can go wrong, as data, with a sentence of what to do next.
//!
//! No variant holds a secret. Microsoft's own texts are kept for the log and never branched on.

use latchkey_protocol::{ErrorBody, ErrorCode};
use uuid::Uuid;

/// An error of the engine: what happened, on which tenant, and Microsoft's `request-id` where there is one.
#[derive(Clone, Debug)]
pub struct EngineError(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    failure: Failure,
    tenant: Option<String>,
    request_id: Option<String>,
}

impl EngineError {
    /// What happened.
    #[must_use]
    pub fn failure(&self) -> &Failure {
        &self.0.failure
    }

    /// The number of what happened.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.0.failure.code()
    }

    /// The error as it crosses a process boundary.
    #[must_use]
    pub fn to_body(&self) -> ErrorBody {
        let mut body = ErrorBody::new(self.code(), self.0.failure.to_string(), self.0.failure.next_step());
        body.tenant.clone_from(&self.0.tenant);
        body.graph_request_id.clone_from(&self.0.request_id);
        body
    }

    pub(crate) fn in_tenant(mut self, name: &str) -> Self {
        if self.0.tenant.is_none() {
            self.0.tenant = Some(name.to_owned());
        }
        self
    }

    pub(crate) fn with_request_id(mut self, request_id: Option<String>) -> Self {
        if request_id.is_some() {
            self.0.request_id = request_id;
        }
        self
    }
}

impl std::fmt::Display for EngineError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(tenant) = &self.0.tenant {
            write!(formatter, "{tenant}: ")?;
        }
        self.0.failure.fmt(formatter)
    }
}

impl std::error::Error for EngineError {}

impl From<Failure> for EngineError {
    fn from(failure: Failure) -> Self {
        Self(Box::new(Inner { failure, tenant: None, request_id: None }))
    }
}

impl From<EngineError> for ErrorBody {
    fn from(error: EngineError) -> Self {
        error.to_body()
    }
}

/// What happened. The display text is one sentence without what to do next; that is [`Failure::next_step`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// No such tenant is connected.
    #[error("no tenant with the id {0} is connected")]
    TenantUnknown(Uuid),
    /// The key store is locked.
    #[error("the key store is locked")]
    KeyStoreLocked,
    /// There is no key store, or it refused.
    #[error("the key store cannot be used: {0}")]
    KeyStoreUnavailable(String),
    /// The key store has no secret for the tenant.
    #[error("the key store holds neither a client secret nor a certificate's key for this tenant")]
    SecretMissing,
    /// The database is damaged.
    #[error("the database is damaged: {0}")]
    StoreDamaged(String),
    /// The disk is full.
    #[error("the disk that holds the database is full")]
    DiskFull,
    /// The database cannot be opened or written.
    #[error("the database cannot be used: {0}")]
    StoreUnavailable(String),
    /// A setting does not say what it must.
    #[error("{0}")]
    ConfigurationInvalid(String),

    /// AADSTS7000215.
    #[error("the client secret is wrong (AADSTS7000215)")]
    ClientSecretWrong,
    /// AADSTS7000222.
    #[error("the client secret has expired (AADSTS7000222)")]
    ClientSecretExpired,
    /// Its time is up, by our own record: Microsoft's number for it is that of a wrong certificate.
    #[error("the application's certificate has expired")]
    CertificateExpired,
    /// AADSTS700027 and the others about an assertion's signature.
    #[error("Microsoft does not accept the application's certificate (AADSTS{0})")]
    CertificateRefused(u32),
    /// AADSTS700024: an assertion is not good yet, or not any more.
    #[error("Microsoft finds the application's signature not timely (AADSTS700024)")]
    AssertionTime,
    /// Nothing is prepared to be uploaded or used.
    #[error("no certificate has been made for this tenant")]
    CertificateMissing,
    /// Somebody of another tenant signed in.
    #[error("the administrator who signed in belongs to another tenant")]
    AdministratorOfAnotherTenant,
    /// An application that no onboarding of ours made is not deleted unasked.
    #[error("the application \"{0}\" was not made by `latchkey tenant onboard`, so it stays")]
    ApplicationNotOurs(String),
    /// AADSTS700016.
    #[error("the application is not in this tenant (AADSTS{0})")]
    ApplicationNotFound(u32),
    /// AADSTS90002 and the cross-cloud ones.
    #[error("this cloud has no tenant of that id (AADSTS{0})")]
    TenantNotFound(u32),
    /// Disabled, or blocked by a Conditional Access policy.
    #[error("the application may not sign in (AADSTS{0})")]
    ApplicationBlocked(u32),
    /// Another refusal of the token endpoint.
    #[error("Microsoft refused the application's sign-in ({0})")]
    TokenRefused(String),

    /// Application permissions are missing.
    #[error("the application lacks the permission {}", .0.join(", "))]
    PermissionMissing(Vec<String>),
    /// Graph refuses to set a password although the permission is there.
    #[error("Microsoft refuses to let the application set the password of {0}")]
    PasswordNotAllowed(String),
    /// An account of the name is somebody else's.
    #[error("an account named {0} exists in the tenant and was not made by Latchkey")]
    AccountNotOurs(String),
    /// The domain is federated.
    #[error("the domain {0} is federated: its passwords are not Entra's")]
    DomainFederated(String),
    /// The domain is not verified.
    #[error("the domain {0} is not a verified domain of the tenant")]
    DomainNotVerified(String),
    /// There is no role of the name.
    #[error("the tenant has no role named \"{name}\"")]
    RoleUnknown {
        /// What was asked for.
        name: String,
        /// Names that look like it.
        similar: Vec<String>,
    },
    /// There is no group of the name or id.
    #[error("the tenant has no group named \"{name}\"")]
    GroupUnknown {
        /// What was asked for.
        name: String,
        /// Names that look like it.
        similar: Vec<String>,
    },
    /// Several groups have the name.
    #[error("{} groups of the tenant are named \"{name}\"", ids.len())]
    GroupAmbiguous {
        /// What was asked for.
        name: String,
        /// Which they are.
        ids: Vec<Uuid>,
    },
    /// Nobody but its owner can change who is in the group.
    #[error("the group \"{name}\" cannot be granted: {why}")]
    GroupNotManageable {
        /// Its display name.
        name: String,
        /// What is in the way.
        why: Unmanageable,
    },
    /// Graph asks to wait.
    #[error("Microsoft asks to wait {0} seconds")]
    Throttled(u64),
    /// Graph answers with faults.
    #[error("Microsoft Graph is in trouble (HTTP {0})")]
    GraphUnavailable(u16),
    /// Graph refuses.
    #[error("Microsoft Graph refused to {action} (HTTP {status}, {code})")]
    GraphRefused {
        /// What was to be done.
        action: &'static str,
        /// HTTP status.
        status: u16,
        /// `error.code`.
        code: String,
    },
    /// A role that ends by itself cannot be removed yet.
    #[error("Microsoft keeps a role that ends by itself for its first five minutes")]
    RoleTooYoung,
    /// No answer.
    #[error("Microsoft cannot be reached: {0}")]
    NetworkUnreachable(String),
    /// The local clock is wrong, by so many seconds (positive: it is behind).
    #[error("this machine's clock is wrong by {} minutes", .0.abs() / 60)]
    ClockWrong(i64),
    /// The account has not arrived everywhere.
    #[error("the account {0} was created but has not arrived everywhere in the directory yet")]
    AccountNotReplicated(String),

    /// No such lease.
    #[error("there is no lease {0}")]
    LeaseUnknown(Uuid),
    /// It has ended.
    #[error("the lease has ended")]
    LeaseOver,
    /// It is not active yet.
    #[error("the lease is not active yet")]
    LeaseNotUsable,
    /// An earlier lease of the account is still ending.
    #[error("an earlier lease of {0} is still being taken back")]
    AccountEnding(String),
    /// The document is not a sign-in page of the tenant's cloud.
    #[error("{0} is not a sign-in page of the tenant's cloud")]
    OriginNotAllowed(String),
    /// The field does not take the credential that was issued.
    #[error("the field does not take the credential of this lease")]
    FieldMismatch,
    /// The document was filled before.
    #[error("this page was filled before")]
    AlreadyFilled,
    /// The ending has not been verified.
    #[error("the end of the lease has not been verified yet: {0}")]
    EndingUnverified(String),
    /// The length is not allowed.
    #[error("a lease of {asked} minutes is not allowed (1 to {maximum})")]
    DurationNotAllowed {
        /// Minutes asked for.
        asked: u32,
        /// The most that is allowed.
        maximum: u32,
    },
    /// A longer lease is not allowed.
    #[error("{asked} more minutes are not allowed: the lease may last {maximum} minutes in all, {left} are left")]
    ExtensionNotAllowed {
        /// Minutes asked for.
        asked: u32,
        /// The most that can still be had.
        left: u32,
        /// The longest a lease may last in all.
        maximum: u32,
    },
    /// Nothing entitles the technician, or the configuration does not list her or him.
    #[error("{technician} is not entitled to anything in this tenant")]
    NotEntitled {
        /// Her or his name.
        technician: String,
    },
    /// There is no such technician.
    #[error("no technician is called \"{0}\"")]
    TechnicianUnknown(String),
    /// The technician has no such profile in the tenant.
    #[error("there is no profile \"{name}\" for you in this tenant")]
    ProfileUnknown {
        /// What was asked for.
        name: String,
        /// Those that there are, the least powerful first.
        known: Vec<String>,
    },
    /// A reason must be given.
    #[error("a reason is needed")]
    ReasonMissing,
    /// A ticket must be given.
    #[error("a ticket number is needed")]
    TicketMissing {
        /// What it must look like.
        pattern: String,
    },
    /// The ticket does not look as it must.
    #[error("\"{ticket}\" is not a ticket number")]
    TicketUnfit {
        /// What was given.
        ticket: String,
        /// What it must look like.
        pattern: String,
    },
    /// Too many leases are open.
    #[error("no more than {limit} leases may be open at once")]
    TooManyLeases {
        /// How many may be.
        limit: u32,
    },
    /// The credential is not held any more.
    #[error("the credential is not held any more")]
    CredentialGone,
    /// A passkey was asked for to be shown.
    #[error("a passkey cannot be shown")]
    NothingToShow,
    /// A one-time code was asked for where there is none.
    #[error("this lease does not sign in with a one-time code")]
    NoCode,
    /// Nobody showed who is there.
    #[error("Latchkey does not know that it is you")]
    VerificationNeeded,
    /// There is no PIN.
    #[error("no PIN is set")]
    PinNotSet,
    /// It is not the one.
    #[error("this is not the PIN")]
    PinWrong,
    /// It was tried too often; so many seconds are left.
    #[error("a wrong PIN was tried too often: wait {0} seconds")]
    PinWait(i64),
    /// The request is none, or for another passkey.
    #[error("the page does not ask for a passkey of this lease's account")]
    PasskeyNotAsked,
    /// The request, or the making of a passkey, is on behalf of somebody else than Microsoft's sign-in.
    #[error("\"{0}\" is not the relying party of this lease's passkey")]
    RelyingPartyNotAllowed(String),
    /// The key is not there any more.
    #[error("this machine does not hold the passkey any more")]
    PasskeyGone,
    /// The challenge was signed before.
    #[error("this request of the page was answered before")]
    PasskeyAnswered,
    /// The authenticator could not make one.
    #[error("the passkey could not be made: {0}")]
    PasskeyNotMade(String),
    /// The secret of an account's one-time codes is not there any more.
    #[error("this machine does not hold the secret of the one-time codes any more")]
    OneTimeCodeGone,
    /// Nothing is left that could be issued instead.
    #[error("there is no other credential that could be used")]
    NoOtherCredential,
    /// The configuration and the store know no such break-glass account.
    #[error("there is no break-glass account named {0}")]
    BreakGlassUnknown(String),
    /// It was never made, or its making was left half-way.
    #[error("the break-glass account {0} is not ready")]
    BreakGlassNotReady(String),
    /// Somebody deleted it.
    #[error("the break-glass account {0} is not in the directory any more")]
    BreakGlassGone(String),
    /// An account of the name is there and not ours.
    #[error("{user_name} exists in the tenant{}", if *marked { " and bears the mark of another Latchkey" } else { " and was not made by Latchkey" })]
    TakeOverNeeded {
        /// User principal name.
        user_name: String,
        /// Whether it bears the mark of a break-glass account.
        marked: bool,
    },
    /// The application may not touch an administrator.
    #[error(
        "Microsoft refuses to let the application change {user_name}: the account holds a directory role, and the application does not hold Privileged Authentication Administrator"
    )]
    AppRoleMissing {
        /// User principal name.
        user_name: String,
        /// The tenant's display name.
        tenant: String,
    },
    /// It is not known whether a new password took effect.
    #[error(
        "it is not known whether the new password of {user_name} took effect ({cause}); the old one and the new one are both kept"
    )]
    PasswordUncertain {
        /// User principal name.
        user_name: String,
        /// What happened.
        cause: String,
    },
    /// Somebody else changed it.
    #[error("somebody else has changed the password of {0}")]
    PasswordChangedElsewhere(String),
    /// The key store does not hold it any more.
    #[error("the key store does not hold the password of {0} any more")]
    PasswordLost(String),
    /// The technician is in none of the groups that may see it.
    #[error("only technicians in {} may see the password of {user_name}", if groups.is_empty() { "groups that the configuration names (it names none)".to_owned() } else { groups.join(", ") })]
    RevealNotAllowed {
        /// User principal name.
        user_name: String,
        /// Who may.
        groups: Vec<String>,
    },
    /// Another process works on the account.
    #[error("another process is working on {0}")]
    Busy(String),
    /// Somebody locked everything down.
    #[error("{technician} has locked everything down{}", if reason.is_empty() { String::new() } else { format!(": {reason}") })]
    LockedDown {
        /// Who.
        technician: String,
        /// Why; empty when nobody said.
        reason: String,
    },
    /// A fault of ours.
    #[error("an internal fault: {0}")]
    Internal(String),
}

/// Why an application cannot change who is in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unmanageable {
    /// A rule says who is in it.
    #[error("its members follow a rule (dynamic membership)")]
    Dynamic,
    /// It comes from an on-premises directory.
    #[error("it is synchronised from an on-premises directory")]
    Synchronised,
    /// A mail-enabled security group.
    #[error("it is a mail-enabled security group, which only Exchange can change")]
    MailEnabled,
    /// A distribution list.
    #[error("it is a distribution list, which only Exchange can change")]
    Distribution,
    /// Roles can be assigned to it, and the application may not manage roles.
    #[error("roles can be assigned to it, and the application may not manage roles")]
    RoleAssignable,
}

impl Failure {
    /// The number on the wire.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::TenantUnknown(_) => ErrorCode::TenantUnknown,
            Self::KeyStoreLocked => ErrorCode::KeyStoreLocked,
            Self::KeyStoreUnavailable(_) => ErrorCode::KeyStoreUnavailable,
            Self::SecretMissing => ErrorCode::SecretMissing,
            Self::StoreDamaged(_) => ErrorCode::StoreDamaged,
            Self::DiskFull => ErrorCode::DiskFull,
            Self::StoreUnavailable(_) => ErrorCode::StoreUnavailable,
            Self::ConfigurationInvalid(_) => ErrorCode::ConfigurationInvalid,
            Self::ClientSecretWrong => ErrorCode::ClientSecretWrong,
            Self::ClientSecretExpired => ErrorCode::ClientSecretExpired,
            Self::CertificateExpired | Self::CertificateRefused(_) => ErrorCode::CertificateRefused,
            Self::AssertionTime => ErrorCode::ClockWrong,
            Self::CertificateMissing => ErrorCode::SecretMissing,
            Self::AdministratorOfAnotherTenant => ErrorCode::TokenRefused,
            Self::ApplicationNotFound(_) => ErrorCode::ApplicationNotFound,
            Self::TenantNotFound(_) => ErrorCode::TenantNotFound,
            Self::ApplicationBlocked(_) => ErrorCode::ApplicationBlocked,
            Self::TokenRefused(_) => ErrorCode::TokenRefused,
            Self::PermissionMissing(_) | Self::PasswordNotAllowed(_) => ErrorCode::PermissionMissing,
            Self::AccountNotOurs(_) => ErrorCode::AccountNotOurs,
            Self::DomainFederated(_) => ErrorCode::DomainFederated,
            Self::DomainNotVerified(_) => ErrorCode::DomainNotVerified,
            Self::RoleUnknown { .. } => ErrorCode::RoleUnknown,
            Self::GroupUnknown { .. } | Self::GroupAmbiguous { .. } => ErrorCode::GroupUnknown,
            Self::GroupNotManageable { .. } => ErrorCode::GroupNotManageable,
            Self::Throttled(_) => ErrorCode::Throttled,
            Self::GraphUnavailable(_) => ErrorCode::GraphUnavailable,
            Self::GraphRefused { .. } | Self::RoleTooYoung => ErrorCode::GraphRefused,
            Self::NetworkUnreachable(_) => ErrorCode::NetworkUnreachable,
            Self::ClockWrong(_) => ErrorCode::ClockWrong,
            Self::AccountNotReplicated(_) => ErrorCode::AccountNotReplicated,
            Self::LeaseUnknown(_) => ErrorCode::LeaseUnknown,
            Self::LeaseOver => ErrorCode::LeaseOver,
            Self::LeaseNotUsable | Self::FieldMismatch => ErrorCode::LeaseNotUsable,
            Self::AccountEnding(_) => ErrorCode::AccountEnding,
            Self::OriginNotAllowed(_) => ErrorCode::OriginNotAllowed,
            Self::AlreadyFilled => ErrorCode::AlreadyFilled,
            Self::EndingUnverified(_) => ErrorCode::EndingUnverified,
            Self::DurationNotAllowed { .. } => ErrorCode::DurationNotAllowed,
            Self::ExtensionNotAllowed { .. } => ErrorCode::DurationNotAllowed,
            Self::NotEntitled { .. } | Self::TechnicianUnknown(_) => ErrorCode::NotEntitled,
            Self::ProfileUnknown { .. } => ErrorCode::ProfileUnknown,
            Self::ReasonMissing => ErrorCode::ReasonMissing,
            Self::TicketMissing { .. } | Self::TicketUnfit { .. } => ErrorCode::TicketNotFitting,
            Self::TooManyLeases { .. } => ErrorCode::TooManyLeases,
            Self::CredentialGone => ErrorCode::CredentialGone,
            Self::LockedDown { .. } => ErrorCode::LockedDown,
            Self::NothingToShow | Self::NoCode | Self::NoOtherCredential => ErrorCode::LeaseNotUsable,
            Self::VerificationNeeded => ErrorCode::VerificationNeeded,
            Self::PinNotSet => ErrorCode::PinNotSet,
            Self::PinWrong => ErrorCode::PinWrong,
            Self::PinWait(_) => ErrorCode::PinWait,
            Self::PasskeyNotAsked => ErrorCode::PasskeyNotAsked,
            Self::RelyingPartyNotAllowed(_) => ErrorCode::RelyingPartyNotAllowed,
            Self::PasskeyGone => ErrorCode::PasskeyGone,
            Self::PasskeyAnswered => ErrorCode::PasskeyAnswered,
            Self::OneTimeCodeGone => ErrorCode::OneTimeCodeGone,
            Self::PasskeyNotMade(_) => ErrorCode::GraphRefused,
            Self::BreakGlassUnknown(_) | Self::ApplicationNotOurs(_) => ErrorCode::ConfigurationInvalid,
            Self::BreakGlassNotReady(_) | Self::BreakGlassGone(_) | Self::PasswordLost(_) => ErrorCode::CredentialGone,
            Self::TakeOverNeeded { .. } => ErrorCode::AccountNotOurs,
            Self::AppRoleMissing { .. } => ErrorCode::PermissionMissing,
            Self::PasswordUncertain { .. } | Self::PasswordChangedElsewhere(_) => ErrorCode::PasswordUncertain,
            Self::RevealNotAllowed { .. } => ErrorCode::RevealNotAllowed,
            Self::Busy(_) => ErrorCode::Busy,
            Self::Internal(_) => ErrorCode::Internal,
        }
    }

    /// One sentence: what to do next.
    #[must_use]
    pub fn next_step(&self) -> String {
        match self {
            Self::TenantUnknown(_) => "Connect it with `latchkey tenant add`, or see `latchkey tenant list`.".to_owned(),
            Self::KeyStoreLocked => "Unlock the key store (sign in to the desktop session) and try again.".to_owned(),
            Self::KeyStoreUnavailable(_) => "Run `latchkey doctor`: it says which key store is missing.".to_owned(),
            Self::SecretMissing => {
                "Enter the secret again, or make a new certificate, with `latchkey tenant add`.".to_owned()
            }
            Self::StoreDamaged(_) => "Move the database file aside (keep it: it holds the audit log) and connect the \
                tenants again; accounts that carry our mark are recognised and made dormant."
                .to_owned(),
            Self::DiskFull => "Free some space and try again; nothing was granted.".to_owned(),
            Self::StoreUnavailable(_) => {
                "Check that the database's folder belongs to you and can be written; `latchkey doctor` shows where it is."
                    .to_owned()
            }
            Self::ConfigurationInvalid(_) => "Correct the setting and try again.".to_owned(),
            Self::ClientSecretWrong => "Paste the secret's value, not its id; if it is lost, make a new one under \
                Certificates & secrets in the app registration."
                .to_owned(),
            Self::ClientSecretExpired => {
                "Make a new secret in the app registration and enter it with `latchkey tenant add`.".to_owned()
            }
            Self::CertificateExpired => "Replace it with `latchkey tenant credential rotate`.".to_owned(),
            Self::CertificateRefused(_) => "Upload the certificate that `latchkey tenant credential show` prints under \
                Certificates & secrets in the app registration; if it has expired, make a new one with `latchkey tenant \
                credential rotate`."
                .to_owned(),
            Self::AssertionTime => "Set this machine's clock (turn on the automatic time) and try again.".to_owned(),
            Self::AdministratorOfAnotherTenant => {
                "Sign in again as an administrator of the customer's own tenant.".to_owned()
            }
            Self::ApplicationNotOurs(_) => "To disconnect the tenant and keep the application, use `latchkey tenant \
                remove`; to delete it although something else may use it, say --any-application."
                .to_owned(),
            Self::CertificateMissing => "Make one with `latchkey tenant add --certificate`.".to_owned(),
            Self::ApplicationNotFound(_) => "Check the application (client) id and the directory id, and that an admin \
                of this tenant has granted consent."
                .to_owned(),
            Self::TenantNotFound(_) => "Check the directory (tenant) id and the cloud.".to_owned(),
            Self::ApplicationBlocked(_) => "Ask the customer's admin to enable the enterprise application, or to \
                exclude it from the Conditional Access policy that blocks it."
                .to_owned(),
            Self::TokenRefused(_) => "Look the AADSTS number up, correct the app registration and try again.".to_owned(),
            Self::PermissionMissing(_) => "In the app registration, add the permission (application, Microsoft Graph) \
                and grant admin consent; it counts from the next token on."
                .to_owned(),
            Self::PasswordNotAllowed(_) => "Leases with a password make the account anew each time, which takes \
                longer. To have it kept, give the application the directory role User Administrator, or allow \
                Temporary Access Passes and grant UserAuthMethod-TAP.ReadWrite.All."
                .to_owned(),
            Self::AccountNotOurs(_) => {
                "Choose another local part or prefix; an account that is not ours is never taken over.".to_owned()
            }
            Self::DomainFederated(_) => {
                "Choose a managed domain of the tenant, for example its onmicrosoft.com one.".to_owned()
            }
            Self::DomainNotVerified(_) => "Choose one of the tenant's verified domains.".to_owned(),
            Self::RoleUnknown { similar, .. } if similar.is_empty() => {
                "Check the role's name in the Entra admin center.".to_owned()
            }
            Self::RoleUnknown { similar, .. } => format!("Did you mean {}?", similar.join(", or ")),
            Self::GroupUnknown { similar, .. } if similar.is_empty() => {
                "Check the group's name in the Entra admin center, or give its object id.".to_owned()
            }
            Self::GroupUnknown { similar, .. } => format!("Did you mean {}?", similar.join(", or ")),
            Self::GroupAmbiguous { ids, .. } => {
                let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
                format!("Give the object id of the one you mean: {}.", ids.join(", or "))
            }
            Self::GroupNotManageable { why: Unmanageable::RoleAssignable, .. } => {
                "Grant the application RoleManagement.ReadWrite.Directory, or name another group.".to_owned()
            }
            Self::GroupNotManageable { .. } => {
                "Name a security group or a Microsoft 365 group whose members are assigned by hand.".to_owned()
            }
            Self::Throttled(_) => "Wait that long and try again.".to_owned(),
            Self::GraphUnavailable(_) => "Try again in a minute; what had begun is being taken back.".to_owned(),
            Self::GraphRefused { .. } => {
                "Run `latchkey doctor`; if that finds nothing, give Microsoft's support the request id.".to_owned()
            }
            Self::RoleTooYoung => "Nothing needs to be done: it is tried again until it is gone.".to_owned(),
            Self::NetworkUnreachable(_) => {
                "Check the connection and the proxy (HTTPS_PROXY), then try again.".to_owned()
            }
            Self::ClockWrong(_) => "Set the clock (switch on automatic time) and try again.".to_owned(),
            Self::AccountNotReplicated(_) => "Try again in a minute or two.".to_owned(),
            Self::LeaseUnknown(_) => "See `latchkey list`.".to_owned(),
            Self::LeaseOver | Self::CredentialGone => "Ask for access again.".to_owned(),
            Self::LeaseNotUsable => "Wait until it is active.".to_owned(),
            Self::AccountEnding(_) => {
                "Try again in a minute; `latchkey list` shows what holds the ending up.".to_owned()
            }
            Self::OriginNotAllowed(_) => "Open the portal again and start from its sign-in page.".to_owned(),
            Self::FieldMismatch => "Choose the matching way to sign in on the page.".to_owned(),
            Self::AlreadyFilled => "Load the page again, or show the credential in the popup.".to_owned(),
            Self::EndingUnverified(_) => {
                "Nothing needs to be done: it is tried again until it is verified. If it stays, disable the account by \
                 hand in the Entra admin center."
                    .to_owned()
            }
            Self::DurationNotAllowed { .. } => "Ask for a shorter time.".to_owned(),
            Self::NothingToShow => "Sign in with it by the popup; nobody needs to know it.".to_owned(),
            Self::NoCode => "See `latchkey list --credentials` for the OATH tokens that are there.".to_owned(),
            Self::VerificationNeeded => "Enter your PIN; if you have none, set one with `latchkey pin set`.".to_owned(),
            Self::PinNotSet => "Set one with `latchkey pin set`.".to_owned(),
            Self::PinWrong => "Try again; after three wrong ones there is a wait.".to_owned(),
            Self::PinWait(_) => "Wait that long and try again.".to_owned(),
            Self::PasskeyNotAsked => "Load the page again, and choose another way to sign in if it stays.".to_owned(),
            Self::RelyingPartyNotAllowed(_) => {
                "Close the page: only Microsoft's sign-in pages may ask for it.".to_owned()
            }
            Self::PasskeyGone | Self::OneTimeCodeGone => "Start again: the next credential in line is used.".to_owned(),
            Self::PasskeyAnswered => "Load the page again.".to_owned(),
            Self::PasskeyNotMade(_) => {
                "Nothing needs to be done: the next credential in line is used.".to_owned()
            }
            Self::NoOtherCredential => {
                "End the lease, and look with `latchkey tenant validate` at what the tenant allows.".to_owned()
            }
            Self::BreakGlassUnknown(_) => "See `latchkey break-glass list`.".to_owned(),
            Self::BreakGlassNotReady(_) => "Finish it with `latchkey break-glass prepare`.".to_owned(),
            Self::BreakGlassGone(_) => "Find out who deleted it (the tenant's audit log says); `latchkey break-glass \
                prepare` makes a new one."
                .to_owned(),
            Self::TakeOverNeeded { marked: true, .. } => "If no other machine manages it any more, say --take-over (or \
                take_over = true in config.toml): its password is replaced then."
                .to_owned(),
            Self::TakeOverNeeded { marked: false, .. } => "Choose another name, or say --take-over (or take_over = true \
                in config.toml) if it is to become a break-glass account: its password is replaced then."
                .to_owned(),
            Self::AppRoleMissing { tenant, .. } => format!(
                "The password stays as it is and valid. To let Latchkey replace it, give the application that role with \
                 `latchkey break-glass grant-app-role {}`.",
                quoted(tenant)
            ),
            Self::PasswordUncertain { .. } => {
                "`latchkey break-glass reveal` says which is likelier; the next rotation settles it.".to_owned()
            }
            Self::PasswordChangedElsewhere(_) => "Find out who did (the tenant's audit log says); the next rotation, or \
                `latchkey break-glass rotate`, sets a new one."
                .to_owned(),
            Self::PasswordLost(_) => "Set a new one with `latchkey break-glass rotate`.".to_owned(),
            Self::RevealNotAllowed { .. } => {
                "Ask somebody who is in one of them; the groups stand under [[break_glass]] reveal in config.toml."
                    .to_owned()
            }
            Self::ExtensionNotAllowed { left: 0, .. } => {
                "Work on until it ends, then ask for access again.".to_owned()
            }
            Self::ExtensionNotAllowed { left, .. } => format!("Ask for {left} minutes or less."),
            Self::NotEntitled { .. } => {
                "Ask whoever keeps the configuration for an entitlement in this tenant.".to_owned()
            }
            Self::TechnicianUnknown(_) => "Give the name as it stands in the configuration.".to_owned(),
            Self::ProfileUnknown { known, .. } => format!("Choose {}.", known.join(", or ")),
            Self::ReasonMissing => "Say in a few words what you need the access for.".to_owned(),
            Self::TicketMissing { pattern } | Self::TicketUnfit { pattern, .. } => {
                format!("Give a ticket number that fits {pattern}.")
            }
            Self::TooManyLeases { .. } => "End a lease that you do not need any more; see `latchkey list`.".to_owned(),
            Self::Busy(_) => "Wait some seconds and try again.".to_owned(),
            Self::LockedDown { .. } => {
                "Nobody can start or use a lease until it is lifted with `latchkey lockdown --lift --reason …`.".to_owned()
            }
            Self::Internal(_) => "Try again; if it stays, report it with the log.".to_owned(),
        }
    }
}

/// A name as a shell takes it for one word.
fn quoted(name: &str) -> String {
    if !name.is_empty() && name.chars().all(|letter| letter.is_alphanumeric() || "-_.".contains(letter)) {
        return name.to_owned();
    }
    format!("'{}'", name.replace('\'', r"'\''"))
}
