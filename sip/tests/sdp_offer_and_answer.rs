//! Offers and answers come out as RFC 3264 shows them in section 10, through the switch and from it.

use std::net::SocketAddr;

use sip::sdp::{
    CodecSpec, Direction, LocalPort, MediaKind, NoCommonCodec, OurMedia, RULES, RelayPolicy, Session, agreed, answer,
    hold, offer, redirect, relay_answer, relay_offer, resume, revise, rule_for, same_agreement,
};

fn read(text: &str) -> Session {
    Session::parse(text.as_bytes()).expect("a description")
}

fn our(ports: &[u16]) -> OurMedia {
    let at = |port: &u16| SocketAddr::new("198.51.100.1".parse().expect("an address"), *port);
    OurMedia {
        username: "-".into(),
        session_id: 42,
        version: 1,
        address: "198.51.100.1".parse().expect("an address"),
        ports: ports.iter().map(|port| Some(LocalPort::pair(at(port)))).collect(),
        keys: sip::sdp::OurKeys::default(),
        only: None,
    }
}

fn audio_and_video() -> RelayPolicy {
    RelayPolicy { kinds: vec![MediaKind::Audio, MediaKind::Video], ..RelayPolicy::default() }
}

fn lines(session: &Session, starts: &[&str]) -> Vec<String> {
    let text = session.to_string();
    text.lines().filter(|line| starts.iter().any(|start| line.starts_with(start))).map(str::to_owned).collect()
}

/// RFC 3264 section 10.1: audio in three codecs, two video streams; the answer takes PCMU and the second video stream.
const BASIC_OFFER: &str = "v=0\r\no=alice 2890844526 2890844526 IN IP4 host.example.net\r\ns=\r\nc=IN IP4 192.0.2.10\r\n\
    t=0 0\r\nm=audio 49170 RTP/AVP 0 8 97\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:97 iLBC/8000\r\n\
    m=video 51372 RTP/AVP 31 32\r\na=rtpmap:31 H261/90000\r\na=rtpmap:32 MPV/90000\r\n";
const BASIC_ANSWER: &str = "v=0\r\no=bob 2890844730 2890844730 IN IP4 host.example.org\r\ns=\r\nc=IN IP4 192.0.2.20\r\n\
    t=0 0\r\nm=audio 49920 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\nm=video 0 RTP/AVP 31\r\n";

#[test]
fn the_basic_exchange_of_section_10_1_crosses_the_switch() {
    let (offered, answered) = (read(BASIC_OFFER), read(BASIC_ANSWER));
    let sent = relay_offer(&offered, &our(&[6000, 6002]), &audio_and_video());
    assert_eq!(
        sent.to_string(),
        "v=0\r\no=- 42 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n\
         m=audio 6000 RTP/AVP 0 8 97\r\nc=IN IP4 198.51.100.1\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:97 iLBC/8000\r\na=sendrecv\r\n\
         m=video 6002 RTP/AVP 31 32\r\nc=IN IP4 198.51.100.1\r\na=rtpmap:31 H261/90000\r\na=rtpmap:32 MPV/90000\r\n\
         a=sendrecv\r\n"
    );
    let back = relay_answer(&offered, &answered, &our(&[7000, 7002]), &audio_and_video());
    assert_eq!(lines(&back, &["m="]), ["m=audio 7000 RTP/AVP 0", "m=video 0 RTP/AVP 31 32"]);
    let streams = agreed(&sent, &answered);
    assert_eq!(streams.len(), 1);
    assert_eq!(streams[0].remote_rtp.to_string(), "192.0.2.20:49920");
    assert_eq!(streams[0].remote_rtcp.map(|a| a.to_string()), Some("192.0.2.20:49921".to_owned()));
    assert!(streams[0].send && streams[0].receive && streams[0].ptime_ms == 20);
}

