//! Call features: set by codes, the admin API and the command line, kept, and done with real calls.

mod support;

use serde_json::{Value, json};

use support::carrier::Place;
use support::config::Config;
use support::party::{Party, SDP, callee_end, end_of, hangs_up, idle, is_quiet, kill_the_call, standing, talks, up};
use support::switch::Switch;
use support::wire::{Wire, header, status};
use support::{PATIENCE, until};

/// The lab, where users may park and trace, with this besides.
fn lab(more: &str) -> Config {
    Config::lab()
        .set("routing", "voice_policy", "\"lab\"")
        .set("features", "park_numbers", "\"5900-5901\"")
        .set("features", "park_time", "\"10s\"")
        .entry(&format!(
            "[[voice_policy]]\nname = \"lab\"\ncall_park = true\nmalicious_call_trace = true\nusages = [\"out\"]\n{more}"
        ))
        .entry(
            "[[route]]\nname = \"out\"\npattern = '^\\d{6,}$'\nusages = [\"out\"]\ngateways = [\"carrier\"]\n\
             [[gateway]]\nname = \"carrier\"\naddress = \"127.0.0.9:9\"\nprobe = \"0s\"\n",
        )
}

fn dave(switch: &Switch) -> Party {
    let mut dave = Party::at(Wire::udp(switch.sip("udp")), "dave");
    dave.from = "sip:dave@example.com";
    dave.register("");
    dave
}

/// A code is dialled: the status of the answer, after the call is over.
fn dial(party: &mut Party, code: &str) -> u16 {
    // `#` is no character of a URI.
    let invite = party.call(&code.replace('#', "%23"), "");
    let answer = party.heard(&invite);
    let code = status(&answer).expect("a status");
    if code == 200 {
        // The tone has been played.
        let bye = party.wire.receive("BYE");
        party.reply(&bye, "200 OK", "", "");
    }
    code
}

fn features(switch: &Switch, user: &str) -> Value {
    switch.get(&format!("/api/features/{user}")).1["features"].clone()
}

#[track_caller]
fn set(switch: &Switch, user: &str, wanted: Value) {
    let (code, answer) = switch.post(&format!("/api/features/{user}"), &wanted);
    assert_eq!(code, 200, "{answer}");
}

#[test]
fn all_calls_go_where_a_code_sends_them_with_who_sent_them_until_the_code_takes_it_back_also_after_a_crash() {
    let mut switch = Switch::start(lab(""));
    {
        let (mut bob, mut carol) = (Party::registered(&switch, "bob"), Party::registered(&switch, "carol"));
        assert_eq!(dial(&mut bob, "*211003"), 200);
        assert_eq!(features(&switch, "bob")["forward_all"], "1003");
        let mut alice = Party::new(&switch, "alice");
        alice.call("bob", "");
        let invite = carol.wire.receive("INVITE");
        let diversion = header(&invite, "Diversion").expect("who sent it");
        assert!(diversion.contains("sip:1002@example.com") && diversion.contains("reason=unconditional"), "{invite}");
        assert!(header(&invite, "History-Info").is_some_and(|history| history.contains("index=1")), "{invite}");
        assert!(is_quiet(&mut bob), "his own phone does not ring");
        carol.reply(&invite, "200 OK", "", SDP);
        carol.wire.receive("ACK");
        let mut of_alice = up(&mut alice);
        talks(&mut alice, &mut of_alice, &mut carol);
        hangs_up(&mut alice, &mut of_alice, &mut carol);
        idle(&switch);
    }
    switch.kill9();
    switch.restart();
    assert_eq!(features(&switch, "bob")["forward_all"], "1003", "it was acknowledged");
    let (mut bob, _carol) = (Party::registered(&switch, "bob"), Party::registered(&switch, "carol"));
    assert_eq!(dial(&mut bob, "#21"), 200);
    let mut alice = Party::new(&switch, "alice");
    let (mut of_alice, _) = standing(&mut alice, &mut bob);
    hangs_up(&mut alice, &mut of_alice, &mut bob);
    idle(&switch);
}

