//! What a piece of work costs: CPU time of this thread (`/proc/thread-self/schedstat`) and, where valgrind is installed,
//! instructions (callgrind, the difference between two runs of this program, so that start-up does not count).

use std::process::Command;

/// Repetitions of which CPU time is taken.
const ROUNDS: u64 = 100_000;
/// Repetitions of the longer callgrind run; the shorter has half.
const COUNTED: u64 = 2_000;

/// A row of a table: its name and its work.
pub type Row = (&'static str, Box<dyn Fn()>);

/// What one repetition of a row costs.
#[derive(Clone, Copy)]
pub struct Cost {
    pub cpu_ns: f64,
    /// `None` without valgrind.
    pub instructions: Option<u64>,
}

/// Prints the table of rows and gives its figures. In a run under callgrind it does the work that is asked for, and ends.
pub fn table(rows: &[Row]) -> Vec<Cost> {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|a| a == "--only") {
        let number = |i: usize| arguments[at + i].parse::<usize>().unwrap();
        (0..number(2)).for_each(|_| rows[number(1)].1());
        std::process::exit(0);
    }
    println!("{:38} {:>10} {:>14}", "", "CPU ns", "instructions");
    let cost = |(at, (name, work)): (usize, &Row)| {
        let cost = Cost { cpu_ns: time(work), instructions: instructions(at) };
        let shown = cost.instructions.map_or_else(|| "no valgrind".to_owned(), |count| count.to_string());
        println!("{name:38} {:>10.0} {shown:>14}", cost.cpu_ns);
        cost
    };
    rows.iter().enumerate().map(cost).collect()
}

fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = stat.split(' ').next().unwrap_or_default();
    first.parse().unwrap_or(0)
}

/// Nanoseconds of CPU a repetition, the least of five: what disturbs only adds.
fn time(work: &dyn Fn()) -> f64 {
    let run = || {
        let from = cpu_ns();
        (0..ROUNDS / 5).for_each(|_| work());
        (cpu_ns() - from) as f64 / (ROUNDS / 5) as f64
    };
    (0..5).map(|_| run()).fold(f64::MAX, f64::min)
}

fn instructions(row: usize) -> Option<u64> {
    let count = |rounds: u64| -> Option<u64> {
        let run = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(std::env::current_exe().ok()?)
            .args(["--only", &row.to_string(), &rounds.to_string()])
            .output()
            .ok()?;
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        let line = said.lines().find(|l| l.contains("Collected :"))?;
        line.rsplit(' ').next()?.parse().ok()
    };
    let (long, short) = (count(COUNTED)?, count(COUNTED / 2)?);
    Some((long - short) / (COUNTED / 2))
}
