//! Damaged messages and values: never a panic, and never a wrong word said about them.

use sip::auth::{Algorithm, Challenger, Realm, Request, Secret};
use sip::message::{Parts, frame, refuse};
use sip::sdp::Session;
use sip::value::{
    CSeq, Host, MediaRange, NameAddr, Params, Q, Reason, RetryAfter, Uri, Via, Warning, split_commas, unquote,
};
use sip::{Message, Name, ParseError};

/// Damaged messages that are read; together with the values about ten seconds of an unoptimised build.
const MESSAGES: usize = 120_000;
/// Damaged values that each value parser reads.
const VALUES: usize = 180_000;
/// Longest input that damage may grow to.
const INPUT_BYTES_MAX: usize = 4096;

/// xorshift64*: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 16) as usize % bound.max(1)
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

const WORDS: [&[u8]; 56] = [
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b"\r\n ",
    b"\r\n\r\n",
    b":",
    b";",
    b",",
    b"\"",
    b"\\",
    b"<",
    b">",
    b"=",
    b"@",
    b"?",
    b"&",
    b"%",
    b"%00",
    b"%41",
    b"[",
    b"]",
    b"/",
    b"(",
    b")",
    b"*",
    b"\0",
    b"\xff",
    b"\xc3\xa9",
    b"SIP/2.0",
    b"SIP/3.0",
    b"sip:",
    b"sips:",
    b"tel:",
    b"urn:x",
    b"ACK ",
    b"INVITE ",
    b"\r\nVia: ",
    b"\r\nv: ",
    b"\r\nTo: ",
    b"\r\nContent-Length: ",
    b"l:",
    b";tag=",
    b";branch=z9hG4bK",
    b";received=",
    b";rport",
    b"[2001:db8::1]",
    b"255.255.255.255",
    b"65536",
    b"4294967296",
    b"18446744073709551616",
    b"-1",
    b"--b",
    b"\r\n--b--",
    b"q=0.5",
];

/// Damages `input` in one to four places: bits, bytes, cuts, repeats, words, and pieces of `other`.
fn damage(random: &mut Random, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut out = input.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(out.len() + 1);
        let to = (at + random.below(24)).min(out.len());
        match random.below(8) {
            0 if at < out.len() => out[at] ^= 1 << random.below(8),
            1 if at < out.len() => out[at] = random.next() as u8,
            2 => drop(out.drain(at..to)),
            3 => out.truncate(at),
            4 => {
                let piece = out[at..to].repeat(1 + random.below(3));
                out.splice(at..at, piece);
            }
            5 => {
                let from = random.below(other.len() + 1);
                let until = (from + random.below(80)).min(other.len());
                out.splice(at..to, other[from..until].iter().copied());
            }
            _ => {
                let word = random.pick(&WORDS);
                out.splice(at..at, word.iter().copied());
            }
        }
    }
    out.truncate(INPUT_BYTES_MAX);
    out
}

const MESSAGES_GOOD: [&str; 7] = [
    "INVITE sip:ben:secret@[2001:db8::1]:5061;transport=tls;lr SIP/2.0\r\nVia: SIP/2.0/TLS [2001:db8::7]:5061;branch=z9hG4bKa;rport, SIP/2.0/UDP h.test;received=192.0.2.1;branch=z9hG4bKb\r\n\
     Max-Forwards: 70\r\nFrom: \"Ann \\\"A\\\"\" <sip:ann@h.test>;tag=f\r\nTo: Ben Roe <sip:ben@h.test>\r\nCall-ID: 1@h.test\r\nCSeq: 1 INVITE\r\n\
     Contact: <sip:ann@h.test;ob>;+sip.instance=\"<urn:uuid:1>\";q=0.5\r\nRoute: <sip:p.test;lr>,<sip:q.test;lr>\r\n\
     Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n",
    "SIP/2.0 200 OK\r\nv: SIP/2.0/UDP h.test;branch=z9hG4bKa\r\nf: sip:a@h.test;tag=1\r\nt: <sip:b@h.test>;tag=2\r\ni: 9\r\ncseq: 4 INVITE\r\nm: *\r\nl: 0\r\n\r\n",
    "ACK sip:b@h.test SIP/2.0\r\nVia: SIP/2.0/UDP h.test;branch=z9hG4bKa\r\nFrom: <sip:a@h.test>;tag=1\r\nTo: <sip:b@h.test>;tag=2\r\nCall-ID: 1\r\nCSeq: 4 ACK\r\n\r\n",
    "REGISTER sip:h.test SIP/2.0\r\nVia : SIP / 2.0 /\r\n\tUDP h.test ; branch = z9hG4bKa\r\nFROM:\r\n <sip:a@h.test> ;\r\n tag=1\r\nTo: sip:a@h.test\r\nCall-ID: 1\r\n\
     CSeq: 2147483647 REGISTER\r\nExpires: 3600\r\nContact: <tel:+1555;phone-context=x>;expires=60\r\nX: \u{4e00}\r\nContent-Length:0\r\n\r\n",
    "MESSAGE tel:+1-555 SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKa\r\nFrom: <sip:a@h.test>;tag=1\r\nTo: <tel:+1-555>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\n\
     Content-Type: multipart/mixed;boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nhi\r\n--b\r\n\r\n\r\n--b--",
    "OPTIONS sip:h.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.15;;,\r\nFrom: \"open <sip:a@h.test>\r\nTo: <sip:a@h.test>\r\nCall-ID: 1 2\r\nCSeq: 1 INVITE\r\n\r\n",
    "NOVEL urn:service:sos SIP/7.0\r\nVia: SIP/7.0/SCTP h.test\r\nCSeq: 1 NOVEL\r\nl: 99\r\n\r\n",
];

