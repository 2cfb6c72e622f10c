//! Whom a call was diverted from, as its INVITE says it.

use sip::value::{NameAddr, Uri};
use sip::{Message, Name};

use crate::mail::ReasonForCall;

/// Diversions that are read; a longer chain is no usual one.
const READ_MAX: usize = 16;

/// The user parts of those whom a call was diverted from, the one whose mailbox it is most likely for first.
///
/// Diversion has the most recent first (RFC 5806 section 3.4), and the one who was dialled first is meant. In History-Info
/// (RFC 7044) the last entry is where the call is now, and the one before it who sent it there (reference, unified
/// messaging, 3.2).
pub fn diverted(invite: &Message) -> Vec<String> {
    let users = |name: Name| -> Vec<String> {
        let values = invite.values(name).take(READ_MAX).filter_map(Result::ok);
        values
            .filter_map(|value| Uri::parse(NameAddr::parse(value).ok()?.uri).ok()?.user_text())
            .map(|user| user.split(';').next().unwrap_or_default().to_owned())
            .filter(|user| !user.is_empty())
            .collect()
    };
    let mut found = users(Name::Diversion);
    if found.is_empty() {
        found = users(Name::HistoryInfo);
        let now = found.pop();
        found.retain(|user| Some(user) != now.as_ref());
    }
    found.reverse();
    found.dedup();
    found
}

/// Why a call was diverted to us, as the last diversion says it (RFC 5806 section 4; RFC 7044 section 10.2): `Direct` where none
/// is told.
pub fn why_diverted(invite: &Message) -> ReasonForCall {
    let text = |value: &[u8]| String::from_utf8_lossy(value).to_ascii_lowercase();
    if let Some(Ok(last)) = invite.values(Name::Diversion).next() {
        let last = text(last);
        return match () {
            () if last.contains("user-busy") => ReasonForCall::DivertBusy,
            () if last.contains("no-answer") || last.contains("unavailable") => ReasonForCall::DivertNoAnswer,
            () => ReasonForCall::DivertForward,
        };
    }
    let history: Vec<String> = invite.values(Name::HistoryInfo).take(READ_MAX).flatten().map(text).collect();
    // The entry before the last has the answer by which it was left.
    let Some(left) = history.iter().rev().nth(1) else { return ReasonForCall::Direct };
    match () {
        () if left.contains("cause%3d486") || left.contains("cause=486") => ReasonForCall::DivertBusy,
        () if ["408", "480", "487"].iter().any(|code| left.contains(&format!("cause%3d{code}"))) => {
            ReasonForCall::DivertNoAnswer
        }
        () => ReasonForCall::DivertForward,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &str) -> Vec<String> {
        let text = format!(
            "INVITE sip:9000@example.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n\
             To: <sip:9000@example.com>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n{headers}Content-Length: 0\r\n\r\n"
        );
        diverted(&Message::parse(text.into_bytes()).unwrap())
    }

    #[test]
    fn the_one_who_was_dialled_first_comes_first_of_several_diversions() {
        assert_eq!(of("Diversion: <tel:10001>;reason=no-answer\r\n"), ["10001"]);
        let two = "Diversion: <sip:1002@h>;reason=unconditional, <sip:1001@h>;reason=user-busy\r\n";
        assert_eq!(of(two), ["1001", "1002"]);
        assert_eq!(of(""), Vec::<String>::new());
    }

    #[test]
    fn of_a_history_the_one_before_the_last_is_meant() {
        let history = "History-Info: <sip:1001@h?Reason=SIP%3Bcause%3D486>;index=1, <sip:1002@h>;index=1.1, \
                       <sip:9000@h>;index=1.1.1\r\n";
        assert_eq!(of(history), ["1002", "1001"]);
        assert_eq!(of("History-Info: <sip:9000@h>;index=1\r\n"), Vec::<String>::new());
        assert_eq!(of("History-Info: <sip:9000@h>;index=1, <sip:9000@other>;index=1.1\r\n"), Vec::<String>::new());
    }

    #[test]
    fn why_a_call_was_diverted_is_told_by_its_last_diversion() {
        let why = |headers: &str| {
            let text = format!(
                "INVITE sip:9000@example.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n\
                 To: <sip:9000@example.com>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n{headers}Content-Length: 0\r\n\r\n"
            );
            why_diverted(&Message::parse(text.into_bytes()).unwrap())
        };
        assert_eq!(why(""), ReasonForCall::Direct);
        assert_eq!(why("Diversion: <tel:1>;reason=user-busy, <tel:2>;reason=no-answer\r\n"), ReasonForCall::DivertBusy);
        assert_eq!(why("Diversion: <tel:1>;reason=unconditional\r\n"), ReasonForCall::DivertForward);
        let history = |cause: &str| {
            why(&format!("History-Info: <sip:1@h?Reason=SIP%3Bcause%3D{cause}>;index=1, <sip:9000@h>;index=1.1\r\n"))
        };
        assert_eq!((history("486"), history("408")), (ReasonForCall::DivertBusy, ReasonForCall::DivertNoAnswer));
    }
}
