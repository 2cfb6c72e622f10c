//! What the supervision tests share: an actor that tells what happens to it, and waits that have a bound.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::{future::Future, sync::mpsc, time::Duration};

use actors::supervision::{
    Backoff, Cx, Ended, Intensity, Live, Ref, Reply, Restart, Spec, StopReason, Strategy, Supervisor, Tree, child,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub const DEADLINE: Duration = Duration::from_secs(10);

/// What a probe reports, with its name.
#[derive(Debug, PartialEq, Eq, Clone)]
pub enum Event {
    Started(&'static str),
    Stopping(&'static str, StopReason),
    Dropped(&'static str),
}

pub enum ProbeMsg {
    /// Counts, and answers with the count: state that a fresh incarnation does not have.
    Count(Reply<u32>),
    Boom(&'static str),
    BoomInFuture,
    Stop,
    Fail(&'static str),
    /// Says that it is blocked, then blocks its thread until the other end is dropped.
    Block(Reply<()>, mpsc::Receiver<()>),
    Forget(Reply<()>),
}

pub struct Probe {
    name: &'static str,
    count: u32,
    events: UnboundedSender<Event>,
    /// Ends only when told to by `Stop`, although it was asked to halt.
    pub stubborn: bool,
}

impl Probe {
    pub fn new(name: &'static str, events: &UnboundedSender<Event>) -> Self {
        Self { name, count: 0, events: events.clone(), stubborn: false }
    }
}

impl Live for Probe {
    type Msg = ProbeMsg;
    const KIND: &'static str = "probe";
    const MAILBOX: usize = 4;

    fn started(&mut self, _: &mut Cx<'_, Self>) {
        let _ = self.events.send(Event::Started(self.name));
    }

    fn handle(&mut self, msg: ProbeMsg, cx: &mut Cx<'_, Self>) {
        match msg {
            ProbeMsg::Count(reply) => {
                self.count += 1;
                reply.send(self.count);
            }
            ProbeMsg::Boom(text) => panic!("{text}"),
            ProbeMsg::BoomInFuture => {
                cx.spawn(async { panic!("in a future") }, |_, (), _| {});
            }
            ProbeMsg::Stop => cx.stop(),
            ProbeMsg::Fail(cause) => cx.fail(cause),
            ProbeMsg::Block(blocked, until) => {
                blocked.send(());
                let _ = until.recv();
            }
            ProbeMsg::Forget(reply) => drop(reply),
        }
    }

    fn halting(&mut self, cx: &mut Cx<'_, Self>) {
        if !self.stubborn {
            cx.stop();
        }
    }

    fn stopping(&mut self, why: &StopReason, _: &mut Cx<'_, Self>) {
        let _ = self.events.send(Event::Stopping(self.name, *why));
    }

    fn describe(&self) -> String {
        format!("counted {}", self.count)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let _ = self.events.send(Event::Dropped(self.name));
    }
}

/// A tree under test with the events of its probes.
pub struct House {
    pub tree: Tree,
    pub root: Ref<Supervisor>,
    pub events: UnboundedReceiver<Event>,
    pub ended: tokio::sync::oneshot::Receiver<Ended>,
}

impl House {
    /// Plants a root that `build` fills; it gets the sender of events.
    pub fn build(build: impl FnOnce(&UnboundedSender<Event>) -> Supervisor) -> Self {
        let (sender, events) = unbounded_channel();
        let (told, ended) = tokio::sync::oneshot::channel();
        let tree = Tree::new();
        let root = tree.plant("switch", build(&sender), move |how| {
            let _ = told.send(how);
        });
        Self { tree, root, events, ended }
    }

    pub async fn next(&mut self) -> Event {
        soon(self.events.recv()).await.expect("the probes are alive")
    }

    pub async fn starts(&mut self, names: &[&'static str]) {
        for name in names {
            assert_eq!(self.next().await, Event::Started(name));
        }
    }

    /// Waits until `name` starts, whatever happens before.
    pub async fn until_started(&mut self, name: &'static str) {
        while self.next().await != Event::Started(name) {}
    }

    pub fn node(&self, path: &str) -> actors::supervision::NodeView {
        self.tree.snapshot().into_iter().find(|node| &*node.path == path).expect("the path is in the tree")
    }
}

pub fn calm() -> Intensity {
    Intensity { restarts: 10, within: Duration::from_secs(60) }
}

/// A root of this strategy whose restarts never wait.
pub fn root(strategy: Strategy) -> Supervisor {
    Supervisor::new(strategy, calm()).backoff(Backoff { first: Duration::ZERO, most: Duration::ZERO })
}

pub fn probe(name: &'static str, restart: Restart, seat: &Ref<Probe>, events: &UnboundedSender<Event>) -> Spec {
    let events = events.clone();
    child(name, restart, move || Probe::new(name, &events)).seat(seat).into()
}

pub async fn count(of: &Ref<Probe>) -> u32 {
    soon(of.ask(ProbeMsg::Count, DEADLINE)).await.expect("the probe answers")
}

/// A test that waits for what never comes fails instead of hanging.
pub async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future).await.expect("it happens within the deadline")
}