#[test]
fn a_one_way_answer_of_section_10_1_stays_one_way() {
    // Bob answers the audio with recvonly in section 10.1's variant: Alice is told the same.
    let answered = read(&BASIC_ANSWER.replace("a=rtpmap:0 PCMU/8000\r\n", "a=rtpmap:0 PCMU/8000\r\na=recvonly\r\n"));
    let back = relay_answer(&read(BASIC_OFFER), &answered, &our(&[7000, 7002]), &audio_and_video());
    assert_eq!(back.direction_of(&back.media[0]), Direction::RecvOnly);
}

#[test]
fn one_of_n_codecs_of_section_10_2_is_chosen_by_a_second_offer() {
    let first = read(
        "v=0\r\no=a 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 62986 RTP/AVP 0 4 18\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:4 G723/8000\r\na=rtpmap:18 G729/8000\r\na=inactive\r\n",
    );
    let policy = RelayPolicy::default();
    let sent = relay_offer(&first, &our(&[6000]), &policy);
    assert_eq!(lines(&sent, &["m=", "a=inactive"]), ["m=audio 6000 RTP/AVP 0 4 18", "a=inactive"]);
    let second = read(
        "v=0\r\no=a 1 2 IN IP4 h\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 62986 RTP/AVP 4\r\n\
         a=rtpmap:4 G723/8000\r\na=sendrecv\r\n",
    );
    let again = revise(&sent, relay_offer(&second, &our(&[6000]), &policy));
    assert_eq!(again.origin.version, sent.origin.version + 1);
    assert_eq!(lines(&again, &["m=", "a="]), ["m=audio 6000 RTP/AVP 4", "a=rtpmap:4 G723/8000", "a=sendrecv"]);
}

#[test]
fn a_stream_added_and_one_ended_keep_their_places() {
    // RFC 3264 section 10.3 adds a stream; section 8.2 ends one by port 0.
    let offered = read(&BASIC_OFFER.replace("m=audio 49170", "m=audio 0"));
    let sent = relay_offer(&offered, &our(&[6000, 6002]), &audio_and_video());
    assert_eq!(lines(&sent, &["m="]), ["m=audio 0 RTP/AVP 0 8 97", "m=video 6002 RTP/AVP 31 32"]);
    let shorter = revise(&sent, our_audio(6000));
    assert_eq!(lines(&shorter, &["m="]), ["m=audio 6000 RTP/AVP 8", "m=video 0 RTP/AVP 31 32"]);
    assert_eq!((shorter.origin.session_id, shorter.origin.version), (42, 2));
}

fn our_audio(port: u16) -> Session {
    offer(&[CodecSpec::pcma()], &our(&[port]), Direction::SendRecv, 20)
}

#[test]
fn directions_follow_the_matrix_of_section_6_1() {
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    let table = [
        (SendRecv, [SendRecv, SendOnly, RecvOnly, Inactive]),
        (SendOnly, [RecvOnly, Inactive, RecvOnly, Inactive]),
        (RecvOnly, [SendOnly, SendOnly, Inactive, Inactive]),
        (Inactive, [Inactive, Inactive, Inactive, Inactive]),
    ];
    for (offered, row) in table {
        for (wanted, answered) in [SendRecv, SendOnly, RecvOnly, Inactive].into_iter().zip(row) {
            assert_eq!(offered.answered_with(wanted), answered, "offered {offered:?}, wanted {wanted:?}");
        }
    }
}

