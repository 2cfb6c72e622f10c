//! One connection: read, cut into messages, write what is queued, end with a reason.

use super::core::Core;
use super::framer::{Broken, Framer, Piece};
use super::table::{Connection, Outgoing, Permit};
use super::{CloseReason, Limits, SendError};
use crate::{Hop, ParseError};
use bytes::Bytes;
use smallvec::SmallVec;
use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout, timeout_at};

/// Messages that leave in one write.
const WRITE_MESSAGES_MAX: usize = 32;
/// The answer to a ping (RFC 5626 section 4.4.1).
const PONG: &[u8] = b"\r\n";

/// A connection's place in the table and its queue. Dropping it, however the task ends, takes it out of the table and
/// tells the senders of what did not leave.
pub(crate) struct Held {
    pub core: Rc<Core>,
    pub connection: Arc<Connection>,
    pub queue: mpsc::Receiver<Outgoing>,
    /// Taken from the queue and not yet wholly in the kernel.
    pub batch: Vec<Outgoing>,
    /// What becomes of messages that did not leave.
    pub failure: SendError,
    pub _permit: Permit,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.connection.retire();
        self.queue.close();
        self.core.shared.table.remove(self.connection.id);
        for lost in self.batch.drain(..) {
            self.core.lost(lost.shard, lost.hop, self.failure);
        }
        while let Ok(lost) = self.queue.try_recv() {
            self.core.lost(lost.shard, lost.hop, self.failure);
        }
    }
}

/// What reader and writer tell each other.
struct Line {
    pong: Notify,
    last_byte: Cell<Instant>,
    /// The end is near: what is queued, then no more.
    finishing: Cell<bool>,
}

/// Serves a connection that stands, to its end.
pub(crate) async fn serve(mut held: Held, stream: impl AsyncRead + AsyncWrite) {
    held.failure = SendError::Lost;
    let core = Rc::clone(&held.core);
    let connection = Arc::clone(&held.connection);
    let hop = connection.hop;
    let limits = core.shared.limits;
    core.connected(hop);
    let line = Line { pong: Notify::new(), last_byte: Cell::new(Instant::now()), finishing: Cell::new(false) };
    let (mut reader, mut writer) = tokio::io::split(stream);
    let why = {
        let mut writing = pin!(write(&mut held, &mut writer, &line));
        let why = tokio::select! {
            biased;
            why = connection.asked_to_close() => why,
            why = &mut writing => why,
            why = read(&core, hop, &mut reader, &line) => why,
        };
        connection.retire();
        let lingers = match why {
            CloseReason::Peer | CloseReason::Unframed => true,
            // What was sent before the end was asked for still leaves.
            CloseReason::Requested | CloseReason::Shutdown => connection.has_queued(),
            _ => false,
        };
        if lingers {
            line.finishing.set(why != CloseReason::Peer);
            // Past the time the rest is reported as lost.
            let _ = timeout(limits.linger, &mut writing).await;
        }
        why
    };
    if !matches!(why, CloseReason::Reset | CloseReason::SlowReader) {
        let ending = async {
            // The peer may be gone already: then there is nobody to say good-bye to.
            let _ = writer.shutdown().await;
            if why == CloseReason::Unframed {
                // Closing with unread bytes would reset the connection and take our answer from the peer.
                discard(&core, &mut reader).await;
            }
        };
        let _ = timeout(limits.linger, ending).await;
    }
    drop(held);
    core.shared.counters.count_closed(why);
    tracing::debug!(peer = %hop, why = why.name(), "connection closed");
    core.closed(hop, why);
}

