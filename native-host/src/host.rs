//! The host as a browser starts it.
//!
//! Starting is a budget: the handshake is answered with two pipes and nothing else, before there is a runtime, an open
//! database or TLS. Only then does the session begin. Whoever is not on the list gets an error and no session.

use std::process::ExitCode;

use latchkey_engine::Caller;
use latchkey_protocol::{
    ErrorBody, ErrorCode, HostFrame, PROTOCOL_VERSION, Reply, Request, RequestFrame, RequestId, Welcome,
};

use crate::caller::{self, Claim};
use crate::configuration::Reading;
use crate::connection::{ConnectionError, Incoming, Outgoing};
use crate::frame::FrameError;
use crate::settings::Folders;
use crate::{request, session};

/// Exit code when the browser's side did not keep to the protocol.
const PROTOCOL_BROKEN: u8 = 10;

/// Serves one browser until it closes the pipes.
pub(crate) fn serve(claim: &Claim) -> ExitCode {
    let mut incoming = Incoming::new(std::io::stdin());
    let mut outgoing = Outgoing::new(std::io::stdout());
    if !claim.is_served(added_extension_ids) {
        let _ = outgoing.send(HostFrame::Error { id: None, error: not_served() });
        return ExitCode::from(PROTOCOL_BROKEN);
    }
    match shake_hands(&mut incoming, &mut outgoing) {
        Ok(true) => {}
        Ok(false) => return ExitCode::SUCCESS,
        Err(error) => {
            let _ = outgoing.send(HostFrame::Error { id: None, error: connection_failure(&error) });
            return ExitCode::from(PROTOCOL_BROKEN);
        }
    }
    let through = match caller::parent_program() {
        Some(program) => format!("{} in {}", claim.extension_id, program.display()),
        None => claim.extension_id.clone(),
    };
    session::run(incoming, outgoing, Caller::Extension(through))
}

/// Answers what comes before the handshake and the handshake itself; `false` when the browser went away before it.
fn shake_hands<R: std::io::Read, W: std::io::Write>(
    incoming: &mut Incoming<R>,
    outgoing: &mut Outgoing<W>,
) -> Result<bool, ConnectionError> {
    while let Some(message) = incoming.receive()? {
        match request::parse(&message) {
            Ok(RequestFrame { id, request: Request::Hello(_) }) => {
                outgoing.send(welcome(id))?;
                return Ok(true);
            }
            Ok(RequestFrame { id, .. }) => {
                let error = ErrorBody::new(
                    ErrorCode::HandshakeRequired,
                    "The extension asked for something before it said hello.",
                    "Update the extension.",
                );
                outgoing.send(HostFrame::Error { id: Some(id), error })?;
            }
            Err(unreadable) => outgoing.send(HostFrame::Error { id: unreadable.id, error: unreadable.error })?,
        }
    }
    Ok(false)
}

/// The answer to a hello.
pub(crate) fn welcome(id: RequestId) -> HostFrame {
    let host_version = env!("CARGO_PKG_VERSION").to_owned();
    HostFrame::Reply { id, reply: Reply::Welcome(Welcome { protocol: PROTOCOL_VERSION, host_version }) }
}

/// What to tell the browser when its pipe broke.
pub(crate) fn connection_failure(error: &ConnectionError) -> ErrorBody {
    let (code, next_step) = match error {
        ConnectionError::Frame(FrameError::TooLarge { .. }) => (
            ErrorCode::FrameTooLarge,
            "Update the extension; the connection is closed because nothing after it can be read.",
        ),
        ConnectionError::Frame(FrameError::Truncated { .. }) => {
            (ErrorCode::TruncatedFrame, "Try again; nothing of the unfinished message was carried out.")
        }
        ConnectionError::Pipe(_) | ConnectionError::Encoding(_) => {
            (ErrorCode::Internal, "Try again; if it stays, run 'latchkey doctor'.")
        }
    };
    ErrorBody::new(code, format!("The connection failed: {error}."), next_step)
}

fn not_served() -> ErrorBody {
    ErrorBody::new(
        ErrorCode::CallerNotAllowed,
        "This extension is not one that Latchkey serves.",
        "Install Latchkey's own extension; for a build of your own run 'latchkey install --extension-id ID'.",
    )
}

fn added_extension_ids() -> Vec<String> {
    Folders::of_this_person()
        .and_then(|folders| Reading::of(&folders.configuration_file()))
        // A mistake elsewhere in the file must not keep the popup from ending leases.
        .map(|reading| reading.settings_in_any_case().extension_ids)
        .unwrap_or_default()
}