#[test]
fn payload_numbers_of_the_answer_are_mapped_to_the_offerers() {
    let offered = read(
        "v=0\r\no=a 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 4000 RTP/AVP 96 101 8\r\n\
         a=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n",
    );
    let answered = read(
        "v=0\r\no=b 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 192.0.2.20\r\nt=0 0\r\nm=audio 5000 RTP/AVP 8 111 97\r\n\
         a=rtpmap:97 telephone-event/8000\r\na=fmtp:97 0-16\r\na=rtpmap:111 OPUS/48000/2\r\na=fmtp:111 stereo=0\r\n\
         a=rtcp-fb:111 nack\r\n",
    );
    let policy = RelayPolicy::default();
    let back = relay_answer(&offered, &answered, &our(&[7000]), &policy);
    assert_eq!(
        lines(&back, &["m=", "a="]),
        [
            "m=audio 7000 RTP/AVP 8 96 101",
            "a=rtpmap:8 PCMA/8000",
            "a=rtpmap:96 opus/48000/2",
            "a=fmtp:96 stereo=0",
            "a=rtpmap:101 telephone-event/8000",
            "a=fmtp:101 0-16",
            "a=rtcp-fb:96 nack",
            "a=sendrecv"
        ]
    );
    let sent = relay_offer(&offered, &our(&[6000]), &policy);
    let towards_b = &agreed(&sent, &answered)[0];
    let numbers: Vec<_> = towards_b.payloads.iter().map(|p| (p.remote_pt, p.local_pt)).collect();
    assert_eq!(numbers, [(8, 8), (111, 96)]);
    assert_eq!(towards_b.codec().map(|p| p.encoding.as_str()), Some("PCMA"));
    assert_eq!(towards_b.telephone_event.iter().map(|p| (p.remote_pt, p.local_pt)).collect::<Vec<_>>(), [(97, 101)]);
}

#[test]
fn a_policy_orders_and_limits_codecs_and_what_it_leaves_nothing_of_is_refused() {
    let offered = read(
        "v=0\r\no=a 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8 9 101\r\n\
         a=rtpmap:101 telephone-event/8000\r\n",
    );
    let sent_with = |codecs: &[&str]| {
        let codecs = codecs.iter().map(|text| text.parse().expect("a pattern")).collect();
        relay_offer(&offered, &our(&[6000]), &RelayPolicy { codecs, ..RelayPolicy::default() })
    };
    assert_eq!(lines(&sent_with(&["g722", "PCMA/8000", "telephone-event"]), &["m="]), ["m=audio 6000 RTP/AVP 9 8 101"]);
    assert_eq!(lines(&sent_with(&["PCMA/16000", "telephone-event"]), &["m="]), ["m=audio 0 RTP/AVP 0 8 9 101"]);
    assert!(!sent_with(&["opus"]).has_active_media(), "this is what makes it a 488");
}

#[test]
fn only_what_describes_the_sound_crosses() {
    let offered = read(
        "v=0\r\no=a 1 1 IN IP4 h\r\ns=secret project\r\ni=x\r\nu=http://x\r\ne=a@x\r\nc=IN IP4 192.0.2.10\r\nb=CT:99\r\n\
         t=0 0\r\na=tool:phone 1\r\na=ice-lite\r\na=group:BUNDLE a\r\nm=audio 4000 RTP/AVPF 96\r\nb=AS:64\r\nk=clear:x\r\n\
         a=rtpmap:96 opus/48000/2\r\na=candidate:1 1 udp 1 192.0.2.10 1 typ host\r\na=ice-ufrag:x\r\na=ice-pwd:y\r\n\
         a=fingerprint:sha-256 00\r\na=setup:actpass\r\na=mid:a\r\na=ssrc:1 cname:x\r\na=rtcp-mux\r\na=rtcp:4001\r\n\
         a=extmap:1 urn:x\r\na=crypto:1 x inline:y\r\na=ptime:20\r\na=label:7\r\na=x-vendor:1\r\na=x-known:2\r\n",
    );
    let policy = RelayPolicy { pass_attributes: vec!["x-known".into(), "crypto".into()], ..RelayPolicy::default() };
    let sent = relay_offer(&offered, &our(&[6000]), &policy);
    assert_eq!(
        sent.to_string(),
        "v=0\r\no=- 42 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio 6000 RTP/AVPF 96\r\n\
         c=IN IP4 198.51.100.1\r\nb=AS:64\r\na=rtpmap:96 opus/48000/2\r\na=ptime:20\r\na=label:7\r\na=x-known:2\r\n\
         a=sendrecv\r\n"
    );
}

#[test]
fn the_table_of_attributes_is_sorted_reasoned_and_without_doubles() {
    assert!(RULES.windows(2).all(|pair| pair[0].0 < pair[1].0), "sorted, each once");
    assert!(RULES.iter().all(|(_, _, reason)| reason.contains('(')), "each reason cites its source");
    assert_eq!(rule_for("never-heard-of", &[]), sip::sdp::Rule::Drop);
}

