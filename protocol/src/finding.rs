//! What the host found when it looked over one link of the chain from the browser to Microsoft.

use serde::{Deserialize, Serialize};

/// What was found about one link. Names and sentences of the host, in English; nothing secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The link: `program`, `configuration`, `browser`, `schedule`, `key_store`, `store`, `disk`, `network`, `clock`,
    /// `tenant`, `lockdown`, `lease`, `account`, `break_glass`, `webhook` …; a later host may know more.
    pub link: String,
    /// How it is.
    pub state: FindingState,
    /// What was found, one sentence or name.
    pub found: String,
    /// What to do about it; empty when nothing is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub next_step: String,
}

/// How a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingState {
    /// As it should be.
    Good,
    /// Works, but somebody should look.
    Warning,
    /// Broken.
    Broken,
}
