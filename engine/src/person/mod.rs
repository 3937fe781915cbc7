//! Whether the person at this machine is the one who works here: shown by the operating system or by a PIN of our own,
//! and remembered for a while in this process only.
//!
//! What is remembered is never written down, so that nobody can write it; it ends with its time, with the process, and
//! whenever somebody says that the screen was locked. The PIN itself is kept nowhere: the key store holds what it is
//! compared with (Argon2id), and a try counts as wrong, on disk, before it is looked at.

pub(crate) mod rules;

use std::sync::{Arc, Mutex, PoisonError};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::{PasswordHash, SaltString},
};
use latchkey_protocol::PersonState;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use uuid::Uuid;

use self::rules::{USUAL_MINUTES, Verification};
use crate::{AuditEvent, Caller, Engine, EngineError, Failure, engine::Shared, sealed, store};

/// The key store's entry.
const ENTRY: &str = "verification:pin";
/// How many characters a PIN has.
pub const PIN_CHARACTERS: std::ops::RangeInclusive<usize> = 6..=64;

/// What is remembered, by all clones of an engine.
#[derive(Default)]
pub(crate) struct Person {
    verified: Mutex<Option<Verification>>,
    question: Mutex<Question>,
}

/// The operating system's question who is there: what a click that waits for the answer can hope for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Question {
    /// It asks nobody, so far as is known.
    #[default]
    None,
    /// Its window stands open.
    Open,
    /// The person was asked and not verified, at this moment by a clock that nobody sets, in milliseconds.
    Refused(i64),
}

impl Person {
    fn set(&self, verified: Option<Verification>) {
        *self.verified.lock().unwrap_or_else(PoisonError::into_inner) = verified;
    }

