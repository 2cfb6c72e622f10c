//! rtpengine under test, driven as a proxy drives it: offer and answer over its control protocol, a dictionary in bencode
//! after a cookie, one datagram each way (its documentation: "The ng control protocol").

use std::net::UdpSocket;
use std::time::Duration;

/// A running daemon, by the address of its control port.
pub struct Control {
    socket: UdpSocket,
    cookie: u32,
}

impl Control {
    pub fn new(address: &str) -> Control {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.connect(address).expect("connected");
        socket.set_read_timeout(Some(Duration::from_secs(3))).expect("set");
        Control { socket, cookie: 0 }
    }

    /// Sets a call between two phones up; its ports, caller's side first.
    pub fn open(&mut self, name: &str, (caller, callee): (u16, u16)) -> (u16, u16) {
        let parties = [("call-id", name), ("from-tag", "a")];
        let plain = [("ICE", "remove")];
        let offer = description(caller);
        let towards_callee = self.ask("offer", &[&parties[..], &plain, &[("sdp", &offer)]].concat());
        let answer = description(callee);
        let answered = self.ask("answer", &[&parties[..], &plain, &[("to-tag", "b"), ("sdp", &answer)]].concat());
        // The description that the caller gets says where the caller sends to.
        (media_port(&answered), media_port(&towards_callee))
    }

    /// Sends a command and returns the answer.
    fn ask(&mut self, command: &str, entries: &[(&str, &str)]) -> String {
        self.cookie += 1;
        let mut entries: Vec<_> = entries.iter().copied().chain([("command", command)]).collect();
        entries.sort_unstable();
        let text = |text: &str| format!("{}:{text}", text.len());
        let body: String = entries.iter().map(|(key, value)| text(key) + &text(value)).collect();
        self.socket.send(format!("{} d{body}e", self.cookie).as_bytes()).expect("sent");
        let mut buffer = [0; 8192];
        let length = self.socket.recv(&mut buffer).expect("an answer of rtpengine");
        let answer = String::from_utf8_lossy(&buffer[..length]).into_owned();
        assert!(answer.contains("6:result2:ok"), "rtpengine refused {command}: {answer}");
        answer
    }
}

fn description(port: u16) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 101\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\na=sendrecv\r\n"
    )
}

fn media_port(answer: &str) -> u16 {
    let after = answer.split_once("m=audio ").expect("a description").1;
    after.split(' ').next().and_then(|port| port.parse().ok()).expect("a port")
}