#[test]
fn streams_that_cannot_be_carried_get_port_0_in_their_place() {
    let offered = read(
        "v=0\r\no=a 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=image 1 udptl t38\r\nm=audio 2 RTP/SAVP 0\r\n\
         m=audio 4 RTP/AVP 0\r\nm=audio 6 RTP/AVP 0\r\nc=IN IP4 media.example.com\r\nm=application 8 TCP/MSRP *\r\n",
    );
    let sent = relay_offer(&offered, &our(&[10, 12, 14, 16, 18]), &RelayPolicy::default());
    let wanted = [
        "m=image 0 udptl t38",
        "m=audio 0 RTP/SAVP 0",
        "m=audio 14 RTP/AVP 0",
        "m=audio 0 RTP/AVP 0",
        "m=application 0 TCP/MSRP *",
    ];
    assert_eq!(lines(&sent, &["m="]), wanted);
    let answered = read("v=0\r\no=b 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 192.0.2.20\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n");
    let back = relay_answer(&offered, &answered, &our(&[10, 12, 14, 16, 18]), &RelayPolicy::default());
    assert_eq!(back.media.len(), 5);
    assert!(!back.has_active_media(), "an answer's section belongs to the offer's section in the same place only");
}

#[test]
fn a_service_answers_with_one_codec_events_and_the_callers_packet_time() {
    let offered = read(
        "v=0\r\no=a 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=video 8 RTP/AVP 31\r\nm=audio 4000 RTP/AVP 18 8 0 110 96\r\n\
         a=rtpmap:110 telephone-event/48000\r\na=rtpmap:96 telephone-event/8000\r\na=ptime:30\r\na=rtcp-mux\r\n",
    );
    let capabilities = [CodecSpec::pcmu(), CodecSpec::pcma(), CodecSpec::telephone_event(101, 8000)];
    let mut ours = our(&[0, 6000]);
    let answered = answer(&offered, &capabilities, &ours, Direction::SendRecv).expect("PCMA is common");
    assert_eq!(
        lines(&answered.session, &["m=", "a="]),
        [
            "m=video 0 RTP/AVP 31",
            "m=audio 6000 RTP/AVP 8 96",
            "a=rtpmap:8 PCMA/8000",
            "a=rtpmap:96 telephone-event/8000",
            "a=fmtp:96 0-15",
            "a=ptime:30",
            "a=sendrecv"
        ]
    );
    assert_eq!((answered.line, answered.telephone_event, answered.ptime_ms), (1, Some(96), 30));
    // With a port that takes both, the offer of one port for both is accepted.
    ours.ports[1].as_mut().expect("a port").rtcp_mux = true;
    let answered = answer(&offered, &capabilities, &ours, Direction::SendRecv).expect("PCMA is common");
    assert!(answered.session.media[1].rtcp_mux());
    assert_eq!(agreed(&answered.session, &offered)[0].remote_rtcp, None);
    assert_eq!(answer(&offered, &[CodecSpec::g722()], &ours, Direction::SendRecv), Err(NoCommonCodec));
}

#[test]
fn a_codec_whose_parameters_select_another_bit_stream_is_another_codec() {
    let offered = read(
        "v=0\r\no=a 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 4000 RTP/AVP 96 97\r\n\
         a=rtpmap:96 AMR/8000\r\na=rtpmap:97 AMR/8000\r\na=fmtp:97 octet-align=1\r\n",
    );
    let aligned = CodecSpec::new(100, "AMR", 8000, 1, Some("octet-align=1"));
    let answered = answer(&offered, &[aligned], &our(&[6000]), Direction::SendRecv).expect("97 is it");
    assert_eq!(answered.codec.map.payload, 97);
}

