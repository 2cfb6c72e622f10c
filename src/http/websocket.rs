//! SIP over WebSocket (RFC 7118): an upgraded connection becomes one of the wires.
//!
//! A frame in is one message for a shard; what a shard sends to the connection is one frame out. The task of a
//! connection belongs to the HTTP server as a TCP connection belongs to its shard: when the server ends it is dropped,
//! and the wires learn that the connection is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, rt};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, Closed, Session};
use actors::shard::SignallingMsg;
use actors::shared::Shared;
use bytes::Bytes;
use sip::{ConnectionId, Hop, Message, Protocol};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::face::OwnAddress;
use super::{Refusal, Web};

/// The subprotocol (RFC 7118 section 4.1).
const SUBPROTOCOL: &str = "sip";
/// Largest message; a larger frame ends the connection.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Messages that wait for a client that reads slowly; further ones fail at their sender.
const QUEUE_MESSAGES_MAX: usize = 256;
/// A client that takes nothing for so long is given up.
const WRITE_STALL: Duration = Duration::from_secs(10);
/// A silent connection is pinged so many times before it is given up.
const PINGS: u32 = 3;
/// Keeps the connection (RFC 7118 section 6, RFC 5626 section 4.4.1).
const PING: &[u8] = b"\r\n\r\n";
const PONG: &str = "\r\n";

/// The connections of all incarnations of the HTTP face: how many there are, may be, and what they carried.
pub struct Books {
    open: AtomicUsize,
    open_max: usize,
    idle: Duration,
    traffic_in: Traffic,
    traffic_out: Traffic,
}

#[derive(Default)]
struct Traffic {
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Traffic {
    fn add(&self, bytes: usize) {
        self.messages.fetch_add(1, Relaxed);
        self.bytes.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Relaxed);
    }
}

impl Books {
    /// At most `open_max` connections; one that is silent for `idle` is closed.
    pub fn new(open_max: usize, idle: Duration) -> Self {
        let (traffic_in, traffic_out) = (Traffic::default(), Traffic::default());
        Self { open: AtomicUsize::new(0), open_max, idle, traffic_in, traffic_out }
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Messages and bytes in each direction.
    pub fn traffic(&self) -> [(&'static str, u64, u64); 2] {
        let of = |traffic: &Traffic| (traffic.messages.load(Relaxed), traffic.bytes.load(Relaxed));
        let ((messages_in, bytes_in), (messages_out, bytes_out)) = (of(&self.traffic_in), of(&self.traffic_out));
        [("in", messages_in, bytes_in), ("out", messages_out, bytes_out)]
    }
}

/// Turns a request into a WebSocket connection, if it speaks SIP.
pub async fn upgrade(request: HttpRequest, payload: Payload, web: Data<Web>) -> Result<HttpResponse, actix_web::Error> {
    let offered = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let mut offered = offered.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    if !offered.any(|name| name.trim().eq_ignore_ascii_case(SUBPROTOCOL)) {
        let (error, remedy) = ("this is SIP over WebSocket", "upgrade with `Sec-WebSocket-Protocol: sip` (RFC 7118)");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, error, remedy).into());
    }
    let Some(remote) = request.peer_addr() else {
        let (error, remedy) = ("this connection has no address", "connect by TCP");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, error, remedy).into());
    };
    let own = request.conn_data::<OwnAddress>().map(|own| own.0);
    let local = own.unwrap_or_else(|| request.app_config().local_addr());
    let protocol = if request.app_config().secure() { Protocol::Wss } else { Protocol::Ws };
    let Some(place) = Place::take(&web) else {
        let refusal =
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too many WebSocket connections", "try again later");
        return Err(refusal.with(header::RETRY_AFTER, "5").into());
    };

    let (mut response, session, frames) = actix_ws::handle(&request, payload)?;
    response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, header::HeaderValue::from_static(SUBPROTOCOL));
    let frames = frames.max_frame_size(MESSAGE_BYTES_MAX).aggregate_continuations();
    let frames = frames.max_continuation_size(MESSAGE_BYTES_MAX);
    let (sender, outgoing) = mpsc::channel(QUEUE_MESSAGES_MAX);
    let id = web.shared.network.adopt_connection(protocol, local, remote, sender.clone());
    let hop = Hop { protocol, local, remote, connection: Some(id) };
    let wire = Wire { place, hop, id, sender };
    rt::spawn(serve(wire, session, frames, outgoing));
    Ok(response)
}

/// A place among the connections, given back when it is dropped.
struct Place(Data<Web>);

