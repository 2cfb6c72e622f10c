//! A stream of bytes to messages and keep-alives, whatever the segments are. No socket inside.

use super::HEAD_BYTES_MAX;
use crate::ParseError;
use crate::message::{Frame, frame};
use bytes::Bytes;

/// What a stream held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// One whole message in an allocation of its own size: it may live as long as a call, and must not pin a read
    /// buffer.
    Message(Bytes),
    /// Double CRLF: to be answered with a single one (RFC 5626 section 4.4.1).
    Ping,
}

/// The stream cannot be read on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub error: ParseError,
    /// How the faulty message begins.
    pub head: Bytes,
}

/// Bytes of an unfinished message; holds no memory between messages.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    pending: Vec<u8>,
}

impl Framer {
    /// Whether a message has begun and not ended.
    pub(crate) fn is_inside(&self) -> bool {
        self.pending.iter().any(|c| !matches!(c, b'\r' | b'\n'))
    }

    /// Takes what was read and hands out what is whole, in order.
    pub(crate) fn feed(&mut self, chunk: &[u8], mut out: impl FnMut(Piece)) -> Result<(), Broken> {
        if self.pending.is_empty() {
            let used = cut(chunk, &mut out)?;
            self.pending.extend_from_slice(chunk.get(used..).unwrap_or_default());
            return Ok(());
        }
        self.pending.extend_from_slice(chunk);
        let used = cut(&self.pending, &mut out)?;
        if used == self.pending.len() {
            self.pending = Vec::new();
        } else {
            self.pending.drain(..used);
        }
        Ok(())
    }
}

/// How many bytes at the head of `bytes` were handed out.
fn cut(bytes: &[u8], out: &mut impl FnMut(Piece)) -> Result<usize, Broken> {
    let mut used = 0;
    loop {
        let rest = bytes.get(used..).unwrap_or_default();
        if rest.starts_with(b"\r\n\r\n") {
            out(Piece::Ping);
            used += 4;
            continue;
        }
        // A CRLF alone may be the first half of a ping; before anything else it is a pong.
        if matches!(rest, b"" | b"\r" | b"\r\n" | b"\r\n\r") {
            return Ok(used);
        }
        match frame(rest) {
            Ok(Frame { skip, len }) => {
                let message = rest.get(skip..skip + len).unwrap_or_default();
                out(Piece::Message(Bytes::copy_from_slice(message)));
                used += skip + len;
            }
            Err(ParseError::Incomplete) => {
                // Line ends without a message behind them are noise: dropped, so that they never pile up.
                let noise = rest.iter().all(|c| matches!(c, b'\r' | b'\n'));
                return Ok(if noise { bytes.len() } else { used });
            }
            Err(error) => {
                let head = rest.get(..HEAD_BYTES_MAX).unwrap_or(rest);
                let head = Bytes::copy_from_slice(head);
                return Err(Broken { error, head });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &[u8] = b"OPTIONS sip:a SIP/2.0\r\nl: 4\r\n\r\nbody";
    const SECOND: &[u8] = b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n";

    fn whole() -> (Vec<u8>, Vec<Piece>) {
        let stream = [FIRST, b"\r\n\r\n", SECOND, b"\r\n", FIRST].concat();
        let pieces = vec![
            Piece::Message(Bytes::from_static(FIRST)),
            Piece::Ping,
            Piece::Message(Bytes::from_static(SECOND)),
            Piece::Message(Bytes::from_static(FIRST)),
        ];
        (stream, pieces)
    }

    #[test]
    fn messages_and_pings_come_out_whole_wherever_the_stream_is_split() {
        let (stream, wanted) = whole();
        for first in 0..=stream.len() {
            for second in (first..=stream.len()).step_by(7) {
                let mut got = Vec::new();
                let mut framer = Framer::default();
                for part in [&stream[..first], &stream[first..second], &stream[second..]] {
                    framer.feed(part, |p| got.push(p)).unwrap();
                }
                assert_eq!(got, wanted, "split at {first} and {second}");
                assert!(!framer.is_inside());
            }
        }
    }

    #[test]
    fn messages_come_out_whole_byte_by_byte_and_leave_no_memory_behind() {
        let (stream, wanted) = whole();
        let mut got = Vec::new();
        let mut framer = Framer::default();
        for byte in stream {
            framer.feed(&[byte], |p| got.push(p)).unwrap();
        }
        assert_eq!(got, wanted);
        assert_eq!(framer.pending.capacity(), 0);
    }

    #[test]
    fn a_message_without_content_length_breaks_the_stream_with_its_head() {
        let mut framer = Framer::default();
        let http = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let broken = framer.feed(http, |_| panic!("nothing is whole"));
        let broken = broken.unwrap_err();
        assert_eq!(broken.error, ParseError::Length);
        assert_eq!(broken.head.as_ref(), http);
    }

    #[test]
    fn an_endless_line_breaks_the_stream_before_it_fills_memory() {
        let mut framer = Framer::default();
        let mut fed = 0;
        let error = loop {
            fed += 1_000;
            if let Err(broken) = framer.feed(&[b'a'; 1_000], |_| panic!("nothing is whole")) {
                break broken.error;
            }
            assert!(fed < 100_000);
        };
        assert_eq!(error, ParseError::TooLarge);
    }

    #[test]
    fn endless_line_ends_never_pile_up() {
        let mut framer = Framer::default();
        for _ in 0..1_000 {
            framer.feed(b"\n\n\r\r\n", |_| {}).unwrap();
            assert!(framer.pending.len() < 16);
        }
    }
}