#[test]
fn an_offer_of_ours_has_every_codec_and_an_rtcp_line_when_the_port_is_unusual() {
    let mut ours = our(&[6000]);
    let other: SocketAddr = "198.51.100.1:7777".parse().expect("an address");
    ours.ports[0] = Some(LocalPort { rtcp: other, rtcp_mux: true, ..ours.ports[0].clone().expect("a port") });
    let made = offer(&[CodecSpec::g722(), CodecSpec::telephone_event(101, 8000)], &ours, Direction::SendRecv, 5);
    assert_eq!(
        lines(&made, &["m=", "a="]),
        [
            "m=audio 6000 RTP/AVP 9 101",
            "a=rtpmap:9 G722/8000",
            "a=rtpmap:101 telephone-event/8000",
            "a=fmtp:101 0-15",
            "a=ptime:10",
            "a=rtcp:7777",
            "a=rtcp-mux",
            "a=sendrecv"
        ]
    );
}

#[test]
fn extended_reports_cross_and_are_answered_where_they_are_asked_for() {
    let asks = "m=audio 49170 RTP/AVP 0\r\na=rtcp-xr:stat-summary=loss voip-metrics\r\n";
    let offered = read(&format!("v=0\r\no=a 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n{asks}"));
    let sent = relay_offer(&offered, &our(&[6000]), &RelayPolicy::default());
    assert_eq!(lines(&sent, &["a=rtcp-xr"]), ["a=rtcp-xr:stat-summary=loss voip-metrics"]);
    let silent = relay_answer(&offered, &read(BASIC_ANSWER), &our(&[7000]), &RelayPolicy::default());
    assert_eq!(lines(&silent, &["a=rtcp-xr"]), [""; 0], "nobody is asked in the name of another");

    let capabilities = [CodecSpec::pcmu()];
    let ours = answer(&offered, &capabilities, &our(&[6000]), Direction::SendRecv).expect("PCMU").session;
    assert_eq!(lines(&ours, &["a=rtcp-xr"]), ["a=rtcp-xr:voip-metrics"]);
    let reports = agreed(&ours, &offered)[0].reports;
    assert!(reports.metrics && reports.loss && !reports.duplicates && !reports.jitter, "{reports:?}");
    let ours = answer(&read(BASIC_OFFER), &capabilities, &our(&[6000]), Direction::SendRecv).expect("PCMU").session;
    assert_eq!(lines(&ours, &["a=rtcp-xr"]), [""; 0]);
}

#[test]
fn comfort_noise_is_answered_where_the_switch_makes_the_sound_and_crosses_where_it_does_not() {
    let offered = |formats: &str| {
        let maps = "a=rtpmap:98 CN/16000\r\na=rtpmap:107 opus/48000/2\r\na=fmtp:107 usedtx=1; useinbandfec=1\r\n";
        read(&format!(
            "v=0\r\no=a 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 49170 RTP/AVP {formats}\r\n{maps}"
        ))
    };
    let coded = vec![CodecSpec::pcmu(), CodecSpec::g722(), CodecSpec::opus()];
    let answered = |formats| {
        let ours = answer(&offered(formats), &coded, &our(&[6000]), Direction::SendRecv).expect("a codec").session;
        lines(&ours, &["m="]).remove(0)
    };
    assert_eq!(answered("0 13 98"), "m=audio 6000 RTP/AVP 0 13");
    assert_eq!(answered("0 98"), "m=audio 6000 RTP/AVP 0", "at another clock it cannot share the time stamps");
    assert_eq!(answered("107 13"), "m=audio 6000 RTP/AVP 107", "Opus has its own");
    let opus = offered("107");
    let ours = answer(&opus, &coded, &our(&[6000]), Direction::SendRecv).expect("Opus").session;
    assert!(agreed(&ours, &opus)[0].payloads[0].wants_dtx());

    // G.722 with its noise on the other side: PCMU is made of it, with its own.
    let policy = RelayPolicy { coded: coded.clone(), ..RelayPolicy::default() };
    let sent = relay_offer(&offered("0 13"), &our(&[6000]), &policy);
    assert!(lines(&sent, &["m="])[0].starts_with("m=audio 6000 RTP/AVP 0 13 9"), "{sent}");
    let back = relay_answer(&offered("0 13"), &offered("9 13"), &our(&[7000]), &policy);
    assert_eq!(lines(&back, &["m="]), ["m=audio 7000 RTP/AVP 0 13"]);
    let back = relay_answer(&offered("0 13"), &offered("0"), &our(&[7000]), &policy);
    assert_eq!(lines(&back, &["m="]), ["m=audio 7000 RTP/AVP 0"], "what passes is not touched");
}

