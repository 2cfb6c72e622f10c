//! Whatever the two sides write, offer/answer keeps its laws.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use proptest::prelude::*;
use sip::sdp::{
    CodecPattern, CodecSpec, Direction, LocalPort, OurMedia, RelayPolicy, Session, agreed, answer, hold, relay_answer,
    relay_offer, resume, revise,
};

fn our(base: u16, lines: usize) -> OurMedia {
    let ip = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
    let port = |index: usize| base + 2 * u16::try_from(index).expect("few");
    OurMedia {
        username: "-".into(),
        session_id: 7,
        version: 1,
        address: ip,
        ports: (0..lines)
            .map(|i| Some(LocalPort { rtcp_mux: i % 2 == 0, ..LocalPort::pair(SocketAddr::new(ip, port(i))) }))
            .collect(),
        keys: sip::sdp::OurKeys::default(),
        only: None,
    }
}

/// A description as a text of plausible lines, in plausible and implausible combinations.
fn description() -> impl Strategy<Value = String> {
    let direction =
        prop::sample::select(vec!["", "a=sendrecv\r\n", "a=sendonly\r\n", "a=recvonly\r\n", "a=inactive\r\n"]);
    let attribute = prop::sample::select(vec![
        "a=rtpmap:96 opus/48000/2",
        "a=rtpmap:97 opus/48000/2",
        "a=rtpmap:96 telephone-event/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=rtpmap:100 telephone-event/48000",
        "a=fmtp:101 0-16",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:0 PCMA/8000",
        "a=fmtp:96 useinbandfec=1",
        "a=ptime:30",
        "a=rtcp-mux",
        "a=rtcp:9",
        "a=rtcp:65535 IN IP6 ::1",
        "a=candidate:1 1 udp 1 192.0.2.1 1 typ host",
        "a=crypto:1 x inline:y",
        "a=rtcp-fb:96 nack",
        "a=rtcp-fb:* nack",
        "a=rtpmap:98 H264/90000",
        "a=fmtp:98 packetization-mode=1",
        "a=rtpmap:99 H264/90000",
        "a=mid:a",
        "a=x-own:1",
        "b=AS:64",
        "b=CT:64",
        "i=a stream",
        "c=IN IP4 203.0.113.9",
        "c=IN IP4 0.0.0.0",
        "c=IN IP6 2001:db8::9",
        "c=IN IP4 host",
    ]);
    let format =
        prop::sample::select(vec!["0", "8", "9", "13", "18", "96", "97", "98", "99", "100", "101", "128", "x"]);
    let kind = prop::sample::select(vec!["audio", "audio", "audio", "video", "application", "image"]);
    let protocol = prop::sample::select(vec!["RTP/AVP", "RTP/AVP", "RTP/AVP", "RTP/AVPF", "RTP/SAVP", "udptl"]);
    let port = prop::sample::select(vec![0_u16, 9, 4000, 65534, 65535]);
    let media = (
        kind,
        port,
        protocol,
        prop::collection::vec(format, 0..6),
        prop::collection::vec(attribute, 0..10),
        direction.clone(),
    )
        .prop_map(|(kind, port, protocol, formats, attributes, direction)| {
            let mut text = format!("m={kind} {port} {protocol} {}\r\n", formats.join(" "));
            attributes.iter().for_each(|line| text.push_str(&format!("{line}\r\n")));
            text + direction
        });
    let connection =
        prop::sample::select(vec!["", "c=IN IP4 192.0.2.1\r\n", "c=IN IP4 192.0.2.1\r\n", "c=IN IP4 0.0.0.0\r\n"]);
    (connection, direction, prop::collection::vec(media, 0..5)).prop_map(|(connection, direction, media)| {
        format!("v=0\r\no=a 1 1 IN IP4 192.0.2.1\r\ns=-\r\n{connection}t=0 0\r\n{direction}{}", media.concat())
    })
}

