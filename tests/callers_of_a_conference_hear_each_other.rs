//! Who dials the number of a conference hears all others there and is heard by them, in whatever codec, while its parts are
//! killed, held, muted, recorded.

mod support;

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use support::agent::{Agent, Dialog};
use support::config::Config;
use support::phone::Phone;
use support::switch::Switch;
use support::tone::{FRAME_SAMPLES, Tone, from_mu_law, share_of_tone, to_mu_law};
use support::voices::Voices;
use support::wire::{Wire, header, status};
use support::{PATIENCE, project, until};

const ROOMS: &str = "[[conference]]\nnumbers = \"5200-5299\"\n";

fn switch(conference: &str) -> Switch {
    let config = Config::lab()
        .set("admin", "allow_faults", "true")
        .set("admission", "per_source_rate", "100000")
        .set("admission", "per_source_burst", "100000")
        .entry(conference);
    Switch::start(config)
}

fn conference(switch: &Switch, number: &str) -> Option<Value> {
    let (status, answer) = switch.get(&format!("/api/conferences/{number}"));
    (status == 200).then_some(answer)
}

fn participants(switch: &Switch, number: &str) -> usize {
    conference(switch, number).map_or(0, |one| one["participants"].as_array().map_or(0, Vec::len))
}

/// A caller at the end of a raw wire, with RTP of its own: it says a packet for each that it hears.
struct Guest {
    socket: UdpSocket,
    dialog: Dialog,
    tone: Option<Tone>,
    peer: Option<SocketAddr>,
    sequence: u16,
    heard: VecDeque<i16>,
}

/// Samples of the last half second.
const KEPT: usize = 4000;

impl Guest {
    fn call(agent: &mut Option<Agent>, number: &str, hz: Option<f64>) -> Guest {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        let own = socket.local_addr().expect("bound");
        let mut caller = agent.take().expect("an agent").with_voices(&Voices::new(0), &[own]);
        let dialog = caller.call(number);
        *agent = Some(caller);
        Guest { socket, dialog, tone: hz.map(Tone::new), peer: None, sequence: 0, heard: VecDeque::new() }
    }

    fn turn(&mut self) {
        let mut packet = [0; 2048];
        let (length, from) = self.socket.recv_from(&mut packet).expect("a packet in time");
        self.peer = Some(from);
        self.heard.extend(packet[12..length].iter().map(|byte| from_mu_law(*byte)));
        while self.heard.len() > KEPT {
            self.heard.pop_front();
        }
        let frame = self.tone.as_mut().map_or([to_mu_law(0); FRAME_SAMPLES], Tone::frame);
        let timestamp = u32::from(self.sequence) * 160;
        let mut said = vec![0x80, 0];
        said.extend(self.sequence.to_be_bytes());
        said.extend(timestamp.to_be_bytes());
        said.extend(u32::from(self.socket.local_addr().expect("bound").port()).to_be_bytes());
        said.extend(frame);
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send_to(&said, from).expect("sent");
    }

    fn share(&self, hz: f64) -> f64 {
        let samples: Vec<i16> = self.heard.iter().copied().collect();
        share_of_tone(&samples, hz)
    }
}

#[test]
fn three_phones_in_three_codecs_hear_each_other_by_their_tones() {
    let switch = switch(ROOMS);
    let tones = [("alice", "PCMU", 440u16), ("bob", "G722", 900), ("carol", "PCMA", 1300)];
    let mut phones: Vec<(Phone, u64, u16)> = tones
        .into_iter()
        .map(|(name, codec, hz)| {
            let mut phone = Phone::registered(&switch, name, "udp");
            phone.speak(&[codec]);
            let call = phone.call("5200");
            phone.expect_state(call, "confirmed");
            phone.expect_media(call, "active");
            phone.play_silence(call);
            (phone, call, hz)
        })
        .collect();
    assert_eq!(participants(&switch, "5200"), 3);
    for talker in 0..3 {
        let (phone, call, hz) = &mut phones[talker];
        let hz = *hz;
        phone.play_tone(*call, hz);
        for (at, (phone, call, _)) in phones.iter_mut().enumerate() {
            if at != talker {
                phone.hears_tone(*call, f64::from(hz));
            }
        }
        let (phone, call, _) = &mut phones[talker];
        phone.hears_silence(*call);
        phone.play_silence(*call);
    }
    // One leaves: the others go on.
    let (mut carol, call, _) = phones.pop().expect("three");
    carol.hang_up(call);
    carol.expect_state(call, "disconnected");
    assert!(until(PATIENCE, || (participants(&switch, "5200") == 2).then_some(())).is_some());
    let (alice, call, hz) = &mut phones[0];
    alice.play_tone(*call, *hz);
    let (hz, (bob, call, _)) = (*hz, &mut phones[1]);
    bob.hears_tone(*call, f64::from(hz));
}

