//! Who pays for calls outside pays no more than may be: at once, a minute, an hour, a day, and for which destinations.

mod support;

use serde_json::{Value, json};
use support::carrier::{Place, lab};
use support::config::Config;
use support::party::{End, Party, SDP, callee_end, end_of, hangs_up, idle};
use support::switch::Switch;
use support::wire::{header, status};
use support::{PATIENCE, until};

/// Zoe, who has the limit `zoe`, and what calls cost: 10 units one to `07…`, nothing one to `08…`.
fn limited(entries: &[String], limit: &str) -> Config {
    lab(entries)
        .entry(&format!("[[limit]]\nname = \"zoe\"\n{limit}\n"))
        .entry("[[destination]]\nname = \"dear\"\npatterns = [\"^07\"]\ncall = 10\n")
        .entry("[[destination]]\nname = \"cheap\"\npatterns = [\"^08\"]\n")
        .entry("[[voice_policy]]\nname = \"limited\"\nusages = [\"out\"]\nlimit = \"zoe\"\n")
        .entry("[[emergency]]\nnumber = \"112\"\nusage = \"out\"\n")
        .entry(
            "[[user]]\nname = \"zoe\"\npassword = \"zoe-secret\"\nextension = \"1009\"\nvoice_policy = \"limited\"\n\
             max_calls = 10\n",
        )
}

fn account(switch: &Switch, name: &str) -> Value {
    let all = switch.get("/api/limits").1["limits"].clone();
    all.as_array().and_then(|all| all.iter().find(|one| one["account"] == name).cloned()).unwrap_or(Value::Null)
}

/// Zoe's call of a number, which the carrier answers.
fn call(zoe: &mut Party, carrier: &mut Party, number: &str) -> (End, End) {
    zoe.call(number, "");
    let invite = carrier.wire.receive("INVITE");
    carrier.reply(&invite, "200 OK", "", SDP);
    let mut end = end_of(&zoe.answer_to("INVITE", 200));
    zoe.say(&mut end, "ACK", "", "");
    carrier.wire.receive("ACK");
    (end, callee_end(carrier, &invite))
}

/// A call of zoe that the switch refuses with this status and cause, by a phone of its own: the refusal is repeated.
fn refused(switch: &Switch, number: &str, code: u16, q850: u8) -> String {
    let mut zoe = Party::new(switch, "zoe");
    zoe.call(number, "");
    let answer = zoe.answer_to("INVITE", 300);
    assert_eq!(status(&answer), Some(code), "{answer}");
    let reason = header(&answer, "Reason").expect("Reason");
    assert!(reason.contains(&format!("cause={q850}")), "{reason}");
    answer
}

#[test]
fn calls_at_once_are_counted_once_a_call_and_given_back() {
    let (first, second) = (Place::at(2), Place::at(3));
    let entries = [first.entry("first", ""), second.entry("second", "")];
    let switch = Switch::start(limited(&entries, "calls_max = 1"));
    let (mut first, mut second) = (first.party(&switch), second.party(&switch));
    let mut zoe = Party::new(&switch, "zoe");

    // Two gateways are tried, and it is one call.
    zoe.call("90712345", "");
    let invite = first.wire.receive("INVITE");
    first.reply(&invite, "503 Service Unavailable", "", "");
    let invite = second.wire.receive("INVITE");
    second.reply(&invite, "200 OK", "", SDP);
    let mut end = end_of(&zoe.answer_to("INVITE", 200));
    zoe.say(&mut end, "ACK", "", "");
    second.wire.receive("ACK");
    assert_eq!(account(&switch, "user:zoe")["calls"], 1);

    refused(&switch, "90712345", 503, 34);
    hangs_up(&mut zoe, &mut end, &mut second);
    idle(&switch);

    let (mut end, _) = call(&mut zoe, &mut first, "90712345");
    hangs_up(&mut zoe, &mut end, &mut first);
    idle(&switch);
    let now = account(&switch, "user:zoe");
    assert_eq!((&now["calls"], &now["refused"]), (&json!(0), &json!(1)), "{now}");
}

