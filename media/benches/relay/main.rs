//! What a relayed packet costs: CPU of our pool for a packet of 172 bytes received and sent, at 1, 100 and 500 flows, beside
//! two forwarders that do nothing else, and beside rtpengine in userspace. `benches/relay.sh` runs it; its head says how.
//!
//! Each relay is a process of its own, whose CPU time the kernel tells to the nanosecond; the phones ([`generator`]) are this
//! process, and do not count. All relays are set up first, then they take turns, so that what else the machine does falls on
//! all of them.

mod bare;
mod generator;
mod pool;
mod process;
mod rtpengine;

use generator::{Count, GATHER, Generator};
use media::PortMode;
use process::Usage;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

/// Flows of a run that is not told how many.
const FLOWS: usize = 100;
/// As long as a busy worker of the pool gathers.
const GATHER_RELAY: Duration = Duration::from_micros(500);
const WARM_UP: Duration = Duration::from_millis(300);

fn main() {
    // `cargo bench` adds a word of its own.
    let words: Vec<_> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => measure(FLOWS),
        ["heading"] => heading(),
        ["serve", kind] => serve(kind),
        [flows] => measure(flows.parse().expect("how many flows")),
        _ => panic!("`FLOWS`, `heading` or `serve KIND`"),
    }
}

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: a number")))
}

fn rounds() -> u64 {
    setting("ROUNDS", 5)
}

fn window() -> Duration {
    Duration::from_millis(setting("WINDOW_MS", 1500))
}

fn heading() {
    println!(
        "{} turns of {} ms; 50 packets of 172 bytes a second and stream, two streams a flow, gathered for {} us",
        rounds(),
        window().as_millis(),
        GATHER.as_micros()
    );
    println!(
        "{:>5}  {:<10} {:>9} {:>15} {:>10} {:>10} {:>10} {:>8} {:>6} {:>6} {:>7} {:>9}",
        "flows",
        "relay",
        "us/packet",
        "(range)",
        "/connected",
        "/batched",
        "/rtpengine",
        "packets",
        "lost",
        "wrong",
        "sleeps",
        "memory/B"
    );
}

fn measure(flows: usize) {
    let mut relays = Under::all(flows);
    for turn in 0..rounds() {
        for at in 0..relays.len() {
            let at = (at + usize::try_from(turn).unwrap_or(0)) % relays.len();
            relays[at].turn(window());
        }
    }
    let costs: Vec<_> = relays.iter().map(|relay| (relay.name, relay.median())).collect();
    relays.iter().for_each(|relay| relay.print(flows, &costs));
    relays.into_iter().for_each(Under::end);
}

/// A relay under test, with the phones that speak through it.
struct Under {
    name: &'static str,
    relay: Relay,
    phones: Generator,
    memory_before: u64,
    /// Microseconds a packet, turn by turn.
    costs: Vec<f64>,
    sleeps: u64,
    sum: Count,
}

enum Relay {
    /// A process of ours, which ends when its standard input does.
    Ours(Child, ChildStdin),
    /// Ended by who started it, with its calls.
    Rtpengine(u32),
}

impl Under {
    /// Everything that is compared, with so many flows open.
    fn all(flows: usize) -> Vec<Under> {
        let this = std::env::current_exe().expect("this program");
        let kinds = ["connected", "batched", "gathering", "range", "single"];
        let ours = kinds.map(|kind| Under::ours(kind, kind, &this, flows));
        let before =
            std::env::var("BEFORE").ok().map(|program| Under::ours("before", "range", program.as_ref(), flows));
        ours.into_iter().chain(before).chain(Under::rtpengine(flows)).collect()
    }

    fn new(name: &'static str, relay: Relay, phones: Generator, memory_before: u64) -> Under {
        Under { name, relay, phones, memory_before, costs: Vec::new(), sleeps: 0, sum: Count::default() }
    }

