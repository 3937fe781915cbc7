//! Messages in both directions: whatever is read can be written and read again as the same, and the extension's small
//! reader takes exactly what serde takes.
#![no_main]

use latchkey_protocol::{HostFrame, RequestFrame};
use latchkey_wasm::json::read_text;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(request) = serde_json::from_slice::<RequestFrame>(data) {
        let text = serde_json::to_vec(&request).expect("what was read can be written");
        assert_eq!(serde_json::from_slice::<RequestFrame>(&text).expect("what was written can be read"), request);
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read = read_text::<HostFrame>(text);
    if let Some(frame) = &read {
        let written = serde_json::to_string(frame).expect("what was read can be written");
        assert_eq!(read_text::<HostFrame>(&written).as_ref(), Some(frame));
    }
});
