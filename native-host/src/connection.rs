//! The two pipes of a native messaging connection, carrying frames.
//!
//! Reading and writing block, so that the handshake is answered before there is a runtime; later each pipe has a
//! thread of its own. Standard output carries frames and nothing else. Buffers that held a message going out are
//! wiped, because one kind of message carries a credential.

use std::io::{ErrorKind, Read, Write};

use latchkey_protocol::{HostFrame, Reply};
use zeroize::{Zeroize, Zeroizing};

use crate::frame::{self, Decoder, FrameError};

/// What can go wrong with a pipe.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    /// The bytes are not frames.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The pipe itself failed.
    #[error("the pipe to the browser failed: {0}")]
    Pipe(#[from] std::io::Error),
    /// A message could not be written as JSON.
    #[error("a message could not be written: {0}")]
    Encoding(#[from] serde_json::Error),
}

/// The reading end.
#[derive(Debug)]
pub(crate) struct Incoming<R> {
    pipe: R,
    decoder: Decoder,
}

impl<R: Read> Incoming<R> {
    /// Reads frames from `pipe`.
    pub(crate) fn new(pipe: R) -> Self {
        Self { pipe, decoder: Decoder::default() }
    }

    /// Waits for the next message; `None` when the other side closed the pipe between two frames.
    pub(crate) fn receive(&mut self) -> Result<Option<Vec<u8>>, ConnectionError> {
        let mut chunk = [0; 8 * 1024];
        loop {
            if let Some(message) = self.decoder.next_message()? {
                return Ok(Some(message));
            }
            match self.pipe.read(&mut chunk) {
                Ok(0) => {
                    self.decoder.finish()?;
                    return Ok(None);
                }
                Ok(length) => self.decoder.push(&chunk[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The writing end.
#[derive(Debug)]
pub(crate) struct Outgoing<W> {
    pipe: W,
}

impl<W: Write> Outgoing<W> {
    /// Writes frames to `pipe`.
    pub(crate) fn new(pipe: W) -> Self {
        Self { pipe }
    }

    /// Sends one message: one write, one flush, and no trace of it left in memory.
    pub(crate) fn send(&mut self, mut message: HostFrame) -> Result<(), ConnectionError> {
        // Reserved once, so that growing leaves no unwiped copy of a credential behind.
        let mut json = Zeroizing::new(Vec::with_capacity(4096));
        let written = serde_json::to_writer(&mut *json, &message);
        if let HostFrame::Reply { reply: Reply::Secret(secret), .. } = &mut message {
            secret.value.zeroize();
        }
        written?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(json.len() + 4));
        frame::encode(&json, &mut bytes)?;
        self.pipe.write_all(&bytes)?;
        self.pipe.flush()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use latchkey_protocol::{ErrorBody, ErrorCode};

    #[test]
    fn what_is_sent_is_received() {
        let mut pipe = Vec::new();
        let error = ErrorBody::new(ErrorCode::Busy, "Busy.", "Wait.");
        let message = HostFrame::Error { id: None, error };
        Outgoing::new(&mut pipe).send(message.clone()).unwrap();
        let mut incoming = Incoming::new(pipe.as_slice());
        let received = incoming.receive().unwrap().unwrap();
        assert_eq!(serde_json::from_slice::<HostFrame>(&received).unwrap(), message);
        assert!(incoming.receive().unwrap().is_none());
    }

    #[test]
    fn half_a_frame_is_not_a_clean_end() {
        let mut pipe = 10_u32.to_ne_bytes().to_vec();
        pipe.extend_from_slice(b"{\"id");
        let error = Incoming::new(pipe.as_slice()).receive().unwrap_err();
        assert!(matches!(error, ConnectionError::Frame(FrameError::Truncated { missing: 6 })), "{error}");
    }
}
