//! What Safari runs natively: the message handler of the extension, and the app that contains it.
//!
//! Safari starts no host program. It hands each message of the extension to a class inside the app that contains the
//! extension, in a process that the system may stop at any moment. So nothing that matters is remembered between two
//! messages, and every path ends in an answer: a message that is not answered leaves the extension waiting for ever.
//!
//! [`latchkey_answer`] is the whole core behind a C ABI; on a Mac [`handler`] is its only caller, and tests are
//! elsewhere. Facts: Apple's "Messaging between the app and JavaScript in a Safari web extension", `NSExtensionContext`.

#[cfg(target_os = "macos")]
pub mod app;
#[cfg(target_os = "macos")]
pub mod handler;

use std::path::PathBuf;
use std::slice;

use latchkey_native_host::one_message;
use zeroize::Zeroize as _;

/// Bytes that belong to this library until [`latchkey_forget`] takes them back.
#[repr(C)]
pub struct LatchkeyAnswer {
    /// The first byte; never null.
    pub bytes: *mut u8,
    /// How many.
    pub length: usize,
}

/// Answers one message: a request of the protocol as JSON. The answer is `{"frames": [...]}` as JSON, UTF-8.
///
/// `folder` (UTF-8) is where configuration and database are kept; it counts from the first call on. `through` (UTF-8)
/// says for the audit what asked. Always answers, whatever the bytes are; blocks as long as the work takes.
///
/// # Safety
/// Each pointer is null (then its length is 0) or points to that many readable bytes, which stay as they are until
/// this returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latchkey_answer(
    folder: *const u8,
    folder_length: usize,
    through: *const u8,
    through_length: usize,
    message: *const u8,
    message_length: usize,
) -> LatchkeyAnswer {
    // SAFETY: the caller promises what `bytes` asks for.
    let (folder, through, message) =
        unsafe { (bytes(folder, folder_length), bytes(through, through_length), bytes(message, message_length)) };
    if let (Ok(folder), false) = (str::from_utf8(folder), folder.is_empty()) {
        one_message::keep_in(PathBuf::from(folder));
    }
    let answer = one_message::answer(message, &String::from_utf8_lossy(through));
    let boxed: Box<[u8]> = answer.as_slice().into();
    let length = boxed.len();
    LatchkeyAnswer { bytes: Box::into_raw(boxed).cast(), length }
}

/// Wipes an answer and gives its memory back.
///
/// # Safety
/// `answer` came from [`latchkey_answer`] and is given back once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latchkey_forget(answer: LatchkeyAnswer) {
    if answer.bytes.is_null() {
        return;
    }
    // SAFETY: these are the parts that `latchkey_answer` made of a box, and nobody else has them any more.
    let mut boxed = unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(answer.bytes, answer.length)) };
    boxed.zeroize();
}

/// # Safety
/// As [`latchkey_answer`] says of its pointers.
unsafe fn bytes<'a>(first: *const u8, length: usize) -> &'a [u8] {
    if first.is_null() || length == 0 {
        return &[];
    }
    // SAFETY: not null, and the caller promises the rest.
    unsafe { slice::from_raw_parts(first, length) }
}
