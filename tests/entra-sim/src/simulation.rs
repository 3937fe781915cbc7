//! One running simulation: the shared state, and starting and stopping the ports that serve it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use crate::directory::{CredentialType, Directory, SignInError, SignedIn, seed};
use crate::knobs::Knobs;

/// The shared state of a simulation. Everything that serves a request holds an `Arc` of it.
#[derive(Debug)]
pub struct Simulation {
    /// Simulated time and lag.
    pub clock: Clock,
    directory: Mutex<Directory>,
    knobs: Mutex<Knobs>,
}

impl Simulation {
    /// A simulation with the usual customers, not served anywhere yet.
    #[must_use]
    pub fn new(knobs: Knobs) -> Arc<Self> {
        let clock = Clock::new();
        clock.set_offset_seconds(knobs.clock_offset_seconds);
        let directory = seed::directory(&clock);
        Arc::new(Self {
            clock,
            directory: Mutex::new(directory),
            knobs: Mutex::new(knobs),
        })
    }

    /// The directory. Do not hold the guard across an `await`.
    pub fn directory(&self) -> MutexGuard<'_, Directory> {
        self.directory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The knobs as they are now.
    #[must_use]
    pub fn knobs(&self) -> Knobs {
        self.knobs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What to ask this user for first.
    #[must_use]
    pub fn credential_type(&self, user_name: &str) -> CredentialType {
        self.directory().credential_type(user_name, self.clock.now())
    }

    /// Signs in with a password; see [`Directory::sign_in_with_password`].
    ///
    /// # Errors
    /// The reason, with its AADSTS number.
    pub fn sign_in_with_password(
        &self,
        tenant_hint: Option<&str>,
        user_name: &str,
        password: &str,
    ) -> Result<SignedIn, SignInError> {
        let knobs = self.knobs();
        self.directory().sign_in_with_password(tenant_hint, user_name, password, &self.clock, &knobs)
    }

    /// Signs in with a Temporary Access Pass; see [`Directory::sign_in_with_access_pass`].
    ///
    /// # Errors
    /// The reason, with its AADSTS number.
    pub fn sign_in_with_access_pass(
        &self,
        tenant_hint: Option<&str>,
        user_name: &str,
        access_pass: &str,
    ) -> Result<SignedIn, SignInError> {
        let knobs = self.knobs();
        self.directory().sign_in_with_access_pass(tenant_hint, user_name, access_pass, &self.clock, &knobs)
    }

    /// The session behind a cookie, while it lives.
    #[must_use]
    pub fn session(&self, session_id: &str) -> Option<SignedIn> {
        let knobs = self.knobs();
        self.directory().session(session_id, &self.clock, &knobs)
    }
}
