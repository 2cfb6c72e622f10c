//! Where a request really came from, written into its top Via (RFC 3261 section 18.2.1, RFC 3581 section 4).

use super::lexer::Span;
use super::{MESSAGE_BYTES_MAX, Message, Start, ViaSpans};
use crate::text;
use crate::value::Host;
use crate::{Hop, Name};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

impl Message {
    /// Adds `received` when the top Via's host is not the address that the request came from, and both `received` and
    /// the port when the client asked with an empty `rport`. Everything else comes back as it is, without a copy; so
    /// does a response, and a request that is stamped already.
    #[must_use]
    pub fn stamp_received(self, hop: &Hop) -> Self {
        let Some((rport_at, received_at)) = self.missing_stamps(hop) else {
            return self;
        };
        let ip = hop.remote.ip().to_canonical();
        let port = rport_at.map(|at| (at, text!["=", hop.remote.port()]));
        let received = received_at.map(|at| (at, text![";received=", ip]));
        let mut inserts: [Option<(usize, String)>; 2] = [port, received];
        inserts.sort_by_key(|i| i.as_ref().map_or(usize::MAX, |(at, _)| *at));
        self.insert(&inserts)
    }

    /// Where `=port` and `;received=` have to go; `None` when neither has.
    fn missing_stamps(&self, hop: &Hop) -> Option<(Option<usize>, Option<usize>)> {
        if !self.is_request() {
            return None;
        }
        let via = self.via();
        let [rport, received] = via.params.check_for([b"rport", b"received"]).unwrap_or_default();
        let rport = rport.filter(|p| p.value.is_none()).map(|p| Span::find(&self.raw, p.name).range().end);
        let same =
            matches!(Host::parse(via.host), Ok(Host::Ip(ip)) if ip.to_canonical() == hop.remote.ip().to_canonical());
        let wanted = (!same || rport.is_some()) && received.is_none();
        // Directly behind sent-by: the first place that every Via has.
        let received = wanted.then(|| self.sent_by_end(&via)).flatten();
        (rport.is_some() || received.is_some()).then_some((rport, received))
    }

    fn sent_by_end(&self, via: &crate::value::Via<'_>) -> Option<usize> {
        if via.params.0.is_empty() {
            let value = crate::value::split_commas(self.value(Name::Via)?).next()?.ok()?;
            Some(Span::find(&self.raw, value).range().end)
        } else {
            Some(Span::find(&self.raw, via.params.0).range().start)
        }
    }

    /// The message with texts inserted at ascending offsets; spans are moved instead of read again.
    fn insert(self, inserts: &[Option<(usize, String)>; 2]) -> Self {
        let added: usize = inserts.iter().flatten().map(|(_, t)| t.len()).sum();
        if self.raw.len() + added > MESSAGE_BYTES_MAX {
            return self;
        }
        let mut raw = BytesMut::with_capacity(self.raw.len() + added);
        let mut from = 0;
        for (at, text) in inserts.iter().flatten() {
            raw.extend_from_slice(self.raw.get(from..*at).unwrap_or_default());
            raw.extend_from_slice(text.as_bytes());
            from = *at;
        }
        raw.extend_from_slice(self.raw.get(from..).unwrap_or_default());
        let raw: Bytes = raw.freeze();
        let mut lexed = self.lexed;
        let spans = Arc::make_mut(&mut lexed);
        let insertions = || {
            let places = inserts.iter().flatten().rev();
            places.map(|(at, text)| (*at, text.len()))
        };
        for header in &mut spans.headers {
            for (at, by) in insertions() {
                header.name_span.insert(at, by, false);
                header.value.insert(at, by, true);
            }
        }
        if let Start::Request { uri, .. } = &mut spans.start {
            insertions().for_each(|(at, by)| uri.insert(at, by, false));
        }
        for span in [
            &mut spans.body,
            &mut spans.call_id,
            &mut spans.from_uri,
            &mut spans.to_uri,
            &mut spans.from_tag,
            &mut spans.to_tag,
        ] {
            insertions().for_each(|(at, by)| span.insert(at, by, false));
        }
        let via = &mut spans.via;
        if via.params.is_empty() {
            // It was readable, and what was put in is well-formed.
            if let Ok(read) = ViaSpans::read(&raw, &spans.headers) {
                *via = read;
            }
        } else {
            // What is put in stands at the start of the parameters or in them: it is theirs.
            let start = via.params;
            insertions().for_each(|(at, by)| via.params.insert(at, by, true));
            via.params = via.params.from(start);
            if let Some(branch) = &mut via.branch {
                insertions().for_each(|(at, by)| branch.insert(at, by, false));
            }
        }
        Self { raw, lexed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Protocol;

    fn request(via: &str) -> Message {
        with_body(via, "body")
    }

    fn with_body(via: &str, body: &str) -> Message {
        let text = format!(
            "OPTIONS sip:a@b SIP/2.0\r\nCall-ID: before\r\nVia: {via}\r\nFrom: <sip:a@b>;tag=f\r\nTo: <sip:a@b>\r\n\
             CSeq: 7 OPTIONS\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Message::parse(text).unwrap()
    }

    fn hop() -> Hop {
        Hop {
            protocol: Protocol::Udp,
            local: "192.0.2.9:5060".parse().unwrap(),
            remote: "192.0.2.1:4711".parse().unwrap(),
            connection: None,
        }
    }

    fn stamped(via: &str) -> String {
        let message = request(via).stamp_received(&hop());
        let again = Message::parse(message.raw().clone()).unwrap();
        // The moved spans are those that a fresh reading finds.
        assert_eq!(message.print(), again.print());
        assert_eq!(message.branch(), again.branch());
        assert_eq!(message.from_tag(), again.from_tag());
        assert_eq!(message.check(), Ok(()));
        assert_eq!(message.call_id(), again.call_id());
        assert_eq!(message.body(), b"body");
        assert_eq!(message.request_uri(), again.request_uri());
        String::from_utf8(message.value(Name::Via).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn rport_and_received_are_added_only_where_they_are_needed() {
        let via = "SIP/2.0/UDP ";
        for (from, to) in [
            ("192.0.2.1;branch=z9hG4bK1", "192.0.2.1;branch=z9hG4bK1"),
            ("10.0.0.1;branch=z9hG4bK1", "10.0.0.1;received=192.0.2.1;branch=z9hG4bK1"),
            ("10.0.0.1:5060", "10.0.0.1:5060;received=192.0.2.1"),
            ("192.0.2.1;rport;branch=z9hG4bK1", "192.0.2.1;received=192.0.2.1;rport=4711;branch=z9hG4bK1"),
            ("a.invalid;branch=z9hG4bK1;rport", "a.invalid;received=192.0.2.1;branch=z9hG4bK1;rport=4711"),
            ("a.invalid;rport, SIP/2.0/UDP b;rport", "a.invalid;received=192.0.2.1;rport=4711, SIP/2.0/UDP b;rport"),
        ] {
            assert_eq!(stamped(&format!("{via}{from}")), format!("{via}{to}"));
        }
    }

    #[test]
    fn an_empty_body_stays_empty() {
        let message = with_body("SIP/2.0/UDP a.invalid;rport", "").stamp_received(&hop());
        assert_eq!(message.body(), b"");
        assert!(message.raw().ends_with(b"\r\n\r\n"));
    }

    #[test]
    fn a_second_stamp_changes_nothing() {
        let once = request("SIP/2.0/UDP a.invalid;rport;branch=z9hG4bK1").stamp_received(&hop());
        let raw = once.raw().clone();
        assert_eq!(once.stamp_received(&hop()).raw(), &raw);
    }
}
