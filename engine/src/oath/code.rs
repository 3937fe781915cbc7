//! The codes themselves. Pure but for the secret, which comes from the operating system's generator.
//!
//! Facts: RFC 6238 with the values that Microsoft Graph (beta) takes for a hardware OATH token: HMAC-SHA-1, 30 seconds,
//! six digits; RFC 4226 recommends a secret of 160 bits.

use secrecy::{ExposeSecret as _, SecretString};
use totp_rs::{Algorithm, Builder, Secret};

use crate::{
    EngineError, Failure,
    password::{Randomness, SystemRandomness},
};

/// For how many seconds a code stands.
pub(crate) const SECONDS: u32 = 30;
/// The same in milliseconds.
const STEP: i64 = SECONDS as i64 * 1_000;
/// As Graph calls the hash.
pub(crate) const HASH: &str = "hmacsha1";

/// A new secret, Base32.
pub(super) fn new_secret() -> Result<SecretString, EngineError> {
    let mut bytes = [0; 20];
    SystemRandomness.fill(&mut bytes)?;
    // From here on its memory is wiped by the library.
    let secret = Secret::new_stack(bytes);
    zeroize::Zeroize::zeroize(&mut bytes);
    Ok(SecretString::from(secret.to_base32()))
}

/// The step that a time (Unix milliseconds) is in.
pub(super) const fn step_at(now: i64) -> i64 {
    now.div_euclid(STEP)
}

/// How long it is, in milliseconds, until a step begins.
pub(super) const fn until_step(step: i64, now: i64) -> u64 {
    let wait = step.saturating_mul(STEP).saturating_sub(now);
    if wait > 0 { wait.unsigned_abs() } else { 0 }
}

/// The code of a step.
pub(super) fn code(secret: &SecretString, step: i64) -> Result<SecretString, Failure> {
    let unreadable = || Failure::OneTimeCodeGone;
    let secret = Secret::try_from_base32(secret.expose_secret()).map_err(|_| unreadable())?;
    let second = u64::try_from(step).ok().and_then(|step| step.checked_mul(u64::from(SECONDS)));
    let totp = Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(6)
        .with_step_duration(u64::from(SECONDS))
        .with_secret(secret)
        .build()
        .map_err(|_| unreadable())?;
    Ok(SecretString::from(totp.generate(second.ok_or_else(unreadable)?).to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The table of RFC 6238, appendix B, its last six digits.
    #[test]
    fn codes_are_those_of_the_standard() {
        let secret = SecretString::from("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        for (second, expected) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
            let code = code(&secret, step_at(second * 1_000)).unwrap();
            assert_eq!(code.expose_secret(), expected, "{second}");
        }
    }

    #[test]
    fn a_secret_has_160_bits_and_is_never_the_same() {
        let (one, other) = (new_secret().unwrap(), new_secret().unwrap());
        assert_eq!(one.expose_secret().len(), 32);
        assert_ne!(one.expose_secret(), other.expose_secret());
        code(&one, 1).unwrap();
    }

    #[test]
    fn a_step_begins_when_the_one_before_is_over() {
        assert_eq!((step_at(29_999), step_at(30_000)), (0, 1));
        assert_eq!((until_step(1, 29_000), until_step(1, 30_000), until_step(0, 30_000)), (1_000, 0, 0));
    }

    #[test]
    fn what_is_no_secret_has_no_code() {
        assert_eq!(code(&SecretString::from("not base 32!"), 1).map(|_| ()), Err(Failure::OneTimeCodeGone));
    }
}