#[test]
fn fifty_callers_hear_the_three_who_talk_and_these_hear_all_but_themselves() {
    let switch = switch(ROOMS);
    let mut agent = Some(Agent::new(Wire::udp(switch.sip("udp")), "alice"));
    let talking = [500.0, 1100.0, 1700.0];
    let mut guests: Vec<Guest> = (0..50).map(|at| Guest::call(&mut agent, "5250", talking.get(at).copied())).collect();
    assert_eq!(participants(&switch, "5250"), 50);
    for _ in 0..150 {
        guests.iter_mut().for_each(Guest::turn);
    }
    for (at, guest) in guests.iter().enumerate() {
        for (talker, hz) in talking.iter().enumerate() {
            let share = guest.share(*hz);
            if at == talker {
                assert!(share < 0.001, "{at} hears itself: {share}");
            } else {
                let fair = if at < 3 { 0.5 } else { 0.333 };
                assert!((share - fair).abs() < 0.08, "{at} hears {hz} Hz with {share}");
            }
        }
    }
    let view = conference(&switch, "5250").expect("a conference");
    let talk = view["participants"].as_array().expect("a list").iter().filter(|one| one["talking"] == true).count();
    assert_eq!(talk, 3, "{view}");
    // 47 share one encoding: four a turn, not fifty.
    let (turns, encodings) = (view["turns"].as_u64().expect("a count"), view["encodings"].as_u64().expect("a count"));
    assert!(encodings < 6 * turns, "{encodings} encodings in {turns} turns");
    let mut agent = agent.expect("an agent");
    guests.into_iter().for_each(|guest| agent.hang_up(guest.dialog));
    assert!(until(PATIENCE, || conference(&switch, "5250").is_none().then_some(())).is_some());
}

#[test]
fn calls_and_mixing_go_on_while_the_conference_its_supervisor_and_its_worker_die() {
    let switch = switch(ROOMS);
    let mut agent = Some(Agent::new(Wire::udp(switch.sip("udp")), "alice"));
    let mut guests: Vec<Guest> =
        [500.0, 1100.0].into_iter().map(|hz| Guest::call(&mut agent, "5200", Some(hz))).collect();
    let hear_each_other = |guests: &mut Vec<Guest>| {
        for _ in 0..100 {
            guests.iter_mut().for_each(Guest::turn);
        }
        assert!(guests[0].share(1100.0) > 0.9 && guests[1].share(500.0) > 0.9);
    };
    hear_each_other(&mut guests);
    let worker = conference(&switch, "5200").expect("a conference")["worker"].clone();
    let paths = [
        "/switch/shard-0/conferences/5200".to_owned(),
        "/switch/shard-0/conferences".to_owned(),
        format!("/switch/media/worker-{worker}"),
        "/switch/recorder".to_owned(),
    ];
    let node = |path: &str| {
        let tree = switch.try_get("/api/tree")?;
        tree["nodes"].as_array()?.iter().find(|node| node["path"] == path).cloned()
    };
    for path in paths {
        let before = node(&path).unwrap_or_else(|| panic!("{path} is not in the tree"));
        let how = if path.contains("media") || path.contains("recorder") { "kill" } else { "panic" };
        assert_eq!(switch.post("/api/kill", &json!({ "path": path, "how": how })).0, 200);
        let restarts = before["restarts"].as_u64().map(|restarts| restarts + 1);
        let back = until(PATIENCE, || {
            node(&path).filter(|node| node["state"] == "running" && node["restarts"].as_u64() >= restarts)
        });
        assert!(back.is_some(), "{path} is not back\n{}", switch.log_tail());
        hear_each_other(&mut guests);
        assert_eq!(participants(&switch, "5200"), 2);
    }
    // Its actor still does what it is told.
    let asked = until(PATIENCE, || {
        let (status, _) = switch.post("/api/conferences/5200", &json!({ "do": "mute", "participant": 1 }));
        (status == 200).then_some(())
    });
    assert!(asked.is_some());
    for _ in 0..100 {
        guests.iter_mut().for_each(Guest::turn);
    }
    assert!(guests[1].share(500.0) < 0.01 && guests[0].share(1100.0) > 0.9);
}

