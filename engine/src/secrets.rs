//! Where client secrets live: a key store given by the caller, never the database.

use secrecy::SecretString;
use uuid::Uuid;

use crate::SealedStore;

/// A key store that holds one client secret per tenant.
///
/// The calls may block (key stores ask people for passwords); the engine makes them on a blocking thread.
pub trait SecretStore: Send + Sync + 'static {
    /// The client secret of a tenant, if there is one.
    ///
    /// # Errors
    /// When the key store is locked or cannot be reached.
    fn get(&self, tenant_id: Uuid) -> Result<Option<SecretString>, SecretStoreError>;

    /// Stores or replaces the client secret of a tenant.
    ///
    /// # Errors
    /// When the key store is locked or cannot be reached.
    fn set(&self, tenant_id: Uuid, secret: &SecretString) -> Result<(), SecretStoreError>;

    /// Forgets the client secret of a tenant; that there is none is no error.
    ///
    /// # Errors
    /// When the key store is locked or cannot be reached.
    fn delete(&self, tenant_id: Uuid) -> Result<(), SecretStoreError>;

    /// The part that holds passwords of accounts; `None` where nothing else than the above is kept.
    fn sealed(&self) -> Option<&dyn SealedStore> {
        None
    }
}

/// Why a key store did not do what was asked. The texts never contain a secret.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SecretStoreError {
    /// It is there and locked.
    #[error("the key store is locked")]
    Locked,
    /// There is none, or it cannot be reached.
    #[error("no key store can be reached: {0}")]
    Unavailable(String),
    /// It refused for another reason.
    #[error("the key store refused: {0}")]
    Other(String),
}
