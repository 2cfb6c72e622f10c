//! `/metrics`: what the actors count as they go, and what is read only when somebody scrapes.

use actix_web::HttpResponse;
use actix_web::web::Data;
use actors::limits::Refused;
use actors::shared::{Shared, unix_now};
use metrics::{counter, gauge};
use sip::Protocol;
use store::StoreState;

use super::Web;

/// All figures in the text format of Prometheus.
pub async fn render(web: Data<Web>) -> HttpResponse {
    web.shared.publish();
    wires(&web);
    media(&web.shared);
    conferences(&web.shared);
    mailboxes(&web.shared);
    gateways(&web.shared);
    groups(&web.shared);
    limits(&web.shared);
    plan(&web.shared);
    store(&web.shared);
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(web.metrics.render())
}

fn wires(web: &Web) {
    let counters = web.shared.network.counters();
    for protocol in [Protocol::Udp, Protocol::Tcp, Protocol::Tls] {
        let traffic = counters.traffic(protocol);
        let figures = [
            ("in", traffic.messages_in.get(), traffic.bytes_in.get()),
            ("out", traffic.messages_out.get(), traffic.bytes_out.get()),
        ];
        for (direction, messages, bytes) in figures {
            traffic_of(protocol.uri(), direction, messages, bytes);
        }
    }
    for (direction, messages, bytes) in web.websockets.traffic() {
        traffic_of("ws", direction, messages, bytes);
    }
    gauge!("strowger_wire_connections").set(float(counters.open.get()));
    gauge!("strowger_wire_websockets").set(count(web.websockets.open()));
    for (why, count) in [
        ("accepted", counters.accepted.get()),
        ("opened", counters.opened.get()),
        ("refused_total", counters.refused_total.get()),
        ("refused_source", counters.refused_source.get()),
        ("connect_failed", counters.connect_failed.get()),
    ] {
        counter!("strowger_wire_connections_total", "what" => why).absolute(count);
    }
    for (reason, count) in counters.closed() {
        counter!("strowger_wire_closed_total", "reason" => reason.name()).absolute(count);
    }
    for (what, count) in [
        ("send_failed", counters.send_failed.get()),
        ("refused", counters.refused.get()),
        ("unframed", counters.unframed.get()),
        ("socket_errors", counters.socket_errors.get()),
        ("notices_dropped", counters.notices_dropped.get()),
        ("inbound_panics", counters.inbound_panics.get()),
    ] {
        counter!("strowger_wire_faults_total", "what" => what).absolute(count);
    }
    counter!("strowger_wire_keepalives_total").absolute(counters.keepalives.get());
}

fn traffic_of(transport: &'static str, direction: &'static str, messages: u64, bytes: u64) {
    let labels = [("transport", transport), ("direction", direction)];
    counter!("strowger_wire_messages_total", &labels).absolute(messages);
    counter!("strowger_wire_bytes_total", &labels).absolute(bytes);
}

fn media(shared: &Shared) {
    let handshakes = shared.pool.handshakes();
    gauge!("strowger_media_handshakes_running").set(f64::from(u8::from(handshakes.running)));
    gauge!("strowger_media_handshakes_open").set(count(handshakes.open));
    gauge!("strowger_media_handshakes_waiting").set(count(handshakes.waiting));
    counter!("strowger_media_handshakes_restarts_total").absolute(handshakes.restarts);
    for number in 0..shared.pool.worker_count() {
        let health = shared.pool.health(number);
        let worker = || number.to_string();
        gauge!("strowger_media_running", "worker" => worker()).set(f64::from(u8::from(health.running)));
        gauge!("strowger_media_heartbeat_age_seconds", "worker" => worker()).set(health.heartbeat_age.as_secs_f64());
        gauge!("strowger_media_flows", "worker" => worker()).set(count(health.flows));
        gauge!("strowger_media_queue_depth", "worker" => worker()).set(count(health.queue_depth));
        gauge!("strowger_media_busy_seconds", "worker" => worker()).set(health.busy.as_secs_f64());
        counter!("strowger_media_restarts_total", "worker" => worker()).absolute(health.restarts);
        for (direction, packets) in [("in", health.packets_in), ("out", health.packets_out)] {
            counter!("strowger_media_packets_total", "worker" => worker(), "direction" => direction).absolute(packets);
        }
        let dropped = health.dropped;
        for (why, packets) in [
            ("strangers", dropped.strangers),
            ("early", dropped.early),
            ("malformed", dropped.malformed),
            ("forged", dropped.forged),
            ("replayed", dropped.replayed),
            ("exhausted", dropped.exhausted),
            ("unserved", dropped.unserved),
            ("held", dropped.held),
            ("unmapped", dropped.unmapped),
            ("unheard", dropped.unheard),
            ("send_failed", dropped.send_failed),
        ] {
            counter!("strowger_media_dropped_total", "worker" => worker(), "why" => why).absolute(packets);
        }
    }
}

fn mailboxes(shared: &Shared) {
    use std::sync::atomic::Ordering::Relaxed;
    let mailroom = &shared.mailroom;
    let (open, drafts) = mailroom.load();
    gauge!("strowger_mailboxes_open").set(count(open));
    gauge!("strowger_mailbox_drafts").set(count(drafts));
    counter!("strowger_mailbox_drafts_begun_total").absolute(mailroom.begun.load(Relaxed));
    counter!("strowger_mailbox_drafts_refused_total").absolute(mailroom.refused.load(Relaxed));
    counter!("strowger_mailbox_messages_total").absolute(mailroom.delivered.load(Relaxed));
    counter!("strowger_mailbox_missed_calls_total").absolute(mailroom.missed.load(Relaxed));
    counter!("strowger_mailbox_lamps_told_total").absolute(mailroom.lamps_told.load(Relaxed));
    counter!("strowger_mailbox_lamps_failed_total").absolute(mailroom.lamps_failed.load(Relaxed));
    counter!("strowger_mailbox_wrong_pins_total").absolute(mailroom.wrong_pins.load(Relaxed));
}

