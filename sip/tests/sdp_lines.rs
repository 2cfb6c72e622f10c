//! Lines beside the sound cross in their places: pictures with what belongs to them, fax, and nothing of a leg's transport.

use std::net::SocketAddr;

use sip::sdp::{
    Direction, LocalPort, MediaKind, OurKeys, OurMedia, RelayPolicy, Session, agreed, relay_answer, relay_offer, revise,
};

fn read(text: &str) -> Session {
    Session::parse(text.as_bytes()).expect("a description")
}

fn our(ports: &[u16]) -> OurMedia {
    let at = |port: &u16| {
        let rtp = SocketAddr::new("198.51.100.1".parse().expect("an address"), *port);
        (*port != 0).then(|| LocalPort { rtcp_mux: true, ..LocalPort::pair(rtp) })
    };
    OurMedia {
        username: "-".into(),
        session_id: 42,
        version: 1,
        address: "198.51.100.1".parse().expect("an address"),
        ports: ports.iter().map(at).collect(),
        keys: OurKeys::default(),
        only: None,
    }
}

fn policy() -> RelayPolicy {
    let kinds = [MediaKind::Audio, MediaKind::Video, MediaKind::Image, MediaKind::Application];
    RelayPolicy { kinds: kinds.into(), ..RelayPolicy::default() }
}

fn lines(session: &Session, starts: &[&str]) -> Vec<String> {
    let text = session.to_string();
    text.lines().filter(|line| starts.iter().any(|start| line.starts_with(start))).map(str::to_owned).collect()
}

const HEAD: &str = "v=0\r\no=a 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n";
const SOUND: &str = "m=audio 4000 RTP/AVP 8\r\n";
/// A picture as a phone offers it that knows feedback.
const PICTURE: &str = "m=video 4002 RTP/AVPF 96 97 98\r\nb=AS:800\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\n\
    a=fmtp:97 apt=96;rtx-time=200\r\na=rtpmap:98 H264/90000\r\na=fmtp:98 profile-level-id=42e01f;packetization-mode=1\r\n\
    a=rtcp-fb:* transport-cc\r\na=rtcp-fb:96 nack pli\r\na=rtcp-fb:98 ccm fir\r\na=rtcp-fb:96 goog-remb\r\n\
    a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\r\na=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
    a=ssrc-group:FID 1001 1002\r\na=ssrc:1001 cname:alice@192.0.2.10\r\na=ssrc:1001 msid:s t\r\na=ssrc:1002 cname:alice@192.0.2.10\r\n\
    a=msid:s t\r\na=rid:h send\r\na=simulcast:send h\r\na=mid:v\r\na=content:main\r\na=sendrecv\r\n";

#[test]
fn a_picture_crosses_with_its_formats_feedback_extensions_and_sources() {
    let offered = read(&format!("{HEAD}{SOUND}{PICTURE}"));
    let sent = relay_offer(&offered, &our(&[6000, 6002]), &policy());
    assert_eq!(lines(&sent, &["m="]), ["m=audio 6000 RTP/AVP 8", "m=video 6002 RTP/AVPF 96 97 98"]);
    let text = sent.to_string();
    let picture = text.split("m=video").nth(1).expect("a picture");
    let wanted = [
        "b=AS:800",
        "a=rtpmap:96 VP8/90000",
        "a=rtpmap:97 rtx/90000",
        "a=fmtp:97 apt=96;rtx-time=200",
        "a=rtpmap:98 H264/90000",
        "a=fmtp:98 profile-level-id=42e01f;packetization-mode=1",
        "a=rtcp-fb:* transport-cc",
        "a=rtcp-fb:96 nack pli",
        "a=rtcp-fb:98 ccm fir",
        "a=rtcp-fb:96 goog-remb",
        "a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
        "a=ssrc-group:FID 1001 1002",
        "a=ssrc:1001 cname:strowger",
        "a=ssrc:1002 cname:strowger",
        "a=content:main",
        "a=rtcp-mux",
        "a=sendrecv",
    ];
    let crossed: Vec<_> = picture.lines().skip(1).filter(|line| !line.starts_with("c=")).collect();
    assert_eq!(crossed, wanted);
    assert!(!text.contains("192.0.2.10"), "{text}");
}

