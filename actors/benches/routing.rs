//! What a decision costs where a call goes, against the number of routes.
//!
//! Run with `cargo bench -p actors --bench routing`. CPU time of one thread; each figure is the best of several rounds, because
//! others use the machine as well.

use std::hint::black_box;
use std::time::Instant;

use actors::directory::{Destination, Directory, User};
use actors::gateway::{Gateway, Host};
use actors::routing::pattern::Pattern;
use actors::routing::rewrite::Rewrite;
use actors::routing::spec::{DialPlan, Route, Scope, VoicePolicy};
use actors::routing::{Assigned, By, Question, Spec};
use jiff::Timestamp;

/// Of so many rounds the best counts.
const ROUNDS: usize = 7;
/// Decisions of one round.
const DECISIONS: u32 = 2_000;

fn main() {
    println!("{:>8} {:<22} {:>9} {:>10} {:>10} {:>10}", "routes", "patterns", "built", "goes", "refused", "told whole");
    for (patterns, pattern) in [("+PREFIX and digits", plain as fn(usize) -> String), ("+ or 00 before it", other)] {
        let mut costs = Vec::new();
        for routes in [10, 1_000, 100_000] {
            let began = Instant::now();
            let directory = directory(routes, pattern);
            let built = began.elapsed();
            let user = directory.user("alice").cloned().expect("alice");
            let ask = |dialled: &str, full: bool| {
                let question = Question { dialled, by: By::User(&user), at: Timestamp::UNIX_EPOCH, sent_on: false };
                let mut best = f64::MAX;
                for _ in 0..ROUNDS {
                    let began = Instant::now();
                    for _ in 0..DECISIONS {
                        black_box(directory.routing().decide(&directory, black_box(&question), full));
                    }
                    best = best.min(began.elapsed().as_secs_f64() * 1e6 / f64::from(DECISIONS));
                }
                best
            };
            // The last route of all, and a number that none has.
            let dialled = format!("900{}55501", prefix(routes - 1));
            let question =
                Question { dialled: &dialled, by: By::User(&user), at: Timestamp::UNIX_EPOCH, sent_on: false };
            let goes = directory.routing().decide(&directory, &question, false);
            assert!(matches!(&goes.destination, Destination::Outside(exits) if exits.len() == 2), "{goes:?}");
            let (goes, refused, whole) = (ask(&dialled, false), ask("900999", false), ask(&dialled, true));
            costs.push(goes);
            println!(
                "{routes:>8} {patterns:<22} {:>6.0} ms {goes:>7.2} us {refused:>7.2} us {whole:>7.2} us",
                built.as_secs_f64() * 1e3
            );
        }
        let (few, many) = (costs.first().copied().unwrap_or(0.0), costs.last().copied().unwrap_or(0.0));
        println!("{:>8} {patterns:<22} 10,000 times the routes cost {:.2} times", "", many / few);
    }
}

/// A prefix of six digits of its own for each route.
fn prefix(number: usize) -> String {
    format!("{}", 200_000 + number * 7 % 700_001)
}

fn plain(number: usize) -> String {
    format!(r"^\+{}\d+$", prefix(number))
}

fn other(number: usize) -> String {
    format!(r"^(?:\+|00){}\d*[0-9]$", prefix(number))
}

fn directory(routes: usize, pattern: fn(usize) -> String) -> Directory {
    let user = User {
        name: "alice".into(),
        display: String::new(),
        extension: Some("1001".into()),
        numbers: vec!["+390391234567".into()],
        secret: sip::auth::Secret::Password("a password".into()),
        contacts_max: None,
        max_calls: None,
        srtp: None,
        routing: Assigned::default(),
        mailbox: None,
        keys_by_info: false,
        pickup_group: None,
    };
    let gateways = ["first", "second"].map(gateway);
    let rules = (0..20).map(|n| Rewrite::new("", &format!(r"^8{n:02}(\d{{2}})$"), "+3903912$1").expect("a rule"));
    let route = |number| Route {
        name: format!("route-{number}").into(),
        pattern: Pattern::new(&pattern(number)).expect("a pattern"),
        exclude: Vec::new(),
        usages: vec!["all".into()],
        gateways: vec!["first".into(), "second".into()],
        caller: None,
        hours: None,
    };
    let spec = Spec {
        global: Scope { dial_plan: Some("plan".into()), policy: Some("staff".into()) },
        dial_plans: vec![DialPlan {
            name: "plan".into(),
            extension_digits: 4,
            country_code: Some("39".into()),
            international_prefix: Some("00".into()),
            access_code: Some("9".into()),
            rules: rules.collect(),
            ..DialPlan::default()
        }],
        policies: vec![VoicePolicy {
            name: "staff".into(),
            usages: vec!["none".into(), "all".into()],
            transfer: true,
            ..VoicePolicy::default()
        }],
        routes: (0..routes).map(route).collect(),
        ..Spec::default()
    };
    Directory::new(&["example.com".into()], &[user], &gateways, &[], &[], spec)
}

fn gateway(name: &str) -> Gateway {
    Gateway::new(name, Host::Ip([127, 0, 0, 2].into()))
}