#[test]
fn hold_and_resume_count_versions_only_when_something_changes() {
    let before = our_audio(6000);
    let held = hold(&before);
    assert_eq!(held.direction_of(&held.media[0]), Direction::SendOnly);
    assert_eq!(held.origin.version, 2);
    assert_eq!(hold(&held), held, "held twice is held once");
    let back = resume(&held);
    assert_eq!((back.direction_of(&back.media[0]), back.origin.version), (Direction::SendRecv, 3));
    let listening = redirect(&before, |_| Direction::RecvOnly);
    assert_eq!(hold(&listening).direction_of(&listening.media[0]), Direction::RecvOnly, "the old stays as it was");
    let held = hold(&listening);
    assert_eq!(held.direction_of(&held.media[0]), Direction::Inactive);
}

#[test]
fn the_hold_of_rfc_2543_crosses_as_the_hold_of_rfc_3264() {
    let held = read("v=0\r\no=a 1 2 IN IP4 h\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n");
    let sent = relay_offer(&held, &our(&[6000]), &RelayPolicy::default());
    assert_eq!(lines(&sent, &["c=", "a=send"]), ["c=IN IP4 198.51.100.1", "c=IN IP4 198.51.100.1", "a=sendonly"]);
    let answered = answer(&held, &[CodecSpec::pcmu()], &our(&[6000]), Direction::SendRecv).expect("PCMU");
    let stream = &agreed(&answered.session, &held)[0];
    assert!(!stream.send && stream.receive, "nothing is sent to 0.0.0.0");
}

#[test]
fn two_descriptions_of_ours_come_to_the_same_agreement_whatever_their_order_and_direction() {
    let of = |formats: &str, more: &str| {
        let text = format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP {formats}\r\n\
             a=rtpmap:101 telephone-event/8000\r\na=rtpmap:97 AMR/8000\r\n{more}"
        );
        Session::parse(text.as_bytes()).expect("a description")
    };
    let peer = of("0 8 97 101", "");
    let told = of("0 8 101", "a=fmtp:101 0-15\r\na=sendrecv\r\n");
    let same = |now: &Session| same_agreement(&told, now, &peer);

    assert!(same(&of("8 0 101", "a=fmtp:101 0-16\r\na=sendonly\r\n")), "order, direction, list of events");
    assert!(same(&of("0 8 9 101", "")), "a codec that the peer does not have");
    assert!(!same(&of("0 101", "")), "a codec less");
    assert!(!same(&of("0 8 97 101", "")), "a codec more");
    assert!(!same(&of("0 8", "")), "no events");
    assert!(!same(&of("0 8 101", "a=ptime:40\r\n")), "packet time");
    let amr = |mode: &str| of("97", &format!("a=fmtp:97 mode-set={mode}\r\n"));
    assert!(!same_agreement(&amr("0,2"), &amr("7"), &peer), "parameters");
    assert!(same_agreement(&amr("7"), &amr("7"), &peer));
}

/// What a switch codes that also makes one codec of another.
fn coding() -> RelayPolicy {
    let coded = vec![CodecSpec::pcma(), CodecSpec::pcmu(), CodecSpec::g722(), CodecSpec::opus()];
    let keys = [CodecSpec::telephone_event(101, 8000), CodecSpec::telephone_event(102, 48_000)];
    RelayPolicy { coded: coded.into_iter().chain(keys).collect(), ..RelayPolicy::default() }
}

fn audio(formats: &str, maps: &str) -> Session {
    read(&format!(
        "v=0\r\no=a 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP {formats}\r\n{maps}"
    ))
}

const KEYS: &str = "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n";

