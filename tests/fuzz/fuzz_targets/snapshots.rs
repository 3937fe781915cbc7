//! Events of any content and order, one JSON text a line, as the service worker would hand them on: the brain answers
//! each with effects, survives its own saved state, and acts on no page before a person has clicked.
#![no_main]

use latchkey_wasm::brain::BrainHandle;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut brain = BrainHandle::new(None, None, "0.1.0".to_owned());
    let mut clicked = false;
    for line in text.lines().take(40) {
        let event: Value = serde_json::from_str(line).unwrap_or_default();
        clicked |= event["event"]["type"] == "popup_action";
        let effects = brain.on_event(line);
        let effects: Value = serde_json::from_str(&effects).expect("effects are JSON");
        for effect in effects.as_array().expect("effects are a list") {
            let acts = matches!(effect["type"].as_str(), Some("fill" | "click" | "show_secret"));
            assert!(clicked || !acts, "{effect}");
        }
    }
    // What does not outlive the worker is left out when it is read; what is left is read as it was.
    let again = |(state, tenants)| {
        let brain = BrainHandle::new(Some(state), Some(tenants), "0.1.0".to_owned());
        (brain.state(), brain.tenants())
    };
    let kept = again((brain.state(), brain.tenants()));
    assert_eq!(again(kept.clone()), kept);
});
