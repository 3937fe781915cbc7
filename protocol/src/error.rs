//! Error codes with their numbers and meaning. Numbers are forever: a code may be retired, never reused.
//!
//! The extension looks up its own words by `name`; `message` and `next_step` are the host's words, used on the
//! command line and where the extension has none. No error carries a secret.

use serde::{Deserialize, Serialize};

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $number:literal, $name:literal;)+) => {
        /// What went wrong, as a number that never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl ErrorCode {
            /// Every code, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The number on the wire.
            #[must_use]
            pub const fn number(self) -> u16 {
                match self { $(Self::$variant => $number,)+ }
            }

            /// The name on the wire and in the extension's word lists (`error_<name>`).
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The code of a number, if there is one.
            #[must_use]
            pub const fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

error_codes! {
    /// The bytes are not a message of this protocol.
    MalformedMessage = 100, "malformed_message";
    /// The verb is not one of the closed set.
    UnknownVerb = 101, "unknown_verb";
    /// The other side speaks a version that this one does not.
    UnsupportedProtocol = 102, "unsupported_protocol";
    /// Something was asked before the handshake.
    HandshakeRequired = 103, "handshake_required";
    /// A frame announces more bytes than are allowed.
    FrameTooLarge = 104, "frame_too_large";
    /// The stream ended inside a frame.
    TruncatedFrame = 105, "truncated_frame";
    /// The work took longer than its deadline.
    DeadlineExceeded = 106, "deadline_exceeded";
    /// The same thing is being done already.
    Busy = 107, "busy";
    /// The caller is not an extension that this host serves.
    CallerNotAllowed = 108, "caller_not_allowed";
    /// A fault of ours; the log has the detail.
    Internal = 109, "internal";

    /// No such tenant is connected.
    TenantUnknown = 200, "tenant_unknown";
    /// The operating system's key store is locked.
    KeyStoreLocked = 201, "key_store_locked";
    /// There is no key store to be reached.
    KeyStoreUnavailable = 202, "key_store_unavailable";
    /// The key store does not hold the tenant's client secret.
    SecretMissing = 203, "secret_missing";
    /// The database is damaged.
    StoreDamaged = 204, "store_damaged";
    /// The disk is full.
    DiskFull = 205, "disk_full";
    /// The database cannot be opened or written.
    StoreUnavailable = 206, "store_unavailable";
    /// The configuration does not say what it must.
    ConfigurationInvalid = 207, "configuration_invalid";

    /// AADSTS7000215: the client secret is wrong.
    ClientSecretWrong = 300, "client_secret_wrong";
    /// AADSTS7000222: the client secret has expired.
    ClientSecretExpired = 301, "client_secret_expired";
    /// AADSTS700016: the application is not in this tenant.
    ApplicationNotFound = 302, "application_not_found";
    /// AADSTS90002: there is no such tenant in this cloud.
    TenantNotFound = 303, "tenant_not_found";
    /// The application is disabled or blocked by a policy.
    ApplicationBlocked = 304, "application_blocked";
    /// The token endpoint refused for another reason.
    TokenRefused = 305, "token_refused";
    /// AADSTS700027 and its neighbours: the application's certificate is not registered there, or has expired.
    CertificateRefused = 306, "certificate_refused";
    /// Microsoft refused to sign a person in, or she declined.
    SignInRefused = 320, "sign_in_refused";
    /// Nobody finished signing in.
    SignInAbandoned = 321, "sign_in_abandoned";
    /// The technician has to sign in to the MSP's tenant first.
    SignInRequired = 322, "sign_in_required";
    /// The technician's account is disabled, deleted or out of the group that may work with Latchkey.
    TechnicianRefused = 323, "technician_refused";

    /// An application permission is missing.
    PermissionMissing = 400, "permission_missing";
    /// An account of that name exists and is not ours.
    AccountNotOurs = 401, "account_not_ours";
    /// The domain is federated: its passwords are not Entra's.
    DomainFederated = 402, "domain_federated";
    /// The domain is not a verified domain of the tenant.
    DomainNotVerified = 403, "domain_not_verified";
    /// The tenant has no role of that name.
    RoleUnknown = 404, "role_unknown";
    /// Graph asked to wait, longer than a person would.
    Throttled = 405, "throttled";
    /// Graph answered with a fault of its own.
    GraphUnavailable = 406, "graph_unavailable";
    /// Graph refused the request.
    GraphRefused = 407, "graph_refused";
    /// Microsoft cannot be reached.
    NetworkUnreachable = 408, "network_unreachable";
    /// This machine's clock is wrong.
    ClockWrong = 409, "clock_wrong";
    /// The account has not arrived everywhere in the directory yet.
    AccountNotReplicated = 410, "account_not_replicated";
    /// The tenant has no group of that name, or several.
    GroupUnknown = 411, "group_unknown";
    /// An application cannot change who is in the group.
    GroupNotManageable = 412, "group_not_manageable";
    /// It is not known which password an account has.
    PasswordUncertain = 420, "password_uncertain";

    /// There is no such lease.
    LeaseUnknown = 500, "lease_unknown";
    /// The lease has ended.
    LeaseOver = 501, "lease_over";
    /// The lease cannot be used yet.
    LeaseNotUsable = 502, "lease_not_usable";
    /// An earlier lease of the account is still ending.
    AccountEnding = 503, "account_ending";
    /// The document is not a sign-in page of the tenant's cloud.
    OriginNotAllowed = 504, "origin_not_allowed";
    /// This document was filled before.
    AlreadyFilled = 505, "already_filled";
    /// The ending has not been verified; it is being retried.
    EndingUnverified = 506, "ending_unverified";
    /// The length asked for is outside what the tenant's settings allow.
    DurationNotAllowed = 507, "duration_not_allowed";
    /// The credential is not held any more (the host was restarted); ask for a new lease.
    CredentialGone = 508, "credential_gone";
    /// Somebody locked everything down: nothing is granted until that is lifted.
    LockedDown = 509, "locked_down";
    /// Nothing entitles the technician in the tenant.
    NotEntitled = 510, "not_entitled";
    /// The technician has no such profile in the tenant.
    ProfileUnknown = 511, "profile_unknown";
    /// A reason must be given.
    ReasonMissing = 512, "reason_missing";
    /// A ticket number must be given, and it must look as the policy says.
    TicketNotFitting = 513, "ticket_not_fitting";
    /// The technician has too many leases open.
    TooManyLeases = 514, "too_many_leases";
    /// The technician may not see the password of a break-glass account.
    RevealNotAllowed = 520, "reveal_not_allowed";
    /// The person who works here has to show who that is.
    VerificationNeeded = 530, "verification_needed";
    /// There is nothing to show it by: no PIN is set, and the operating system cannot tell.
    PinNotSet = 531, "pin_not_set";
    /// A PIN was tried too often; there is a wait.
    PinWait = 532, "pin_wait";
    /// The PIN is not the one.
    PinWrong = 533, "pin_wrong";
    /// What the page asks for is not for a passkey of ours.
    PasskeyNotAsked = 534, "passkey_not_asked";
    /// The page asks on behalf of another relying party than the passkey is for.
    RelyingPartyNotAllowed = 535, "relying_party_not_allowed";
    /// The key store does not hold the passkey any more.
    PasskeyGone = 536, "passkey_gone";
    /// This request of the page was answered before.
    PasskeyAnswered = 537, "passkey_answered";
    /// The key store does not hold the secret of the one-time codes any more.
    OneTimeCodeGone = 538, "one_time_code_gone";
}

impl Serialize for ErrorCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.number())
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u16::deserialize(deserializer)?;
        Self::from_number(number)
            .ok_or_else(|| serde::de::Error::custom(format_args!("{number} is not an error code of this protocol")))
    }
}

/// An error as it crosses the boundary: what happened, on which tenant, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The number.
    pub code: ErrorCode,
    /// The name of the code, for people who read the wire.
    pub name: String,
    /// One sentence: what happened.
    pub message: String,
    /// One sentence: what to do next.
    pub next_step: String,
    /// The tenant it happened on, by display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Microsoft's `request-id`, for a support case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph_request_id: Option<String>,
}

impl ErrorBody {
    /// An error that concerns no tenant.
    pub fn new(code: ErrorCode, message: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self {
            code,
            name: code.name().to_owned(),
            message: message.into(),
            next_step: next_step.into(),
            tenant: None,
            graph_request_id: None,
        }
    }
}
