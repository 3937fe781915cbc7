//! A value that may be or contain a secret: it goes through, and `{:?}` does not show it.

use serde::{Deserialize, Serialize};

/// Serialised as the value itself; never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Unprinted<T>(pub T);

impl<T> std::fmt::Debug for Unprinted<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("(not printed)")
    }
}
