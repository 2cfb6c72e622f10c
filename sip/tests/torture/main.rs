//! The messages of RFC 4475 and RFC 5118, each judged as its RFC says: accepted with these facts, refused with this
//! kind and answer, or dropped in silence.
//!
//! Every row carries a message of our own with the same property, so the judgement is proven without the RFCs' files;
//! where those are found beside the checkout they must be judged the same, fact by fact. Some rows are well-formed and
//! refused by the application only: there the row proves the fact on which the switch decides, and `gate` names the
//! answer that the RFC wants from the crate `actors` (its gate, `shard/gate.rs`, or its registrar), which is proved there.

mod application;
mod invalid;
mod ipv6;
mod own;
mod valid;

use sip::message::{frame, refuse};
use sip::{Message, Name, ParseError};
use std::path::Path;

/// What an accepted message must say.
pub(crate) struct Facts {
    pub(crate) method: &'static str,
    pub(crate) cseq: u32,
    pub(crate) to_tag: bool,
    pub(crate) vias: usize,
    pub(crate) contacts: usize,
    pub(crate) body_bytes: usize,
}

/// What the RFC wants.
pub(crate) enum Want {
    /// Read, with these facts and what the function checks besides.
    Accept(Facts, fn(&Message)),
    /// Refused for this reason; a request is answered with this status.
    Answer(ParseError, u16),
    /// Refused for this reason and not answered.
    Silence(ParseError),
}

/// One message.
pub(crate) struct Row {
    /// Name in the RFC.
    pub(crate) name: &'static str,
    /// Section of the RFC.
    pub(crate) section: &'static str,
    pub(crate) want: Want,
    /// The answer that the RFC wants from the application, where a well-formed message is not simply carried out.
    pub(crate) gate: Option<u16>,
    /// A message of our own with the same property.
    pub(crate) own: Vec<u8>,
}

fn read(raw: &[u8]) -> Result<Message, ParseError> {
    let message = Message::parse(raw.to_vec())?;
    message.check()?;
    Ok(message)
}

fn judge(row: &Row, raw: &[u8], whose: &str) {
    let at = format!("{} ({}, {whose})", row.name, row.section);
    match (&row.want, read(raw)) {
        (Want::Accept(facts, more), Ok(message)) => {
            assert_eq!(message.method().as_str(), facts.method, "{at}: method");
            assert_eq!(message.cseq(), facts.cseq, "{at}: CSeq");
            assert_eq!(message.to_tag().is_some(), facts.to_tag, "{at}: To tag");
            let count = |name| message.values(name).map(Result::unwrap).collect::<Vec<_>>().len();
            assert_eq!(count(Name::Via), facts.vias, "{at}: Via values");
            assert_eq!(count(Name::Contact), facts.contacts, "{at}: Contact values");
            assert_eq!(message.body().len(), facts.body_bytes, "{at}: body");
            if let Some(status) = row.gate {
                assert!(message.is_request() && status >= 400, "{at}: gate");
            }
            more(&message);
            let again = read(&message.print()).unwrap_or_else(|e| panic!("{at}: printed: {e}"));
            assert_eq!(message.print(), again.print(), "{at}: printed twice");
        }
        (Want::Answer(kind, status), Err(error)) => {
            assert_eq!(error, *kind, "{at}");
            assert_eq!(error.status().code(), *status, "{at}");
            let answer = refuse(raw, error).unwrap_or_else(|| panic!("{at}: no answer"));
            let start = format!("SIP/2.0 {status} ");
            assert!(answer.starts_with(start.as_bytes()), "{at}: answer");
            assert!(frame(&answer).is_ok(), "{at}: the answer has no end");
        }
        (Want::Silence(kind), Err(error)) => {
            assert_eq!(error, *kind, "{at}");
            assert_eq!(refuse(raw, error), None, "{at}: answered");
        }
        (_, outcome) => panic!("{at}: judged {outcome:?}"),
    }
}

fn judge_all(rows: &[Row], folder: &str, extension: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/torture").join(folder);
    for row in rows {
        judge(row, &row.own, "ours");
        if folder.is_dir() {
            let file = folder.join(format!("{}{extension}", row.name));
            judge(row, &std::fs::read(&file).unwrap(), "the RFC's");
        }
    }
    let mut names: Vec<_> = rows.iter().map(|r| r.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), rows.len(), "every message stands once");
}

#[test]
fn the_49_messages_of_rfc_4475_are_judged_as_it_says() {
    let rows: Vec<Row> = [valid::rows(), invalid::rows(), application::rows()].into_iter().flatten().collect();
    assert_eq!(rows.len(), 49);
    judge_all(&rows, "rfc4475", ".dat");
}

#[test]
fn the_12_messages_of_rfc_5118_are_judged_as_it_says() {
    let rows = ipv6::rows();
    assert_eq!(rows.len(), 12);
    judge_all(&rows, "rfc5118", "");
}
