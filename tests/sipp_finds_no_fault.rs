//! SIPp's callers and callees, through the switch: each test is a scenario of `scenarios/sipp`, which says the clause.

mod support;

use support::config::Config;
use support::sipp::{SippRun, SippRunning};
use support::switch::Switch;

/// A callee for 1002, registered from the port that it listens on.
fn bob(switch: &Switch, scenario: &str) -> SippRun {
    SippRun::new(scenario, switch.sip("udp")).registered_as("bob")
}

/// A caller as alice, to 1002.
fn alice(switch: &Switch, scenario: &str) -> SippRun {
    SippRun::new(scenario, switch.sip("udp")).by_user("alice")
}

/// Runs a caller against a callee: both must end as their scenarios say.
fn both(caller: SippRun, callee: SippRun) {
    let callee: SippRunning = callee.start();
    caller.run();
    callee.finish();
}

#[test]
fn users_register_and_read_back_and_remove_their_bindings() {
    let switch = Switch::start(Config::for_sipp());

    alice(&switch, "register").run();
    alice(&switch, "register_many").run();
}

#[test]
fn a_hundred_users_register_at_once() {
    let names: Vec<(String, String)> = (0..100).map(|n| (format!("user{n}"), format!("user{n}-secret"))).collect();
    let mut config = Config::for_sipp();
    for (n, (name, password)) in names.iter().enumerate() {
        config = config.user(name, password, &format!("{}", 2_000 + n));
    }
    let switch = Switch::start(config);
    let users: Vec<(&str, &str)> = names.iter().map(|(name, password)| (name.as_str(), password.as_str())).collect();

    let figures = SippRun::new("register", switch.sip("udp")).users(&users).calls(100, 1_000).run();

    assert_eq!(figures.successful, 100);
}

#[test]
fn a_registered_user_calls_another() {
    let switch = Switch::start(Config::for_sipp());

    both(alice(&switch, "uac_call"), bob(&switch, "uas_answer"));
}

#[test]
fn the_callee_hangs_up() {
    let switch = Switch::start(Config::for_sipp());

    both(alice(&switch, "uac_called_bye"), bob(&switch, "uas_bye"));
}

#[test]
fn a_hundred_calls_in_two_seconds_all_succeed() {
    let switch = Switch::start(Config::for_sipp());

    both(alice(&switch, "uac_call").calls(100, 50), bob(&switch, "uas_answer").calls(100, 50));
}

#[test]
fn a_cancelled_call_ends_on_both_sides() {
    let switch = Switch::start(Config::for_sipp());

    both(alice(&switch, "uac_cancel"), bob(&switch, "uas_no_answer"));
}

#[test]
fn busy_is_told_as_busy() {
    let switch = Switch::start(Config::for_sipp());

    both(alice(&switch, "uac_busy"), bob(&switch, "uas_busy"));
}

#[test]
fn a_number_that_nobody_has_is_not_found() {
    let switch = Switch::start(Config::for_sipp());

    alice(&switch, "uac_not_found").service("1999").run();
}

#[test]
fn early_media_reaches_the_caller() {
    let switch = Switch::start(Config::for_sipp());

    both(alice(&switch, "uac_call"), bob(&switch, "early_media_uas"));
}

#[test]
fn a_repeated_invite_makes_one_call_and_a_repeated_bye_is_answered_again() {
    let switch = Switch::start(Config::for_sipp());

    both(alice(&switch, "uac_retransmit").arguments(&["-nr"]), bob(&switch, "uas_slow").pause_ms(500));
}

#[test]
fn a_200_is_repeated_until_its_ack_comes() {
    let switch = Switch::start(Config::for_sipp());

    both(alice(&switch, "uac_lost_ack").arguments(&["-nr"]), bob(&switch, "uas_answer"));
}

#[test]
fn each_repeated_200_of_a_callee_is_acknowledged() {
    let switch = Switch::start(Config::for_sipp());

    both(alice(&switch, "uac_call").pause_ms(1_000), bob(&switch, "uas_lost_ack").arguments(&["-nr"]));
}

#[test]
fn a_call_that_is_never_acknowledged_is_hung_up() {
    // 64 x T1 (RFC 3261 section 13.3.1.4) are 3.2 s here.
    let switch = Switch::start(Config::for_sipp().set("sip", "t1", "\"50ms\""));

    both(alice(&switch, "uac_never_acks"), bob(&switch, "uas_answer"));
}

#[test]
fn byes_that_cross_on_the_callers_leg_are_both_answered() {
    let switch = Switch::start(Config::for_sipp());

    both(alice(&switch, "uac_bye_glare"), bob(&switch, "uas_bye"));
}

#[test]
fn byes_that_cross_on_the_callees_leg_are_both_answered() {
    let switch = Switch::start(Config::for_sipp());

    both(alice(&switch, "uac_call"), bob(&switch, "uas_bye_glare"));
}

#[test]
fn a_request_with_an_old_cseq_gets_500_and_the_call_goes_on() {
    let switch = Switch::start(Config::for_sipp());

    both(alice(&switch, "bad_cseq"), bob(&switch, "uas_answer"));
}

#[test]
fn a_cseq_with_another_method_gets_400_and_the_call_goes_on() {
    let switch = Switch::start(Config::for_sipp());

    both(alice(&switch, "bad_cseq_method"), bob(&switch, "uas_answer"));
}

#[test]
fn two_dialogs_of_one_call_id_are_told_apart_by_their_tags() {
    let switch = Switch::start(Config::for_sipp());

    both(alice(&switch, "uac_overlapping_dialogs"), bob(&switch, "uas_answer").calls(2, 10));
}

#[test]
fn the_switch_says_what_it_can() {
    let switch = Switch::start(Config::for_sipp());

    SippRun::new("options", switch.sip("udp")).run();
}

#[test]
fn hold_and_resume_are_answered_with_the_right_directions() {
    let switch = Switch::start(Config::for_sipp());

    both(alice(&switch, "uac_hold"), bob(&switch, "uas_answer"));
}

#[test]
fn a_reliable_provisional_answer_is_acknowledged_end_to_end() {
    let switch = Switch::start(Config::for_sipp());

    both(alice(&switch, "uac_prack"), bob(&switch, "uas_prack"));
}

#[test]
fn an_update_is_answered() {
    let switch = Switch::start(Config::for_sipp());

    both(alice(&switch, "uac_update"), bob(&switch, "uas_answer"));
}

#[test]
fn a_session_timer_is_negotiated_and_refreshed() {
    let switch = Switch::start(Config::for_sipp());

    both(alice(&switch, "uac_session_timer"), bob(&switch, "uas_answer"));
}

#[test]
fn a_message_is_delivered() {
    let switch = Switch::start(Config::for_sipp());

    both(alice(&switch, "message"), bob(&switch, "uas_message"));
}

#[test]
fn calls_over_one_tcp_connection_succeed() {
    let switch = Switch::start(Config::for_sipp());
    let callee = bob(&switch, "uas_answer").calls(20, 20).start();

    let figures = SippRun::new("uac_call", switch.sip("tcp")).tcp().by_user("alice").calls(20, 20).run();

    assert_eq!(figures.successful, 20);
    callee.finish();
}

#[test]
fn a_caller_whose_port_was_taken_meanwhile_calls_from_another() {
    let switch = Switch::start(Config::for_sipp());
    let caller = SippRun::new("options", switch.sip("tcp")).tcp();
    let _thief = std::net::TcpListener::bind(("127.0.0.1", caller.port())).expect("the port is free");

    let figures = caller.run();

    assert_eq!(figures.successful, 1);
}
