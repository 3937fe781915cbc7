//! Hardware OATH tokens: what the tenant owns, to whom each is assigned, and the codes they show.
//!
//! Codes are computed by `totp-rs`; that one counts once, and for whom, is decided here. Facts: Microsoft Graph (beta),
//! `hardwareOathTokenAuthenticationMethodDevice`; RFC 6238, section 5.2.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use totp_rs::{Algorithm, Builder, Secret};

use super::passkey::{EVERYBODY, Exclusion, MethodState, Target};
use super::tenant::{Cloud, Licence, Tenant};
use crate::knobs::Knobs;

/// How many tokens a user can have.
pub const MOST_TOKENS: usize = 5;

/// The policy, in the words of Graph.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OathPolicy {
    /// On or off; off until somebody switches it on.
    pub state: MethodState,
    /// Who may have tokens.
    pub include_targets: Vec<Target>,
    /// Who may not.
    pub exclude_targets: Vec<Exclusion>,
}

impl Default for OathPolicy {
    fn default() -> Self {
        Self { state: MethodState::Disabled, include_targets: vec![Target::everybody()], exclude_targets: Vec::new() }
    }
}

/// `hashFunction`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HashFunction {
    /// SHA-1.
    #[default]
    HmacSha1,
    /// SHA-256.
    HmacSha256,
}

/// A token.
#[derive(Clone, Debug)]
pub struct OathToken {
    /// Id of the device, and of the method once it is assigned.
    pub id: String,
    /// Printed on it.
    pub serial_number: String,
    /// Who made it.
    pub manufacturer: String,
    /// Which one it is.
    pub model: String,
    /// Name given to it.
    pub display_name: Option<String>,
    /// The secret, Base32; never shown again.
    pub secret: String,
    /// Seconds for which a code stands.
    pub interval: u64,
    /// How codes are made.
    pub hash: HashFunction,
    /// Object id of the user.
    pub assigned_to: Option<String>,
    /// Whether the user has proved to have it.
    pub activated: bool,
    /// The step whose code was used last.
    pub last_step: Option<u64>,
    /// When that was.
    pub last_used: Option<Timestamp>,
    /// Creation, simulated time.
    pub created: Timestamp,
}

impl OathToken {
    /// Uses this code up, if it is one that the token shows now (or did, or will, so many steps away) and neither it nor
    /// a later one was used.
    pub fn take(&mut self, code: &str, now: Timestamp, skew: u16) -> bool {
        let Some(step) = self.step_of(code, now, skew) else {
            return false;
        };
        let fresh = self.last_step.is_none_or(|last| step > last);
        if fresh {
            self.last_step = Some(step);
            self.last_used = Some(now);
        }
        fresh
    }

    fn step_of(&self, code: &str, now: Timestamp, skew: u16) -> Option<u64> {
        let algorithm = match self.hash {
            HashFunction::HmacSha1 => Algorithm::SHA1,
            HashFunction::HmacSha256 => Algorithm::SHA256,
        };
        let secret = Secret::try_from_base32(&self.secret).ok()?;
        let builder = Builder::new().with_algorithm(algorithm).with_digits(6).with_skew(skew);
        // Real tokens have secrets that are shorter than the library would make.
        let totp = builder.with_step_duration(self.interval).with_secret(secret).build_noncompliant();
        totp.check(code, u64::try_from(now.as_second()).ok()?)
    }
}

impl Tenant {
    /// Whether policy and licence let this user have a token.
    #[must_use]
    pub fn tokens_allowed(&self, user_id: &str) -> bool {
        let policy = &self.oath_policy;
        let groups = self.groups_of(user_id);
        let member_of = |id: &str| groups.iter().any(|group| group.id.eq_ignore_ascii_case(id));
        policy.state == MethodState::Enabled
            && self.cloud == Cloud::Global
            && self.licence >= Licence::P1
            && policy.include_targets.iter().any(|target| target.id == EVERYBODY || member_of(&target.id))
            && !policy.exclude_targets.iter().any(|target| member_of(&target.id))
    }

    /// Whether this user can be asked for a code.
    #[must_use]
    pub fn has_usable_token(&self, user_id: &str) -> bool {
        self.tokens_allowed(user_id)
            && self.oath_tokens.iter().any(|token| token.activated && token.assigned_to.as_deref() == Some(user_id))
    }

    /// Uses up a code of one of this user's tokens.
    pub fn take_code(&mut self, user_id: &str, code: &str, now: Timestamp, knobs: &Knobs) -> bool {
        self.tokens_allowed(user_id)
            && self
                .oath_tokens
                .iter_mut()
                .filter(|token| token.activated && token.assigned_to.as_deref() == Some(user_id))
                .any(|token| token.take(code, now, knobs.oath_skew_steps))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn token(hash: HashFunction, secret: &str) -> OathToken {
        OathToken {
            id: "1".to_owned(),
            serial_number: "1".to_owned(),
            manufacturer: "M".to_owned(),
            model: "M".to_owned(),
            display_name: None,
            secret: secret.to_owned(),
            interval: 30,
            hash,
            assigned_to: None,
            activated: true,
            last_step: None,
            last_used: None,
            created: Timestamp::UNIX_EPOCH,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// The table of RFC 6238, appendix B, its last six digits.
    #[test]
    fn codes_are_those_of_the_standard() {
        let sha1 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        let sha256 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZA";
        for (hash, secret, second, code) in [
            (HashFunction::HmacSha1, sha1, 59, "287082"),
            (HashFunction::HmacSha1, sha1, 1_111_111_109, "081804"),
            (HashFunction::HmacSha256, sha256, 59, "119246"),
            (HashFunction::HmacSha256, sha256, 1_111_111_109, "084774"),
        ] {
            assert!(token(hash, secret).take(code, at(second), 0), "{second} {code}");
        }
    }

    #[test]
    fn a_code_counts_once_and_near_its_time() {
        let made = || token(HashFunction::HmacSha1, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let mut used = made();
        assert!(used.take("287082", at(59), 1));
        assert!(!used.take("287082", at(59), 1));
        assert!(made().take("287082", at(60), 1));
        assert!(!made().take("287082", at(60), 0));
        assert!(!made().take("287082", at(90), 1));
        // The code of the step before comes too late once a later one was used.
        assert!(!used.take("755224", at(59), 1));
    }
}
