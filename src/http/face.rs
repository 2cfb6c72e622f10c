//! The actor that owns the HTTP server: it ends with it, and its successor listens on the same ports.

use std::any::Any;
use std::io;
use std::iter;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::dev::{Extensions, ServerHandle};
use actix_web::rt::net::TcpStream;
use actix_web::web::Data;
use actix_web::{App, HttpServer};
use actors::supervision::{Cx, Live};
use rustls::ServerConfig;
use socket2::SockRef;

use super::{HEAD_WITHIN, KEEP_ALIVE, SHUTDOWN_S, Web, headers, routes};

/// Threads that serve HTTP: the console and an operator's questions keep one half asleep.
const THREADS: usize = 1;

/// Connections beside the WebSocket ones: operators, scrapers, and those whose upgrade is refused.
const OTHERS_MAX: usize = 256;

/// Where HTTP is served. The sockets outlive every incarnation of the face, and with them their ports.
pub struct Listening {
    plain: TcpListener,
    secure: Option<(TcpListener, ServerConfig)>,
    connections_max: usize,
}

impl Listening {
    /// Serves HTTP on `plain` and HTTPS on `secure`, with room for `websockets_max` WebSocket connections.
    ///
    /// # Errors
    /// A socket is none any more.
    pub fn new(
        plain: TcpListener,
        secure: Option<(TcpListener, ServerConfig)>,
        websockets_max: usize,
    ) -> io::Result<Self> {
        for listener in iter::once(&plain).chain(secure.iter().map(|(listener, _)| listener)) {
            // Connections have what their listener has. A SIP message on a WebSocket must not wait until the one before it is
            // acknowledged, for which clients take 40 ms.
            SockRef::from(listener).set_tcp_nodelay(true)?;
        }
        Ok(Self { plain, secure, connections_max: websockets_max.saturating_add(OTHERS_MAX) })
    }

    fn serve(&self, web: &Data<Web>) -> io::Result<actix_web::dev::Server> {
        let web = web.clone();
        let server = HttpServer::new(move || App::new().app_data(web.clone()).wrap(headers()).configure(routes))
            .workers(THREADS)
            .max_connections(self.connections_max)
            .client_request_timeout(HEAD_WITHIN)
            .keep_alive(KEEP_ALIVE)
            .shutdown_timeout(SHUTDOWN_S)
            .on_connect(remember_own_address)
            // The program has its own way to stop.
            .disable_signals()
            .listen(self.plain.try_clone()?)?;
        let server = match &self.secure {
            Some((listener, config)) => server.listen_rustls_0_23(listener.try_clone()?, config.clone())?,
            None => server,
        };
        Ok(server.run())
    }
}

/// The address of ours that a plain connection came to; behind a listener on all addresses it is known only here.
#[derive(Clone, Copy)]
pub struct OwnAddress(pub SocketAddr);

fn remember_own_address(connection: &dyn Any, facts: &mut Extensions) {
    if let Some(address) = connection.downcast_ref::<TcpStream>().and_then(|tcp| tcp.local_addr().ok()) {
        facts.insert(OwnAddress(address));
    }
}

/// See the module.
pub struct Face {
    web: Data<Web>,
    listening: Arc<Listening>,
    server: Option<ServerHandle>,
    is_leaving: bool,
}

impl Face {
    /// Serves `web` where `listening` says, once it has started.
    pub fn new(web: Data<Web>, listening: Arc<Listening>) -> Self {
        Self { web, listening, server: None, is_leaving: false }
    }
}

impl Live for Face {
    /// Nobody tells it anything: it hears HTTP.
    type Msg = std::convert::Infallible;
    const KIND: &'static str = "http";
    const MAILBOX: usize = 1;

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        match self.listening.serve(&self.web) {
            Ok(server) => {
                self.server = Some(server.handle());
                // The server runs beside the face, so that it can still end in order when the face is gone.
                cx.spawn(actix_rt::spawn(server), |face, _, cx| match face.is_leaving {
                    true => cx.stop(),
                    false => cx.fail("its server ended unasked"),
                });
            }
            Err(error) => cx.fail(format!("its server did not start: {error}")),
        }
    }

    fn handle(&mut self, msg: Self::Msg, _: &mut Cx<'_, Self>) {
        match msg {}
    }

    fn halting(&mut self, cx: &mut Cx<'_, Self>) {
        self.is_leaving = true;
        match self.server.take() {
            // The order is on its way before the future is awaited; the server's own end is what we wait for.
            Some(server) => drop(server.stop(true)),
            None => cx.stop(),
        }
    }

    fn describe(&self) -> String {
        let listening: Vec<_> = self.web.listening.iter().map(SocketAddr::to_string).collect();
        format!("on {}, {} WebSocket connections", listening.join(" and "), self.web.websockets.open())
    }
}

impl Drop for Face {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            // As above; nobody is left to wait.
            drop(server.stop(false));
        }
    }
}
