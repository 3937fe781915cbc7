//! Signing in with more than a password: passkeys as first or second factor, codes of hardware tokens as second.
//!
//! Signatures are judged by [`crate::passkeys`], codes by `totp-rs`; here is who may use what, when, and that nothing is
//! used twice.

use std::time::Duration;

use jiff::Timestamp;
use webauthn_rs_core::proto::AuthenticationState;

use super::access::Proof;
use super::passkey::{Passkey, user_handle};
use super::sign_in::usable;
use super::{CredentialKind, Directory, Session, SignInError, SignedIn, Tenant, User, new_id};
use crate::clock::Clock;
use crate::knobs::Knobs;
use crate::passkeys::{Assertion, RelyingParty};

/// How long a page's challenge can be answered.
const CHALLENGE_LIFE: Duration = Duration::from_secs(300);

/// A challenge that a page asks a passkey to sign.
#[derive(Clone, Debug)]
pub struct PasskeyQuestion {
    /// The challenge itself.
    pub challenge: Vec<u8>,
    /// Ids of the keys that may answer; none: any key that the person chooses.
    pub allowed: Vec<Vec<u8>>,
    /// Which relying party asks.
    pub relying_party: String,
    state: AuthenticationState,
    expires: Timestamp,
}

impl Directory {
    /// Ids of the passkeys with which this user can sign in at this moment.
    #[must_use]
    pub fn passkeys_of(&self, user_name: &str, clock: &Clock, knobs: &Knobs) -> Vec<Vec<u8>> {
        let Some((tenant, user)) = self.user_by_name(user_name) else {
            return Vec::new();
        };
        let keys = user.passkeys.iter().filter(|key| check_key(tenant, user, key, clock, knobs).is_ok());
        keys.map(|key| key.credential.cred_id.to_vec()).collect()
    }

    /// What this user could prove besides a first factor.
    #[must_use]
    pub fn proofs_of(&self, user_id: &str, clock: &Clock, knobs: &Knobs) -> Vec<Proof> {
        let found = self.tenants.iter().find_map(|tenant| Some((tenant, tenant.users.get(user_id)?)));
        let Some((tenant, user)) = found else {
            return Vec::new();
        };
        let passkey = !self.passkeys_of(&user.user_principal_name, clock, knobs).is_empty();
        let code = tenant.has_usable_token(user_id);
        [(passkey, Proof::Passkey), (code, Proof::Code)]
            .into_iter()
            .filter_map(|(has, proof)| has.then_some(proof))
            .collect()
    }

    /// Asks for a signature by a key of this user, or of whoever is there.
    ///
    /// # Errors
    /// No challenge can be made.
    pub fn ask_for_passkey(
        &self,
        user_name: Option<&str>,
        clock: &Clock,
        knobs: &Knobs,
    ) -> Result<PasskeyQuestion, SignInError> {
        let relying_party = knobs.passkey_relying_party.clone();
        let (challenge, state) =
            RelyingParty::new(&relying_party).begin_assertion().map_err(|_| SignInError::PasskeyRefused)?;
        let expires = clock.now().checked_add(CHALLENGE_LIFE).unwrap_or(Timestamp::MAX);
        let allowed = user_name.map(|name| self.passkeys_of(name, clock, knobs)).unwrap_or_default();
        Ok(PasskeyQuestion { challenge, allowed, relying_party, state, expires })
    }

    /// Signs in with a passkey. Whoever holds the question must forget it first: it may be answered once.
    ///
    /// # Errors
    /// The reason, which is also in the sign-in log.
    pub fn sign_in_with_passkey(
        &mut self,
        tenant_hint: Option<&str>,
        user_name: Option<&str>,
        question: &PasskeyQuestion,
        answer: &Assertion,
        clock: &Clock,
        knobs: &Knobs,
    ) -> Result<SignedIn, SignInError> {
        let owner = self.owner_of(&answer.id);
        let named = user_name.map(str::to_owned).or_else(|| owner.clone()).unwrap_or_default();
        let result = self.check_passkey(tenant_hint, user_name, owner, question, answer, clock, knobs);
        self.conclude(&named, CredentialKind::Passkey, result, clock)
    }

    /// Adds a passkey's signature to a session that was opened with something else.
    ///
    /// # Errors
    /// The reason, which is also in the sign-in log.
    pub fn add_passkey(
        &mut self,
        signed_in: &SignedIn,
        question: &PasskeyQuestion,
        answer: &Assertion,
        clock: &Clock,
        knobs: &Knobs,
    ) -> Result<SignedIn, SignInError> {
        let owner = self.owner_of(&answer.id);
        let name = Some(signed_in.user_name.as_str());
        let result = self.check_passkey(None, name, owner, question, answer, clock, knobs).map(|_| ());
        self.strengthen(signed_in, CredentialKind::Passkey, result, clock)
    }

