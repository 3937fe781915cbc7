//! The key store of a run: in memory, always open, and it outlives the processes.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use latchkey_engine::{SealedStore, SecretStore, SecretStoreError};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

/// What a key store holds.
#[derive(Clone, Default)]
pub(crate) struct Entries {
    /// What applications prove themselves with.
    applications: BTreeMap<Uuid, String>,
    /// Passwords by the name of their entry.
    sealed: BTreeMap<String, String>,
}

/// The key store.
#[derive(Default)]
pub(crate) struct Keys(Mutex<Entries>);

impl Keys {
    pub(crate) fn holding(entries: Entries) -> Self {
        Self(Mutex::new(entries))
    }

    pub(crate) fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the tenant's application proves itself with.
    pub(crate) fn application(&self, tenant_id: Uuid) -> Option<String> {
        self.entries().applications.get(&tenant_id).cloned()
    }

    /// Whether a password is kept.
    pub(crate) fn holds(&self, password: &str) -> bool {
        self.entries().sealed.values().any(|kept| kept == password)
    }
}

impl SecretStore for Keys {
    fn get(&self, tenant_id: Uuid) -> Result<Option<SecretString>, SecretStoreError> {
        Ok(self.application(tenant_id).map(SecretString::from))
    }

    fn set(&self, tenant_id: Uuid, secret: &SecretString) -> Result<(), SecretStoreError> {
        self.entries().applications.insert(tenant_id, secret.expose_secret().to_owned());
        Ok(())
    }

    fn delete(&self, tenant_id: Uuid) -> Result<(), SecretStoreError> {
        self.entries().applications.remove(&tenant_id);
        Ok(())
    }

    fn sealed(&self) -> Option<&dyn SealedStore> {
        Some(self)
    }
}

impl SealedStore for Keys {
    fn unseal(&self, entry: &str) -> Result<Option<SecretString>, SecretStoreError> {
        Ok(self.entries().sealed.get(entry).cloned().map(SecretString::from))
    }

    fn seal(&self, entry: &str, secret: &SecretString) -> Result<(), SecretStoreError> {
        self.entries().sealed.insert(entry.to_owned(), secret.expose_secret().to_owned());
        Ok(())
    }

    fn discard(&self, entry: &str) -> Result<(), SecretStoreError> {
        self.entries().sealed.remove(entry);
        Ok(())
    }
}
