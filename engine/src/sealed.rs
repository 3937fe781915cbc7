//! Passwords that must outlive this process: entries of the operating system's key store, by name.
//!
//! Nothing else holds them; there is no other copy to fall back to. Whoever replaces one writes the new one under
//! another name, and deletes the old one only when the new one is proven. The names hold no secret.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use crate::{Failure, SecretStore, SecretStoreError, graph};

/// The part of a key store that holds entries by name. The calls may block.
pub trait SealedStore: Send + Sync {
    /// What the entry holds, if there is one.
    ///
    /// # Errors
    /// When the key store is locked or cannot be reached.
    fn unseal(&self, entry: &str) -> Result<Option<SecretString>, SecretStoreError>;

    /// Stores or replaces an entry. It must survive a reboot.
    ///
    /// # Errors
    /// When the key store is locked, cannot be reached, or would forget.
    fn seal(&self, entry: &str, secret: &SecretString) -> Result<(), SecretStoreError>;

    /// Deletes an entry; that there is none is no error.
    ///
    /// # Errors
    /// When the key store is locked or cannot be reached.
    fn discard(&self, entry: &str) -> Result<(), SecretStoreError>;
}

/// What the entry holds.
pub(crate) async fn unseal(store: &Arc<dyn SecretStore>, entry: String) -> Result<Option<SecretString>, Failure> {
    let store = Arc::clone(store);
    graph::blocking(move || of(&store)?.unseal(&entry)).await
}

/// Stores an entry and reads it back: only what can be read again may be sent to anybody.
pub(crate) async fn seal(store: &Arc<dyn SecretStore>, entry: String, secret: SecretString) -> Result<(), Failure> {
    let store = Arc::clone(store);
    graph::blocking(move || {
        let sealed = of(&store)?;
        sealed.seal(&entry, &secret)?;
        match sealed.unseal(&entry)? {
            Some(kept) if kept.expose_secret() == secret.expose_secret() => Ok(()),
            _ => Err(SecretStoreError::Other("what was stored in it cannot be read again".to_owned())),
        }
    })
    .await
}

/// Deletes an entry.
pub(crate) async fn discard(store: &Arc<dyn SecretStore>, entry: String) -> Result<(), Failure> {
    let store = Arc::clone(store);
    graph::blocking(move || of(&store)?.discard(&entry)).await
}

fn of(store: &Arc<dyn SecretStore>) -> Result<&dyn SealedStore, SecretStoreError> {
    store.sealed().ok_or_else(|| SecretStoreError::Unavailable("it keeps no passwords of accounts".to_owned()))
}