impl Place {
    fn take(web: &Data<Web>) -> Option<Self> {
        let books = &web.websockets;
        let one_more = |open| (open < books.open_max).then_some(open + 1);
        books.open.fetch_update(Relaxed, Relaxed, one_more).ok()?;
        Some(Self(web.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.websockets.open.fetch_sub(1, Relaxed);
    }
}

/// A connection as the wires see it. However its task ends, its drop takes it out and tells the shards.
struct Wire {
    place: Place,
    hop: Hop,
    id: ConnectionId,
    /// The way out, for what is said here and not by a shard.
    sender: mpsc::Sender<Bytes>,
}

impl Wire {
    fn books(&self) -> &Books {
        &self.place.0.websockets
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.place.0.shared
    }

    /// Hands a message to a shard, which passes it on when it belongs to another.
    fn receive(&self, bytes: Bytes) {
        self.books().traffic_in.add(bytes.len());
        let shared = self.shared();
        let shards = u64::try_from(shared.shards().max(1)).unwrap_or(1);
        let shard = usize::try_from(self.id.0 % shards).unwrap_or(0);
        let Some(signalling) = shared.signalling(shard) else { return };
        let Err(refused) = signalling.try_send(SignallingMsg::Wire { bytes, hop: self.hop }) else { return };
        shared.counters.refused_overload.increment(1);
        if let SignallingMsg::Wire { bytes, .. } = refused.into_inner() {
            self.refuse(bytes);
        }
    }

    /// 503 from here: the shard has no room to say it itself.
    fn refuse(&self, bytes: Bytes) {
        let Ok(message) = Message::parse(bytes) else { return };
        if !message.is_request() || *message.method() == sip::Method::Ack {
            return;
        }
        let settings = self.shared().settings();
        let mut writer = sip::Writer::response(&message, sip::Status::SERVICE_UNAVAILABLE, None, Some("overload"));
        writer.header(sip::Name::RetryAfter, settings.admission.retry_after.as_secs().max(1).to_string());
        // A client whose queue is full as well will ask again.
        let _ = self.sender.try_send(writer.finish());
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let shared = self.shared();
        shared.network.release_connection(self.id);
        for signalling in (0..shared.shards()).filter_map(|shard| shared.signalling(shard)) {
            // One word a connection and shard; a shard that is down has forgotten the connection anyway.
            signalling.send_reply(SignallingMsg::Gone(self.hop));
        }
    }
}

async fn serve(
    wire: Wire,
    mut session: Session,
    mut frames: AggregatedMessageStream,
    mut outgoing: mpsc::Receiver<Bytes>,
) {
    let idle = wire.books().idle;
    let mut pings = interval_at(Instant::now() + idle / PINGS, idle / PINGS);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    let farewell = loop {
        let written = tokio::select! {
            frame = frames.recv() => {
                heard = Instant::now();
                match frame {
                    Some(Ok(AggregatedMessage::Text(text))) => take(&wire, &mut session, text.into_bytes()).await,
                    Some(Ok(AggregatedMessage::Binary(bytes))) => take(&wire, &mut session, bytes).await,
                    Some(Ok(AggregatedMessage::Ping(bytes))) => within(session.pong(&bytes)).await,
                    Some(Ok(AggregatedMessage::Pong(_))) => Ok(()),
                    Some(Ok(AggregatedMessage::Close(reason))) => break reason,
                    Some(Err(error)) => break Some(fault(&error)),
                    None => return,
                }
            }
            message = outgoing.recv() => match message {
                Some(bytes) => send(&wire, &mut session, bytes).await,
                None => break None,
            },
            _ = pings.tick() => match heard.elapsed() >= idle {
                true => break Some(CloseCode::Away.into()),
                false => within(session.ping(b"")).await,
            },
        };
        if written.is_err() {
            return;
        }
    };
    // A client that is gone already hears no good-bye.
    let _ = timeout(WRITE_STALL, session.close(farewell)).await;
}

async fn take(wire: &Wire, session: &mut Session, bytes: Bytes) -> Result<(), Closed> {
    if bytes.as_ref() == PING {
        return within(session.text(PONG)).await;
    }
    // A lone CRLF is the client's pong.
    if !bytes.trim_ascii().is_empty() {
        wire.receive(bytes);
    }
    Ok(())
}

/// A message is text where it can be, as most clients want it (RFC 7118 section 5).
async fn send(wire: &Wire, session: &mut Session, bytes: Bytes) -> Result<(), Closed> {
    wire.books().traffic_out.add(bytes.len());
    match str::from_utf8(&bytes) {
        Ok(text) => within(session.text(text.to_owned())).await,
        Err(_) => within(session.binary(bytes)).await,
    }
}

/// A client that takes nothing is as good as gone.
async fn within(write: impl Future<Output = Result<(), Closed>>) -> Result<(), Closed> {
    timeout(WRITE_STALL, write).await.unwrap_or(Err(Closed))
}

fn fault(error: &actix_ws::ProtocolError) -> CloseReason {
    let code = match error {
        actix_ws::ProtocolError::Overflow => CloseCode::Size,
        _ => CloseCode::Protocol,
    };
    CloseReason { code, description: Some(error.to_string()) }
}
