//! The picture.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Sparkline, Table};

use super::look::{Looks, Status};
use crate::cli::humane::{count, duration_ms, safe};

const QUIET: Style = Style::new().add_modifier(Modifier::DIM);
const GOOD: Style = Style::new().fg(Color::Green);
const BAD: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, looks: &Looks) {
    let status = &looks.now.status;
    let loads = u16::try_from(status.shards.len().max(status.media.len())).unwrap_or(u16::MAX).min(12);
    let troubles = u16::from(looks.trouble.is_some() || !status.reasons.is_empty());
    let marked = u16::try_from(looks.now.marked.len()).unwrap_or(u16::MAX).min(6);
    let [head, trouble, curves, parts, restarted, calls, foot] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length(troubles),
        Constraint::Length(6),
        Constraint::Length(loads + 3),
        Constraint::Length(if marked == 0 { 0 } else { marked + 3 }),
        Constraint::Min(4),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    headline(frame, head, looks);
    if let Some(told) =
        looks.trouble.clone().or_else(|| Some(status.reasons.join("; ")).filter(|told| !told.is_empty()))
    {
        frame.render_widget(Paragraph::new(safe(&told, 400)).style(BAD), trouble);
    }
    let [up, rate] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(curves);
    curve(frame, up, &format!("Calls up: {}", status.calls), looks.calls_curve.iter().copied());
    curve(frame, rate, &format!("Begun in a second: {:.1}", looks.rates.begun), looks.rate_curve.iter().copied());
    let [shards, workers] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(parts);
    frame.render_widget(shard_table(status), shards);
    frame.render_widget(worker_table(status), workers);
    if marked > 0 {
        frame.render_widget(restart_table(looks), restarted);
    }
    frame.render_widget(call_table(looks), calls);
    frame.render_widget(Paragraph::new("q ends").style(QUIET), foot);
}

fn headline(frame: &mut Frame<'_>, area: Rect, looks: &Looks) {
    let (status, rates) = (&looks.now.status, &looks.rates);
    let state = if status.state == "ready" { GOOD } else { BAD };
    let name = Line::from(vec![
        Span::styled(format!("Strowger {} · {} · ", status.version, safe(&status.node, 64)), Modifier::BOLD),
        Span::styled(status.state.clone(), state),
        Span::raw(format!(
            " · up {} · {} registered · {}",
            duration_ms(status.uptime_s.saturating_mul(1_000)),
            status.registered,
            count(looks.now.actors, "actor"),
        )),
    ]);
    let figures = Line::from(format!(
        "in a second {:.1} answered, {:.1} registrations, {:.0} SIP messages, {:.0} RTP packets; RTP workers busy {:.1} % of a core",
        rates.answered,
        rates.registrations,
        rates.messages,
        rates.packets,
        rates.busy * 100.0,
    ));
    let store = Line::from(format!(
        "store: {} MiB on disk, {} call records, {} writes wait, {} have failed",
        status.store.bytes_on_disk >> 20,
        status.store.calls,
        status.store.queue_depth,
        status.store.failed_writes,
    ));
    frame.render_widget(Paragraph::new(vec![name, figures, store]), area);
}

fn curve(frame: &mut Frame<'_>, area: Rect, title: &str, values: impl DoubleEndedIterator<Item = u64>) {
    // The newest stands at the right edge.
    let wide = usize::from(area.width.saturating_sub(2));
    let mut shown: Vec<u64> = values.rev().take(wide).collect();
    shown.resize(wide, 0);
    shown.reverse();
    let line = Sparkline::default().block(block(title)).style(Style::new().fg(Color::Cyan)).data(&shown);
    frame.render_widget(line, area);
}

fn shard_table(status: &Status) -> Table<'static> {
    let rows = status.shards.iter().map(|shard| match &shard.load {
        Some(load) => numbers(&[shard.shard as u64, load.calls, load.dialogs, load.transactions, load.timers]),
        None => Row::new([shard.shard.to_string(), "does not answer".to_owned()]).style(BAD),
    });
    table("Shards", &["SHARD", "CALLS", "DIALOGS", "TRANSACTIONS", "TIMERS"], rows)
}

fn worker_table(status: &Status) -> Table<'static> {
    let rows = status.media.iter().map(|worker| {
        let figures = [worker.worker as u64, worker.flows, worker.packets_in, worker.packets_out, worker.restarts];
        if worker.running { numbers(&figures) } else { numbers(&figures).style(BAD) }
    });
    table("RTP workers", &["WORKER", "FLOWS", "PACKETS IN", "PACKETS OUT", "RESTARTS"], rows)
}

fn restart_table(looks: &Looks) -> Table<'static> {
    let rows = looks.now.marked.iter().take(6).map(|node| {
        let cause = safe(node.last_cause.as_deref().unwrap_or("-"), 60);
        Row::new([safe(&node.path, 48), node.state.clone(), node.restarts.to_string(), cause])
    });
    let widths = [Constraint::Fill(1), Constraint::Length(10), Constraint::Length(8), Constraint::Fill(1)];
    table("Restarted, or not running", &["ACTOR", "STATE", "RESTARTS", "LAST CAUSE"], rows).widths(widths)
}

fn call_table(looks: &Looks) -> Table<'static> {
    let rows = looks.now.calls.iter().rev().map(|call| {
        let codecs = [&call.codec_a, &call.codec_b].map(|codec| codec.as_deref().unwrap_or("-"));
        let mos = [&call.media_a, &call.media_b].map(|media| {
            media.as_ref().and_then(|media| media.mos).map_or_else(|| "-".to_owned(), |mos| format!("{mos:.1}"))
        });
        Row::new([
            call.id.clone(),
            call.state.clone(),
            safe(&call.from, 32),
            safe(&call.to, 32),
            duration_ms(call.duration_ms),
            codecs.join(" / "),
            mos.join(" / "),
        ])
    });
    let title = format!("Calls, the newest first: {}", looks.now.calls.len());
    // Names get what the rest leaves.
    let (name, fill) = (Constraint::Length, Constraint::Fill(1));
    let widths = [name(16), name(7), fill, fill, name(8), name(13), name(9)];
    table(&title, &["CALL", "STATE", "FROM", "TO", "LASTS", "CODECS", "MOS"], rows).widths(widths)
}

fn table(title: &str, heads: &[&'static str], rows: impl Iterator<Item = Row<'static>>) -> Table<'static> {
    let widths = heads.iter().map(|_| Constraint::Fill(1));
    let heads = Row::new(heads.iter().map(|head| Cell::from(*head))).style(QUIET);
    Table::new(rows, widths).header(heads).block(block(title))
}

fn numbers(figures: &[u64]) -> Row<'static> {
    Row::new(figures.iter().map(u64::to_string).collect::<Vec<_>>())
}

fn block(title: &str) -> Block<'static> {
    Block::new().borders(Borders::ALL).border_style(QUIET).title(title.to_owned())
}