#[test]
fn what_is_spent_stays_spent_over_a_kill_and_is_forgotten_when_the_operator_says_so() {
    let place = Place::at(2);
    let mut switch = Switch::start(limited(&[place.entry("carrier", "")], "day_max = 15"));
    let mut carrier = place.party(&switch);
    let mut zoe = Party::new(&switch, "zoe");
    let writes = |switch: &Switch| switch.get("/api/status").1["store"]["writes"].as_u64().expect("a count");
    for spent in [10, 20] {
        let before = writes(&switch);
        let (mut end, _) = call(&mut zoe, &mut carrier, "90712345");
        hangs_up(&mut zoe, &mut end, &mut carrier);
        assert_eq!(account(&switch, "user:zoe")["day"], spent);
        // The call's record is one write, what it cost another.
        until(PATIENCE, || (writes(&switch) >= before + 2).then_some(())).expect("what was spent is written");
    }
    refused(&switch, "90712345", 403, 21);
    refused(&switch, "90812345", 403, 21);
    // Emergency calls cost nothing and are never held back.
    let (mut end, _) = call(&mut zoe, &mut carrier, "112");
    hangs_up(&mut zoe, &mut end, &mut carrier);

    switch.kill9();
    switch.restart();
    let Party { wire, .. } = carrier;
    let mut carrier = Party::at(wire.with_peer(switch.sip("udp")), "carrier");
    let mut zoe = Party::new(&switch, "zoe");
    assert_eq!(account(&switch, "user:zoe")["day"], 20);
    refused(&switch, "90712345", 403, 21);
    let told = switch.command(&["limits"]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("user:zoe") && told.contains("20 of 15") && told.contains("day"), "{told}");
    let asked = switch.get("/api/route?number=90712345&from=zoe").1;
    assert_eq!(asked["targets"][0]["pays"][0]["refuses"], "day", "{asked}");

    assert!(switch.command(&["limits", "reset", "user:zoe"]).status.success());
    let (mut end, _) = call(&mut zoe, &mut carrier, "90712345");
    hangs_up(&mut zoe, &mut end, &mut carrier);
    idle(&switch);
    assert_eq!(account(&switch, "user:zoe")["day"], 10);
    let metrics = switch.get_as_stranger("/metrics").1;
    let metrics = metrics.as_str().expect("text");
    let refused = "strowger_limit_refused_total{limit=\"zoe\",why=\"day\"} 1";
    assert!(metrics.contains(refused), "{metrics}");
}

#[test]
fn who_may_call_some_destinations_calls_no_others() {
    let place = Place::at(2);
    let switch = Switch::start(limited(&[place.entry("carrier", "")], "destinations = [\"cheap\"]"));
    let (mut carrier, mut zoe) = (place.party(&switch), Party::new(&switch, "zoe"));

    for number in ["90712345", "90912345"] {
        let mut other = Party::new(&switch, "zoe");
        other.call(number, "");
        assert_eq!(status(&other.answer_to("INVITE", 300)), Some(403));
    }
    let (mut end, _) = call(&mut zoe, &mut carrier, "90812345");
    hangs_up(&mut zoe, &mut end, &mut carrier);

    let told = switch.command(&["route", "90712345", "--from", "zoe"]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("lets no call to numbers of class dear out"), "{told}");
}

#[test]
fn a_gateway_spends_no_more_than_it_may_whoever_calls_and_the_next_one_is_tried() {
    let (first, second) = (Place::at(2), Place::at(3));
    let entries = [first.entry("first", "limit = \"zoe\""), second.entry("second", "")];
    let switch = Switch::start(limited(&entries, "hour_max = 5"));
    let (mut first, mut second) = (first.party(&switch), second.party(&switch));
    let mut alice = Party::new(&switch, "alice");

    let (mut end, _) = call(&mut alice, &mut first, "90712345");
    hangs_up(&mut alice, &mut end, &mut first);
    let (mut end, _) = call(&mut alice, &mut second, "90712345");
    hangs_up(&mut alice, &mut end, &mut second);

    idle(&switch);
    let spent = account(&switch, "gateway:first");
    assert_eq!((&spent["hour"], &spent["refuses"]), (&json!(10), &json!("hour")), "{spent}");
}

#[test]
fn new_calls_past_their_number_a_minute_are_refused() {
    let place = Place::at(2);
    let switch = Switch::start(limited(&[place.entry("carrier", "")], "calls_per_minute = 1"));
    let mut carrier = place.party(&switch);

    // The minute of the clock may end between two calls; not twice.
    let mut said = Vec::new();
    for _ in 0..3 {
        let mut zoe = Party::new(&switch, "zoe");
        zoe.call("90712345", "");
        match carrier.wire.receive_within(std::time::Duration::from_millis(700)) {
            Some(invite) if invite.starts_with("INVITE") => carrier.reply(&invite, "486 Busy Here", "", ""),
            _ => {}
        }
        said.push(status(&zoe.answer_to("INVITE", 300)).expect("a status"));
    }
    assert_eq!(said[0], 486);
    assert!(said[1..].contains(&503), "{said:?}");
}
