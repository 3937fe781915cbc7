//! What a technician prefers, in the one place that names the keys and what each may hold.
//!
//! The browser keeps them as an object under [`STORED_AS`] in `storage.local`, and what an organisation sets, under the
//! same names, in `storage.managed` (`extension/managed_schema.json` says so to browsers; a test holds the two against
//! each other). Managed values win: the shell lays one over the other before anything here sees them. Whatever cannot
//! be read counts as not set. No preference can widen what the engine allows: a duration is cut to the profile's limit.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::{Parse, Read, names, parsed};

/// The key in `storage.local`.
pub const STORED_AS: &str = "preferences";

/// The longest duration that can be preferred; the longest that the engine allows for any profile.
pub const MAXIMUM_MINUTES: u32 = 1440;

/// The languages that there are words in, each with its own name for itself. `language` is one of these or `browser`.
pub const LANGUAGES: [(&str, &str); 5] =
    [("de", "Deutsch"), ("en", "English"), ("es", "Español"), ("fr", "Français"), ("ja", "日本語")];

/// What a technician prefers, as far as the brain has to know. The other keys concern only the pages: `minutes` (asked
/// for within the profile's limit), `portal` and `place` (by their keys: what the popup opens, and where), `theme`
/// (`system`, `light`, `dark`) and `language`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preferences {
    /// Whether Next and Sign in are pressed after a fill; if not, the person presses them.
    pub auto_submit: bool,
    /// The answer to 'Stay signed in?'.
    pub stay_signed_in: StaySignedIn,
}

/// The answer to Microsoft's question 'Stay signed in?'.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StaySignedIn {
    /// No: the session ends with the browser.
    #[default]
    No,
    /// Yes.
    Yes,
    /// The person answers.
    Ask,
}

impl Default for Preferences {
    fn default() -> Self {
        Self { auto_submit: true, stay_signed_in: StaySignedIn::No }
    }
}

/// How long to ask for: what the technician said for this access, else what is preferred, as far as is allowed. Nothing
/// leaves it to the profile.
#[must_use]
pub fn minutes_within(said: Option<u32>, preferred: Option<u32>, maximum_minutes: u32) -> Option<u32> {
    said.or(preferred).map(|minutes| minutes.clamp(1, maximum_minutes.max(1)))
}

names!(StaySignedIn { "no" = No, "yes" = Yes, "ask" = Ask });
parsed!(Preferences, Self::default());

impl Parse for Preferences {
    /// Never fails on a member: a policy that was written for a later version must not take the others away.
    fn parse(value: &Value) -> Option<Self> {
        fn set<T: Read>(value: &Value, name: &str) -> Option<T> {
            T::read(value.get(name)?)
        }
        Some(Self {
            auto_submit: set(value, "auto_submit").unwrap_or(true),
            stay_signed_in: set(value, "stay_signed_in").unwrap_or_default(),
        })
    }
}
