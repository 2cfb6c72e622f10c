//! Says where a callee is, or that it is there no more: a REGISTER with digest, from a port of its own.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use sip::auth::{Account, Answerer, Attempt, ChallengedBy, Secret};
use sip::message::{RequestHead, Writer};
use sip::{Message, Method, Name, Status};

use super::plan::User;
use crate::load::{authorize, challenges, local_ip};

/// For how long a callee is registered, s: longer than any step, shorter than what outlives its trial.
pub const REGISTERED_S: u32 = 3_600;
/// How long it may take.
const WITHIN: Duration = Duration::from_secs(10);
/// RFC 3261 section 17.1.2.1: T1, and the most of its doublings.
const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
/// The peer that the credentials are for.
const PEER: &str = "switch";
const DATAGRAM_BYTES: usize = 65_535;

/// Registers `user` of `domain` at `contact` for so many seconds; 0 withdraws it.
///
/// # Errors
/// The switch at `target` does not answer, or refuses.
pub fn register(
    target: SocketAddr,
    domain: &str,
    user: &User,
    contact: SocketAddr,
    expires_s: u32,
) -> anyhow::Result<()> {
    let ip = local_ip(target).with_context(|| format!("no way to {target}"))?;
    let socket = UdpSocket::bind((ip, 0))?;
    let (local, name) = (socket.local_addr()?, &user.name);
    let mut answerer = answerer(user);
    let (mut attempt, mut credentials) = (Attempt::default(), None);
    let call_id = format!("trial{:016x}", rand::random::<u64>());
    let (uri, of) = (format!("sip:{domain}"), format!("<sip:{name}@{domain}>"));
    for cseq in 1.. {
        let mut writer = Writer::request(RequestHead {
            method: &Method::Register,
            uri: uri.as_bytes(),
            via: &format!("SIP/2.0/UDP {local};branch=z9hG4bKtrial{:016x};rport", rand::random::<u64>()),
            from: format!("{of};tag=trial").as_bytes(),
            to: of.as_bytes(),
            call_id: call_id.as_bytes(),
            cseq,
            max_forwards: 70,
        });
        writer.header(Name::Contact, format!("<sip:{name}@{contact};transport=udp>"));
        writer.header(Name::Expires, expires_s.to_string());
        authorize(&mut writer, credentials.take());
        let response =
            asked(&socket, target, &writer.finish(), cseq).with_context(|| format!("{name} could not register"))?;
        let status = response.status().map_or(0, Status::code);
        if status / 100 == 2 {
            return Ok(());
        }
        credentials = answer(&mut answerer, &mut attempt, &response, "REGISTER", &uri);
        if credentials.is_none() {
            bail!("{name} could not register: {status} {}", response.reason());
        }
    }
    Ok(())
}

/// The final answer to a request, which is sent again until it comes.
fn asked(socket: &UdpSocket, target: SocketAddr, request: &[u8], cseq: u32) -> anyhow::Result<Message> {
    let (began, mut every) = (Instant::now(), T1);
    let mut datagram = vec![0; DATAGRAM_BYTES];
    while began.elapsed() < WITHIN {
        socket.send_to(request, target)?;
        let sent = Instant::now();
        while let Some(left) = every.checked_sub(sent.elapsed()).filter(|left| !left.is_zero()) {
            socket.set_read_timeout(Some(left))?;
            let Ok(length) = socket.recv(&mut datagram) else { break };
            let came = Message::parse(datagram.get(..length).unwrap_or_default().to_vec());
            let is_final =
                |came: &Message| came.cseq() == cseq && came.status().is_some_and(|status| !status.is_provisional());
            if let Some(came) = came.ok().filter(is_final) {
                return Ok(came);
            }
        }
        every = (every * 2).min(T2);
    }
    bail!("no answer within {WITHIN:?}")
}

/// What answers the challenges of the switch for `user`.
pub fn answerer(user: &User) -> Answerer {
    let account = Account {
        peer: PEER.to_owned(),
        realm: None,
        username: user.name.clone(),
        secret: Secret::Password(user.password.clone()),
    };
    Answerer::new(account, &rand::random())
}

/// The credentials that answer `challenge`, if it is one that can be answered.
pub fn answer(
    answerer: &mut Answerer,
    attempt: &mut Attempt,
    challenge: &Message,
    method: &str,
    uri: &str,
) -> Option<(ChallengedBy, String)> {
    let by = match challenge.status()? {
        Status::UNAUTHORIZED => ChallengedBy::Server,
        Status::PROXY_AUTHENTICATION_REQUIRED => ChallengedBy::Proxy,
        _ => return None,
    };
    let lines = challenges(challenge, by);
    let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
    Some((by, answerer.answer(attempt, PEER, by, &lines, method, uri).ok()?))
}
