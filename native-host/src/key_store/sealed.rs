//! Passwords of break-glass accounts (entries of the platform's key store that a person can find there, too, if nothing
//! else works any more), keys of passkeys, secrets of OATH tokens, and what the PIN is compared with.
//!
//! Only in a store that outlives a reboot: an emergency account whose password the machine forgot would be none.

use latchkey_engine::{SealedStore, SecretStoreError};
use secrecy::{ExposeSecret as _, SecretString};

use super::{KeyStore, KeyringError, Kind, StoredEntry, failure, platform_entry, read};

/// Under which name the entries stand, for people who look into their key store.
const SERVICE: &str = "Latchkey break-glass password";
/// The same for keys of passkeys, whose entries begin so.
const PASSKEYS: (&str, &str) = ("passkey:", "Latchkey passkey");
/// The same for secrets of OATH tokens.
const TOKENS: (&str, &str) = ("oath:", "Latchkey OATH token");
/// The same for the PIN.
const PIN: (&str, &str) = ("verification:", "Latchkey PIN");

impl KeyStore {
    /// The store that keeps them.
    fn lasting(&self) -> Result<Kind, SecretStoreError> {
        let kind = self.ready()?;
        if kind.survives_reboot() {
            return Ok(kind);
        }
        Err(SecretStoreError::Unavailable(format!(
            "the {} forgets at a reboot, and passwords of break-glass accounts, passkeys, OATH tokens and the PIN must \
             not be forgotten: install and unlock a Secret Service (gnome-keyring, KWallet, KeePassXC)",
            kind.name()
        )))
    }
}

impl SealedStore for KeyStore {
    fn unseal(&self, entry: &str) -> Result<Option<SecretString>, SecretStoreError> {
        let _guard = self.guard();
        let kind = self.lasting()?;
        stored(entry).and_then(|entry| read(&entry)).map_err(|error| failure(kind, &error))
    }

    fn seal(&self, entry: &str, secret: &SecretString) -> Result<(), SecretStoreError> {
        let _guard = self.guard();
        let kind = self.lasting()?;
        stored(entry).and_then(|entry| entry.set(secret.expose_secret())).map_err(|error| failure(kind, &error))
    }

    fn discard(&self, entry: &str) -> Result<(), SecretStoreError> {
        let _guard = self.guard();
        let kind = self.lasting()?;
        match stored(entry).and_then(|entry| entry.delete()) {
            Ok(()) | Err(KeyringError::NoEntry) => Ok(()),
            Err(error) => Err(failure(kind, &error)),
        }
    }
}

fn stored(entry: &str) -> Result<StoredEntry, KeyringError> {
    let service = [PASSKEYS, TOKENS, PIN]
        .iter()
        .find(|(beginning, _)| entry.starts_with(beginning))
        .map_or(SERVICE, |(_, name)| name);
    platform_entry(service, entry)
}
