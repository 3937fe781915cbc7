//! The operating system's key store, which holds each tenant's client secret and is the only place that does.
//!
//! Secret Service on Linux, Keychain on macOS, Credential Manager on Windows. Where a Linux machine has no Secret
//! Service the kernel's key store is used, which forgets at a reboot; whoever stores something there is told. What is
//! there is found out by trying, not by guessing. All calls block.

mod sealed;

use std::sync::Mutex;

use keyring::v1::{Entry, Error as KeyringError};
use latchkey_engine::{SealedStore, SecretStore, SecretStoreError};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;
use zeroize::Zeroize as _;

/// Under which name the entries stand, for people who look into their key store.
const SERVICE: &str = "Latchkey client secret";

/// A kind of key store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// The one that a desktop keeps, over D-Bus.
    #[cfg(target_os = "linux")]
    SecretService,
    /// The Linux kernel's.
    #[cfg(target_os = "linux")]
    Kernel,
    /// The one of macOS.
    #[cfg(target_os = "macos")]
    Keychain,
    /// The one of Windows.
    #[cfg(target_os = "windows")]
    CredentialManager,
}

impl Kind {
    /// What the platform offers first.
    #[cfg(target_os = "linux")]
    const PLATFORM: Self = Self::SecretService;
    #[cfg(target_os = "macos")]
    const PLATFORM: Self = Self::Keychain;
    #[cfg(target_os = "windows")]
    const PLATFORM: Self = Self::CredentialManager;

    /// The name people know.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            #[cfg(target_os = "linux")]
            Self::SecretService => "Secret Service",
            #[cfg(target_os = "linux")]
            Self::Kernel => "kernel key store",
            #[cfg(target_os = "macos")]
            Self::Keychain => "Keychain",
            #[cfg(target_os = "windows")]
            Self::CredentialManager => "Windows Credential Manager",
        }
    }

    /// Whether what it holds is still there after a reboot.
    pub(crate) const fn survives_reboot(self) -> bool {
        match self {
            #[cfg(target_os = "linux")]
            Self::Kernel => false,
            _ => true,
        }
    }
}

/// Whether the person may be asked to unlock the key store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prompting {
    /// Somebody is there, who has just asked for something.
    Allowed,
    /// Nobody is there: a locked key store is reported and not asked about.
    Never,
}

/// The key store of this machine.
#[derive(Debug)]
pub(crate) struct KeyStore {
    prompting: Prompting,
    /// The keyring libraries do not promise that one entry can be used from several threads.
    one_at_a_time: Mutex<()>,
}

impl KeyStore {
    /// Nothing is reached before the first call.
    pub(crate) const fn new(prompting: Prompting) -> Self {
        Self { prompting, one_at_a_time: Mutex::new(()) }
    }

    /// Which store would be used now, and whether it is unlocked. Never asks the person.
    pub(crate) fn state(&self) -> Result<Kind, SecretStoreError> {
        let _guard = self.guard();
        let kind = in_use()?;
        refuse_if_locked(kind)?;
        // A locked or broken store shows only when something is looked up in it.
        entry(kind, Uuid::nil()).and_then(|entry| read(&entry)).map_err(|error| failure(kind, &error))?;
        Ok(kind)
    }

    fn guard(&self) -> std::sync::MutexGuard<'_, ()> {
        self.one_at_a_time.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn ready(&self) -> Result<Kind, SecretStoreError> {
        let kind = in_use()?;
        if self.prompting == Prompting::Never {
            refuse_if_locked(kind)?;
        }
        Ok(kind)
    }
}

impl SecretStore for KeyStore {
    fn sealed(&self) -> Option<&dyn SealedStore> {
        Some(self)
    }

