//! Call detail records: each ended call leaves one line of JSON, in a file and in the store (design law 8).
//!
//! A shard hands its ended calls over a few times a second, so that a call costs no wake of another thread and no barrier
//! of its own on the disk.

use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::Arc;

use crate::figures::MediaFigures;
use crate::shared::Shared;
use crate::supervision::{Cx, Live};

/// A call detail record.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallDetail {
    /// The switch's name of the call.
    pub id: String,
    /// The caller's Call-ID.
    pub sip_call_id: String,
    /// Node.
    pub node: String,
    /// Caller's address of record.
    pub from: String,
    /// Callee's address of record, service or dialled address.
    pub to: String,
    /// What was dialled; `to` is another where the call was sent on, transferred or taken by an agent.
    pub dialled: String,
    /// RFC 3339, UTC.
    pub started: String,
    /// When somebody answered.
    pub answered: Option<String>,
    /// When it ended.
    pub ended: String,
    /// ms from INVITE to end.
    pub duration_ms: i64,
    /// ms from answer to end.
    pub talk_ms: i64,
    /// Final SIP status: 200 for an answered call.
    pub sip_status: u16,
    /// Q.850 cause (RFC 3398 section 7.2.4, 8.2.6.1).
    pub q850: u8,
    /// `caller`, `callee`, `switch`.
    pub hung_up_by: String,
    /// Codec towards the caller.
    pub codec_a: Option<String>,
    /// Codec towards the callee.
    pub codec_b: Option<String>,
    /// The caller's media.
    pub media_a: MediaFigures,
    /// The callee's media.
    pub media_b: MediaFigures,
    /// What passed beside the sound: pictures, text, fax, floor control.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LineDetail>,
    /// Why it ended, in words.
    pub cause: String,
    /// What it has come to with voice mail, if it came there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail: Option<crate::mail::MailDetail>,
}

/// A line of a call beside its sound, while it was there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LineDetail {
    /// Its place in the descriptions.
    pub line: usize,
    /// `video`, `text`, `image`, `application`.
    pub kind: String,
    /// RTP packets or datagrams that came from the caller.
    pub packets_a: u64,
    /// Those that came from the callee.
    pub packets_b: u64,
}

/// What the writer can be told.
pub enum RecordsMsg {
    /// Calls have ended.
    Ended(Vec<EndedCall>),
}

/// A call that has ended.
pub struct EndedCall {
    /// The record.
    pub detail: CallDetail,
    /// When it began, ms since 1970.
    pub started_ms: i64,
    /// When it ended, ms since 1970.
    pub ended_ms: i64,
}

/// Bytes of a line, about.
const LINE_BYTES_USUAL: usize = 1_280;

/// The writer.
pub struct Records {
    shared: Arc<Shared>,
    file: Option<File>,
    written: u64,
    failed: u64,
}

impl Records {
    /// A writer for `shared`; the file is opened when it starts.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, file: None, written: 0, failed: 0 }
    }
}

impl Live for Records {
    type Msg = RecordsMsg;
    const KIND: &'static str = "records";
    const MAILBOX: usize = 65_536;
    const KEEPS_MAIL: bool = true;

    fn started(&mut self, _: &mut Cx<'_, Self>) {
        let settings = self.shared.settings();
        let Some(path) = &settings.cdr_file else { return };
        match OpenOptions::new().create(true).append(true).open(path) {
            Ok(file) => self.file = Some(file),
            Err(error) => tracing::error!(path = %path.display(), %error, "the call record file cannot be opened"),
        }
    }

    fn handle(&mut self, RecordsMsg::Ended(calls): RecordsMsg, _: &mut Cx<'_, Self>) {
        let mut lines = String::with_capacity(calls.len() * LINE_BYTES_USUAL);
        let mut records = Vec::with_capacity(calls.len());
        let count = u64::try_from(calls.len()).unwrap_or(u64::MAX);
        for EndedCall { detail, started_ms, ended_ms } in calls {
            let Ok(line) = serde_json::to_string(&detail) else { continue };
            lines.push_str(&line);
            lines.push('\n');
            records.push(store::CallRecord {
                call_id: detail.sip_call_id,
                parties: vec![detail.from, detail.to],
                started_at_ms: started_ms,
                ended_at_ms: ended_ms,
                line,
            });
        }
        self.shared.store.calls().append(&records, |result| {
            if let Err(error) = result {
                tracing::warn!(%error, "call records were not stored");
            }
        });
        // One append of whole lines; the file's page cache takes it without waiting for the disk.
        match self.file.as_mut().map(|file| file.write_all(lines.as_bytes())) {
            Some(Err(error)) => {
                self.failed += count;
                tracing::error!(%error, "call records were not written to their file; they are in the store");
            }
            _ => self.written += count,
        }
    }

    fn describe(&self) -> String {
        format!("{} records written, {} not", self.written, self.failed)
    }
}
