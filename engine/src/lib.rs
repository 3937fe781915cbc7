//! Leases, reconciling, Microsoft Graph, store and audit: what makes a JIT account active, and dormant again.
//!
//! [`Engine`] is the only door. Behind it one loop drives a JIT account from what is observed to what is desired:
//! activation, deactivation, repair after a crash, drift and orphans are that loop with another desired state, and
//! no second code path ends a lease. `plan` is pure; `drive` carries plans out; `graph` speaks HTTPS; `store` holds
//! leases, accounts, tenants and the audit chain in one SQLite file; no secret is ever written there.
//!
//! The engine never sees a browser. What may happen when is decided by [`Clock`], what is kept secret by
//! [`SecretStore`], how Microsoft is reached by [`Transport`]; all are given by the caller.

mod account;
mod accounts;
mod application;
mod audit;
mod break_glass;
mod bulk;
mod clock;
mod credential;
mod drift;
mod drive;
mod engine;
mod entitlement;
mod error;
mod fence;
mod graph;
mod guards;
mod lease;
mod lifecycle;
mod lockdown;
mod names;
mod oath;
mod passkey;
mod password;
mod person;
mod plan;
mod policy;
mod preflight;
mod recover;
mod sealed;
mod secrets;
mod settings;
mod store;
mod sweep;
mod tenant;
mod transport;
mod webhook;

pub use account::{AccountKind, AccountOwner, AccountSummary, PreparedAccount, WantedAccount};
pub use audit::{
    AuditChain, AuditEntry, AuditEvent, AuditFault, AuditFormat, AuditQuery, AuditReport, OCSF_VERSION, verify_export,
};
pub use break_glass::{
    BREAK_GLASS_MARK, Belief, BreakGlassName, BreakGlassSettings, BreakGlassSummary, Leave, Likelihood, MFA_NOTE,
    MOST_BREAK_GLASS_ACCOUNTS, PreparedBreakGlass, RevealInterval, RevealedBreakGlass, RevealedPassword,
    RotationInterval, RotationReport,
};
pub use bulk::{BulkStep, PrepareAll, PreparedAll, RemovedTechnician};
pub use clock::{Clock, SystemClock};
pub use drift::{Drift, DriftKind, DriftOptions, DriftReport};
pub use engine::{Engine, OnProgress};
pub use error::{EngineError, Failure, Unmanageable};
#[cfg(feature = "switchable-guards")]
pub use guards::Guard;
pub use lease::{Caller, StartLease};
pub use lockdown::{EndReport, Lockdown, OnEnded};
pub use passkey::{CredentialSummary, PASSKEY_AAGUID};
pub use password::PasswordLength;
pub use person::{PIN_CHARACTERS, rules::LONGEST_VERIFICATION_MINUTES};
pub use policy::{
    ALL_ADMINS, Decision, Entitled, Entitlement, Limits, LoginMode, PasskeyLife, Policy, Profile, Refusal, Rules,
    STANDING_PROFILE, TenantIdentity, TenantName, TenantRules, TicketPattern, Wish,
};
pub use preflight::{AccountFound, DomainFound, Inspection, Need, PERMISSIONS, Permission, PermissionCheck};
pub use recover::{ListedTenant, RecoverReport, TenantList};
pub use sealed::SealedStore;
pub use secrets::{SecretStore, SecretStoreError};
pub use settings::{EngineSettings, NetworkSettings, Patience, Technician};
pub use sweep::SweepReport;
pub use tenant::{NewCredential, NewTenant, Role, TenantHealth};
pub use transport::{Carried, EXCHANGE_TIMEOUT, HttpAnswer, HttpRequest, Silence, SystemTransport, Transport};
pub use webhook::{WebhookReport, WebhookSecret, WebhookSettings, WebhookStatus};

pub use application::{
    Administrator, ApplicationCredential, CERTIFICATE_DAYS, Certificate, Change, Check, CheckState, CredentialKept,
    Deletable, Feature, Onboarded, Onboarding, Rotation, TenantWish, Validation, documented_permissions,
    least_permissions,
};
