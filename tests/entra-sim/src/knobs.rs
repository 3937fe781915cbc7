//! What a test may turn while the simulation runs: round trip, lags, strictness, time.
//!
//! A knob changes how the simulated Entra behaves, never what is stored in it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The knobs; durations in milliseconds of real time. Unknown names are refused, so that a typing mistake in a test
/// cannot pass for a setting.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Knobs {
    /// Added once to every token and Graph exchange (a `$batch` counts once): half before the effect, half after.
    pub round_trip_ms: u64,
    /// A new object is not found by reads, role assignments and passes for so long.
    pub create_lag_ms: u64,
    /// After `create_lag_ms`, for the same time again, every second look still fails (replicas disagree).
    pub create_lag_intermittent: bool,
    /// A sensitive action is still refused for so long after the role was removed.
    pub role_removal_lag_ms: u64,
    /// A new user cannot be given a Temporary Access Pass for so long.
    pub tap_lag_ms: u64,
    /// A new pass is not accepted at sign-in (130503) for so long.
    pub pass_sign_in_lag_ms: u64,
    /// A new passkey is not accepted at sign-in (135010) for so long.
    pub passkey_sign_in_lag_ms: u64,
    /// The relying party of new passkeys (`rp.id` of their options) and the host on which a page asks for one. Sources
    /// disagree: it may as well be `login.microsoftonline.com`.
    pub passkey_relying_party: String,
    /// A code of a hardware token is taken so many steps before and after its own.
    pub oath_skew_steps: u16,
    /// An account is refused at sign-in (50057) for so long after it was enabled.
    pub sign_in_lag_ms: u64,
    /// The password set last is not accepted at sign-in (50126) for so long.
    pub password_lag_ms: u64,
    /// Sessions outlive their revocation by so long.
    pub revocation_lag_ms: u64,
    /// Reads show the directory as it was so long ago.
    pub read_lag_ms: u64,
    /// Queries that asked for `ConsistencyLevel: eventual` show the directory as it was so long ago.
    pub index_lag_ms: u64,
    /// Published limits with their headers; the authentication-method bucket of 5 per 10 s included.
    pub throttling: bool,
    /// The limits refill so many times as fast as Microsoft's: a measurement of an hour fits into minutes.
    pub throttling_speed: u32,
    /// Keep the log of exchanges. Off, it stays empty: for loads that would fill the memory.
    pub journal: bool,
    /// Check every exchange against Microsoft's schema. Off, exchanges are not even looked at: for measurements.
    pub check_schema: bool,
    /// Check the token's `roles` on every operation.
    pub permissions: bool,
    /// A client assertion counts once. Microsoft's own clients send theirs again until it is nearly over.
    pub assertions_once: bool,
    /// The documented variant of the password rule: User Administrator is needed even for ordinary users.
    pub strict_password_rule: bool,
    /// The strict reading of an open question: a pass for somebody who holds a role needs Privileged Authentication
    /// Administrator on the calling app.
    pub strict_pass_rule: bool,
    /// A PIM assignment cannot be removed in its first five minutes.
    pub pim_minimum_active: bool,
    /// How often a device may ask whether its code was answered, as it is told.
    pub device_code_interval_seconds: u64,
    /// The strict reading of an open question: in these five minutes the plain role API does not remove a PIM assignment
    /// either.
    pub pim_strict_removal: bool,
    /// How far simulated time is ahead of the real one.
    pub clock_offset_seconds: i64,
    /// Settings of the sign-in and portal pages, which read them by name.
    pub pages: Map<String, Value>,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            round_trip_ms: 0,
            create_lag_ms: 0,
            create_lag_intermittent: false,
            role_removal_lag_ms: 0,
            tap_lag_ms: 0,
            pass_sign_in_lag_ms: 0,
            passkey_sign_in_lag_ms: 0,
            passkey_relying_party: "login.microsoft.com".to_owned(),
            oath_skew_steps: 1,
            sign_in_lag_ms: 0,
            password_lag_ms: 0,
            revocation_lag_ms: 0,
            read_lag_ms: 0,
            index_lag_ms: 0,
            throttling: false,
            throttling_speed: 1,
            journal: true,
            check_schema: true,
            permissions: true,
            assertions_once: false,
            strict_password_rule: false,
            strict_pass_rule: false,
            pim_minimum_active: true,
            device_code_interval_seconds: 5,
            pim_strict_removal: false,
            clock_offset_seconds: 0,
            pages: Map::new(),
        }
    }
}

impl Knobs {
    /// These knobs with the members of `change` turned; `pages` is merged name by name.
    ///
    /// # Errors
    /// `change` is not an object, names an unknown knob or gives one a value of the wrong type.
    pub fn turned(&self, change: &Value) -> Result<Self, serde_json::Error> {
        let mut whole = serde_json::to_value(self)?;
        if let (Value::Object(whole), Value::Object(change)) = (&mut whole, change) {
            for (name, value) in change {
                match (whole.get_mut(name), value) {
                    (Some(Value::Object(pages)), Value::Object(turned)) => {
                        pages.extend(turned.clone());
                    }
                    _ => {
                        whole.insert(name.clone(), value.clone());
                    }
                }
            }
            serde_json::from_value(Value::Object(whole.clone()))
        } else {
            Err(serde::de::Error::custom("an object with knobs is expected"))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn turning_one_knob_leaves_the_others() {
        let knobs = Knobs::default().turned(&json!({"round_trip_ms": 100, "pages": {"a": 1}})).unwrap();
        let knobs = knobs.turned(&json!({"throttling": true, "pages": {"b": 2}})).unwrap();
        assert_eq!((knobs.round_trip_ms, knobs.throttling), (100, true));
        assert_eq!(Value::Object(knobs.pages), json!({"a": 1, "b": 2}));
    }

    #[test]
    fn a_knob_that_does_not_exist_is_refused() {
        assert!(Knobs::default().turned(&json!({"round_trip": 100})).is_err());
        assert!(Knobs::default().turned(&json!([])).is_err());
    }
}