/// Everything that can be asked of a message, so that every path is gone.
fn ask_everything(message: &Message) {
    let _ = (message.check(), message.via(), message.from(), message.to(), message.contact(), message.uri());
    let _ = (message.reason(), message.content_type(), message.content("application/sdp"), message.parts().count());
    let _ = (message.params(Name::Contact).check(), message.lists(Name::Supported, "100rel"));
    for header in message.headers() {
        let _ = (header.unfolded(), message.values(header.name).count(), message.number(header.name, 255));
    }
}

/// What may be wrong with an answer is only what the request had wrong in a header that the answer gives back.
fn judge_answer(raw: &[u8], error: ParseError, answer: &[u8]) {
    let start: Vec<u8> = raw.iter().copied().skip_while(|c| matches!(c, b'\r' | b'\n')).collect();
    assert!(!start.starts_with(b"ACK ") && !start.to_ascii_uppercase().starts_with(b"SIP/"), "must be silent");
    assert_eq!(frame(answer).map(|f| (f.skip, f.len)), Ok((0, answer.len())));
    let text = answer.strip_suffix(b"\r\n\r\n").unwrap();
    let mut lines = text.split(|c| *c == b'\n').map(|l| l.strip_suffix(b"\r").unwrap_or(l));
    let expected = format!("SIP/2.0 {} ", error.status().code());
    assert!(lines.next().unwrap().starts_with(expected.as_bytes()));
    for line in lines {
        assert!(!line.contains(&b'\r'));
        let name = line.split(|c| *c == b':').next().unwrap();
        assert!([&b"Via"[..], b"From", b"To", b"Call-ID", b"CSeq", b"Content-Length"].contains(&name), "injected");
    }
    let given_back = [Name::From, Name::To, Name::CallId, Name::CSeq];
    match Message::parse(answer.to_vec()) {
        Ok(answer) => assert_eq!(answer.status(), Some(error.status())),
        Err(ParseError::Header(name) | ParseError::Missing(name)) => assert!(given_back.contains(&name), "{name:?}"),
        Err(other) => panic!("the answer is wrong: {other}"),
    }
}

#[test]
fn damaged_messages_are_read_or_refused_and_answers_are_well_formed() {
    let seed = 0x5eed_0001;
    println!("seed {seed:#x}");
    let mut random = Random(seed);
    let mut corpus: Vec<Vec<u8>> = MESSAGES_GOOD.iter().map(|m| m.as_bytes().to_vec()).collect();
    let (mut read, mut answered, mut silent) = (0, 0, 0);
    for round in 0..MESSAGES {
        let (one, two) = (random.below(corpus.len()), random.below(corpus.len()));
        let input = damage(&mut random, &corpus[one], &corpus[two]);
        let framed = frame(&input);
        match Message::parse(input.clone()) {
            Ok(message) => {
                read += 1;
                ask_everything(&message);
                let printed = message.print();
                let again = Message::parse(printed.clone()).unwrap_or_else(|e| panic!("round {round}: printed: {e}"));
                assert_eq!(again.print(), printed, "round {round}");
                assert_eq!((again.body(), again.branch()), (message.body(), message.branch()), "round {round}");
                if let (Ok(framed), Some(_)) = (framed, message.value(Name::ContentLength)) {
                    let cut = Message::parse(input[framed.skip..framed.skip + framed.len].to_vec()).unwrap();
                    assert_eq!(cut.print(), printed, "round {round}: the stream gives another message");
                }
                if let (Err(error), true) = (message.check(), message.is_request()) {
                    let answer = refuse(&input, error);
                    answer.into_iter().for_each(|a| judge_answer(&input, error, &a));
                }
                // What is read grows the corpus, up to a bound.
                if round % 8 == 0 && corpus.len() < 512 {
                    corpus.push(input);
                }
            }
            Err(error) => match refuse(&input, error) {
                Some(answer) => {
                    answered += 1;
                    judge_answer(&input, error, &answer);
                }
                None => silent += 1,
            },
        }
    }
    // The damage is neither too mild nor too wild to prove something.
    let least = MESSAGES / 20;
    assert!(read > least && answered > least && silent > least, "{read} read, {answered} answered, {silent} silent");
}

