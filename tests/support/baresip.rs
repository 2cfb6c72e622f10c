//! Another real phone: baresip in a process of its own, told what to do over its control port (`ctrl_tcp`: JSON in
//! netstrings). There is no sound device: it plays a file with a tone, and what it hears is written into another.
//!
//! Once it has put a call on hold, baresip 1.0 writes no more of what it hears in that call, though it decodes it: only the
//! phone at the other end can tell what is heard after a hold.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::config::DOMAIN;
use super::ports::{Port, rtp_range};
use super::switch::Switch;
use super::tone::{CLOCK_RATE_HZ, share_of_tone};
use super::{PATIENCE, tail, until};

/// Before the samples of a wave file as libsndfile writes it.
const WAVE_HEADER_BYTES: usize = 44;

/// How much is listened to at once.
const LISTEN_SAMPLES: usize = 2_400;

/// What a phone plays must last longer than any test.
const TONE_S: usize = 90;

/// A baresip process; it ends when this is dropped.
pub struct Baresip {
    name: String,
    room: TempDir,
    child: Child,
    control: TcpStream,
    lines: Receiver<Value>,
    events: VecDeque<Value>,
    next_token: u64,
    _port: Port,
}

impl Baresip {
    /// Starts a phone that plays this tone, registers it as a lab user (`alice`) over `udp`, `tcp` or `tls`, and waits for
    /// the 200.
    pub fn registered(switch: &Switch, user: &str, transport: &str, hz: u16) -> Self {
        Self::registered_with(switch, user, transport, hz, "")
    }

    /// As [`Baresip::registered`], with encryption of media as its `mediaenc` names it: `srtp`, `srtp-mand` or `srtp-mandf`.
    pub fn with_srtp(switch: &Switch, user: &str, transport: &str, hz: u16, encryption: &str) -> Self {
        Self::registered_with(switch, user, transport, hz, &format!(";mediaenc={encryption}"))
    }

    /// As [`Baresip::registered`], speaking these codecs alone, as its `audio_codecs` names them: `opus/48000/2`.
    pub fn with_codecs(switch: &Switch, user: &str, transport: &str, hz: u16, codecs: &str) -> Self {
        Self::registered_with(switch, user, transport, hz, &format!(";audio_codecs={codecs}"))
    }

    fn registered_with(switch: &Switch, user: &str, transport: &str, hz: u16, parameters: &str) -> Self {
        let mut phone = Self::start(user, hz);
        let registrar = switch.sip(transport);
        phone.ask(
            "uanew",
            &format!(
                "<sip:{user}@{DOMAIN};transport={transport}>;auth_pass={user}-secret;\
                 outbound=\"sip:{registrar};transport={transport}\";regint=300{parameters}"
            ),
        );
        let registered = phone
            .wait("an answer to its REGISTER", |line| line["type"] == "REGISTER_OK" || line["type"] == "REGISTER_FAIL");
        assert!(registered["type"] == "REGISTER_OK", "{user}: {registered}\n{}", phone.log_tail());
        phone
    }