#[test]
fn an_operator_mutes_softens_records_and_ends_a_participant_by_the_command_line() {
    let switch = switch(ROOMS);
    let mut agent = Some(Agent::new(Wire::udp(switch.sip("udp")), "alice"));
    let mut guests: Vec<Guest> =
        [500.0, 1100.0].into_iter().map(|hz| Guest::call(&mut agent, "5201", Some(hz))).collect();
    let run = |arguments: &[&str]| {
        let output = switch.command(arguments);
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let turns = |guests: &mut Vec<Guest>, count: usize| {
        for _ in 0..count {
            guests.iter_mut().for_each(Guest::turn);
        }
    };
    turns(&mut guests, 50);
    let (code, list) = run(&["conferences"]);
    assert_eq!(code, Some(0), "{list}");
    assert!(
        list.contains("5201: 2 of 100, 16 kHz") && list.contains("alice@example.com") && list.contains("talks"),
        "{list}"
    );
    let (code, json) = run(&["conferences", "--json"]);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((code, json["conferences"][0]["participants"][0]["id"].as_u64()), (Some(0), Some(1)));

    let (code, text) = run(&["conferences", "record", "5201", "--json"]);
    assert_eq!(code, Some(0), "{text}");
    let file = serde_json::from_str::<Value>(&text).expect("JSON")["file"].as_str().expect("a file").to_owned();
    assert_eq!(run(&["conferences", "record", "5201"]).0, Some(1));
    turns(&mut guests, 200);
    let (code, text) = run(&["conferences", "record", "5201", "--stop"]);
    assert_eq!(code, Some(0), "{text}");
    let whole = until(PATIENCE, || {
        let bytes = std::fs::read(&file).ok()?;
        let (format, sound) = media::wav::parse(&bytes).ok()?;
        let samples = media::wav::decode(format.encoding, sound);
        (samples.len() > 16_000 * 3).then_some((format.rate_hz, samples))
    });
    let (rate_hz, samples) = whole.unwrap_or_else(|| panic!("no recording\n{}", switch.log_tail()));
    // Both talk at once, and it is nobody's echo: half of the power each.
    let narrow: Vec<i16> = samples[samples.len() - 8000..].iter().step_by(2).copied().collect();
    assert_eq!(rate_hz, 16_000);
    for hz in [500.0, 1100.0] {
        let share = share_of_tone(&narrow, hz);
        assert!((share - 0.5).abs() < 0.1, "{hz}: {share}");
    }

    assert_eq!(run(&["conferences", "gain", "5201", "2", "-12"]).0, Some(0));
    assert_eq!(run(&["conferences", "mute", "5201", "1"]).0, Some(0));
    turns(&mut guests, 100);
    assert!(guests[1].share(500.0) < 0.01);
    assert!(guests[0].share(1100.0) > 0.9);
    let view = conference(&switch, "5201").expect("a conference");
    assert_eq!((&view["participants"][0]["muted"], &view["participants"][1]["gain_db"]), (&json!(true), &json!(-12.0)));
    assert_eq!(run(&["conferences", "unmute", "5201", "1"]).0, Some(0));
    assert_eq!(run(&["conferences", "mute", "5201", "9"]).0, Some(1));
    assert_eq!(run(&["conferences", "mute", "5299", "1"]).0, Some(1));

    assert_eq!(run(&["conferences", "kick", "5201", "2"]).0, Some(0));
    let mut agent = agent.expect("an agent");
    let bye = agent.expect("BYE");
    assert_eq!(header(&bye, "Call-ID"), Some(guests[1].dialog.call_id.as_str()));
    assert!(until(PATIENCE, || (participants(&switch, "5201") == 1).then_some(())).is_some());
    let (_, metrics) = switch.get_as_stranger("/metrics");
    let text = metrics.as_str().expect("text");
    for line in ["strowger_conferences 1", "strowger_conference_participants 1", "strowger_recordings_begun_total 1"] {
        assert!(text.contains(line), "{line} is missing");
    }
}

/// How long an Ogg Opus file plays, in ms: the position of its last page (RFC 3533 section 6, RFC 7845 section 4); nothing where
/// there is none, or the stream has not ended.
fn opus_ms(file: &str) -> Option<u64> {
    let bytes = std::fs::read(file).ok()?;
    let last = bytes.windows(4).rposition(|four| four == b"OggS")?;
    let position = u64::from_le_bytes(bytes.get(last + 6..last + 14)?.try_into().ok()?);
    (bytes.windows(8).any(|eight| eight == b"OpusHead") && bytes.get(last + 5)? & 4 != 0).then_some(position / 48)
}

/// What FFmpeg (in PyAV, beside aiortc) makes of a file: its codec, and the ms that it plays.
fn ffmpeg_plays(file: &str) -> String {
    const SCRIPT: &str = "import av, sys\nfile = av.open(sys.argv[1])\nsound = file.streams.audio[0]\n\
                          samples = sum(frame.samples for frame in file.decode(sound))\n\
                          print(sound.codec_context.name, samples * 1000 // sound.codec_context.sample_rate)";
    let home = std::env::var_os("STROWGER_BROWSER").map_or_else(|| project("target/browser"), PathBuf::from);
    let output = Command::new(home.join("venv/bin/python")).args(["-c", SCRIPT, file]).output();
    let output = output.expect("PyAV: tests/setup browser installs it");
    String::from_utf8_lossy(&output.stdout).trim().to_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_recording_becomes_opus_when_it_is_over_and_so_does_the_one_that_kill_9_has_cut() {
    let mut switch = switch("[[conference]]\nnumbers = \"5200-5299\"\nrecord_format = \"opus\"\n");
    let mut agent = Some(Agent::new(Wire::udp(switch.sip("udp")), "alice"));
    let mut guest = Guest::call(&mut agent, "5201", Some(500.0));
    let record = |switch: &Switch, more: &[&str]| {
        let output = switch.command(&[&["conferences", "record", "5201", "--json"], more].concat());
        let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        answer["file"].as_str().expect("a file").to_owned()
    };
    let first = record(&switch, &[]);
    assert!(first.ends_with(".opus"), "{first}");
    (0..100).for_each(|_| guest.turn());
    assert_eq!(record(&switch, &["--stop"]), first);
    let lasts = until(PATIENCE, || opus_ms(&first)).unwrap_or_else(|| panic!("{}", switch.log_tail()));
    assert!((1_500..4_000).contains(&lasts), "{lasts} ms");
    let played = ffmpeg_plays(&first);
    let ms = played.strip_prefix("libopus ").or(played.strip_prefix("opus ")).and_then(|ms| ms.parse::<u64>().ok());
    // The position counts what a player skips at the beginning as well: 80 ms at most.
    assert!(ms.is_some_and(|ms| (lasts - 80..=lasts).contains(&ms)), "{played} of {lasts}");
    let folder = std::path::Path::new(&first).parent().expect("a folder").to_owned();
    let files = || std::fs::read_dir(&folder).expect("a folder").count();
    assert!(until(PATIENCE, || (files() == 1).then_some(())).is_some(), "the WAV goes");

    let second = record(&switch, &[]);
    let recorded = second.replace(".opus", ".opus.wav");
    let counted = || {
        let bytes = std::fs::read(&recorded).ok()?;
        let (_, sound) = media::wav::parse(&bytes).ok()?;
        (sound.len() > 32_000).then_some(())
    };
    while counted().is_none() {
        guest.turn();
    }
    switch.kill9();
    switch.restart();
    let lasts = until(PATIENCE, || opus_ms(&second)).unwrap_or_else(|| panic!("{}", switch.log_tail()));
    assert!(lasts >= 1_000, "{lasts} ms");
    assert!(until(PATIENCE, || (files() == 2).then_some(())).is_some(), "the WAV goes");
}

#[test]
fn the_focus_says_that_it_is_one_a_full_conference_is_busy_and_other_numbers_are_not_there() {
    let switch = switch("[[conference]]\nnumbers = \"5200-5299\"\nparticipants_max = 2\n");
    let mut agent = Some(Agent::new(Wire::udp(switch.sip("udp")), "alice"));
    let _guests: Vec<Guest> = (0..2).map(|_| Guest::call(&mut agent, "5200", None)).collect();
    let mut agent = agent.expect("an agent");
    let mut invite = |number: &str| {
        let body = support::agent::description(None, "sendrecv");
        let request =
            agent.request("INVITE", &format!("sip:{number}@example.com"), "Content-Type: application/sdp\n", &body);
        agent.ask_as_user(&request)
    };
    let full = invite("5200");
    assert!(full.starts_with("SIP/2.0 486 Conference Is Full"), "{full}");
    let other = invite("5201");
    assert_eq!(status(&other), Some(200));
    let contact = header(&other, "Contact").expect("a Contact");
    assert!(contact.contains(";isfocus"), "{contact}");
    assert_eq!(status(&invite("5300")), Some(404));
}

#[test]
fn who_is_alone_hears_music_and_who_holds_disturbs_nobody() {
    let switch = switch(ROOMS);
    let mut agent = Some(Agent::new(Wire::udp(switch.sip("udp")), "alice"));
    let mut guests = vec![Guest::call(&mut agent, "5200", None)];
    let loud =
        |guest: &Guest| guest.heard.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / KEPT as f64 > 1e4;
    for _ in 0..150 {
        guests.iter_mut().for_each(Guest::turn);
    }
    assert!(loud(&guests[0]), "nothing is heard by who is alone");
    guests.push(Guest::call(&mut agent, "5200", Some(700.0)));
    guests.push(Guest::call(&mut agent, "5200", Some(1100.0)));
    for _ in 0..120 {
        guests.iter_mut().for_each(Guest::turn);
    }
    assert!((guests[0].share(700.0) - 0.5).abs() < 0.1 && (guests[0].share(1100.0) - 0.5).abs() < 0.1);
    let mut agent = agent.expect("an agent");
    let mut holder = guests.pop().expect("three");
    agent.redirect(&mut holder.dialog, "inactive");
    for _ in 0..120 {
        guests.iter_mut().for_each(Guest::turn);
    }
    assert!(guests[0].share(700.0) > 0.9, "{}", guests[0].share(700.0));
    agent.redirect(&mut holder.dialog, "sendrecv");
    guests.push(holder);
    for _ in 0..150 {
        guests.iter_mut().for_each(Guest::turn);
    }
    assert!((guests[0].share(1100.0) - 0.5).abs() < 0.1, "{}", guests[0].share(1100.0));
}

#[test]
fn a_party_that_is_transferred_into_a_conference_is_heard_there_whichever_side_it_was_on() {
    let switch = switch(ROOMS);
    let mut carol = Phone::registered(&switch, "carol", "udp");
    let there = carol.call("5200");
    carol.expect_media(there, "active");
    carol.play_silence(there);
    let mut alice = Phone::registered(&switch, "alice", "udp");
    let mut bob = Phone::registered(&switch, "bob", "udp");
    for (callee_moves, hz) in [(true, 700u16), (false, 900)] {
        let from = alice.call("1002");
        let at = bob.pick_up();
        alice.expect_media(from, "active");
        bob.expect_media(at, "active");
        let (transferor, by, party, call) =
            if callee_moves { (&mut alice, from, &mut bob, at) } else { (&mut bob, at, &mut alice, from) };
        transferor.blind_transfer(by, "5200");
        transferor.expect("transfer", |event| event["final"] == true && event["code"] == 200);
        transferor.expect_state(by, "disconnected");
        party.play_tone(call, hz);
        carol.hears_tone(there, f64::from(hz));
        assert_eq!(participants(&switch, "5200"), 2);
        party.hang_up(call);
        party.expect_state(call, "disconnected");
        assert!(until(PATIENCE, || (participants(&switch, "5200") == 1).then_some(())).is_some());
    }
    // A conference that is not there leaves the two of them together.
    let from = alice.call("1002");
    let at = bob.pick_up();
    bob.expect_media(at, "active");
    alice.blind_transfer(from, "5300");
    alice.expect("transfer", |event| event["final"] == true && event["code"] == 404);
    bob.play_tone(at, 1100);
    alice.hears_tone(from, 1100.0);
}
