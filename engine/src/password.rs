//! Random passwords that Entra accepts.
//!
//! Facts: Microsoft Entra password policy: 8 to 256 characters, three of the four classes (lower case, upper case,
//! digit, symbol); the characters below are all allowed, and none of them is easily mistaken for another.

use secrecy::{SecretBox, SecretString};
use zeroize::Zeroize;

use crate::{EngineError, Failure};

/// How many characters a password has: 12 to 128, 32 unless set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordLength(usize);

impl PasswordLength {
    /// A length, if passwords may be that long.
    #[must_use]
    pub fn new(characters: usize) -> Option<Self> {
        (12..=128).contains(&characters).then_some(Self(characters))
    }

    /// How many characters.
    #[must_use]
    pub const fn characters(self) -> usize {
        self.0
    }
}

impl Default for PasswordLength {
    fn default() -> Self {
        Self(32)
    }
}

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

/// A password from the system's generator.
pub(crate) fn random_password(length: PasswordLength) -> Result<SecretString, EngineError> {
    generate(length, &mut SystemRandomness)
}

/// A password with at least one character of each class, every character and every place equally likely.
fn generate(
    PasswordLength(length): PasswordLength,
    randomness: &mut dyn Randomness,
) -> Result<SecretString, EngineError> {
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
        fn every_password_has_every_class(seed in 1_u64.., length in 12_usize..=128) {
            let password = generate(PasswordLength::new(length).unwrap(), &mut Seeded(seed)).unwrap();
            let text = password.expose_secret();
            prop_assert_eq!(text.len(), length);
            for class in CLASSES {
                prop_assert!(text.bytes().any(|byte| class.contains(&byte)));
            }
        }
    }

    #[test]
    fn no_two_passwords_are_the_same() {
        let random_password = || random_password(PasswordLength::default()).unwrap();
        let first = random_password();
        assert_ne!(first.expose_secret(), random_password().expose_secret());
        assert_eq!(first.expose_secret().len(), 32);
    }

    #[test]
    fn only_lengths_from_12_to_128_are_possible() {
        assert!(PasswordLength::new(12).is_some() && PasswordLength::new(128).is_some());
        assert!(PasswordLength::new(11).is_none() && PasswordLength::new(129).is_none());
    }
}