#[test]
fn a_call_that_nobody_answers_goes_on_after_the_users_time_and_one_without_a_phone_or_in_the_middle_of_a_call_at_once()
{
    let switch = Switch::start(lab(""));
    let (mut bob, mut carol) = (Party::registered(&switch, "bob"), Party::registered(&switch, "carol"));
    assert_eq!(dial(&mut bob, "*61*1003*5#"), 200);
    assert_eq!(dial(&mut bob, "*67dave"), 200);
    let mut dave = dave(&switch);
    let mut alice = Party::new(&switch, "alice");

    alice.call("bob", "");
    let at_bob = bob.wire.receive("INVITE");
    bob.reply(&at_bob, "180 Ringing", "", "");
    kill_the_call(&switch);
    bob.let_go(&at_bob);
    let invite = carol.wire.receive("INVITE");
    assert!(header(&invite, "Diversion").is_some_and(|who| who.contains("reason=no-answer")), "{invite}");
    carol.reply(&invite, "200 OK", "", SDP);
    carol.wire.receive("ACK");
    let mut of_alice = up(&mut alice);
    hangs_up(&mut alice, &mut of_alice, &mut carol);

    alice.call("bob", "");
    let at_bob = bob.wire.receive("INVITE");
    bob.reply(&at_bob, "486 Busy Here", "", "");
    let invite = dave.wire.receive("INVITE");
    assert!(header(&invite, "Diversion").is_some_and(|who| who.contains("reason=user-busy")), "{invite}");
    dave.reply(&invite, "200 OK", "", SDP);
    dave.wire.receive("ACK");
    let mut of_alice = up(&mut alice);
    hangs_up(&mut alice, &mut of_alice, &mut dave);

    bob.register("Expires: 0\n");
    alice.call("bob", "");
    let invite = carol.wire.receive("INVITE");
    assert!(header(&invite, "Diversion").is_some_and(|who| who.contains("reason=unavailable")), "{invite}");
    carol.reply(&invite, "200 OK", "", SDP);
    carol.wire.receive("ACK");
    let mut of_alice = up(&mut alice);
    hangs_up(&mut alice, &mut of_alice, &mut carol);
    idle(&switch);
}

