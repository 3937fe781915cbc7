//! Frames of native messaging, cut anywhere: what is decoded and encoded again is what came, nothing is reserved for a
//! length that was not accepted, and how the bytes were cut changes nothing.
#![no_main]

use latchkey_protocol::MAX_MESSAGE_BYTES;
use libfuzzer_sys::fuzz_target;

// The file itself, because linking the whole host would make the fuzzer slow.
#[allow(dead_code, unreachable_pub)]
#[path = "../../../native-host/src/frame.rs"]
mod frame;

fn decode<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, bool) {
    let mut decoder = frame::Decoder::default();
    let mut messages = Vec::new();
    for chunk in chunks {
        decoder.push(chunk);
        loop {
            match decoder.next_message() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(_) => return (messages, false),
            }
        }
    }
    let whole = decoder.finish().is_ok();
    (messages, whole)
}

fuzz_target!(|data: &[u8]| {
    let Some((size, stream)) = data.split_first() else { return };
    let (messages, whole) = decode(std::iter::once(stream));
    assert_eq!(decode(stream.chunks(usize::from(*size).max(1))), (messages.clone(), whole));
    let mut again = Vec::new();
    for message in &messages {
        assert!(message.len() <= MAX_MESSAGE_BYTES);
        assert!(frame::encode(message, &mut again).is_ok());
    }
    assert!(stream.starts_with(&again));
    assert!(!whole || again.len() == stream.len());
});
