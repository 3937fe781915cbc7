//! Random passwords that Entra accepts.
//!
//! Facts: Microsoft Entra password policy: 8 to 256 characters, three of the four classes (lower case, upper case,
//! digit, symbol); the characters below are all allowed, and none of them is easily mistaken for another.

use secrecy::{SecretBox, SecretString};
use zeroize::Zeroize;

use crate::{EngineError, Failure};

/// The usual length.
pub(crate) const LENGTH: usize = 32;
/// The shortest and the longest that may be asked for.
const LENGTHS: std::ops::RangeInclusive<usize> = 12..=128;

const CLASSES: [&[u8]; 4] = [b"abcdefghijkmnopqrstuvwxyz", b"ABCDEFGHJKLMNPQRSTUVWXYZ", b"23456789", b"!#%*+-.:=?@_"];

/// Where random bytes come from.
pub(crate) trait Randomness {
    /// Fills the buffer.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), EngineError>;
}

/// The operating system's generator.
pub(crate) struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), EngineError> {
        getrandom::fill(buffer)
            .map_err(|error| Failure::Internal(format!("the system's random generator failed: {error}")).into())
    }
}

/// A password of [`LENGTH`] characters from the system's generator.
pub(crate) fn random_password() -> Result<SecretString, EngineError> {
    generate(LENGTH, &mut SystemRandomness)
}

/// A password with at least one character of each class, every character and every place equally likely.
fn generate(length: usize, randomness: &mut dyn Randomness) -> Result<SecretString, EngineError> {
    let length = length.clamp(*LENGTHS.start(), *LENGTHS.end());
    let alphabet = CLASSES.concat();
    // Whole passwords are drawn until one has every class: that keeps the drawing uniform, and about one in two of
    // 32 characters does.
    loop {
        let mut password = SecretBox::new(Box::new(vec![0_u8; length]));
        {
            use secrecy::ExposeSecretMut as _;
            for place in password.expose_secret_mut().iter_mut() {
                *place = alphabet[below(alphabet.len(), randomness)?];
            }
        }
        use secrecy::ExposeSecret as _;
        let bytes = password.expose_secret();
        if CLASSES.iter().all(|class| bytes.iter().any(|byte| class.contains(byte))) {
            let mut text = String::with_capacity(length);
            text.extend(bytes.iter().map(|byte| char::from(*byte)));
            return Ok(SecretString::from(text));
        }
    }
}

/// A number below `limit` (at most 256), without favour for small ones.
fn below(limit: usize, randomness: &mut dyn Randomness) -> Result<usize, EngineError> {
    let fair = 256 - 256 % limit;
    let mut byte = [0_u8; 1];
    loop {
        randomness.fill(&mut byte)?;
        let drawn = usize::from(byte[0]);
        byte.zeroize();
        if drawn < fair {
            return Ok(drawn % limit);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;

    use super::*;

    struct Seeded(u64);

    impl Randomness for Seeded {
        fn fill(&mut self, buffer: &mut [u8]) -> Result<(), EngineError> {
            for byte in buffer {
                self.0 ^= self.0 << 13;
                self.0 ^= self.0 >> 7;
                self.0 ^= self.0 << 17;
                *byte = self.0.to_le_bytes()[3];
            }
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn every_password_has_every_class(seed in 1_u64.., length in 0_usize..200) {
            let password = generate(length, &mut Seeded(seed)).unwrap();
            let text = password.expose_secret();
            prop_assert_eq!(text.len(), length.clamp(12, 128));
            for class in CLASSES {
                prop_assert!(text.bytes().any(|byte| class.contains(&byte)));
            }
        }
    }

    #[test]
    fn no_two_passwords_are_the_same() {
        let first = random_password().unwrap();
        assert_ne!(first.expose_secret(), random_password().unwrap().expose_secret());
        assert_eq!(first.expose_secret().len(), LENGTH);
    }
}