fn policy() -> impl Strategy<Value = RelayPolicy> {
    let codecs =
        prop::sample::subsequence(vec!["PCMU", "opus/48000", "telephone-event", "PCMA", "G722", "H264"], 0..=6);
    let direction = prop::sample::select(vec![
        None,
        None,
        Some(Direction::SendRecv),
        Some(Direction::SendOnly),
        Some(Direction::RecvOnly),
        Some(Direction::Inactive),
    ]);
    let coded = prop::sample::subsequence(
        vec![CodecSpec::pcma(), CodecSpec::g722(), CodecSpec::opus(), CodecSpec::telephone_event(101, 8000)],
        0..=4,
    );
    (codecs, direction, any::<bool>(), coded).prop_map(|(codecs, direction, video, coded)| {
        let mut kinds = vec![sip::sdp::MediaKind::Audio];
        kinds.extend(video.then_some(sip::sdp::MediaKind::Video));
        let pattern = |text: &&str| text.parse::<CodecPattern>().expect("a pattern");
        RelayPolicy {
            codecs: codecs.iter().map(pattern).collect(),
            kinds,
            pass_attributes: Vec::new(),
            coded,
            direction,
        }
    })
}

fn read(text: &str) -> Session {
    Session::parse(text.as_bytes()).expect("a description")
}

/// The laws of RFC 3264 section 6 between an offer and its answer.
fn lawful(offer: &Session, answer: &Session) -> Result<(), TestCaseError> {
    prop_assert_eq!(offer.media.len(), answer.media.len());
    for (offered, answered) in offer.media.iter().zip(&answer.media) {
        prop_assert_eq!(&offered.kind, &answered.kind);
        prop_assert_eq!(&offered.protocol, &answered.protocol);
        if offered.port == 0 {
            prop_assert_eq!(answered.port, 0);
        }
        if answered.port == 0 {
            continue;
        }
        for format in &answered.formats {
            prop_assert!(offered.formats.contains(format), "{format} was not offered");
            let (one, two) = (offered.rtpmap(format), answered.rtpmap(format));
            prop_assert!(one.zip(two).is_some_and(|(one, two)| one.same_encoding(two)), "{format} changed its meaning");
        }
        let (theirs, ours) = (offer.direction_of(offered), answer.direction_of(answered));
        prop_assert!(!ours.sends() || theirs.receives());
        prop_assert!(!ours.receives() || theirs.sends());
        prop_assert!(!answered.rtcp_mux() || offered.rtcp_mux());
    }
    Ok(())
}

