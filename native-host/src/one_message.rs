//! The host for a browser that keeps no process and no connection: Safari hands its extension's native part one message,
//! wants one answer, and may stop the process afterwards.
//!
//! So nothing that matters is remembered between two messages (what is, is lost without harm: see
//! `session::answer_one`), and there is an answer on every path: to bytes that are no message,
//! to a panic, to work that takes too long. Who is asking is not claimed by a command line here; the system starts the
//! native part for the one extension that it is signed together with.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use latchkey_engine::Caller;
use latchkey_protocol::{ErrorBody, ErrorCode, HostFrame, MAX_MESSAGE_BYTES, Reply};
use serde::Serialize;
use zeroize::{Zeroize as _, Zeroizing};

use crate::{failure, request, session, settings};

/// What goes back: everything that was said, in its order. The last frame answers the message.
#[derive(Serialize)]
struct Answer {
    frames: Vec<HostFrame>,
}

/// Keeps the configuration, the database and the log below `folder` for the rest of the process: the folder that the
/// app and its extension share. The first call counts.
pub fn keep_in(folder: PathBuf) {
    settings::keep_in(folder);
}

/// Answers one request of the protocol (JSON) with `{"frames": [...]}` (JSON). `through` says for the audit what asked.
#[must_use]
pub fn answer(message: &[u8], through: &str) -> Zeroizing<Vec<u8>> {
    let frames = catch_unwind(AssertUnwindSafe(|| frames(message, through)))
        .unwrap_or_else(|_| vec![unasked(failure::internal("a request failed unexpectedly"))]);
    let mut answer = Answer { frames };
    // Reserved once, so that growing leaves no unwiped copy of a credential behind.
    let mut json = Zeroizing::new(Vec::with_capacity(64 * 1024));
    let written = serde_json::to_writer(&mut *json, &answer);
    for frame in &mut answer.frames {
        if let HostFrame::Reply { reply: Reply::Secret(secret), .. } = frame {
            secret.value.zeroize();
        }
    }
    match written {
        Ok(()) => json,
        // Maps with odd keys cannot be written; the protocol has none.
        Err(_) => Zeroizing::new(br#"{"frames":[]}"#.to_vec()),
    }
}

fn frames(message: &[u8], through: &str) -> Vec<HostFrame> {
    if message.len() > MAX_MESSAGE_BYTES {
        return vec![unasked(ErrorBody::new(
            ErrorCode::FrameTooLarge,
            format!("A message has {} bytes; at most {MAX_MESSAGE_BYTES} are allowed.", message.len()),
            "Update the extension.",
        ))];
    }
    match request::parse(message) {
        Ok(frame) => session::answer_one(frame, Caller::Extension(through.to_owned())),
        Err(unreadable) => vec![HostFrame::Error { id: unreadable.id, error: unreadable.error }],
    }
}

fn unasked(error: ErrorBody) -> HostFrame {
    HostFrame::Error { id: None, error }
}
