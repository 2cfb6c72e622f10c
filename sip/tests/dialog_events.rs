//! The bodies of the event packages, as RFC 3680 and RFC 4235 write them.

use sip::dialog::events::{dialog, reg};

#[test]
fn a_reginfo_tells_every_binding_with_its_state() {
    let contact = |id, event, q_thousandths| reg::Contact {
        id,
        uri: "sip:alice@192.0.2.1;a=<&\">",
        event,
        expires_s: 3_600,
        q_thousandths,
    };
    let contacts = [contact("c1", reg::Event::Registered, 1_000), contact("c2", reg::Event::Expired, 70)];
    assert_eq!(
        reg::body("sip:alice@a.invalid", "r1", 3, &contacts),
        "<?xml version=\"1.0\"?>\r\n\
         <reginfo xmlns=\"urn:ietf:params:xml:ns:reginfo\" version=\"3\" state=\"full\">\r\n\
         <registration aor=\"sip:alice@a.invalid\" id=\"r1\" state=\"active\">\r\n\
         <contact id=\"c1\" state=\"active\" event=\"registered\" expires=\"3600\" q=\"1.000\">\
         <uri>sip:alice@192.0.2.1;a=&lt;&amp;&quot;&gt;</uri></contact>\r\n\
         <contact id=\"c2\" state=\"terminated\" event=\"expired\" q=\"0.070\">\
         <uri>sip:alice@192.0.2.1;a=&lt;&amp;&quot;&gt;</uri></contact>\r\n\
         </registration>\r\n</reginfo>\r\n"
    );
    assert!(reg::body("sip:a@b", "r", 0, &[]).contains("state=\"init\""));
    assert!(reg::body("sip:a@b", "r", 0, &contacts[1..]).contains("id=\"r\" state=\"terminated\""));
}

#[test]
fn a_dialog_info_lets_a_watcher_pick_up() {
    let call = dialog::Call {
        id: "d1",
        state: dialog::State::Early,
        initiator: false,
        replaces: Some(dialog::Ids { call_id: "c\"1", local_tag: "l", remote_tag: "r" }),
        local: "sip:alice@a.invalid",
        remote: "sip:bob@b.invalid",
        remote_display: "B <o>\u{1}b",
    };
    assert_eq!(
        dialog::body("sip:alice@a.invalid", 0, &[call]),
        "<?xml version=\"1.0\"?>\r\n\
         <dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" version=\"0\" state=\"full\" entity=\"sip:alice@a.invalid\">\r\n\
         <dialog id=\"d1\" call-id=\"c&quot;1\" local-tag=\"l\" remote-tag=\"r\" direction=\"recipient\">\
         <state>early</state>\
         <local><identity>sip:alice@a.invalid</identity><target uri=\"sip:alice@a.invalid\"/></local>\
         <remote><identity display=\"B &lt;o&gt;\u{fffd}b\">sip:bob@b.invalid</identity><target uri=\"sip:bob@b.invalid\"/></remote>\
         </dialog>\r\n</dialog-info>\r\n"
    );
    assert!(dialog::body("sip:a@b", 9, &[]).contains("version=\"9\""));
}
