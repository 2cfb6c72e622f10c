//! Numbers and addresses in text that is written for every call: the same as their `Display`, at a tenth of its cost.

use smol_str::SmolStr;
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What a text is put together from.
pub trait Piece {
    /// Puts itself behind a text, as its `Display` would.
    fn append(&self, text: &mut String);

    /// Puts itself behind the bytes of a text.
    fn put(&self, bytes: &mut Vec<u8>);
}

/// A text of pieces: what `format!` makes of the same values, without the formatting machinery.
///
/// ```
/// assert_eq!(sip::text!["port ", 5060_u16, " of ", "192.0.2.1"], "port 5060 of 192.0.2.1");
/// ```
#[macro_export]
macro_rules! text {
    ($($piece:expr),+ $(,)?) => {{
        let mut text = String::with_capacity($crate::text::USUAL_BYTES);
        $($crate::text::Piece::append(&$piece, &mut text);)+
        text
    }};
}

/// Bytes that a text of pieces usually takes at most.
pub const USUAL_BYTES: usize = 64;

/// Digits of the longest number.
const DIGITS_MAX: usize = 20;

/// A number in decimal.
pub struct Digits {
    digits: [u8; DIGITS_MAX],
    start: usize,
}

impl Digits {
    /// Writes a number down.
    pub fn of(number: u64) -> Digits {
        let (mut rest, mut digits, mut start) = (number, [0; DIGITS_MAX], DIGITS_MAX);
        for place in digits.iter_mut().rev() {
            // A remainder of ten fits a byte.
            *place = b'0' + (rest % 10) as u8;
            rest /= 10;
            start -= 1;
            if rest == 0 {
                break;
            }
        }
        Digits { digits, start }
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    fn as_bytes(&self) -> &[u8] {
        self.digits.get(self.start..).unwrap_or_default()
    }
}

macro_rules! numbers {
    ($($number:ty),+) => {$(
        impl Piece for $number {
            fn append(&self, text: &mut String) {
                text.push_str(Digits::of((*self).into()).as_str());
            }

            fn put(&self, bytes: &mut Vec<u8>) {
                match u8::try_from(*self) {
                    Ok(ones @ 0..10) => bytes.push(b'0' + ones),
                    Ok(tens @ 10..100) => bytes.extend_from_slice(&[b'0' + tens / 10, b'0' + tens % 10]),
                    _ => bytes.extend_from_slice(Digits::of((*self).into()).as_bytes()),
                }
            }
        }
    )+};
}

numbers!(u8, u16, u32, u64);

macro_rules! texts {
    ($($text:ty),+) => {$(
        impl Piece for $text {
            fn append(&self, text: &mut String) {
                text.push_str(self);
            }

            fn put(&self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(self.as_bytes());
            }
        }
    )+};
}

texts!(&str, String, &String, SmolStr, &SmolStr, Box<str>, Cow<'_, str>);

/// Bytes of the longest IPv4 literal.
const IPV4_BYTES_MAX: usize = 15;

/// An IPv4 literal, and how many of the bytes it takes.
fn ipv4(ip: Ipv4Addr) -> ([u8; IPV4_BYTES_MAX + 1], usize) {
    let (mut out, mut len) = ([b'.'; IPV4_BYTES_MAX + 1], 0);
    for octet in ip.octets() {
        let digits = [octet / 100, octet / 10 % 10, octet % 10];
        let zeros = if octet > 99 { 0 } else { 1 + usize::from(octet < 10) };
        for (place, digit) in out.iter_mut().skip(len).zip(digits.iter().skip(zeros)) {
            *place = b'0' + digit;
        }
        // Behind the number stands its dot.
        len += digits.len() - zeros + 1;
    }
    (out, len - 1)
}

impl Piece for IpAddr {
    fn append(&self, text: &mut String) {
        match self {
            IpAddr::V4(ip) => {
                let (out, len) = ipv4(*ip);
                text.push_str(out.get(..len).and_then(|out| std::str::from_utf8(out).ok()).unwrap_or_default());
            }
            // Its shortest form has rules (RFC 5952): they are left to the library.
            IpAddr::V6(ip) => text.push_str(&ip.to_string()),
        }
    }

    fn put(&self, bytes: &mut Vec<u8>) {
        match self {
            IpAddr::V4(ip) => {
                let (out, len) = ipv4(*ip);
                bytes.extend_from_slice(out.get(..len).unwrap_or_default());
            }
            IpAddr::V6(ip) => bytes.extend_from_slice(ip.to_string().as_bytes()),
        }
    }
}

impl Piece for SocketAddr {
    fn append(&self, text: &mut String) {
        match self {
            SocketAddr::V4(_) => {
                self.ip().append(text);
                text.push(':');
                self.port().append(text);
            }
            SocketAddr::V6(socket) => text.push_str(&socket.to_string()),
        }
    }

    fn put(&self, bytes: &mut Vec<u8>) {
        match self {
            SocketAddr::V4(_) => {
                self.ip().put(bytes);
                bytes.push(b':');
                self.port().put(bytes);
            }
            SocketAddr::V6(socket) => bytes.extend_from_slice(socket.to_string().as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_appended_is_what_display_writes(number: u64, ip: IpAddr, port: u16) {
            for number in [number, number % 10, u64::MAX] {
                prop_assert_eq!(text!["x", number], format!("x{number}"));
            }
            let socket = SocketAddr::new(ip, port);
            prop_assert_eq!(text![ip, " ", socket, " ", port], format!("{ip} {socket} {port}"));
            let mut bytes = Vec::new();
            let pieces: [&dyn Piece; 7] = [&number, &" ", &ip, &" ", &socket, &" ", &port];
            pieces.iter().for_each(|piece| piece.put(&mut bytes));
            prop_assert_eq!(bytes, format!("{number} {ip} {socket} {port}").into_bytes());
        }
    }
}