fn conferences(shared: &Shared) {
    use std::sync::atomic::Ordering::Relaxed;
    let table = &shared.conferences;
    let all = table.all();
    gauge!("strowger_conferences").set(count(all.len()));
    gauge!("strowger_conference_participants").set(count(all.iter().map(|hall| hall.guests.lock().len()).sum()));
    counter!("strowger_conferences_begun_total").absolute(table.begun.load(Relaxed));
    counter!("strowger_conference_entries_total", "what" => "entered").absolute(table.entered.load(Relaxed));
    counter!("strowger_conference_entries_total", "what" => "refused").absolute(table.refused.load(Relaxed));
    let recorder = shared.recorder.figures();
    gauge!("strowger_recordings").set(count(recorder.running));
    counter!("strowger_recordings_begun_total").absolute(recorder.begun);
    counter!("strowger_recordings_failed_total").absolute(recorder.failed);
    counter!("strowger_recording_lost_samples_total").absolute(recorder.lost_samples);
    counter!("strowger_recordings_packed_total").absolute(shared.packing.packed.load(Relaxed));
    counter!("strowger_recordings_pack_failed_total").absolute(shared.packing.failed.load(Relaxed));
}

fn groups(shared: &Shared) {
    gauge!("strowger_calls_parked").set(count(shared.parked.len()));
    gauge!("strowger_users_with_features").set(count(shared.features.len()));
    use std::sync::atomic::Ordering::Relaxed;
    for group in shared.groups.all() {
        let plan = group.plan();
        let name = || plan.name.to_string();
        let (all, waiting) = {
            let book = group.book.lock();
            (book.calls.len(), book.waiting())
        };
        gauge!("strowger_group_calls", "group" => name()).set(count(all));
        gauge!("strowger_group_waiting", "group" => name()).set(count(waiting));
        let tally = &group.tally;
        for (what, counter) in [
            ("came", &tally.came),
            ("answered", &tally.answered),
            ("overflowed", &tally.overflowed),
            ("refused", &tally.refused),
            ("abandoned", &tally.abandoned),
            ("missed", &tally.missed),
        ] {
            counter!("strowger_group_calls_total", "group" => name(), "what" => what).absolute(counter.load(Relaxed));
        }
    }
}

fn limits(shared: &Shared) {
    gauge!("strowger_limited_calls").set(float(shared.limits.up()));
    let all = shared.limits.all(unix_now());
    let spent = all.iter().filter(|one| one.refuses.is_some_and(Refused::is_spent)).count();
    gauge!("strowger_limits_spent").set(count(spent));
}

fn plan(shared: &Shared) {
    for one in shared.plans.views() {
        let name = || one.name.to_string();
        gauge!("strowger_plan_calls", "kind" => one.kind, "name" => name()).set(f64::from(one.up));
        counter!("strowger_plan_calls_total", "kind" => one.kind, "name" => name()).absolute(one.counts.calls);
        counter!("strowger_plan_refused_total", "kind" => one.kind, "name" => name()).absolute(one.counts.refused);
        if let Some(open) = one.open {
            gauge!("strowger_hours_open", "hours" => name()).set(f64::from(u8::from(open)));
        }
    }
}

fn gateways(shared: &Shared) {
    use std::sync::atomic::Ordering::Relaxed;
    for standing in shared.gateways.all() {
        let name = || standing.gateway.name.clone();
        gauge!("strowger_gateway_up", "gateway" => name()).set(f64::from(u8::from(standing.is_up())));
        gauge!("strowger_gateway_registered", "gateway" => name()).set(f64::from(u8::from(standing.is_registered())));
        gauge!("strowger_gateway_channels", "gateway" => name()).set(count(standing.channels()));
        let tally = standing.tally();
        for (what, figure) in [
            ("tried", &tally.tried),
            ("answered", &tally.answered),
            ("failed", &tally.failed),
            ("came", &tally.came),
            ("refused", &tally.refused),
        ] {
            let counted = figure.load(Relaxed);
            counter!("strowger_gateway_calls_total", "gateway" => name(), "what" => what).absolute(counted);
        }
        for (what, figure) in [("sent", &tally.probes), ("missed", &tally.missed)] {
            let counted = figure.load(Relaxed);
            counter!("strowger_gateway_probes_total", "gateway" => name(), "what" => what).absolute(counted);
        }
    }
}

fn store(shared: &Shared) {
    let health = shared.store.health();
    let writable = health.state == StoreState::Running && health.writer_lives;
    gauge!("strowger_store_writable").set(f64::from(u8::from(writable)));
    gauge!("strowger_store_queue_depth").set(count(health.queue_depth));
    gauge!("strowger_store_disk_bytes").set(float(health.bytes_on_disk));
    gauge!("strowger_store_last_group_seconds").set(float(health.last_group_us) / 1e6);
    counter!("strowger_store_writes_total").absolute(health.writes);
    counter!("strowger_store_groups_total").absolute(health.groups);
    counter!("strowger_store_failed_writes_total").absolute(health.failed_writes);
    for (tree, records) in [("bindings", health.bindings), ("messages", health.messages), ("calls", health.calls)] {
        gauge!("strowger_store_records", "tree" => tree).set(float(records));
    }
}

/// Gauges are floats: exact up to 2^53, more than any count here.
#[allow(clippy::cast_precision_loss)]
fn float(n: u64) -> f64 {
    n as f64
}

fn count(n: usize) -> f64 {
    float(u64::try_from(n).unwrap_or(u64::MAX))
}