    /// A kind of relay that a build of this program serves.
    fn ours(name: &'static str, kind: &str, program: &Path, flows: usize) -> Under {
        let phones = Generator::new(flows);
        // On which core, and with which priority.
        let prefix = std::env::var("RELAY_RUN").unwrap_or_default();
        let mut words = prefix.split_whitespace();
        let mut command = match words.next() {
            Some(runner) => {
                let mut command = Command::new(runner);
                command.args(words).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.args(["serve", kind]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a process");
        let mut input = child.stdin.take().expect("piped");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map(|line| line.expect("a line"));
        assert_eq!(lines.next().as_deref(), Some("ready"));
        let memory_before = process::memory(child.id());
        write_ports(&mut input, &phones.ports());
        phones.aim(&read_ports(&mut lines));
        Under::new(name, Relay::Ours(child, input), phones, memory_before)
    }

    /// rtpengine, where the environment names one.
    fn rtpengine(flows: usize) -> Option<Under> {
        let address = std::env::var("RTPENGINE").ok()?;
        let pid = u32::try_from(setting("RTPENGINE_PID", 0)).expect("a process id");
        let memory_before = process::memory(pid);
        let phones = Generator::new(flows);
        let mut control = rtpengine::Control::new(&address);
        let ports = phones.ports().into_iter().enumerate();
        phones.aim(&ports.map(|(nth, ports)| control.open(&format!("relay-{nth}"), ports)).collect::<Vec<_>>());
        Some(Under::new("rtpengine", Relay::Rtpengine(pid), phones, memory_before))
    }

    fn pid(&self) -> u32 {
        match &self.relay {
            Relay::Ours(child, _) => child.id(),
            Relay::Rtpengine(pid) => *pid,
        }
    }

    fn turn(&mut self, window: Duration) {
        self.phones.run(WARM_UP);
        let before = process::usage(self.pid());
        let count = self.phones.run(window);
        let Usage { cpu_ns, sleeps } = process::usage(self.pid());
        self.costs.push((cpu_ns - before.cpu_ns) as f64 / 1000.0 / count.right.max(1) as f64);
        self.sleeps += sleeps - before.sleeps;
        self.sum.sent += count.sent;
        self.sum.right += count.right;
        self.sum.wrong += count.wrong;
        self.sum.late += count.late;
    }

    fn median(&self) -> f64 {
        let mut costs = self.costs.clone();
        costs.sort_by(f64::total_cmp);
        costs.get(costs.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn print(&self, flows: usize, costs: &[(&str, f64)]) {
        let (least, most) = self.costs.iter().fold((f64::MAX, 0f64), |(l, m), cost| (l.min(*cost), m.max(*cost)));
        let to =
            |name: &str| costs.iter().find(|(of, _)| *of == name).map_or(f64::NAN, |(_, cost)| self.median() / cost);
        let grown = process::memory(self.pid()).saturating_sub(self.memory_before) / flows as u64;
        let Count { sent, right, wrong, late } = self.sum;
        println!(
            "{flows:>5}  {:<10} {:>9.2} {:>15} {:>10.2} {:>10.2} {:>10.2} {sent:>8} {:>6} {wrong:>6} {:>7.3} {grown:>9}{}",
            self.name,
            self.median(),
            format!("({least:.2}-{most:.2})"),
            to("connected"),
            to("batched"),
            to("rtpengine"),
            sent.saturating_sub(right + wrong),
            self.sleeps as f64 / sent.max(1) as f64,
            if late * 1000 > sent { format!("  {late} left late") } else { String::new() },
        );
    }

    fn end(self) {
        if let Relay::Ours(mut child, input) = self.relay {
            drop(input);
            child.wait().expect("ended");
        }
    }
}

/// The process of a relay of ours: says that it is there, reads the phones' ports, prints its own, and relays until its
/// standard input ends.
fn serve(kind: &str) {
    let mode = match kind {
        "range" => Some(PortMode::Range),
        "single" => Some(PortMode::Single),
        _ => None,
    };
    let mut pool = mode.map(pool::Relay::new);
    println!("ready");
    let mut lines = std::io::stdin().lines().map(|line| line.expect("a line"));
    let phones = read_ports(&mut lines);
    let mut output = std::io::stdout().lock();
    match (&mut pool, kind) {
        (Some(pool), _) => write_ports(&mut output, &pool.open(&phones)),
        (None, "connected" | "gathering") => {
            let gather = if kind == "gathering" { GATHER_RELAY } else { Duration::ZERO };
            let (ports, forward) = bare::connected(&phones, gather);
            std::thread::spawn(forward);
            write_ports(&mut output, &ports);
        }
        (None, "batched") => {
            let (ports, forward) = bare::batched(&phones);
            std::thread::spawn(forward);
            write_ports(&mut output, &ports);
        }
        _ => panic!("no relay is called {kind}"),
    }
    lines.for_each(drop);
}

/// Port pairs, one a line, and an empty line.
fn write_ports(to: &mut impl Write, ports: &[(u16, u16)]) {
    let text: String = ports.iter().map(|(a, b)| format!("{a} {b}\n")).collect();
    to.write_all((text + "\n").as_bytes()).expect("written");
    to.flush().expect("written");
}

fn read_ports(lines: &mut impl Iterator<Item = String>) -> Vec<(u16, u16)> {
    let pair = |line: String| {
        let (a, b) = line.split_once(' ').expect("two ports");
        (a.parse().expect("a port"), b.parse().expect("a port"))
    };
    lines.take_while(|line| !line.is_empty()).map(pair).collect()
}
