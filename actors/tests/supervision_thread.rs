//! A thread is supervised through its face.

mod supervision_common;

use std::{
    io,
    sync::{Arc, Mutex, mpsc},
    thread,
};

use actors::supervision::{Join, Restart, Strategy, Supervisor, ThreadBell, ThreadFace, child};
use supervision_common::*;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// The way to the present thread: what it is told is what it does.
type Line = Arc<Mutex<Option<mpsc::Sender<Order>>>>;

enum Order {
    Panic,
    Return,
    Stop,
}

/// A root with one thread that reports "up" and "down" and obeys the line.
fn worker() -> (House, Line, UnboundedReceiver<&'static str>) {
    let line = Line::default();
    let (report, reports) = unbounded_channel();
    let kept = Arc::clone(&line);
    let house = House::build(|_| {
        root(Strategy::OneForOne).with(child("worker-0", Restart::Permanent, move || {
            let (orders, inbox) = mpsc::channel();
            *kept.lock().unwrap() = Some(orders.clone());
            let report = report.clone();
            let body = move |bell: ThreadBell| {
                let thread = thread::Builder::new().name("worker-0".into()).spawn(move || {
                    let _bell = bell;
                    report.send("up").unwrap();
                    match inbox.recv() {
                        Ok(Order::Panic) => panic!("no power"),
                        Ok(Order::Return) | Err(_) => {}
                        Ok(Order::Stop) => report.send("stopped").unwrap(),
                    }
                })?;
                let join: Join = Box::new(move || drop(thread.join()));
                Ok(join)
            };
            ThreadFace::new(body, move || {
                let _ = orders.send(Order::Stop);
            })
        }))
    });
    (house, line, reports)
}

fn tell(line: &Line, order: Order) {
    line.lock().unwrap().as_ref().unwrap().send(order).unwrap();
}

#[actix::test]
async fn a_thread_that_panics_is_started_again_and_its_cause_is_known() {
    let (house, line, mut reports) = worker();
    assert_eq!(soon(reports.recv()).await, Some("up"));
    tell(&line, Order::Panic);
    assert_eq!(soon(reports.recv()).await, Some("up"));
    let cause = house.node("/switch/worker-0").last_cause.unwrap();
    assert!(cause.starts_with("its thread panicked: no power at "), "{cause}");
    assert!(cause.contains("supervision_thread.rs:"), "{cause}");
    tell(&line, Order::Return);
    assert_eq!(soon(reports.recv()).await, Some("up"));
    let node = house.node("/switch/worker-0");
    assert_eq!((node.restarts, node.last_cause.as_deref()), (2, Some("its thread ended unasked")));
}

#[actix::test]
async fn a_killed_face_ends_its_thread_before_the_next_one_starts() {
    let (house, _line, mut reports) = worker();
    assert_eq!(soon(reports.recv()).await, Some("up"));
    house.tree.kill("/switch/worker-0").unwrap();
    assert_eq!(soon(reports.recv()).await, Some("stopped"));
    assert_eq!(soon(reports.recv()).await, Some("up"));
    assert_eq!(house.node("/switch/worker-0").last_cause.as_deref(), Some("killed by operator"));
}

#[actix::test]
async fn shutdown_stops_the_thread_and_waits_for_it() {
    let (house, _line, mut reports) = worker();
    assert_eq!(soon(reports.recv()).await, Some("up"));
    house.root.halt();
    assert_eq!(soon(house.ended).await.unwrap().to_string(), "halted");
    assert_eq!(reports.recv().await, Some("stopped"));
    assert_eq!(reports.recv().await, None, "the thread and its face are gone");
}

#[actix::test]
async fn a_thread_that_cannot_start_fails_its_face() {
    let house = House::build(|_| {
        Supervisor::new(Strategy::OneForOne, actors::supervision::Intensity { restarts: 1, ..calm() })
            .backoff(actors::supervision::Backoff { first: std::time::Duration::ZERO, ..Default::default() })
            .with(child("worker-0", Restart::Permanent, || {
                ThreadFace::new(|_bell| Err(io::Error::other("no thread left")), || {})
            }))
    });
    let ended = soon(house.ended).await.unwrap().to_string();
    assert!(ended.ends_with("/switch/worker-0 its thread did not start: no thread left"), "{ended}");
}
