//! How our own messages are made: the five headers that all have, unless a row brings its own.

/// A message with `start` line and `lines`; headers of the usual five that `lines` lacks are put before them.
/// `body_bytes` of a session description follow, with Content-Length unless `lines` has one.
pub fn own(start: &str, lines: &[&str], body_bytes: usize) -> Vec<u8> {
    let method = start.split(' ').next().unwrap_or_default();
    let usual = [
        ("via", "v", "Via: SIP/2.0/UDP pc7.ours.test;branch=z9hG4bKmq81".to_owned()),
        ("from", "f", "From: Ann <sip:ann@ours.test>;tag=a-17".to_owned()),
        ("to", "t", "To: <sip:ben@ours.test>".to_owned()),
        ("call-id", "i", "Call-ID: 7781@pc7.ours.test".to_owned()),
        ("cseq", "cseq", format!("CSeq: 8 {method}")),
        ("max-forwards", "max-forwards", "Max-Forwards: 70".to_owned()),
        ("content-length", "l", format!("Content-Length: {body_bytes}")),
    ];
    let mut out = format!("{start}\r\n");
    for (long, short, line) in usual {
        let has = lines.iter().any(|l| {
            let name = l.split(':').next().unwrap_or_default().trim_end();
            name.eq_ignore_ascii_case(long) || name.eq_ignore_ascii_case(short)
        });
        if !has {
            out += &line;
            out += "\r\n";
        }
    }
    for line in lines {
        out += line;
        out += "\r\n";
    }
    out += "\r\n";
    out += &session(body_bytes);
    out.into_bytes()
}

/// A session description of exactly `bytes`, which must be none or enough for one.
pub fn session(bytes: usize) -> String {
    if bytes == 0 {
        return String::new();
    }
    let mut text =
        "v=0\r\no=ann 1 1 IN IP4 192.0.2.77\r\ns=-\r\nc=IN IP4 192.0.2.77\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n"
            .to_owned();
    assert!(bytes >= text.len() + 4 || bytes < 50, "{bytes}");
    if bytes < 50 {
        return "x".repeat(bytes);
    }
    text += "a=";
    while text.len() + 2 < bytes {
        text.push('x');
    }
    text + "\r\n"
}