async fn read(core: &Core, hop: Hop, reader: &mut (impl AsyncRead + Unpin), line: &Line) -> CloseReason {
    let limits = core.shared.limits;
    let mut framer = Framer::default();
    let mut began = None;
    loop {
        let deadline = match began {
            Some(began) => began + limits.message_time,
            None => line.last_byte.get() + limits.idle,
        };
        let mut pieces: SmallVec<[Piece; 4]> = SmallVec::new();
        let reading = read_once(core, reader, |chunk| {
            let fed = framer.feed(chunk, |piece| pieces.push(piece));
            (chunk.len(), fed)
        });
        let (len, fed) = match timeout_at(deadline, reading).await {
            Ok(Ok(read)) => read,
            // A TLS peer that leaves without close_notify.
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return CloseReason::Peer;
            }
            Ok(Err(_)) => return CloseReason::Reset,
            Err(_) if began.is_some() => return CloseReason::SlowMessage,
            // Something was written meanwhile.
            Err(_) if line.last_byte.get() + limits.idle > Instant::now() => continue,
            Err(_) => return CloseReason::Idle,
        };
        if len == 0 {
            return CloseReason::Peer;
        }
        let now = Instant::now();
        line.last_byte.set(now);
        if !pieces.is_empty() {
            began = None;
        }
        for piece in pieces {
            match piece {
                Piece::Message(bytes) => core.message(bytes, hop),
                Piece::Ping => line.pong.notify_one(),
            }
        }
        if let Err(Broken { error, head }) = fed {
            return unframed(core, error, head, hop, line);
        }
        began = framer.is_inside().then(|| began.unwrap_or(now));
    }
}

fn unframed(core: &Core, error: ParseError, head: Bytes, hop: Hop, line: &Line) -> CloseReason {
    line.finishing.set(true);
    core.unframed(error, head, hop);
    CloseReason::Unframed
}

/// One read into the shard's buffer, handed to `take` before anybody else uses it.
async fn read_once<T>(
    core: &Core,
    reader: &mut (impl AsyncRead + Unpin),
    mut take: impl FnMut(&[u8]) -> T,
) -> io::Result<T> {
    poll_fn(|cx| {
        core.with_scratch(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            match Pin::new(&mut *reader).poll_read(cx, &mut buffer) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(())) => Poll::Ready(Ok(take(buffer.filled()))),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            }
        })
    })
    .await
}

async fn discard(core: &Core, reader: &mut (impl AsyncRead + Unpin)) {
    while let Ok(1..) = read_once(core, reader, <[u8]>::len).await {}
}

/// Writes what is queued, as much in one write as waits; ends only with a reason.
async fn write(held: &mut Held, writer: &mut (impl AsyncWrite + Unpin), line: &Line) -> CloseReason {
    let core = Rc::clone(&held.core);
    let limits = core.shared.limits;
    let protocol = held.connection.hop.protocol;
    loop {
        let pong = tokio::select! {
            biased;
            () = line.pong.notified() => true,
            received = held.queue.recv_many(&mut held.batch, WRITE_MESSAGES_MAX) => {
                if received == 0 {
                    return CloseReason::Requested;
                }
                false
            }
        };
        let written = if pong {
            core.shared.counters.keepalives.add(1);
            write_all(writer, &[PONG], &limits).await
        } else {
            let parts: SmallVec<[&[u8]; WRITE_MESSAGES_MAX]> = held.batch.iter().map(|o| o.bytes.as_ref()).collect();
            write_all(writer, &parts, &limits).await
        };
        if let Err(why) = written {
            return why;
        }
        line.last_byte.set(Instant::now());
        if !pong {
            for sent in held.batch.drain(..) {
                core.shared.counters.sent(protocol, sent.bytes.len());
                held.connection.drained(sent.bytes.len());
            }
            if line.finishing.get() && held.queue.is_empty() {
                return CloseReason::Requested;
            }
        }
    }
}

/// Writes all parts as one stretch; the peer must take something within the stall time, again and again.
async fn write_all(
    writer: &mut (impl AsyncWrite + Unpin),
    parts: &[&[u8]],
    limits: &Limits,
) -> Result<(), CloseReason> {
    let mut slices: SmallVec<[IoSlice<'_>; WRITE_MESSAGES_MAX]> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut left = slices.as_mut_slice();
    // Empty messages would look like a peer that takes nothing.
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match timeout(limits.write_stall, writer.write_vectored(left)).await {
            Ok(Ok(0)) | Ok(Err(_)) => return Err(CloseReason::Reset),
            Ok(Ok(taken)) => IoSlice::advance_slices(&mut left, taken),
            Err(_) => return Err(CloseReason::SlowReader),
        }
    }
    match timeout(limits.write_stall, writer.flush()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(CloseReason::Reset),
        Err(_) => Err(CloseReason::SlowReader),
    }
}