#[test]
fn what_the_switch_codes_is_offered_behind_what_the_offerer_has() {
    let sent = relay_offer(&audio("0 107 101", &format!("a=rtpmap:107 iLBC/8000\r\n{KEYS}")), &our(&[6000]), &coding());
    assert_eq!(
        lines(&sent, &["m=", "a=rtpmap", "a=fmtp"]),
        [
            // Under a free number, for the switch's own is the offerer's iLBC.
            "m=audio 6000 RTP/AVP 0 107 101 8 9 96 102",
            "a=rtpmap:0 PCMU/8000",
            "a=rtpmap:107 iLBC/8000",
            "a=rtpmap:101 telephone-event/8000",
            "a=fmtp:101 0-15",
            "a=rtpmap:8 PCMA/8000",
            "a=rtpmap:9 G722/8000",
            "a=rtpmap:96 opus/48000/2",
            "a=fmtp:96 useinbandfec=1",
            "a=rtpmap:102 telephone-event/48000",
            "a=fmtp:102 0-15",
        ]
    );
}

#[test]
fn nothing_is_offered_for_codecs_that_the_switch_cannot_decode() {
    let sent = relay_offer(&audio("18", ""), &our(&[6000]), &coding());
    assert_eq!(lines(&sent, &["m="]), ["m=audio 6000 RTP/AVP 18"]);
}

#[test]
fn each_side_has_telephone_events_whether_the_other_has_them_or_not() {
    let sent = relay_offer(&audio("0", ""), &our(&[6000]), &coding());
    assert_eq!(lines(&sent, &["m="]), ["m=audio 6000 RTP/AVP 0 8 9 107 101 102"]);
    // The answer of one that has none, to one that has them: it hears tones.
    let back = relay_answer(&audio("0 101", KEYS), &audio("0", ""), &our(&[7000]), &coding());
    assert_eq!(lines(&back, &["m="]), ["m=audio 7000 RTP/AVP 0 101"]);
    // To one that has none, of one that has them.
    let back = relay_answer(&audio("0", ""), &audio("0 101", KEYS), &our(&[7000]), &coding());
    assert_eq!(lines(&back, &["m="]), ["m=audio 7000 RTP/AVP 0"]);
    // At the clock of the codec, or none.
    let opus = "a=rtpmap:107 opus/48000/2\r\n";
    let back = relay_answer(&audio("107 101", &format!("{opus}{KEYS}")), &audio("107", opus), &our(&[7000]), &coding());
    assert_eq!(lines(&back, &["m="]), ["m=audio 7000 RTP/AVP 107"]);
    // Where the switch codes nothing, nobody would make tones of them.
    let back = relay_answer(&audio("18 101", KEYS), &audio("18", ""), &our(&[7000]), &coding());
    assert_eq!(lines(&back, &["m="]), ["m=audio 7000 RTP/AVP 18"]);
}

#[test]
fn who_shares_no_codec_with_the_answerer_is_answered_in_its_own_first() {
    let offered = audio("18 9 0 101", KEYS);
    let opus = "a=rtpmap:107 opus/48000/2\r\na=rtpmap:102 telephone-event/48000\r\n";
    let back = relay_answer(&offered, &audio("107 102", opus), &our(&[7000]), &coding());
    assert_eq!(
        lines(&back, &["m=", "a=rtpmap", "a=fmtp"]),
        ["m=audio 7000 RTP/AVP 9 101", "a=rtpmap:9 G722/8000", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15"]
    );
}

#[test]
fn what_both_have_is_answered_alone_although_more_could_be_coded() {
    let offered = audio("9 0 101", KEYS);
    let back = relay_answer(&offered, &audio("8 0 101", KEYS), &our(&[7000]), &coding());
    assert_eq!(lines(&back, &["m="]), ["m=audio 7000 RTP/AVP 0 101"]);
}

#[test]
fn nothing_is_agreed_where_one_side_has_no_codec_that_the_switch_codes() {
    for (offer, answer) in [("18", "0"), ("0", "18"), ("4", "18")] {
        let back = relay_answer(&audio(offer, ""), &audio(answer, ""), &our(&[7000]), &coding());
        assert!(!back.has_active_media(), "{offer} and {answer}");
    }
}