#[test]
fn sound_takes_none_of_what_its_packets_may_not_have() {
    let sound = "m=audio 4000 RTP/AVPF 8\r\na=rtcp-fb:8 transport-cc\r\na=rtcp-fb:8 nack\r\na=extmap:1 urn:x\r\na=ssrc:1 cname:x\r\n";
    let sent = relay_offer(&read(&format!("{HEAD}{sound}")), &our(&[6000]), &policy());
    assert_eq!(lines(&sent, &["a=rtcp-fb", "a=extmap", "a=ssrc"]), ["a=rtcp-fb:8 nack"]);
}

#[test]
fn numbers_of_a_picture_are_mapped_back_and_a_retransmission_names_what_it_repairs() {
    let offered = read(&format!("{HEAD}{SOUND}{PICTURE}"));
    let answered = read(&format!(
        "{HEAD}m=audio 5000 RTP/AVP 8\r\nm=video 5002 RTP/AVPF 120 121\r\na=rtpmap:120 VP8/90000\r\na=rtpmap:121 rtx/90000\r\n\
         a=fmtp:121 apt=120\r\na=rtcp-fb:120 nack pli\r\na=recvonly\r\n"
    ));
    let back = relay_answer(&offered, &answered, &our(&[7000, 7002]), &policy());
    assert_eq!(
        lines(&back, &["m=video", "a=rtpmap:9", "a=fmtp", "a=rtcp-fb", "a=recvonly"]),
        [
            "m=video 7002 RTP/AVPF 96 97",
            "a=rtpmap:96 VP8/90000",
            "a=rtpmap:97 rtx/90000",
            "a=fmtp:97 apt=96",
            "a=rtcp-fb:96 nack pli",
            "a=recvonly"
        ]
    );
    // Both legs find the same in each other, whatever the numbers.
    let sent = relay_offer(&offered, &our(&[6000, 6002]), &policy());
    let (there, here) = (agreed(&sent, &answered), agreed(&back, &offered));
    let pair = |at: usize| (&there[1].payloads[at], &here[1].payloads[at]);
    for at in 0..2 {
        let (theirs, ours) = pair(at);
        assert_eq!((theirs.remote_pt, ours.remote_pt), ([120, 121][at], [96, 97][at]));
        assert_eq!(theirs.likeness(), ours.likeness());
    }
    assert_ne!(there[1].payloads[0].likeness(), there[1].payloads[1].likeness());
    assert_eq!((there[1].payloads[1].repairs(), here[1].payloads[1].repairs()), (Some(120), Some(96)));
    assert!(there[1].send && !there[1].receive);
}

#[test]
fn h264_is_the_same_in_its_packetization_and_profile_whatever_its_level() {
    let video = |fmtp: &str| format!("{HEAD}m=video 4002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 {fmtp}\r\n");
    let one = "profile-level-id=42e01f;packetization-mode=1";
    for (two, same) in [
        ("packetization-mode=1; profile-level-id=428014", true),
        ("profile-level-id=42E01F", false),
        ("profile-level-id=640c1f;packetization-mode=1", false),
    ] {
        let both = agreed(&read(&video(one)), &read(&video(two)));
        assert_eq!(both.len(), usize::from(same), "{two}");
    }
}

