//! The message handler through its C ABI, as the class that Safari calls uses it: every message gets an answer.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::LazyLock;

use latchkey_protocol::{HostFrame, MAX_MESSAGE_BYTES, Reply};
use latchkey_safari::{latchkey_answer, latchkey_forget};
use serde_json::{Value, json};

/// One for the process: the first folder counts.
static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

fn answer(message: &[u8]) -> Vec<HostFrame> {
    let folder = FOLDER.path().to_str().unwrap();
    let through = "a test";
    // SAFETY: three slices that live longer than the call.
    let answer = unsafe {
        latchkey_answer(folder.as_ptr(), folder.len(), through.as_ptr(), through.len(), message.as_ptr(), message.len())
    };
    assert!(!answer.bytes.is_null());
    // SAFETY: the answer says how many bytes there are.
    let text = unsafe { std::slice::from_raw_parts(answer.bytes, answer.length) }.to_vec();
    // SAFETY: given back once, and not used afterwards.
    unsafe { latchkey_forget(answer) };
    let answer: Value = serde_json::from_slice(&text).unwrap();
    serde_json::from_value(answer["frames"].clone()).unwrap()
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../protocol/fixtures").join(name)).unwrap()
}

#[test]
fn the_golden_handshake_is_answered_without_anything_being_opened() {
    let frames = answer(&fixture("request-hello.json"));
    assert!(matches!(frames.as_slice(), [HostFrame::Reply { reply: Reply::Welcome(_), .. }]), "{frames:?}");
}

#[test]
fn a_request_is_carried_out_and_answered_under_its_number() {
    for (verb, expected) in [("list_leases", json!([])), ("list_tenants", json!([]))] {
        let message = json!({ "id": 7, "request": { "verb": verb } }).to_string();
        let frames = answer(message.as_bytes());
        let [frame] = frames.as_slice() else { panic!("{verb}: {frames:?}") };
        let frame = serde_json::to_value(frame).unwrap();
        assert_eq!(frame["id"], 7, "{frame}");
        let list = frame["reply"].get("leases").or_else(|| frame["reply"].get("tenants"));
        assert_eq!(list, Some(&expected), "{frame}");
    }
    assert!(FOLDER.path().join("latchkey.sqlite").is_file(), "everything is kept in the folder that was named");
}

#[test]
fn a_lease_that_nobody_has_is_an_error_and_not_silence() {
    let message = json!({ "id": 8, "request": { "verb": "end_lease", "lease_id": uuid() } }).to_string();
    let frames = answer(message.as_bytes());
    assert!(matches!(frames.last(), Some(HostFrame::Error { id: Some(_), .. })), "{frames:?}");
}

#[test]
fn whatever_the_bytes_are_there_is_an_answer() {
    let too_large = vec![b' '; MAX_MESSAGE_BYTES + 1];
    for message in [
        &b""[..],
        b"null",
        b"{",
        b"[]",
        b"\xff\xfe",
        br#"{"id":1}"#,
        br#"{"id":1,"request":{"verb":"sudo"}}"#,
        &too_large,
    ] {
        let frames = answer(message);
        assert!(matches!(frames.as_slice(), [HostFrame::Error { .. }]), "{:?}", &message[..message.len().min(40)]);
    }
}

#[test]
fn nothing_at_all_is_answered_too() {
    // SAFETY: null is allowed and means no bytes.
    let answer = unsafe { latchkey_answer(std::ptr::null(), 0, std::ptr::null(), 0, std::ptr::null(), 0) };
    assert!(!answer.bytes.is_null() && answer.length > 0);
    // SAFETY: given back once.
    unsafe { latchkey_forget(answer) };
}

fn uuid() -> &'static str {
    "00000000-0000-4000-8000-000000000001"
}
