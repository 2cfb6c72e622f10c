//! Of a hundred calls with media one loses its actor, or all lose their media worker: they go on, and can be changed and ended.

mod support;

use std::net::SocketAddr;

use support::house::{CALLS, House, house};
use support::voices::Heard;
use support::wire::{header, status};
use support::{PATIENCE, until};

/// What a voice may miss of the calls whose media worker died: 1 s.
const GAP_PACKETS_MAX: u64 = 50;

#[test]
fn a_call_whose_actor_dies_is_held_resumed_transferred_and_hung_up() {
    let mut house = house();
    let path = house.path_of(&house.dialogs[0]);

    house.end(&path, "panic");
    house.all_dialogs_live(&path);
    house.all_hear(2 * CALLS);
    assert_eq!(house.gaps(), [], "its own media does not stop either");

    let mut dialog = house.dialogs.remove(0);
    let answer = house.alice.redirect(&mut dialog, "sendonly");
    assert!(answer.contains("a=recvonly"), "{answer}");
    house.hit.extend(dialog.media);
    house.end(&path, "kill");
    let answer = house.alice.redirect(&mut dialog, "sendrecv");
    assert!(!answer.contains("a=recvonly"), "{answer}");

    house.end(&path, "panic");
    let refer = "Refer-To: <sip:1004@example.com>\nReferred-By: <sip:alice@example.com>\n";
    let answer = house.alice.inside(&mut dialog, "REFER", refer, "");
    assert_eq!(status(&answer), Some(202), "{answer}");
    let invite = house.dave.expect("INVITE");
    house.end(&path, "kill");
    let report = loop {
        let notify = house.alice.expect("NOTIFY");
        if header(&notify, "Subscription-State").is_some_and(|state| state.starts_with("terminated")) {
            break notify;
        }
    };
    assert!(report.contains("SIP/2.0 200"), "{report}");
    // The switch hangs up for a transferor that does not.
    house.alice.expect("BYE");
    let of_dave = house.dave.taken(&invite);
    let before = house.voices.heard();
    let packets = |heard: &[(SocketAddr, Heard)]| {
        heard.iter().find(|(at, _)| Some(*at) == of_dave.media).map_or(0, |(_, heard)| heard.packets)
    };
    let hears = until(PATIENCE, || (packets(&house.voices.heard()) > packets(&before)).then_some(()));
    assert!(hears.is_some(), "dave hears bob");
    house.dave.hang_up(of_dave);

    // Bob's voice of the transferred call has heard music, dave and nothing in between.
    let fault = |house: &House| house.voices.heard().iter().filter(|(_, heard)| heard.missing > 0).count();
    assert!(fault(&house) <= 2, "only the transferred call has gaps: {:?}", house.voices.heard());
    house.clear();
}

#[test]
fn a_media_worker_dies_and_its_calls_go_on_after_a_gap() {
    let mut house = house();

    for (path, how) in
        [("/switch/media/worker-0", "panic"), ("/switch/media/worker-0", "kill"), ("/switch/media", "kill")]
    {
        house.voices.begin_anew();
        house.end(path, how);
        house.all_hear(2 * CALLS);
        let heard = house.voices.heard();
        let most = heard.iter().map(|(_, heard)| heard.missing).max().unwrap_or(0);
        assert!(most <= GAP_PACKETS_MAX, "after {path}: {heard:?}");
        house.voices.begin_anew();
        house.all_hear(2 * CALLS);
        assert_eq!(house.gaps(), [], "after the gap of {path} there is no other");
        house.all_dialogs_live(path);
    }
    house.clear();
}
