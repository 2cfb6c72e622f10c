//! The session descriptions of a load: one line of sound, plain or with keys (RFC 4568).

use std::net::{IpAddr, SocketAddr};

use media::codec::Codec;
use media::srtp::{MasterKey, Suite};
use sip::sdp::{Crypto, CryptoSuite, KeyAndSalt, MediaKind, Session};

use super::talk::Keys;

/// What is offered, as every phone with SRTP knows it.
const SUITE: CryptoSuite = CryptoSuite::AesCm128HmacSha1_80;
/// Where sound goes that nobody sends: discard (RFC 863).
pub const NO_PORT: u16 = 9;

/// The first payload type that means nothing by itself (RFC 3551 section 6).
const DYNAMIC_PT: u8 = 96;

/// What is said of our end.
pub struct Ours<'a> {
    /// Our address.
    pub ip: IpAddr,
    /// The port of our sound, or [`NO_PORT`].
    pub port: u16,
    /// The codec.
    pub codec: Codec,
    /// Our key, where the sound is to be encrypted.
    pub crypto: Option<&'a Crypto>,
}

/// What the other end has said.
pub struct Theirs {
    /// Where its sound goes.
    pub remote: SocketAddr,
    /// The payload type by which it knows our codec.
    pub pt: u8,
    /// Its keys, those that it can be offered or has chosen.
    pub cryptos: Vec<Crypto>,
}

/// Why a description does not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It cannot be read, or has no line of sound.
    #[error("description without sound")]
    Sound,
    /// It does not have our codec.
    #[error("description without our codec")]
    Codec,
    /// It has no key, and we have one; or the other way round.
    #[error("description without the keys that were wanted")]
    Keys,
}

/// The payload type by which we know a codec: its own, or the first dynamic one.
pub fn own_pt(codec: Codec) -> u8 {
    codec.static_type().unwrap_or(DYNAMIC_PT)
}

/// A key of our own, of chance.
pub fn fresh_key() -> Crypto {
    crypto(1, SUITE)
}

/// A key of our own that answers one of theirs.
pub fn answering_key(theirs: &Crypto) -> Crypto {
    crypto(theirs.tag, theirs.suite)
}

fn crypto(tag: u32, suite: CryptoSuite) -> Crypto {
    let bytes: Vec<u8> = (0..suite.key_and_salt_bytes()).map(|_| rand::random()).collect();
    Crypto { tag, suite, key: KeyAndSalt::new(&bytes), lifetime: None, mki: None }
}

/// The body of an offer or an answer.
pub fn description(ours: &Ours<'_>) -> String {
    let Ours { ip, port, codec, crypto } = ours;
    let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
    let (pt, name) = (own_pt(*codec), codec.name().unwrap_or("PCMU"));
    // RFC 3551 section 4.5.2, RFC 7587 section 7.
    let clock = if *codec == Codec::Opus { "48000/2" } else { "8000" };
    let profile = if crypto.is_some() { "RTP/SAVP" } else { "RTP/AVP" };
    let key = crypto.map(|crypto| {
        let attribute = crypto.to_attribute();
        format!("a=crypto:{}\r\n", attribute.value().unwrap_or_default())
    });
    format!(
        "v=0\r\no=load 1 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\nm=audio {port} {profile} {pt}\r\n\
         a=rtpmap:{pt} {name}/{clock}\r\na=ptime:20\r\n{}",
        key.unwrap_or_default()
    )
}

/// Reads what the other end has said, and whether it fits: the codec, and keys where there are to be some.
///
/// # Errors
/// [`Unfit`]
pub fn read(body: &[u8], codec: Codec, with_keys: bool) -> Result<Theirs, Unfit> {
    let session = Session::parse(body).map_err(|_| Unfit::Sound)?;
    let is_sound = |media: &&sip::sdp::Media| media.kind == MediaKind::Audio && media.port != 0;
    let media = session.media.iter().find(is_sound).ok_or(Unfit::Sound)?;
    let remote = session.rtp_target(media).ok_or(Unfit::Sound)?;
    let is_codec =
        |format: &&smol_str::SmolStr| media.rtpmap(format).is_some_and(|map| Codec::from_name(&map.encoding) == codec);
    let format = media.formats.iter().find(is_codec).ok_or(Unfit::Codec)?;
    let pt = format.parse().map_err(|_| Unfit::Codec)?;
    let cryptos: Vec<Crypto> = media.cryptos().collect();
    match (media.is_secure_rtp() && !cryptos.is_empty(), with_keys) {
        (true, true) => Ok(Theirs { remote, pt, cryptos }),
        (false, false) if media.is_plain_rtp() => Ok(Theirs { remote, pt, cryptos: Vec::new() }),
        // Keys beside RTP/AVP may be left alone, or taken up (best effort).
        (false, true) if !cryptos.is_empty() => Ok(Theirs { remote, pt, cryptos }),
        _ => Err(Unfit::Keys),
    }
}

/// The keys of a call whose two ends have chosen these.
pub fn keys(ours: &Crypto, theirs: &Crypto) -> Option<Keys> {
    Some(Keys { ours: master(ours)?, theirs: master(theirs)? })
}

fn master(crypto: &Crypto) -> Option<MasterKey> {
    let suite = Suite::from_name(crypto.suite.name())?;
    let mki = crypto.mki.map(sip::sdp::Mki::in_packets).unwrap_or_default();
    MasterKey::new(suite, crypto.key.expose(), &mki).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn ours(crypto: Option<&Crypto>) -> String {
        description(&Ours { ip: IP, port: 4_000, codec: Codec::Pcma, crypto })
    }

    #[test]
    fn what_is_written_is_read() {
        let theirs = read(ours(None).as_bytes(), Codec::Pcma, false).unwrap();
        assert_eq!(theirs.remote, SocketAddr::new(IP, 4_000));

        let key = fresh_key();
        let theirs = read(ours(Some(&key)).as_bytes(), Codec::Pcma, true).unwrap();
        assert_eq!(theirs.cryptos.first(), Some(&key));
        assert!(keys(&answering_key(&key), &key).is_some());
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let unfit = |body: &str, codec, with_keys| read(body.as_bytes(), codec, with_keys).err();
        assert_eq!(unfit(&ours(None), Codec::Pcmu, false), Some(Unfit::Codec));
        assert_eq!(unfit(&ours(None), Codec::Pcma, true), Some(Unfit::Keys));
        assert_eq!(unfit(&ours(Some(&fresh_key())), Codec::Pcma, false), Some(Unfit::Keys));
        assert_eq!(unfit("v=0", Codec::Pcmu, false), Some(Unfit::Sound));
    }
}
