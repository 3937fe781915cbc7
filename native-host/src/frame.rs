//! The framing of native messaging: a 32-bit length in native byte order, then that many bytes of JSON.
//!
//! A pure codec: bytes go in, messages come out, nothing is read or written here. It never reserves memory for a
//! length it has not accepted, because the length is chosen by the other side. Source: Chrome's "Native messaging"
//! documentation (message framing); the limit is the smaller of what browsers allow and what the protocol needs.

use byteorder::{ByteOrder, NativeEndian};
use latchkey_protocol::MAX_MESSAGE_BYTES;

/// Bytes of the length in front of every message.
const PREFIX: usize = 4;

/// Why bytes are not frames. After either error the stream has no known place to go on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// The announced length is over the limit.
    #[error("a frame announces {announced} bytes; at most {MAX_MESSAGE_BYTES} are allowed")]
    TooLarge {
        /// Bytes announced.
        announced: u64,
    },
    /// The stream ended inside a frame.
    #[error("the stream ended {missing} bytes before the end of a frame")]
    Truncated {
        /// Bytes that would have completed the length or the message.
        missing: usize,
    },
}

/// Cuts a stream of bytes into messages, however the bytes are split on their way.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    buffer: Vec<u8>,
}

impl Decoder {
    /// Takes the next bytes of the stream.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, if all of it has arrived.
    pub(crate) fn next_message(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        let Some(length) = self.announced()? else { return Ok(None) };
        let end = PREFIX + length;
        if self.buffer.len() < end {
            return Ok(None);
        }
        let message = self.buffer[PREFIX..end].to_vec();
        self.buffer.drain(..end);
        Ok(Some(message))
    }

    /// Whether the stream may end here: only between two frames.
    pub(crate) fn finish(&self) -> Result<(), FrameError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let whole = self.announced()?.map_or(PREFIX, |length| PREFIX + length);
        Err(FrameError::Truncated { missing: whole.saturating_sub(self.buffer.len()) })
    }

    /// The length of the frame at the front, once its four bytes are there.
    fn announced(&self) -> Result<Option<usize>, FrameError> {
        let Some(prefix) = self.buffer.get(..PREFIX) else { return Ok(None) };
        let announced = NativeEndian::read_u32(prefix);
        match usize::try_from(announced) {
            Ok(length) if length <= MAX_MESSAGE_BYTES => Ok(Some(length)),
            _ => Err(FrameError::TooLarge { announced: announced.into() }),
        }
    }
}

/// Appends `message` to `frame` as one frame.
pub(crate) fn encode(message: &[u8], frame: &mut Vec<u8>) -> Result<(), FrameError> {
    let too_large = FrameError::TooLarge { announced: message.len() as u64 };
    if message.len() > MAX_MESSAGE_BYTES {
        return Err(too_large);
    }
    let length = u32::try_from(message.len()).map_err(|_| too_large)?;
    let mut prefix = [0; PREFIX];
    NativeEndian::write_u32(&mut prefix, length);
    frame.extend_from_slice(&prefix);
    frame.extend_from_slice(message);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    fn encoded(messages: &[Vec<u8>]) -> Vec<u8> {
        let mut stream = Vec::new();
        for message in messages {
            encode(message, &mut stream).unwrap();
        }
        stream
    }

    fn decoded<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, Result<(), FrameError>) {
        let mut decoder = Decoder::default();
        let mut messages = Vec::new();
        for chunk in chunks {
            decoder.push(chunk);
            loop {
                match decoder.next_message() {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(error) => return (messages, Err(error)),
                }
            }
        }
        let end = decoder.finish();
        (messages, end)
    }

    #[test]
    fn a_frame_split_at_every_byte_is_the_same_message() {
        let message = br#"{"id":1,"request":{"verb":"list_leases"}}"#.to_vec();
        let stream = encoded(std::slice::from_ref(&message));
        for at in 0..=stream.len() {
            let (messages, end) = decoded([&stream[..at], &stream[at..]]);
            assert_eq!((messages, end), (vec![message.clone()], Ok(())), "split at {at}");
        }
    }

    #[test]
    fn two_gibibytes_are_refused_before_anything_is_reserved() {
        let mut decoder = Decoder::default();
        decoder.push(&(2_147_483_648_u32).to_ne_bytes());
        assert_eq!(decoder.next_message(), Err(FrameError::TooLarge { announced: 2_147_483_648 }));
        assert!(decoder.buffer.capacity() < 1024);
    }

    #[test]
    fn the_largest_message_passes_and_one_more_byte_does_not() {
        let largest = vec![b' '; MAX_MESSAGE_BYTES];
        let (messages, end) = decoded([encoded(std::slice::from_ref(&largest)).as_slice()]);
        assert_eq!((messages.len(), end), (1, Ok(())));
        let more = vec![b' '; MAX_MESSAGE_BYTES + 1];
        assert!(matches!(encode(&more, &mut Vec::new()), Err(FrameError::TooLarge { .. })));
        let (messages, end) = decoded([(u32::try_from(more.len()).unwrap()).to_ne_bytes().as_slice()]);
        assert!(messages.is_empty());
        assert_eq!(end, Err(FrameError::TooLarge { announced: more.len() as u64 }));
    }

    #[test]
    fn an_empty_message_is_a_message() {
        let (messages, end) = decoded([[0, 0, 0, 0].as_slice()]);
        assert_eq!((messages, end), (vec![Vec::new()], Ok(())));
    }

    #[test]
    fn the_end_of_the_stream_is_clean_only_between_frames() {
        let stream = encoded(&[b"{}".to_vec()]);
        assert_eq!(decoded([[].as_slice()]).1, Ok(()));
        assert_eq!(decoded([&stream[..1]]).1, Err(FrameError::Truncated { missing: 3 }));
        assert_eq!(decoded([&stream[..5]]).1, Err(FrameError::Truncated { missing: 1 }));
        assert_eq!(decoded([&stream[..]]).1, Ok(()));
    }

    proptest! {
        #[test]
        fn any_messages_in_any_pieces_come_out_as_they_went_in(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
            piece in 1_usize..64,
        ) {
            let stream = encoded(&messages);
            let (out, end) = decoded(stream.chunks(piece));
            prop_assert_eq!(out, messages);
            prop_assert_eq!(end, Ok(()));
        }

        #[test]
        fn any_cut_is_noticed(message in prop::collection::vec(any::<u8>(), 0..200), cut in any::<prop::sample::Index>()) {
            let stream = encoded(&[message]);
            let at = cut.index(stream.len());
            let (messages, end) = decoded([&stream[..at]]);
            prop_assert!(messages.is_empty());
            prop_assert_eq!(end.is_ok(), at == 0);
        }

        #[test]
        fn any_bytes_end_in_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..4096), piece in 1_usize..64) {
            let (messages, _) = decoded(bytes.chunks(piece));
            let taken: usize = messages.iter().map(|message| message.len() + PREFIX).sum();
            prop_assert!(taken <= bytes.len());
        }
    }
}
