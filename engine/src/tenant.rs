//! A customer's tenant as the engine knows it.

use latchkey_protocol::{ErrorBody, cloud::Cloud};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a person says about a tenant to connect it.
#[derive(Clone, Debug)]
pub struct NewTenant {
    /// Directory (tenant) id.
    pub tenant_id: Uuid,
    /// The application that acts there.
    pub client_id: Uuid,
    /// What proves that the application is itself.
    pub credential: NewCredential,
    /// Which Microsoft cloud the tenant lives in.
    pub cloud: Cloud,
    /// What to call it; the organization's own name when absent.
    pub name: Option<String>,
    /// The domain of the accounts; the initial (`onmicrosoft.com`) one when absent.
    pub domain: Option<String>,
    /// Display names (any case) or ids of the directory roles that a lease grants.
    pub roles: Vec<String>,
    /// Object ids of the groups that a lease grants membership of.
    pub groups: Vec<Uuid>,
    /// How long a lease lasts unless asked otherwise, in minutes.
    pub minutes: u32,
    /// The longest a lease may last, in minutes.
    pub maximum_minutes: u32,
}

/// What proves that the application is itself. Goes to the key store and nowhere else.
#[derive(Clone, Debug)]
pub enum NewCredential {
    /// A client secret.
    ClientSecret {
        /// Its value.
        value: SecretString,
        /// When it ends, Unix time in milliseconds, if that is known: Microsoft does not say it in a token.
        expires_at: Option<i64>,
    },
    /// The certificate that [`crate::Engine::make_certificate`] made for this tenant, or the one it has already.
    Certificate,
    /// What the key store holds for the tenant, whichever it is.
    Kept,
}

impl From<SecretString> for NewCredential {
    fn from(value: SecretString) -> Self {
        Self::ClientSecret { value, expires_at: None }
    }
}

/// A directory role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Role {
    /// Role definition id (for built-in roles the same as the template id).
    pub id: Uuid,
    /// Display name.
    pub name: String,
}

/// How a connected tenant is: for `doctor`.
#[derive(Clone, Debug, Serialize)]
pub struct TenantHealth {
    /// Directory (tenant) id.
    pub tenant_id: Uuid,
    /// The customer's name.
    pub name: String,
    /// The JIT account's user principal name.
    pub user_name: String,
    /// Whether the account is there, and if so whether it is in the state the store says it should be in.
    pub account_as_expected: bool,
    /// When the application's secret or certificate ends, Unix time in milliseconds, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_expires: Option<i64>,
    /// What is wrong, each with what to do about it.
    pub problems: Vec<ErrorBody>,
    /// What could be better.
    pub remarks: Vec<String>,
}