    fn start(name: &str, hz: u16) -> Self {
        let room = TempDir::new().expect("a folder for the phone");
        let port = Port::free();
        let tone = room.path().join("tone.wav");
        std::fs::write(&tone, wave(hz)).expect("the tone's file");
        let folder = room.path().display();
        let rtp = rtp_range();
        let config = format!(
            "sip_listen 127.0.0.1:0\nnet_interface 127.0.0.1\nrtp_ports {}-{}\n\
             audio_source aufile,{}\naudio_player aubridge,ear\nsnd_path {folder}\n\
             ausrc_srate 8000\nauplay_srate 8000\nausrc_channels 1\nauplay_channels 1\n\
             module_path {}\nmodule g711.so\nmodule g722.so\nmodule opus.so\nmodule aufile.so\nmodule aubridge.so\nmodule sndfile.so\nmodule srtp.so\n\
             module dtls_srtp.so\n\
             module_app menu.so\nmodule_app ctrl_tcp.so\nctrl_tcp_listen 127.0.0.1:{}\n",
            rtp.start(),
            rtp.end(),
            tone.display(),
            modules().display(),
            port.number(),
        );
        std::fs::write(room.path().join("config"), config).expect("the phone's configuration");
        for empty in ["accounts", "contacts"] {
            std::fs::write(room.path().join(empty), "").expect("a file of the phone");
        }
        let log = File::create(room.path().join("log")).expect("a log file");
        let child = Command::new("baresip")
            .arg("-f")
            .arg(room.path())
            // Also the messages.
            .args(["-v", "-s"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log handle"))
            .stderr(log)
            .spawn()
            .expect("baresip runs: tests/setup installs it");
        let control = until(PATIENCE, || TcpStream::connect((Ipv4Addr::LOCALHOST, port.number())).ok());
        let control = control.unwrap_or_else(|| panic!("{name}'s baresip: {}", tail(&room.path().join("log"))));
        let mut reader = BufReader::new(control.try_clone().expect("a handle"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            while let Some(line) = netstring(&mut reader) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let (name, events) = (name.to_owned(), VecDeque::new());
        Self { name, room, child, control, lines, events, next_token: 1, _port: port }
    }

    /// Calls a user or number of the lab.
    pub fn dial(&mut self, to: &str) {
        self.ask("dial", &format!("sip:{to}@{DOMAIN}"));
    }

    /// Waits for a call, answers it, and waits until it stands.
    pub fn pick_up(&mut self) {
        self.expect("CALL_INCOMING");
        self.ask("accept", "");
        self.expect("CALL_ESTABLISHED");
    }

    /// Puts the call on hold.
    pub fn hold(&mut self) {
        self.ask("hold", "");
    }

    /// Takes it from hold.
    pub fn resume(&mut self) {
        self.ask("resume", "");
    }

    /// Transfers the other end to a number (REFER).
    pub fn blind_transfer(&mut self, to: &str) {
        self.ask("transfer", &format!("sip:{to}@{DOMAIN}"));
    }

    /// Ends the call.
    pub fn hang_up(&mut self) {
        self.ask("hangup", "");
    }

    /// Waits for an event: `CALL_ESTABLISHED`, `CALL_CLOSED`, …; those before it stay.
    pub fn expect(&mut self, event: &str) -> Value {
        self.wait(&format!("the event {event}"), |line| line["type"] == event)
    }

    /// Listens until this tone, and hardly anything else, is heard.
    pub fn hears_tone(&self, hz: u16) {
        self.hears(&format!("{hz} Hz"), |samples| share_of_tone(samples, f64::from(hz)) > 0.8);
    }

    /// Listens until what is heard, be it silence, is not this tone.
    pub fn hears_another_than(&self, hz: u16) {
        self.hears(&format!("anything but {hz} Hz"), |samples| share_of_tone(samples, f64::from(hz)) < 0.1);
    }

    /// Looks at what is heard from now on.
    fn hears(&self, what: &str, fits: impl Fn(&[i16]) -> bool) {
        let before = self.heard().len();
        let mut last = Vec::new();
        let heard = until(PATIENCE, || {
            let samples = self.heard();
            // A later call has a file of its own.
            let fresh = if samples.len() < before { &samples[..] } else { &samples[before..] };
            last = fresh[fresh.len().checked_sub(LISTEN_SAMPLES)?..].to_vec();
            fits(&last).then_some(())
        });
        let loudest = last.iter().map(|sample| sample.unsigned_abs()).max();
        assert!(
            heard.is_some(),
            "{}'s baresip should hear {what}, but what it has heard since is {} samples, up to {loudest:?}\n{}",
            self.name,
            self.heard().len().saturating_sub(before),
            self.log_tail()
        );
    }

    /// All that was heard in the last call, or so far in this one.
    fn heard(&self) -> Vec<i16> {
        let files = std::fs::read_dir(self.room.path()).expect("the phone's folder");
        let files = files.filter_map(|file| Some(file.ok()?.path()));
        // The names hold the time.
        let last = files.filter(|path| path.to_string_lossy().ends_with("-dec.wav")).max();
        let bytes = last.and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
        let samples = bytes.get(WAVE_HEADER_BYTES..).unwrap_or_default();
        // At the codec's rate and channels: of a tone every so many samples tell as much.
        let field = |at: usize, length: usize| {
            let bytes = bytes.get(at..at + length).unwrap_or_default();
            bytes.iter().rev().fold(0_usize, |value, byte| value << 8 | usize::from(*byte))
        };
        let (channels, rate_hz) = (field(22, 2).max(1), field(24, 4).max(8000));
        let pairs = samples.chunks_exact(2).step_by(channels * (rate_hz / 8000));
        pairs.map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
    }

    /// The last lines of its log, with the messages that it sent and received.
    pub fn log_tail(&self) -> String {
        format!("--- the log of {}'s baresip\n{}", self.name, tail(&self.room.path().join("log")))
    }

    fn ask(&mut self, command: &str, parameters: &str) {
        let token = self.next_token.to_string();
        self.next_token += 1;
        let text = json!({ "command": command, "params": parameters, "token": token }).to_string();
        let sent = self.control.write_all(format!("{}:{text},", text.len()).as_bytes());
        sent.unwrap_or_else(|error| panic!("{}: {error}\n{}", self.name, self.log_tail()));
        let answer = self.wait(&format!("the answer to {command}"), |line| line["token"] == *token);
        assert!(answer["ok"] == true, "{}: {command} {parameters}: {answer}\n{}", self.name, self.log_tail());
    }

    fn wait(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut looked_at = 0;
        loop {
            if let Some(at) = (looked_at..self.events.len()).find(|&at| fits(&self.events[at])) {
                return self.events.remove(at).expect("found there");
            }
            looked_at = self.events.len();
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.events.push_back(line),
                Err(RecvTimeoutError::Timeout) => self.fail(&format!("waited {PATIENCE:?} for {what}")),
                Err(RecvTimeoutError::Disconnected) => self.fail(&format!("its process ended before {what}")),
            }
        }
    }

    fn fail(&self, what: &str) -> ! {
        let events: Vec<String> = self.events.iter().map(Value::to_string).collect();
        panic!("{}'s baresip: {what}; it had told:\n{}\n{}", self.name, events.join("\n"), self.log_tail())
    }
}

impl Drop for Baresip {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log_tail());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the package put the modules.
fn modules() -> PathBuf {
    let places = ["/usr/lib/baresip/modules", "/usr/local/lib/baresip/modules"];
    places.iter().map(PathBuf::from).find(|place| place.is_dir()).expect("baresip's modules: tests/setup installs them")
}

/// One JSON value of `LENGTH:VALUE,`; nothing at the end.
fn netstring(reader: &mut impl Read) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut byte = [0];
        reader.read_exact(&mut byte).ok()?;
        match byte[0] {
            b':' => break,
            digit => length = length * 10 + usize::from(digit.checked_sub(b'0')?),
        }
    }
    let mut value = vec![0; length + 1];
    reader.read_exact(&mut value).ok()?;
    serde_json::from_slice(&value[..length]).ok()
}

/// A wave file (RIFF, 16-bit PCM, mono) with a steady tone at about -12 dBm0.
fn wave(hz: u16) -> Vec<u8> {
    let rate = usize::try_from(CLOCK_RATE_HZ).expect("8,000");
    // Whole turns in a second: it can be repeated.
    let second: Vec<u8> = (0..rate)
        .flat_map(|n| {
            let angle = std::f64::consts::TAU * f64::from(hz) * n as f64 / rate as f64;
            ((8_000.0 * angle.sin()) as i16).to_le_bytes()
        })
        .collect();
    let data = second.repeat(TONE_S);
    let length = u32::try_from(data.len()).expect("far below 4 GB");
    let mut file = Vec::with_capacity(WAVE_HEADER_BYTES + data.len());
    file.extend(b"RIFF");
    file.extend((36 + length).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend([1, 0, 1, 0]);
    file.extend(CLOCK_RATE_HZ.to_le_bytes());
    file.extend((2 * CLOCK_RATE_HZ).to_le_bytes());
    file.extend([2, 0, 16, 0]);
    file.extend(b"data");
    file.extend(length.to_le_bytes());
    file.extend(data);
    file
}