#[test]
fn lines_keep_number_and_place_when_they_are_refused_ended_and_added() {
    let offered = read(&format!("{HEAD}{SOUND}{PICTURE}m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"));
    let sent = relay_offer(&offered, &our(&[6000, 6002]), &policy());
    assert_eq!(sent.media.iter().map(|media| media.port).collect::<Vec<_>>(), [6000, 6002, 0]);
    // One that ends its picture, and then one that has it again with a fax behind it.
    let ended = read(&format!("{HEAD}{SOUND}{}m=application 0 UDP/DTLS/SCTP x\r\n", PICTURE.replace("4002", "0")));
    let next = revise(&sent, relay_offer(&ended, &our(&[6000]), &policy()));
    assert_eq!(next.media.iter().map(|media| media.port).collect::<Vec<_>>(), [6000, 0, 0]);
    let fax = "m=image 4008 udptl t38\r\na=T38FaxVersion:0\r\na=T38FaxUdpEC:t38UDPRedundancy\r\na=candidate:x\r\n";
    let added = read(&format!("{HEAD}{SOUND}{PICTURE}m=application 0 UDP/DTLS/SCTP x\r\n{fax}"));
    let last = revise(&next, relay_offer(&added, &our(&[6000, 6002, 0, 6006]), &policy()));
    assert_eq!(last.media.iter().map(|media| media.port).collect::<Vec<_>>(), [6000, 6002, 0, 6006]);
    assert_eq!(last.origin.version, sent.origin.version + 2);
    assert_eq!(
        lines(&last, &["m=image", "a=T38", "a=cand"]),
        ["m=image 6006 udptl t38", "a=T38FaxVersion:0", "a=T38FaxUdpEC:t38UDPRedundancy"]
    );
}

#[test]
fn datagrams_are_agreed_on_by_their_transport_alone() {
    let fax = |port: u16, transport: &str| {
        read(&format!("{HEAD}m=image {port} {transport} t38\r\na=T38MaxBitRate:14400\r\n"))
    };
    let offered = fax(4000, "udptl");
    let sent = relay_offer(&offered, &our(&[6000]), &policy());
    let stream = &agreed(&sent, &fax(5000, "UDPTL"))[0];
    assert!(stream.datagrams && stream.send && stream.receive && stream.payloads.is_empty());
    assert_eq!(stream.remote_rtp.to_string(), "192.0.2.10:5000");
    assert!(agreed(&sent, &fax(5000, "UDP/BFCP")).is_empty());
    let back = relay_answer(&offered, &fax(5000, "UDPTL"), &our(&[7000]), &policy());
    assert_eq!(lines(&back, &["m=", "a=T38"]), ["m=image 7000 udptl t38", "a=T38MaxBitRate:14400"]);
    assert_eq!(back.direction_of(&back.media[0]), Direction::SendRecv);
    // Over TCP nothing is carried.
    let tcp = read(&format!("{HEAD}m=message 4000 TCP/MSRP *\r\nm=image 4002 tcp t38\r\n"));
    assert!(!relay_offer(&tcp, &our(&[6000, 6002]), &policy()).has_active_media());
}

#[test]
fn a_section_has_keys_of_its_own_where_it_is_given_some() {
    use sip::sdp::{Crypto, CryptoSuite, KeyAndSalt, Profile, Srtp};
    let keys = |seed: u8| {
        let suite = CryptoSuite::AesCm128HmacSha1_80;
        let line = Crypto { tag: 1, suite, key: KeyAndSalt::new(&[seed; 30]), lifetime: None, mki: None };
        OurKeys { srtp: Srtp::Require, offers: true, profile: Profile::Savp, keys: [line].into(), web: None }
    };
    let mut ours = OurMedia { keys: keys(1), ..our(&[6000, 6002]) };
    if let Some(Some(port)) = ours.ports.get_mut(1) {
        port.keys = Some(Box::new(keys(2)));
    }
    let offered = read(&format!("{HEAD}{SOUND}{PICTURE}"));
    let sent = relay_offer(&offered, &ours, &policy());
    let key = |at: usize| sent.media[at].cryptos().next().expect("keys").key;
    assert!(sent.media.iter().all(|media| media.protocol.starts_with("RTP/SAVP")));
    assert_ne!(key(0), key(1));
}