    fn get(&self, tenant_id: Uuid) -> Result<Option<SecretString>, SecretStoreError> {
        let _guard = self.guard();
        let mut known_absent = false;
        for kind in self.readable()? {
            match entry(kind, tenant_id).and_then(|entry| read(&entry)) {
                Ok(Some(secret)) => return Ok(Some(secret)),
                Ok(None) => known_absent |= kind == Kind::PLATFORM,
                Err(error) if kind == Kind::PLATFORM => return Err(failure(kind, &error)),
                // The kernel's store is looked into only for what was put there when nothing better was there.
                Err(_) => {}
            }
        }
        if known_absent {
            return Ok(None);
        }
        // Absent in the second choice says nothing while the first cannot be asked.
        Err(SecretStoreError::Unavailable(format!("the {} is not running", Kind::PLATFORM.name())))
    }

    fn set(&self, tenant_id: Uuid, secret: &SecretString) -> Result<(), SecretStoreError> {
        let _guard = self.guard();
        let kind = self.ready()?;
        entry(kind, tenant_id)
            .and_then(|entry| entry.set(secret.expose_secret()))
            .map_err(|error| failure(kind, &error))
    }

    fn delete(&self, tenant_id: Uuid) -> Result<(), SecretStoreError> {
        let _guard = self.guard();
        for kind in self.readable()? {
            match entry(kind, tenant_id).and_then(|entry| entry.delete()) {
                Ok(()) | Err(KeyringError::NoEntry) => {}
                Err(error) if kind == Kind::PLATFORM => return Err(failure(kind, &error)),
                Err(_) => {}
            }
        }
        Ok(())
    }
}

impl KeyStore {
    /// The stores in which a secret may be, best first.
    #[cfg(target_os = "linux")]
    fn readable(&self) -> Result<Vec<Kind>, SecretStoreError> {
        Ok(match self.ready()? {
            Kind::Kernel => vec![Kind::Kernel],
            Kind::SecretService => vec![Kind::SecretService, Kind::Kernel],
        })
    }

    #[cfg(not(target_os = "linux"))]
    fn readable(&self) -> Result<Vec<Kind>, SecretStoreError> {
        Ok(vec![self.ready()?])
    }
}

/// An entry in one of the stores; the two libraries wrap the same thing differently.
enum StoredEntry {
    Platform(Entry),
    #[cfg(target_os = "linux")]
    Kernel(keyring_core::Entry),
    /// Of the app's access group, which its Safari extension is in, too.
    #[cfg(target_os = "macos")]
    App(keyring_core::Entry),
}

impl StoredEntry {
    fn get(&self) -> Result<Vec<u8>, KeyringError> {
        match self {
            Self::Platform(entry) => entry.get_secret(),
            #[cfg(target_os = "linux")]
            Self::Kernel(entry) => entry.get_secret(),
            #[cfg(target_os = "macos")]
            Self::App(entry) => entry.get_secret(),
        }
    }

    fn set(&self, secret: &str) -> Result<(), KeyringError> {
        match self {
            // As bytes: Windows would double them for a password, and a certificate's key would not fit.
            Self::Platform(entry) => entry.set_secret(secret.as_bytes()),
            #[cfg(target_os = "linux")]
            Self::Kernel(entry) => entry.set_secret(secret.as_bytes()),
            #[cfg(target_os = "macos")]
            Self::App(entry) => entry.set_secret(secret.as_bytes()),
        }
    }

    fn delete(&self) -> Result<(), KeyringError> {
        match self {
            Self::Platform(entry) => entry.delete_credential(),
            #[cfg(target_os = "linux")]
            Self::Kernel(entry) => entry.delete_credential(),
            #[cfg(target_os = "macos")]
            Self::App(entry) => entry.delete_credential(),
        }
    }
}

fn entry(kind: Kind, tenant_id: Uuid) -> Result<StoredEntry, KeyringError> {
    let name = tenant_id.to_string();
    #[cfg(target_os = "linux")]
    if kind == Kind::Kernel {
        use keyring_core::api::CredentialStoreApi as _;
        let store = linux_keyutils_keyring_store::Store::new()?;
        return Ok(StoredEntry::Kernel(store.build(SERVICE, &name, None)?));
    }
    let _ = kind;
    platform_entry(SERVICE, &name)
}