const VALUES_GOOD: [&str; 16] = [
    "sip:ben:secret@[2001:db8::1]:5061;transport=tls;lr?Subject=a%20b&To=x",
    "tel:+1-555-0123;phone-context=h.test",
    "urn:service:sos",
    "\"Ann \\\"A\\\", B\" <sip:ann@h.test;ob>;tag=1;q=0.7;+sip.instance=\"<urn:uuid:1>\"",
    "sip:ann@h.test;tag=2, <sips:b@192.0.2.1>",
    "SIP / 2.0 / UDP h.test : 5060 ;branch=z9hG4bK1;received=2001:db8::1;rport=5070",
    "4711 INVITE",
    ";a=1;b;c=\"d\\\"e\";f=[::1]",
    "Q.850;cause=16;text=\"Terminated\"",
    "370 devnull:5060 \"Choose a bigger pipe\"",
    "120 (in a (long) meeting);duration=3600",
    "application/sdp;level=1;q=0.5, */*;q=0.1",
    "0.125",
    "multipart/mixed;boundary=\"b\"\r\n--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b\r\n\r\n\r\n--b--",
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n",
    "Digest username=\"ann\", realm=\"h.test\", nonce=\"AAAA\", uri=\"sip:h.test\", response=\"0123\", qop=auth, nc=00000001, cnonce=\"x\", algorithm=SHA-256",
];

#[test]
fn damaged_values_are_read_or_refused_and_what_is_read_lies_in_them() {
    let seed = 0x5eed_0002;
    println!("seed {seed:#x}");
    let mut random = Random(seed);
    let mut digest = Challenger::new(
        Realm {
            name: "h.test".to_owned(),
            algorithms: vec![Algorithm::Sha256],
            nonce_lifetime_ms: 60_000,
            replay_entries_max: 16,
            userhash: false,
        },
        &[7; 32],
        7,
    );
    let request = Request { method: "REGISTER", uri: b"sip:h.test", scope: b"" };
    let nobody = |_: &str, _: &str| None::<Secret>;
    for round in 0..VALUES {
        let good = random.pick(&VALUES_GOOD).as_bytes();
        let other = random.pick(&VALUES_GOOD).as_bytes();
        let value = damage(&mut random, good, other);
        if let Ok(uri) = Uri::parse(&value) {
            let _ = (uri.user_text(), uri.host_kind(), uri.host_text(), uri.params.check());
            assert!(uri.host.is_empty() || Host::parse(uri.host).is_ok(), "round {round}");
            let mut names: Vec<_> = uri.params.iter().flatten().map(|p| p.name.to_ascii_lowercase()).collect();
            names.sort_unstable();
            // A name may stand once only (RFC 3261 section 19.1.1).
            if uri.params.check().is_ok() && names.windows(2).all(|w| w[0] != w[1]) {
                assert!(uri.is_equivalent(&uri), "round {round}: {}", value.escape_ascii());
            }
        }
        if let Ok(address) = NameAddr::parse(&value) {
            let _ = (address.tag(), address.display_text());
            assert!(address.params.check().is_ok() && Uri::has_scheme(address.uri), "round {round}");
        }
        if let Ok(via) = Via::parse(&value) {
            let _ = (via.received(), via.rport(), via.branch(), via.has_modern_branch());
            assert!(Host::parse(via.host).is_ok(), "round {round}");
        }
        assert!(CSeq::parse(&value).is_ok_and(|c| c.number < 1 << 31) || CSeq::parse(&value).is_err());
        assert!(Q::parse(&value).is_ok_and(|q| q <= Q::FULL) || Q::parse(&value).is_err());
        let _ = (Reason::parse(&value), Warning::parse(&value), RetryAfter::parse(&value), MediaRange::parse(&value));
        let _ = (Params(&value).check(), unquote(&value), Host::parse(&value));
        let pieces: Result<Vec<_>, _> = split_commas(&value).collect();
        let commas = value.iter().filter(|c| **c == b',').count();
        assert!(pieces.is_err() || pieces.is_ok_and(|p| p.len() <= commas + 1), "round {round}");
        let line_end = value.iter().position(|c| *c == b'\n').unwrap_or(0);
        let (content_type, body) = value.split_at(line_end);
        if let Ok(parts) = Parts::new(content_type, body) {
            for part in parts.map_while(Result::ok) {
                let _ = (part.content_type(), part.value("X"));
            }
        }
        let _ = Session::parse(&value);
        // Nobody is known here, so no damage may prove anybody.
        let verdict = digest.verify(round as u64, &request, &value, &nobody);
        assert!(!matches!(verdict, sip::auth::Verdict::Ok { .. }), "round {round}");
    }
}