    /// Adds the code of one of the user's hardware tokens to a session.
    ///
    /// # Errors
    /// The reason, which is also in the sign-in log.
    pub fn add_code(
        &mut self,
        signed_in: &SignedIn,
        code: &str,
        clock: &Clock,
        knobs: &Knobs,
    ) -> Result<SignedIn, SignInError> {
        let tenant = self.tenant_mut(&signed_in.tenant_id);
        let right = tenant.is_some_and(|tenant| tenant.take_code(&signed_in.user_id, code, clock.now(), knobs));
        let result = if right { Ok(()) } else { Err(SignInError::WrongCode) };
        self.strengthen(signed_in, CredentialKind::Code, result, clock)
    }

    fn strengthen(
        &mut self,
        signed_in: &SignedIn,
        second: CredentialKind,
        result: Result<(), SignInError>,
        clock: &Clock,
    ) -> Result<SignedIn, SignInError> {
        let result = result.and_then(|()| {
            let session = self.sessions.get_mut(&signed_in.session_id).ok_or(SignInError::UserNotFound)?;
            session.second = Some(second);
            Ok(session.clone())
        });
        self.conclude(&signed_in.user_name, second, result, clock)
    }

    /// Whose key this is.
    fn owner_of(&self, credential_id: &[u8]) -> Option<String> {
        self.tenants
            .iter()
            .flat_map(|tenant| tenant.users.values())
            .find(|user| user.passkeys.iter().any(|key| key.credential.cred_id.as_slice() == credential_id))
            .map(|user| user.user_principal_name.clone())
    }

    #[allow(clippy::too_many_arguments)] // one question with everything that it depends on
    fn check_passkey(
        &mut self,
        tenant_hint: Option<&str>,
        user_name: Option<&str>,
        owner: Option<String>,
        question: &PasskeyQuestion,
        answer: &Assertion,
        clock: &Clock,
        knobs: &Knobs,
    ) -> Result<Session, SignInError> {
        let now = clock.now();
        let owner = owner.ok_or(SignInError::PasskeyUnknown)?;
        if user_name.is_some_and(|name| !name.trim().eq_ignore_ascii_case(&owner)) {
            return Err(SignInError::PasskeyUnknown);
        }
        // A passkey also serves people of a federated domain.
        let tenant_id = match self.find(tenant_hint, &owner) {
            Err(SignInError::Federated) => self.find_anywhere(&owner)?.0,
            found => found?.0,
        };
        let (tenant, user) = self.user_by_name(&owner).ok_or(SignInError::UserNotFound)?;
        if !usable(user, clock, knobs) {
            return Err(SignInError::Disabled);
        }
        let position = user
            .passkeys
            .iter()
            .position(|key| key.credential.cred_id.as_slice() == answer.id)
            .ok_or(SignInError::PasskeyUnknown)?;
        let key = &user.passkeys[position];
        check_key(tenant, user, key, clock, knobs)?;
        let asked = question.allowed.is_empty() || question.allowed.contains(&answer.id);
        if now >= question.expires || !asked || key.relying_party != question.relying_party {
            return Err(SignInError::PasskeyRefused);
        }
        // Where no name was given, only the key can tell whose it is.
        if question.allowed.is_empty() && answer.user_handle.is_none() {
            return Err(SignInError::PasskeyRefused);
        }
        let counter = RelyingParty::new(&key.relying_party)
            .check(&question.state, &key.credential, &user_handle(&tenant_id, &user.id), answer)
            .map_err(|_| SignInError::PasskeyRefused)?;
        let (_, user) = self.find_anywhere(&owner)?;
        user.passkeys[position].credential.counter = counter;
        Ok(Session { id: new_id(), credential: CredentialKind::Passkey, ..Session::of_password(tenant_id, user, now) })
    }
}

/// Whether policy and propagation let this key be used.
fn check_key(tenant: &Tenant, user: &User, key: &Passkey, clock: &Clock, knobs: &Knobs) -> Result<(), SignInError> {
    let arrived = clock.elapsed() >= key.created_moment + Duration::from_millis(knobs.passkey_sign_in_lag_ms);
    if !arrived {
        return Err(SignInError::PasskeyUnknown);
    }
    tenant
        .passkey_fits(&user.id, key.aaguid, key.synced(), key.certified, false)
        .map_err(|_| SignInError::PasskeyBlocked)
}