#[test]
fn calls_that_are_sent_in_a_circle_are_refused_and_nobody_rings() {
    let switch = Switch::start(lab(""));
    let (mut bob, mut carol) = (Party::registered(&switch, "bob"), Party::registered(&switch, "carol"));
    set(&switch, "bob", json!({ "forward_all": "1003" }));
    set(&switch, "carol", json!({ "forward_all": "1002" }));
    let mut alice = Party::new(&switch, "alice");
    alice.call("bob", "");
    let refused = alice.answer_to("INVITE", 200);
    assert_eq!(status(&refused), Some(480), "{refused}");
    assert!(is_quiet(&mut bob) && is_quiet(&mut carol));
    idle(&switch);
    let shown = switch.command(&["route", "1002", "--from", "alice"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    for part in [
        "bob: sends all calls to 1003",
        "carol: sends all calls to 1002",
        "Goes to user bob, who refuses it: too many diversions, the caller gets 480.",
    ] {
        assert!(shown.contains(part), "{part} is missing in\n{shown}");
    }
}

#[test]
fn what_a_user_may_not_or_cannot_switch_is_refused_with_the_reason() {
    let more = "call_forwarding = false\nteam_call = false\n";
    let switch = Switch::start(lab(more));
    let mut bob = Party::registered(&switch, "bob");
    assert_eq!(dial(&mut bob, "*211003"), 403);
    assert_eq!(dial(&mut bob, "*36nobody"), 404);
    assert_eq!(dial(&mut bob, "*36bob"), 404, "himself");
    assert_eq!(dial(&mut bob, "*36"), 400);
    let refused = |wanted: Value| switch.post("/api/features/bob", &wanted).0;
    assert_eq!(refused(json!({ "team": ["carol"] })), 409);
    assert_eq!(refused(json!({ "delegates": ["zoe"] })), 400);
    assert_eq!(refused(json!({ "no_such": 1 })), 400);
    assert_eq!(refused(json!({ "ring_s": 2 })), 400);
    assert_eq!(switch.post("/api/features/zoe", &json!({})).0, 404);
    let said = switch.command(&["features", "bob", "forward_all=1003"]);
    assert!(!said.status.success());
    assert!(String::from_utf8_lossy(&said.stderr).contains("voice policy"), "{said:?}");
    assert_eq!(features(&switch, "bob")["forward_all"], Value::Null);
    idle(&switch);
}

#[test]
fn who_is_not_to_be_disturbed_lets_none_wait_or_refuses_the_caller_says_so() {
    let switch = Switch::start(lab(""));
    let (mut bob, mut carol) = (Party::registered(&switch, "bob"), Party::registered(&switch, "carol"));
    let mut alice = Party::new(&switch, "alice");
    let answer = |alice: &mut Party, more: &str| {
        let invite = alice.call("bob", more);
        let answer = alice.heard(&invite);
        (status(&answer).expect("a status"), header(&answer, "Reason").unwrap_or_default().to_owned())
    };
    assert_eq!(dial(&mut bob, "*26"), 200);
    let (code, why) = answer(&mut alice, "");
    assert!(code == 480 && why.contains("do not disturb"), "{code} {why}");
    let shown = asked(&switch, "1002");
    assert_eq!((shown["outcome"].as_str(), shown["status"].as_u64()), (Some("refused"), Some(480)), "{shown}");
    assert_eq!(shown["targets"], json!([]), "{shown}");
    assert_eq!(dial(&mut bob, "#26"), 200);

    assert_eq!(dial(&mut bob, "*77"), 200);
    let (code, why) = answer(&mut alice, "Privacy: id\n");
    assert!(code == 433 && why.contains("anonymity"), "{code} {why}");
    let said = switch.command(&["features", "1002", "reject=1001"]);
    assert!(said.status.success(), "{said:?}");
    assert_eq!(answer(&mut alice, "").0, 603);
    set(&switch, "bob", json!({ "reject": null, "reject_anonymous": false, "call_waiting": false }));

    let (mut of_carol, _) = standing(&mut carol, &mut bob);
    let (code, why) = answer(&mut alice, "");
    assert!(code == 486 && why.contains("in another call"), "{code} {why}");
    assert!(is_quiet(&mut bob));
    assert_eq!(asked(&switch, "1002")["destination"], "to user bob, who refuses it: in another call");
    hangs_up(&mut carol, &mut of_carol, &mut bob);
    idle(&switch);

    // What would happen is said of phones, too.
    set(&switch, "bob", json!({ "call_waiting": true }));
    let says = |number: &str, what: &str| {
        let shown = asked(&switch, number);
        let steps = shown["steps"].as_array().expect("steps");
        assert!(steps.iter().any(|step| step["text"].as_str().is_some_and(|text| text.contains(what))), "{shown}");
    };
    says("1002", "1 registered contacts ring at this moment");
    says("1004", "no phone is registered at this moment: the caller gets 480");
    set(&switch, "dave", json!({ "forward_no_answer": "1002" }));
    says("1004", "no phone is registered at this moment: the call goes to 1002");
}

/// What a question of alice's is answered.
fn asked(switch: &Switch, number: &str) -> Value {
    switch.get(&format!("/api/route?number={number}&from=alice")).1
}

#[test]
fn a_number_is_hidden_in_one_call_or_in_all_and_shown_where_one_is_to_be() {
    let switch = Switch::start(lab(""));
    let (mut alice, mut bob) = (Party::registered(&switch, "alice"), Party::registered(&switch, "bob"));
    let shown = |alice: &mut Party, bob: &mut Party, dialled: &str| {
        let call = alice.call(&dialled.replace('#', "%23"), "");
        let invite = bob.wire.receive("INVITE");
        bob.reply(&invite, "486 Busy Here", "", "");
        bob.wire.receive("ACK");
        assert_eq!(status(&alice.heard(&call)), Some(486));
        header(&invite, "From").expect("From").to_owned()
    };
    assert!(shown(&mut alice, &mut bob, "1002").contains("1001"));
    assert!(shown(&mut alice, &mut bob, "*311002").contains("anonymous.invalid"));
    assert_eq!(dial(&mut alice, "*31"), 200);
    assert!(shown(&mut alice, &mut bob, "1002").contains("anonymous.invalid"));
    assert!(shown(&mut alice, &mut bob, "#311002").contains("1001"));
    idle(&switch);
}

#[test]
fn team_delegates_and_another_number_ring_as_well_and_who_answers_has_the_call() {
    let place = Place::at(2);
    let switch = Switch::start(lab("").entry(&place.entry("other", "")).entry(
        "[[route]]\nname = \"mobile\"\npattern = '^39\\d+$'\nusages = [\"mobile\"]\ngateways = [\"other\"]\n\
         [[voice_policy]]\nname = \"boss\"\nforwarding = \"usages\"\nforwarding_usages = [\"mobile\"]\nusages = [\"out\"]\n\
         [[user]]\nname = \"erin\"\npassword = \"erin-secret\"\nextension = \"1005\"\nvoice_policy = \"boss\"\n",
    ));
    let mut mobile = place.party(&switch);
    let (mut bob, mut carol) = (Party::registered(&switch, "bob"), Party::registered(&switch, "carol"));
    let mut erin = Party::at(Wire::udp(switch.sip("udp")), "erin");
    erin.from = "sip:erin@example.com";
    erin.register("");
    set(
        &switch,
        "erin",
        json!({
            "team": ["bob"], "delegates": ["carol"], "delegates_ring": true, "delegates_after_s": 1, "also_ring": ["393331234567"]
        }),
    );
    let mut alice = Party::new(&switch, "alice");
    alice.call("erin", "");
    let (at_erin, at_bob) = (erin.wire.receive("INVITE"), bob.wire.receive("INVITE"));
    let at_mobile = mobile.wire.receive("INVITE");
    assert!(at_mobile.starts_with("INVITE sip:393331234567@127.0.0.2"), "{at_mobile}");
    mobile.reply(&at_mobile, "180 Ringing", "", "");
    erin.reply(&at_erin, "180 Ringing", "", "");
    bob.reply(&at_bob, "180 Ringing", "", "");
    let at_carol = carol.wire.receive("INVITE");
    carol.reply(&at_carol, "200 OK", "", SDP);
    carol.wire.receive("ACK");
    for (phone, invite) in [(&mut erin, &at_erin), (&mut bob, &at_bob), (&mut mobile, &at_mobile)] {
        phone.let_go(invite);
    }
    let mut of_alice = up(&mut alice);
    talks(&mut alice, &mut of_alice, &mut carol);
    assert_eq!(switch.get("/api/calls").1["calls"][0]["to"], "carol@example.com");
    hangs_up(&mut alice, &mut of_alice, &mut carol);
    idle(&switch);

    // Her own phone is busy: who would have rung later rings at once.
    set(&switch, "erin", json!({ "delegates_after_s": 60, "also_ring": null, "team": null }));
    alice.call("erin", "");
    let at_erin = erin.wire.receive("INVITE");
    erin.reply(&at_erin, "486 Busy Here", "", "");
    let mut of_carol = carol.pick_up();
    let _of_alice = up(&mut alice);
    hangs_up(&mut carol, &mut of_carol, &mut alice);
    idle(&switch);
}

#[test]
fn a_user_of_the_pickup_group_takes_a_call_that_rings_and_nobody_else_may() {
    let switch = Switch::start(Config::lab().set("features", "pickup", "\"*8\"").entry(
        "[[user]]\nname = \"erin\"\npassword = \"erin-secret\"\nextension = \"1005\"\npickup_group = \"desk\"\n\
         [[user]]\nname = \"finn\"\npassword = \"finn-secret\"\nextension = \"1006\"\npickup_group = \"desk\"\n",
    ));
    let user = |name: &'static str, from: &'static str| {
        let mut party = Party::at(Wire::udp(switch.sip("udp")), name);
        party.from = from;
        party
    };
    let (mut erin, mut finn) = (user("erin", "sip:erin@example.com"), user("finn", "sip:finn@example.com"));
    erin.register("");
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::new(&switch, "bob"));

    for code in ["*8", "*81005"] {
        alice.call("erin", "");
        let at_erin = erin.wire.receive("INVITE");
        erin.reply(&at_erin, "180 Ringing", "", "");
        assert_eq!(status(&alice.answer_to("INVITE", 180)), Some(180));
        assert_eq!(dial(&mut bob, "*81005"), 403, "he is not of the group");
        assert_eq!(dial(&mut bob, "*8"), 404, "he is of none");

        finn.call(code, "");
        erin.let_go(&at_erin);
        let mut of_alice = up(&mut alice);
        let mut of_finn = up(&mut finn);
        // Alice is told where finn's call has its media.
        let moved = alice.wire.receive("INVITE");
        alice.reply(&moved, "200 OK", "", SDP);
        alice.wire.receive("ACK");
        talks(&mut alice, &mut of_alice, &mut finn);
        talks(&mut finn, &mut of_finn, &mut alice);
        hangs_up(&mut finn, &mut of_finn, &mut alice);
        idle(&switch);
    }
    assert_eq!(dial(&mut finn, "*8"), 404, "nothing rings");
    idle(&switch);
}

#[test]
fn a_parked_call_waits_with_music_and_whoever_dials_its_place_has_it() {
    let switch = Switch::start(lab(""));
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let mut carol = Party::new(&switch, "carol");
    let (mut of_alice, mut of_bob) = standing(&mut alice, &mut bob);
    assert_eq!(dial(&mut carol, "5900"), 404, "nothing is parked there");

    bob.say(&mut of_bob, "REFER", "Refer-To: <sip:5900@example.com>\n", "");
    bob.notified("200");
    bob.say(&mut of_bob, "BYE", "", "");
    assert_eq!(status(&bob.answer_to("BYE", 200)), Some(200));
    let shown = switch.command(&["parked"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("5900") && shown.contains("alice@example.com"), "{shown}");
    kill_the_call(&switch);

    carol.call("5900", "");
    let mut of_carol = up(&mut carol);
    let moved = alice.wire.receive("INVITE");
    alice.reply(&moved, "200 OK", "", SDP);
    alice.wire.receive("ACK");
    talks(&mut alice, &mut of_alice, &mut carol);
    talks(&mut carol, &mut of_carol, &mut alice);
    hangs_up(&mut carol, &mut of_carol, &mut alice);
    idle(&switch);
    assert_eq!(switch.get("/api/parked").1, json!({ "parked": [] }));
}

#[test]
fn a_parked_call_that_nobody_takes_rings_whoever_parked_it() {
    let switch = Switch::start(lab(""));
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let (mut of_alice, mut of_bob) = standing(&mut alice, &mut bob);
    bob.say(&mut of_bob, "REFER", "Refer-To: <sip:5901@example.com>\n", "");
    bob.notified("200");
    bob.say(&mut of_bob, "BYE", "", "");
    assert_eq!(status(&bob.answer_to("BYE", 200)), Some(200));
    // After ten seconds.
    let invite = bob.wire.receive("INVITE");
    bob.reply(&invite, "200 OK", "", SDP);
    bob.wire.receive("ACK");
    let mut again = callee_end(&bob, &invite);
    talks(&mut alice, &mut of_alice, &mut bob);
    assert_eq!(switch.get("/api/parked").1, json!({ "parked": [] }));
    hangs_up(&mut bob, &mut again, &mut alice);
    idle(&switch);
}

#[test]
fn a_caller_who_hangs_up_while_parked_frees_the_place_and_a_place_is_for_one_call() {
    let switch = Switch::start(lab(""));
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let mut carol = Party::new(&switch, "carol");
    let (mut of_alice, mut of_bob) = standing(&mut alice, &mut bob);
    bob.say(&mut of_bob, "REFER", "Refer-To: <sip:5900@example.com>\n", "");
    bob.notified("200");
    bob.say(&mut of_bob, "BYE", "", "");
    assert_eq!(status(&bob.answer_to("BYE", 200)), Some(200));
    let (mut of_carol, mut with_carol) = standing(&mut carol, &mut bob);
    bob.say(&mut with_carol, "REFER", "Refer-To: <sip:5900@example.com>\n", "");
    bob.notified("486");
    talks(&mut carol, &mut of_carol, &mut bob);
    hangs_up(&mut carol, &mut of_carol, &mut bob);
    alice.say(&mut of_alice, "BYE", "", "");
    assert_eq!(status(&alice.answer_to("BYE", 200)), Some(200));
    let free = until(PATIENCE, || (switch.get("/api/parked").1 == json!({ "parked": [] })).then_some(()));
    assert!(free.is_some());
    idle(&switch);
}

#[test]
fn the_last_call_is_traced_with_what_is_known_of_a_caller_that_was_hidden() {
    let switch = Switch::start(lab(""));
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    assert_eq!(dial(&mut bob, "*57"), 404, "no call has come");
    alice.call("bob", "Privacy: id\n");
    let at_bob = bob.wire.receive("INVITE");
    assert!(!at_bob.contains("alice"), "{at_bob}");
    bob.reply(&at_bob, "486 Busy Here", "", "");
    bob.wire.receive("ACK");
    alice.answer_to("INVITE", 300);
    assert_eq!(dial(&mut bob, "*57"), 200);
    let traces = switch.get("/api/traces").1["traces"].clone();
    let call = &traces[0]["call"];
    assert_eq!(
        (&traces[0]["user"], &call["from"], &call["hidden"]),
        (&json!("bob"), &json!("alice@example.com"), &json!(true))
    );
    assert!(call["source"].as_str().is_some_and(|from| from.contains(&alice.wire.local().to_string())), "{traces}");
    let shown = switch.command(&["traces"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("alice@example.com"));
    idle(&switch);
}

#[test]
fn agents_sign_in_and_out_by_code() {
    let group = "[[ring_group]]\nname = \"desk\"\nnumber = \"1100\"\nagents = [\"bob\", \"carol\"]\nsign_in = true\n";
    let switch = Switch::start(lab("").entry(group));
    let (mut bob, mut alice) = (Party::registered(&switch, "bob"), Party::registered(&switch, "alice"));
    assert_eq!(dial(&mut alice, "*22"), 404, "she is no agent");
    assert_eq!(dial(&mut bob, "*221100"), 200);
    let state = || switch.get("/api/groups/desk").1["agents"][0]["state"].clone();
    assert_ne!(state(), "signed-out");
    assert_eq!(dial(&mut bob, "#22"), 200);
    assert_eq!(state(), "signed-out");
    idle(&switch);
}

#[test]
fn who_refuses_says_why_and_the_caller_hears_it() {
    let switch = Switch::start(lab(""));
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    for (refusal, reason, heard) in [
        ("486 Busy Here", "", "Q.850;cause=17"),
        (
            "603 Decline",
            "Reason: SIP;cause=603;text=\"in a meeting\"\n",
            "SIP;cause=603;text=\"in a meeting\", Q.850;cause=21",
        ),
        ("486 Busy Here", "Reason: Q.850;cause=17;text=\"busy\"\n", "Q.850;cause=17;text=\"busy\""),
    ] {
        let call = alice.call("bob", "");
        let at_bob = bob.wire.receive("INVITE");
        bob.reply(&at_bob, refusal, reason, "");
        bob.wire.receive("ACK");
        let refused = alice.heard(&call);
        assert_eq!(header(&refused, "Reason"), Some(heard), "{refused}");
    }
    idle(&switch);
}

#[test]
fn a_number_outside_that_answers_at_once_is_a_voice_mail_and_the_desk_phone_rings_on() {
    let place = Place::at(2);
    // Longer than the test lasts: whatever answers meanwhile answers too soon.
    let mobile = "[[route]]\nname = \"mobile\"\npattern = '^\\+39\\d+$'\nusages = [\"out\"]\ngateways = [\"other\"]\n";
    let switch = Switch::start(lab("voicemail_escape = \"8s\"\n").entry(&place.entry("other", "")).entry(mobile));
    let mut outside = place.party(&switch);
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    set(&switch, "bob", json!({ "also_ring": ["+393331234567"] }));
    alice.call("bob", "");
    let at_bob = bob.wire.receive("INVITE");
    bob.reply(&at_bob, "180 Ringing", "", "");
    let taken = outside.wire.receive("INVITE");
    outside.reply(&taken, "200 OK", "", SDP);
    outside.wire.receive("ACK");
    let bye = outside.wire.receive("BYE");
    outside.reply(&bye, "200 OK", "", "");
    bob.reply(&at_bob, "200 OK", "", SDP);
    bob.wire.receive("ACK");
    let mut of_alice = up(&mut alice);
    talks(&mut alice, &mut of_alice, &mut bob);
    hangs_up(&mut alice, &mut of_alice, &mut bob);
    idle(&switch);
}

#[test]
fn calls_are_sent_to_the_mailbox_by_its_name_or_by_the_number_of_voice_access() {
    let switch = Switch::start(Config::with_mailboxes());
    let mut bob = Party::registered(&switch, "bob");
    let mut alice = Party::new(&switch, "alice");
    let leaves = |alice: &mut Party| {
        alice.call("bob", "");
        let answer = alice.answer_to("INVITE", 200);
        let mut end = end_of(&answer);
        alice.say(&mut end, "ACK", "", "");
        assert_eq!(asked(&switch, "1002")["destination"], "the mailbox of bob");
        let (_, calls) = switch.get("/api/calls");
        assert_eq!(calls["calls"][0]["to"], "bob@example.com", "{calls}");
        alice.say(&mut end, "BYE", "", "");
        idle(&switch);
    };
    set(&switch, "bob", json!({ "forward_all": "voicemail" }));
    leaves(&mut alice);
    set(&switch, "bob", json!({ "forward_all": null }));
    assert_eq!(dial(&mut bob, "*215000"), 200);
    assert_eq!(features(&switch, "bob")["forward_all"], "5000");
    leaves(&mut alice);
    assert!(is_quiet(&mut bob));

    let (code, answer) = switch.post("/api/features/bob", &json!({ "during": "never" }));
    assert_eq!(code, 400, "{answer}");
}
