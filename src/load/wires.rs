//! A worker's wires: its addresses, its way to the switch, and how it writes itself into messages.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use sip::net::{Bind, Inbound, Limits, NetConfig, Network, ShardNet, TlsConfig};
use sip::value::Uri;
use sip::{ConnectionId, Hop, Protocol};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// Messages that wait for the switch to read them from a WebSocket.
const QUEUE_MAX: usize = 4_096;
/// Bytes that wait for a peer on a stream: many calls share one.
const QUEUE_BYTES_MAX: usize = 16 << 20;

/// Where the wires lead, and how.
#[derive(Clone, Debug)]
pub struct Way {
    /// Transport.
    pub protocol: Protocol,
    /// The switch.
    pub target: SocketAddr,
    /// The domain of the users; over TLS the switch must prove it.
    pub domain: String,
    /// Authorities that are trusted, PEM.
    pub authorities: Vec<u8>,
    /// Path of the WebSocket.
    pub path: String,
    /// Our certificate and key, PEM, for those who connect to us.
    pub pair: Arc<(Vec<u8>, Vec<u8>)>,
}

/// The wires of one worker.
pub struct Wires {
    net: ShardNet,
    way: Way,
    local: SocketAddr,
    connection: Option<ConnectionId>,
    /// What stands in Via and Contact.
    host: String,
}

impl Wires {
    /// Lays them. What comes goes to `inbound`.
    ///
    /// # Errors
    /// No address is free, or the WebSocket does not open.
    pub async fn lay(way: Way, inbound: Rc<dyn Inbound>) -> anyhow::Result<Self> {
        let ip = local_ip(way.target).with_context(|| format!("no way to {}", way.target))?;
        let web = matches!(way.protocol, Protocol::Ws | Protocol::Wss);
        let bind = Bind { protocol: way.protocol, address: SocketAddr::new(ip, 0) };
        let (chain, key) = (*way.pair).clone();
        let tls = TlsConfig { chain, key, server_ca: way.authorities.clone(), ..TlsConfig::default() };
        let limits = Limits { queue_bytes_max: QUEUE_BYTES_MAX, ..Limits::default() };
        let config = NetConfig {
            binds: if web { Vec::new() } else { vec![bind] },
            tls: (way.protocol == Protocol::Tls).then_some(tls),
            limits,
            nameservers: Vec::new(),
        };
        let network = Network::new(config).context("the generator's wires")?;
        let net = network.attach_shard(Rc::clone(&inbound)).context("the generator's wires")?;
        if !web {
            let local = network.listening().first().map(|bind| bind.address).context("an address")?;
            return Ok(Self { net, way, local, connection: None, host: local.to_string() });
        }
        let (local, connection) = open_web_socket(&way, &network, inbound).await?;
        // A browser does not know its address (RFC 7118 section 5).
        let host = format!("{:012x}.invalid", rand::random::<u64>() >> 16);
        Ok(Self { net, way, local, connection: Some(connection), host })
    }

    /// The way to the switch.
    pub const fn hop(&self) -> Hop {
        Hop { protocol: self.way.protocol, local: self.local, remote: self.way.target, connection: self.connection }
    }

    /// The way of a request inside a dialog: to `next`, its first route or target, where that is a place; otherwise, and over
    /// connections, to the switch.
    pub fn hop_to(&self, next: &[u8]) -> Hop {
        let found = Uri::parse(next).ok().and_then(|uri| sip::net::resolve::literal(&uri).ok().flatten());
        match found.filter(|found| self.way.protocol == Protocol::Udp && found.protocol == Protocol::Udp) {
            Some(found) => Hop { remote: found.address, ..self.hop() },
            None => self.hop(),
        }
    }

    /// Our address, for sound.
    pub const fn ip(&self) -> IpAddr {
        self.local.ip()
    }

    /// A Via value with this branch.
    pub fn via(&self, branch: &str) -> String {
        format!("SIP/2.0/{} {};branch={branch};rport", self.way.protocol.via(), self.host)
    }

    /// A Contact value for this user.
    pub fn contact(&self, user: &str) -> String {
        match self.way.protocol {
            Protocol::Udp => format!("<sip:{user}@{}>", self.host),
            other => format!("<sip:{user}@{};transport={}>", self.host, other.uri().replace("wss", "ws")),
        }
    }

    /// Sends.
    ///
    /// # Errors
    /// What the wires know at once.
    pub fn send(&self, hop: &Hop, bytes: Bytes) -> Result<(), sip::net::SendError> {
        self.net.send_as(hop, Some(&self.way.domain), bytes)
    }

    /// Where others reach us.
    pub const fn address(&self) -> SocketAddr {
        self.local
    }
}

/// The address that the kernel would send from.
pub fn local_ip(target: SocketAddr) -> std::io::Result<IpAddr> {
    let any = if target.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::from([0; 16]) };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(target)?;
    Ok(socket.local_addr()?.ip())
}

/// Opens a WebSocket with the subprotocol of SIP (RFC 7118 section 4.1) and makes it one of the wires.
async fn open_web_socket(
    way: &Way,
    network: &Network,
    inbound: Rc<dyn Inbound>,
) -> anyhow::Result<(SocketAddr, ConnectionId)> {
    let stream = TcpStream::connect(way.target).await.with_context(|| format!("no connection to {}", way.target))?;
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    if way.protocol == Protocol::Ws {
        let connection = upgrade(way, "ws", stream, local, network, inbound).await?;
        return Ok((local, connection));
    }
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(&way.authorities) {
        roots.add(authority.map_err(|error| anyhow!("an authority: {error}"))?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from(way.domain.clone()).with_context(|| format!("`{}` is no name", way.domain))?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.context("TLS")?;
    let connection = upgrade(way, "wss", stream, local, network, inbound).await?;
    Ok((local, connection))
}

async fn upgrade<S>(
    way: &Way,
    scheme: &str,
    stream: S,
    local: SocketAddr,
    network: &Network,
    inbound: Rc<dyn Inbound>,
) -> anyhow::Result<ConnectionId>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let mut request = format!("{scheme}://{}{}", way.target, way.path).into_client_request()?;
    request.headers_mut().insert("Sec-WebSocket-Protocol", "sip".parse()?);
    let (socket, answer) = tokio_tungstenite::client_async(request, stream).await.context("the WebSocket")?;
    if answer.headers().get("Sec-WebSocket-Protocol").is_none_or(|chosen| chosen != "sip") {
        bail!("{} does not speak SIP over WebSocket", way.target);
    }
    let (outgoing, mut queue) = mpsc::channel::<Bytes>(QUEUE_MAX);
    let connection = network.adopt_connection(way.protocol, local, way.target, outgoing);
    let hop = Hop { protocol: way.protocol, local, remote: way.target, connection: Some(connection) };
    let (mut writer, mut reader) = socket.split();
    spawn_local(async move {
        while let Some(bytes) = queue.recv().await {
            // What we send is ASCII; what is not would have been refused as a text frame.
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if writer.send(Frame::text(text)).await.is_err() {
                break;
            }
        }
    });
    spawn_local(async move {
        while let Some(Ok(frame)) = reader.next().await {
            match frame {
                Frame::Text(text) => inbound.message(Bytes::copy_from_slice(text.as_bytes()), hop),
                Frame::Binary(bytes) => inbound.message(bytes, hop),
                _ => {}
            }
        }
        inbound.closed(hop, sip::net::CloseReason::Peer);
    });
    Ok(connection)
}