fn hides(session: &Session) -> Result<(), TestCaseError> {
    let text = session.to_string();
    for secret in ["192.0.2.", "203.0.113.", "2001:db8", "candidate", "crypto", "mid:", "x-own"] {
        prop_assert!(!text.contains(secret), "{secret} in {text}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn reading_what_was_printed_gives_the_same(text in description()) {
        let first = read(&text);
        prop_assert_eq!(&read(&first.to_string()), &first);
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        if let Ok(session) = Session::parse(&bytes) {
            prop_assert_eq!(&read(&session.to_string()), &session);
        }
    }

    #[test]
    fn no_damage_to_a_description_makes_anything_panic(
        text in description(), other in description(), policy in policy(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = text.into_bytes();
        for (index, byte) in damage {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(damaged) = Session::parse(&bytes) {
            prop_assert_eq!(&read(&damaged.to_string()), &damaged);
            let other = read(&other);
            lawful(&damaged, &relay_answer(&damaged, &other, &our(5000, 6), &policy))?;
            lawful(&other, &relay_answer(&other, &damaged, &our(5000, 6), &policy))?;
            let _ = agreed(&damaged, &other);
        }
    }

    #[test]
    fn a_relayed_offer_keeps_places_and_hides_the_other_leg(text in description(), policy in policy(), ports in 0_usize..6) {
        let received = read(&text);
        let sent = relay_offer(&received, &our(6000, ports), &policy);
        prop_assert_eq!(received.media.len(), sent.media.len());
        for (index, (theirs, ours)) in received.media.iter().zip(&sent.media).enumerate() {
            prop_assert_eq!(&theirs.kind, &ours.kind);
            // What was offered, and what the switch codes.
            let coded = |format: &str| {
                ours.rtpmap(format).is_some_and(|map| policy.coded.iter().any(|spec| spec.map.same_encoding(map)))
            };
            let known = |format: &smol_str::SmolStr| {
                theirs.formats.contains(format) || theirs.formats.is_empty() || coded(format)
            };
            prop_assert!(ours.formats.iter().all(known));
            prop_assert!(ours.port == 0 || (theirs.port != 0 && index < ports));
        }
        hides(&sent)?;
        prop_assert_eq!(&read(&sent.to_string()), &sent);
    }

    #[test]
    fn a_relayed_answer_is_lawful_whatever_the_other_leg_answers(a in description(), b in description(), policy in policy()) {
        let (offer, peers) = (read(&a), read(&b));
        let sent = relay_answer(&offer, &peers, &our(7000, 6), &policy);
        lawful(&offer, &sent)?;
        hides(&sent)?;
        prop_assert_eq!(&read(&sent.to_string()), &sent);
    }

    #[test]
    fn a_lawful_peer_gets_a_call_through_with_matching_payloads(text in description(), policy in policy()) {
        // B answers all that A offered through us, under its own numbers as they stand.
        let offer_a = read(&text);
        let offer_b = relay_offer(&offer_a, &our(6000, 6), &policy);
        let answer_b = relay_answer(&offer_b, &offer_b, &our(9000, 6), &RelayPolicy { direction: None, ..policy.clone() });
        let answer_a = relay_answer(&offer_a, &answer_b, &our(7000, 6), &policy);
        lawful(&offer_a, &answer_a)?;
        let (leg_a, leg_b) = (agreed(&answer_a, &offer_a), agreed(&offer_b, &answer_b));
        for stream in &leg_a {
            // What is agreed with A is agreed with B, so that every packet has somewhere to go.
            let other = leg_b.iter().find(|other| other.line == stream.line);
            prop_assert!(other.is_some());
            for payload in stream.payloads.iter().chain(&stream.telephone_event) {
                let found = other.into_iter().flat_map(|o| o.payloads.iter().chain(&o.telephone_event))
                    .any(|p| p.encoding.eq_ignore_ascii_case(&payload.encoding) && p.clock_hz == payload.clock_hz);
                prop_assert!(found, "{} has no counterpart", payload.encoding);
            }
        }
        prop_assert_eq!(leg_a.len(), answer_a.media.iter().filter(|media| media.port != 0).count());
    }

    #[test]
    fn an_end_points_answer_is_lawful_and_has_one_codec(text in description(), wanted in 0_u8..4) {
        let wanted = Direction::new(wanted & 1 != 0, wanted & 2 != 0);
        let offer = read(&text);
        let capabilities = [CodecSpec::pcma(), CodecSpec::pcmu(), CodecSpec::new(96, "opus", 48_000, 2, None),
            CodecSpec::telephone_event(101, 8000), CodecSpec::telephone_event(100, 48_000)];
        if let Ok(answered) = answer(&offer, &capabilities, &our(8000, 6), wanted) {
            lawful(&offer, &answered.session)?;
            prop_assert_eq!(answered.session.media.iter().filter(|media| media.port != 0).count(), 1);
            let streams = agreed(&answered.session, &offer);
            prop_assert_eq!(streams.len(), 1);
            let stream = &streams[0];
            prop_assert_eq!(stream.codec().map(|codec| codec.remote_pt), Some(answered.codec.map.payload));
            // Beside it comfort noise at its clock, and nothing else.
            let (noise, codecs): (Vec<_>, Vec<_>) = stream.payloads.iter().partition(|payload| payload.encoding == "CN");
            prop_assert_eq!((codecs.len(), noise.len() < 2), (1, true));
            prop_assert!(noise.iter().all(|noise| noise.clock_hz == codecs[0].clock_hz && codecs[0].encoding != "opus"));
            prop_assert_eq!(stream.telephone_event.first().map(|e| e.remote_pt), answered.telephone_event);
            prop_assert!((10..=60).contains(&stream.ptime_ms));
            prop_assert!(!stream.send || wanted.sends());
            prop_assert!(!stream.receive || wanted.receives());
        }
    }

    #[test]
    fn hold_is_idempotent_and_versions_count_changes_only(text in description()) {
        let before = relay_offer(&read(&text), &our(6000, 6), &RelayPolicy::default());
        prop_assert_eq!(&revise(&before, before.clone()), &before);
        let held = hold(&before);
        prop_assert!(held.media.iter().all(|media| media.port == 0 || !held.direction_of(media).receives()));
        prop_assert_eq!(&hold(&held), &held);
        prop_assert_eq!(held.origin.version, before.origin.version + u64::from(held != before));
        let back = resume(&held);
        prop_assert!(back.media.iter().all(|media| media.port == 0 || back.direction_of(media).receives()));
    }
}
