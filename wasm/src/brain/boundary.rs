//! The WASM boundary of the brain: JSON in, JSON out, and never a panic for what comes in.

use wasm_bindgen::prelude::*;

use super::{Brain, Effect};
use crate::{elements::ElementKey, json::read_text};

/// The brain in the service worker.
///
/// ```js
/// const brain = new BrainHandle(saved_state_or_undefined, saved_tenants_or_undefined, chrome.runtime.getManifest().version);
/// for (const effect of JSON.parse(brain.on_event(JSON.stringify({now: Date.now(), event})))) carry_out(effect);
/// ```
#[wasm_bindgen]
pub struct BrainHandle {
    brain: Brain,
}

#[wasm_bindgen]
impl BrainHandle {
    /// A brain, from what `state()` and `tenants()` gave before the worker's death, or a fresh one.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(state_json: Option<String>, tenants_json: Option<String>, extension_version: String) -> Self {
        let tenants = tenants_json.as_deref().unwrap_or("null");
        let state = state_json.and_then(|rest| Some(["{\"tenants\":", tenants, ",", rest.strip_prefix('{')?].concat()));
        Self { brain: Brain::new(state.as_deref(), &extension_version) }
    }

    /// Takes one `EventFrame`, gives an array of `Effect`. Anything else gives an `Effect::Log` that repeats nothing
    /// of it.
    pub fn on_event(&mut self, event_json: &str) -> String {
        let effects = match read_text(event_json) {
            Some(frame) => self.brain.on_event(frame),
            // What was sent is not repeated: it may be a secret.
            None => vec![Effect::Log { message: String::from("an event could not be read") }],
        };
        serde_json::to_string(&effects).unwrap_or_else(|_| String::from("[]"))
    }

    /// The list of tenants for the popup, as JSON.
    #[must_use]
    pub fn tenants(&self) -> String {
        self.brain.tenants().to_owned()
    }

    /// What must outlive the worker beside [`Self::tenants`], for `storage.session`. Nothing secret.
    #[must_use]
    pub fn state(&self) -> String {
        self.brain.state_but_tenants()
    }
}

/// The table of elements for `content.js`: an object from key to selector. A test compares the two.
#[wasm_bindgen]
#[must_use]
pub fn element_table_json() -> String {
    let mut json = String::from("{");
    for (place, (_, key, selector)) in ElementKey::table().iter().enumerate() {
        // Neither has a character that JSON would want escaped; a test reads it back.
        let comma = if place == 0 { "" } else { "," };
        json.push_str(&[comma, "\"", key, "\":\"", selector, "\""].concat());
    }
    json.push('}');
    json
}