    fn get(&self) -> Option<Verification> {
        *self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Person {
    /// How the operating system's question stands.
    pub(crate) fn question(&self) -> Question {
        *self.question.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, question: Question) {
        *self.question.lock().unwrap_or_else(PoisonError::into_inner) = question;
    }
}

impl Shared {
    /// Until when the person counts as verified; none: she or he does not.
    pub(crate) fn verified_until(&self) -> Option<i64> {
        let minutes = self.verification_minutes();
        let verified = self.person.get()?;
        verified.is_good(self.clock.now(), self.clock.elapsed(), minutes).then(|| verified.until(minutes))
    }

    pub(crate) fn is_verified(&self) -> bool {
        self.verified_until().is_some()
    }

    fn verification_minutes(&self) -> u32 {
        self.policy().verification_minutes.unwrap_or(USUAL_MINUTES)
    }

    fn remember_verified(&self) {
        self.person.set(Some(Verification { at: self.clock.now(), elapsed: self.clock.elapsed() }));
    }
}

impl Engine {
    /// Whether the person was verified, and what a PIN would be worth. Asks nobody.
    ///
    /// # Errors
    /// When the key store or the database cannot be read.
    pub async fn person(&self) -> Result<PersonState, EngineError> {
        let shared = self.shared();
        let pin_set = stored(shared).await?.is_some();
        let now = shared.clock.now();
        let tries = shared.store.pin_tries().await?;
        let until = shared.verified_until();
        Ok(PersonState {
            verified: until.is_some(),
            until,
            pin_set,
            wrong: false,
            tries_left: (pin_set && tries.wrong > 0).then(|| tries.left()),
            wait_until: tries.wait_until(now).filter(|_| pin_set),
        })
    }

    /// Notes that the operating system verified the person just now. `how` goes to the audit log.
    ///
    /// # Errors
    /// When the audit log cannot be written: then nothing is remembered.
    pub async fn person_was_verified(&self, how: &'static str, caller: &Caller) -> Result<(), EngineError> {
        let shared = self.shared();
        shared.audit(Uuid::nil(), AuditEvent::PersonVerified, caller, None, None, json!({ "how": how })).await?;
        shared.remember_verified();
        shared.person.put(Question::None);
        Ok(())
    }

    /// Notes that the operating system is asking the person: whatever waits for the answer waits longer.
    pub fn person_is_asked(&self) {
        self.shared().person.put(Question::Open);
    }

    /// Notes that the operating system asks no more: the person was asked and not verified (`refused`), or nobody was asked.
    pub fn person_is_not_asked_any_more(&self, refused: bool) {
        let shared = self.shared();
        let question = if refused { Question::Refused(shared.clock.elapsed()) } else { Question::None };
        shared.person.put(question);
    }

    /// Forgets that the person was verified: the screen was locked, or somebody says so.
    pub fn forget_person(&self) {
        self.shared().person.set(None);
    }

    /// Compares a PIN. A wrong one is an answer and no error; it is audited and counted before it is looked at.
    ///
    /// # Errors
    /// `PinNotSet`; or when the key store or the database cannot be used.
    pub async fn verify_pin(&self, pin: &SecretString, caller: &Caller) -> Result<PersonState, EngineError> {
        let right = match try_pin(self.shared(), pin, caller).await {
            Ok(()) => true,
            Err(error) if matches!(error.failure(), Failure::PinWrong | Failure::PinWait(_)) => false,
            Err(error) => return Err(error),
        };
        if right {
            self.person_was_verified("pin", caller).await?;
        }
        Ok(PersonState { wrong: !right, ..self.person().await? })
    }

    /// Sets the first PIN, or replaces the one that is there, which `old` must be then. The person counts as verified.
    ///
    /// # Errors
    /// `ConfigurationInvalid` when it is too short or too long, `PinWrong`, `PinWait`; `KeyStoreUnavailable` where it
    /// could not be kept across a reboot.
    pub async fn set_pin(
        &self,
        old: Option<&SecretString>,
        new: &SecretString,
        caller: &Caller,
    ) -> Result<(), EngineError> {
        let shared = self.shared();
        let characters = new.expose_secret().chars().count();
        if !PIN_CHARACTERS.contains(&characters) {
            let (least, most) = (PIN_CHARACTERS.start(), PIN_CHARACTERS.end());
            let what = format!("a PIN has {least} to {most} characters, and this one has {characters}");
            return Err(Failure::ConfigurationInvalid(what).into());
        }
        if stored(shared).await?.is_some() {
            match old {
                Some(old) => try_pin(shared, old, caller).await?,
                None => return Err(Failure::PinWrong.into()),
            }
        }
        let hash = hash(new.clone()).await?;
        shared.audit(Uuid::nil(), AuditEvent::PinChanging, caller, None, None, json!({ "removed": false })).await?;
        sealed::seal(&shared.secrets, ENTRY.to_owned(), hash).await?;
        self.person_was_verified("pin", caller).await
    }

    /// Removes the PIN, which `old` must be. Nobody counts as verified any more.
    ///
    /// # Errors
    /// `PinNotSet`, `PinWrong`, `PinWait`; or when the key store or the database cannot be used.
    pub async fn remove_pin(&self, old: &SecretString, caller: &Caller) -> Result<(), EngineError> {
        let shared = self.shared();
        try_pin(shared, old, caller).await?;
        shared.audit(Uuid::nil(), AuditEvent::PinChanging, caller, None, None, json!({ "removed": true })).await?;
        sealed::discard(&shared.secrets, ENTRY.to_owned()).await?;
        self.forget_person();
        Ok(())
    }
}

/// One try: counted first, then compared.
async fn try_pin(shared: &Shared, pin: &SecretString, caller: &Caller) -> Result<(), EngineError> {
    let Some(kept) = stored(shared).await? else { return Err(Failure::PinNotSet.into()) };
    let now = shared.clock.now();
    let mut write = shared.store.write().await?;
    let before = store::pin_tries(&mut write).await?;
    if let Some(until) = before.wait_until(now) {
        return Err(Failure::PinWait((until - now + 999) / 1_000).into());
    }
    let counted = before.one_more(now);
    store::save_pin_tries(&mut write, counted).await?;
    store::commit(write).await?;

    if compare(pin.clone(), kept).await? {
        let mut write = shared.store.write().await?;
        store::save_pin_tries(&mut write, rules::Tries::default()).await?;
        return store::commit(write).await;
    }
    shared.audit(Uuid::nil(), AuditEvent::PinRefused, caller, None, None, json!({ "in_a_row": counted.wrong })).await?;
    Err(Failure::PinWrong.into())
}

/// Whether there is a PIN.
pub(crate) async fn has_pin(shared: &Shared) -> Result<bool, EngineError> {
    Ok(stored(shared).await?.is_some())
}

async fn stored(shared: &Shared) -> Result<Option<SecretString>, EngineError> {
    let store = Arc::clone(&shared.secrets);
    if store.sealed().is_none() {
        return Ok(None);
    }
    Ok(sealed::unseal(&store, ENTRY.to_owned()).await?)
}

/// As OWASP recommends for a password that is typed: 19 MiB, two passes.
fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

async fn hash(pin: SecretString) -> Result<SecretString, Failure> {
    let broken = |_| Failure::Internal("a PIN could not be hashed".to_owned());
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| Failure::Internal(error.to_string()))?;
    tokio::task::spawn_blocking(move || {
        let salt = SaltString::encode_b64(&salt).map_err(broken)?;
        let hash = argon2().hash_password(pin.expose_secret().as_bytes(), &salt).map_err(broken)?;
        Ok(SecretString::from(hash.to_string()))
    })
    .await
    .map_err(|error| Failure::Internal(error.to_string()))?
}

async fn compare(pin: SecretString, kept: SecretString) -> Result<bool, Failure> {
    tokio::task::spawn_blocking(move || {
        let kept = PasswordHash::new(kept.expose_secret())
            .map_err(|_| Failure::Internal("the key store's PIN entry cannot be read".to_owned()))?;
        Ok(argon2().verify_password(pin.expose_secret().as_bytes(), &kept).is_ok())
    })
    .await
    .map_err(|error| Failure::Internal(error.to_string()))?
}