fn platform_entry(service: &str, name: &str) -> Result<StoredEntry, KeyringError> {
    // What runs inside the app shares its entries with nobody outside: the first access group of its entitlements.
    #[cfg(target_os = "macos")]
    if crate::settings::are_shared_in_app() {
        use keyring_core::api::CredentialStoreApi as _;
        let store = apple_native_keyring_store::protected::Store::new()?;
        return Ok(StoredEntry::App(store.build(service, name, None)?));
    }
    Entry::new(service, name).map(StoredEntry::Platform)
}

fn read(entry: &StoredEntry) -> Result<Option<SecretString>, KeyringError> {
    match entry.get() {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(SecretString::from(text))),
            Err(error) => {
                error.into_bytes().zeroize();
                Err(KeyringError::BadStoreFormat("the entry is not text".to_owned()))
            }
        },
        Err(KeyringError::NoEntry) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The store to use: the platform's, or the kernel's where Linux has no Secret Service.
#[cfg(target_os = "linux")]
fn in_use() -> Result<Kind, SecretStoreError> {
    if Entry::store_status().is_ok() {
        return Ok(Kind::SecretService);
    }
    match entry(Kind::Kernel, Uuid::nil()).and_then(|entry| read(&entry)) {
        Ok(_) => Ok(Kind::Kernel),
        Err(error) => Err(SecretStoreError::Unavailable(format!(
            "there is no Secret Service on the session bus, and the kernel's key store cannot be used either ({error})"
        ))),
    }
}

#[cfg(not(target_os = "linux"))]
fn in_use() -> Result<Kind, SecretStoreError> {
    match Entry::store_status() {
        Ok(()) => Ok(Kind::PLATFORM),
        Err(error) => Err(failure(Kind::PLATFORM, error)),
    }
}

/// Asks whether the store is locked, without asking the person to unlock it.
#[cfg(target_os = "linux")]
fn refuse_if_locked(kind: Kind) -> Result<(), SecretStoreError> {
    use secret_service::{EncryptionType, blocking::SecretService};

    if kind != Kind::SecretService {
        return Ok(());
    }
    let unavailable = |error: secret_service::Error| SecretStoreError::Unavailable(error.to_string());
    let service = SecretService::connect(EncryptionType::Plain).map_err(unavailable)?;
    match service.get_default_collection().and_then(|collection| collection.is_locked()) {
        Ok(false) => Ok(()),
        Ok(true) | Err(secret_service::Error::Locked) => Err(SecretStoreError::Locked),
        Err(secret_service::Error::NoResult) => {
            Err(SecretStoreError::Unavailable("the Secret Service has no default collection yet".to_owned()))
        }
        Err(error) => Err(unavailable(error)),
    }
}

#[cfg(not(target_os = "linux"))]
fn refuse_if_locked(_kind: Kind) -> Result<(), SecretStoreError> {
    Ok(())
}

fn failure(kind: Kind, error: &KeyringError) -> SecretStoreError {
    let name = kind.name();
    match error {
        KeyringError::NoStorageAccess(reason) => {
            #[cfg(target_os = "linux")]
            if let Some(secret_service::Error::NoResult) = reason.downcast_ref() {
                return SecretStoreError::Unavailable(format!("the {name} has no default collection yet"));
            }
            let _ = reason;
            SecretStoreError::Locked
        }
        KeyringError::NoDefaultStore => SecretStoreError::Unavailable(format!("the {name} does not answer")),
        KeyringError::PlatformFailure(reason) => SecretStoreError::Unavailable(format!("the {name} failed: {reason}")),
        KeyringError::Ambiguous(entries) => {
            SecretStoreError::Other(format!("the {name} holds {} entries for one tenant", entries.len()))
        }
        // The texts of the others can carry bytes of what was read.
        KeyringError::BadEncoding(_) | KeyringError::BadDataFormat(..) => {
            SecretStoreError::Other(format!("the {name} holds something else than a client secret"))
        }
        other => SecretStoreError::Other(other.to_string()),
    }
}
