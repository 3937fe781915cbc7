//! The chain of one tenant's entries: how an entry is hashed, and what shows that one was changed, removed or moved.
//!
//! The hash of an entry is SHA-256 over the hash before it, its sequence number (8 bytes, big-endian) and its body as it
//! was written. Anybody can recompute it; what it proves is that the log is the one whose newest hash was seen elsewhere:
//! in an export, at a receiver of the webhook.

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// A place in a chain: an entry's sequence number and its hash. Zero and empty before the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) sequence: i64,
    pub(crate) hash: Vec<u8>,
}

/// The hash of an entry.
pub(crate) fn chained(previous: &[u8], sequence: i64, body: &str) -> Vec<u8> {
    let mut hasher = Sha256::new();
    hasher.update(previous);
    hasher.update(sequence.to_be_bytes());
    hasher.update(body.as_bytes());
    hasher.finalize().to_vec()
}

/// Follows one chain entry by entry.
#[derive(Debug)]
pub(crate) struct Check {
    anchor: Link,
    newest: Link,
    /// What the newest entry about removed entries says was removed last.
    removal: Option<Link>,
}

impl Check {
    /// The chain is to begin right behind `anchor`.
    pub(crate) fn new(anchor: Link) -> Self {
        Self { newest: anchor.clone(), anchor, removal: None }
    }

    pub(crate) const fn newest(&self) -> &Link {
        &self.newest
    }

    /// The sequence number that the chain begins with.
    pub(crate) const fn first(&self) -> i64 {
        self.anchor.sequence + 1
    }

    /// Takes the next entry in. `Err`: what is wrong with it.
    pub(crate) fn take(&mut self, sequence: i64, body: &str, hash: Vec<u8>) -> Result<(), &'static str> {
        let expected = self.newest.sequence + 1;
        let verdict = if sequence > expected {
            Err("the entry before it is missing")
        } else if sequence < expected {
            Err("it does not stand where it belongs")
        } else if chained(&self.newest.hash, sequence, body) != hash {
            Err("it or the entry before it was changed")
        } else {
            Ok(())
        };
        if let Some(removal) = removal(body) {
            self.removal = Some(removal);
        }
        self.newest = Link { sequence, hash };
        verdict
    }

    /// What is wrong with the chain as a whole, once its last entry has been taken in.
    pub(crate) fn finish(&self, head: Option<&Link>) -> Option<String> {
        match head {
            None => return Some("the chain has no head".to_owned()),
            Some(head) if *head != self.newest => {
                return Some(format!("the chain does not end where it should, at entry {}", head.sequence));
            }
            Some(_) => {}
        }
        // The chain itself must say that its beginning was removed as configured; a row beside it could be forged.
        (self.anchor.sequence > 0 && self.removal.as_ref() != Some(&self.anchor))
            .then(|| format!("entries up to {} are gone and no entry says why", self.anchor.sequence))
    }
}

/// What an entry about removed entries says was the newest of them.
fn removal(body: &str) -> Option<Link> {
    #[derive(Deserialize)]
    struct Body {
        event: String,
        detail: serde_json::Value,
    }
    // Most entries are about something else; they need not be parsed.
    if !body.contains("audit_pruned") {
        return None;
    }
    let body: Body = serde_json::from_str(body).ok()?;
    if body.event != "audit_pruned" {
        return None;
    }
    let hash = from_hexadecimal(body.detail["hash"].as_str()?)?;
    Some(Link { sequence: body.detail["up_to"].as_i64()?, hash })
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The hash of a known chain, worked out with another program: a format that changes breaks every old export.
    #[test]
    fn the_hash_is_what_it_has_always_been() {
        let first = chained(&[], 1, "{}");
        assert_eq!(hexadecimal(&first), "b0534fd61d8ff3500ba693b6c7d1cbadf733667230f58b5006c720ca205ff44a");
        let second = chained(&first, 2, r#"{"a":1}"#);
        assert_eq!(hexadecimal(&second), "74133c7da9a5d0aeadfec02fe143081a7fbfafab775fcf5735d2ba2db28a5141");
    }

    #[test]
    fn hexadecimal_comes_back() {
        assert_eq!(from_hexadecimal(&hexadecimal(&[0, 1, 0xfe])), Some(vec![0, 1, 0xfe]));
        for wrong in ["0", "zz", "é0"] {
            assert_eq!(from_hexadecimal(wrong), None, "{wrong}");
        }
    }
}
