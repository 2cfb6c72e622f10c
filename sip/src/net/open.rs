//! How connections come to be: accepted and opened, with or without TLS.

use super::core::Core;
use super::stream::{Held, serve};
use super::table::{Connection, Outgoing, Permit};
use super::{CloseReason, PeerFacts, SendError, tls};
use crate::{Hop, Protocol};
use rustls_pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// How long accepting rests after the system refused (file descriptors used up): a loop would burn the core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts for ever.
pub(crate) async fn accept(core: Rc<Core>, listener: TcpListener, protocol: Protocol) {
    let counters = Arc::clone(&core.shared.counters);
    loop {
        let accepted = listener.accept().await;
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(_) => {
                counters.socket_errors.add(1);
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let table = &core.shared.table;
        if let Some(permit) = table.permit(Some(remote.ip()), &core.shared.limits, &counters) {
            counters.accepted.add(1);
            let core = Rc::clone(&core);
            spawn_local(accepted_one(core, stream, remote, protocol, permit));
        }
    }
}

async fn accepted_one(core: Rc<Core>, stream: TcpStream, remote: SocketAddr, protocol: Protocol, permit: Permit) {
    // A peer that is gone already has no addresses.
    let (Ok(()), Ok(local)) = (stream.set_nodelay(true), stream.local_addr()) else {
        core.shared.counters.count_closed(CloseReason::Reset);
        return;
    };
    let hop = Hop { protocol, local, remote, connection: None };
    let enter = |permit| {
        let (connection, queue) = core.shared.table.accepted(hop, core.serial);
        Held { core: Rc::clone(&core), connection, queue, batch: Vec::new(), failure: SendError::Lost, _permit: permit }
    };
    let (Protocol::Tls, Some(tls)) = (protocol, &core.shared.tls) else {
        return serve(enter(permit), stream).await;
    };
    let acceptor = TlsAcceptor::from(Arc::clone(&tls.server));
    let time = core.shared.limits.handshake_time;
    let Ok(Ok(stream)) = timeout(time, acceptor.accept(stream)).await else {
        core.shared.counters.count_closed(CloseReason::Handshake);
        return;
    };
    let facts = tls::facts(stream.get_ref().1.peer_certificates());
    let held = enter(permit);
    set_facts(&held.connection, facts);
    serve(held, stream).await;
}

fn set_facts(connection: &Connection, facts: PeerFacts) {
    // Set once, by the only task that makes the handshake.
    let _ = connection.facts.set(Arc::new(facts));
}

/// Opens a connection that the table knows already; its messages wait meanwhile.
pub(crate) async fn open(core: Rc<Core>, connection: Arc<Connection>, queue: mpsc::Receiver<Outgoing>, permit: Permit) {
    let mut held = Held {
        core: Rc::clone(&core),
        connection: Arc::clone(&connection),
        queue,
        batch: Vec::new(),
        failure: SendError::Lost,
        _permit: permit,
    };
    let opening = async {
        let stream = connect(&core, connection.hop).await?;
        if connection.hop.protocol != Protocol::Tls {
            return Ok(Opened::Plain(stream));
        }
        let stream = handshake(&core, &connection, stream).await?;
        Ok(Opened::Tls(Box::new(stream)))
    };
    let opened = tokio::select! {
        opened = opening => opened,
        _ = connection.asked_to_close() => Err(SendError::Lost),
    };
    let counters = &core.shared.counters;
    match opened {
        Ok(Opened::Plain(stream)) => {
            counters.opened.add(1);
            serve(held, stream).await;
        }
        Ok(Opened::Tls(stream)) => {
            counters.opened.add(1);
            set_facts(&held.connection, tls::facts(stream.get_ref().1.peer_certificates()));
            serve(held, stream).await;
        }
        Err(error) => {
            counters.connect_failed.add(1);
            held.failure = error;
        }
    }
}

enum Opened {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

async fn connect(core: &Core, hop: Hop) -> Result<TcpStream, SendError> {
    let connecting = async {
        let socket = match hop.remote {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        if !hop.local.ip().is_unspecified() {
            socket.bind(SocketAddr::new(hop.local.ip(), 0))?;
        }
        let stream = socket.connect(hop.remote).await?;
        stream.set_nodelay(true)?;
        Ok::<_, io::Error>(stream)
    };
    match timeout(core.shared.limits.connect_time, connecting).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(_)) => Err(SendError::Unreachable),
        Err(_) => Err(SendError::TimedOut),
    }
}

/// The peer must prove the name that it was looked up by, or the address when there is none (RFC 5922 section 7.2).
async fn handshake(
    core: &Core,
    connection: &Connection,
    stream: TcpStream,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, SendError> {
    let tls = core.shared.tls.as_ref().ok_or(SendError::Handshake)?;
    let name = match connection.server_name.as_deref() {
        Some(name) => ServerName::try_from(name.to_owned()).map_err(|_| SendError::Handshake)?,
        None => ServerName::from(connection.hop.remote.ip()),
    };
    let connector = TlsConnector::from(Arc::clone(&tls.client));
    let shaking = connector.connect(name, stream);
    match timeout(core.shared.limits.handshake_time, shaking).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(_)) => Err(SendError::Handshake),
        Err(_) => Err(SendError::TimedOut),
    }
}
