//! The WASM boundary of the brain: JSON in, JSON out.

use wasm_bindgen::prelude::*;

/// The brain in the service worker.
///
/// ```js
/// const brain = new BrainHandle(saved_state_or_undefined, chrome.runtime.getManifest().version);
/// for (const effect of JSON.parse(brain.on_event(JSON.stringify({now: Date.now(), event})))) carry_out(effect);
/// ```
#[wasm_bindgen]
pub struct BrainHandle {
    _private: (),
}

#[wasm_bindgen]
impl BrainHandle {
    /// A brain, from what `state()` gave before the worker's death, or a fresh one.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(state_json: Option<String>, extension_version: String) -> Self {
        let _ = (state_json, extension_version);
        Self { _private: () }
    }

    /// Takes one `EventFrame`, gives an array of `Effect`. Anything else gives an `Effect::Log` that repeats nothing of it.
    pub fn on_event(&mut self, event_json: &str) -> String {
        let _ = event_json;
        String::from("[]")
    }

    /// What must outlive the worker, for `storage.session`. Nothing secret.
    #[must_use]
    pub fn state(&self) -> String {
        String::new()
    }
}

/// The table of elements for `content.js`: an object from key to selector. A test compares the two.
#[wasm_bindgen]
#[must_use]
pub fn element_table_json() -> String {
    String::new()
}
