//! `strowger top`: a running switch at a glance, drawn anew every second. [`look`] asks it, [`screen`] draws what it said.

mod look;
mod screen;

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use anyhow::bail;
use ratatui::Terminal;
use ratatui::backend::{CrosstermBackend, TestBackend};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};

use crate::admin_client::AdminClient;
use look::Looks;

/// How wide and high a picture is that no terminal is there for.
const PICTURE: (u16, u16) = (120, 40);

/// One picture as text: two looks, `interval` apart, because rates need two.
///
/// # Errors
/// The switch does not answer.
pub fn once(client: &AdminClient, interval: Duration) -> anyhow::Result<String> {
    let mut looks = Looks::default();
    looks.look(client)?;
    std::thread::sleep(interval);
    looks.look(client)?;
    let mut terminal = Terminal::new(TestBackend::new(PICTURE.0, PICTURE.1))?;
    terminal.draw(|frame| screen::draw(frame, &looks))?;
    let buffer = terminal.backend().buffer();
    let rows = buffer.content().chunks(usize::from(PICTURE.0));
    let lines = rows.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>().trim_end().to_owned());
    Ok(lines.collect::<Vec<_>>().join("\n").trim_end().to_owned() + "\n")
}

/// Draws until `q`, Esc or Ctrl-C.
///
/// # Errors
/// Standard output is no terminal, or the switch does not answer at the first look.
pub fn live(client: &AdminClient, interval: Duration) -> anyhow::Result<()> {
    if !io::stdout().is_terminal() {
        bail!("standard output is no terminal: `strowger top --once` prints one picture");
    }
    let mut looks = Looks::default();
    looks.look(client)?;
    let _screen = Screen::take()?;
    let mut terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
    loop {
        terminal.draw(|frame| screen::draw(frame, &looks))?;
        let drawn = Instant::now();
        while let Some(left) = interval.checked_sub(drawn.elapsed()) {
            if event::poll(left)? && is_end(&event::read()?) {
                return Ok(());
            }
        }
        // A switch that is restarted comes back into the picture.
        if let Err(error) = looks.look(client) {
            looks.lost(&error);
        }
    }
}

fn is_end(event: &Event) -> bool {
    let Event::Key(key) = event else { return false };
    matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
        || key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL)
}

/// The terminal, given back as it was when this is dropped.
struct Screen;

impl Screen {
    fn take() -> io::Result<Self> {
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen)?;
        Ok(Self)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = execute!(io::stdout(), LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}
