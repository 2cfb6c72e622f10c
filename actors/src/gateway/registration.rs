//! Our registration with a carrier (RFC 3261 section 10.2). Rules only; time comes in.
//!
//! | answer | then |
//! | --- | --- |
//! | 200 | refreshed before it ends: half of a short time before, two minutes of a long one |
//! | 401, 407 | once more with credentials, and again while the carrier says that its nonce was stale |
//! | 423 | once more with its Min-Expires |
//! | anything else, or nothing | again after a rest that doubles (RFC 5626 section 4.5), or as Retry-After says |

use std::time::Duration;

use sip::auth::{Answerer, Attempt, ChallengedBy};
use sip::value::{NameAddr, RetryAfter, Uri};
use sip::{Message, Name, Status};

/// RFC 5626 section 4.5: the first rest after a failure, and the longest one.
const REST_FIRST: Duration = Duration::from_secs(30);
const REST_MAX: Duration = Duration::from_secs(1_800);
/// How long before its end a long registration is refreshed at most.
const REFRESH_BEFORE_MAX: Duration = Duration::from_secs(120);
/// Longest expiry that is asked for because of a Min-Expires, in seconds.
const EXPIRES_MAX_S: u32 = 86_400 * 7;

/// A registration of ours.
pub struct Registration {
    answerer: Answerer,
    attempt: Attempt,
    cseq: u32,
    /// What is asked for, in seconds.
    expires_s: u32,
    /// When it ends; `None` while there is none.
    until: Option<Duration>,
    /// When the next REGISTER is due; `None` while one is on its way, or nothing more is wanted.
    next: Option<Duration>,
    /// Failures in a row.
    failures: u32,
    /// It is being taken back.
    leaving: bool,
    /// Credentials for the request that is due, after a challenge.
    credentials: Option<(ChallengedBy, String)>,
}

/// What a REGISTER says.
#[derive(Debug, PartialEq, Eq)]
pub struct Ask {
    /// CSeq.
    pub cseq: u32,
    /// Value of Expires, in seconds; 0 takes the binding back.
    pub expires_s: u32,
    /// Credentials, and in which header they go.
    pub credentials: Option<(ChallengedBy, String)>,
}

/// What an answer has come to.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is asked once more, at once.
    Again,
    /// We are registered for so long.
    Registered(Duration),
    /// We are not registered any more, as was wanted.
    Left,
    /// It failed, with this to be told.
    Failed(String),
}

impl Registration {
    /// One that is due at once. `expires_s` is what is asked for.
    pub fn new(answerer: Answerer, expires_s: u32, now: Duration) -> Self {
        Self {
            answerer,
            attempt: Attempt::default(),
            cseq: 0,
            expires_s,
            until: None,
            next: Some(now),
            failures: 0,
            leaving: false,
            credentials: None,
        }
    }

    /// When something is to be done; `None` while an answer is waited for.
    pub const fn next(&self) -> Option<Duration> {
        self.next
    }

    /// Whether the carrier has a binding of ours.
    pub fn is_registered(&self, now: Duration) -> bool {
        self.until.is_some_and(|until| until > now)
    }

    /// Whether a binding of ours has to be taken back.
    pub const fn is_to_be_left(&self) -> bool {
        self.until.is_some() && !self.leaving
    }

    /// Whether the binding is being taken back.
    pub const fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// Whether nothing of ours is left with the carrier, and nothing more is sent.
    pub const fn has_left(&self) -> bool {
        self.until.is_none() && self.next.is_none()
    }

    /// The next REGISTER to `uri`; it is on its way then.
    pub fn ask(&mut self, uri: &str) -> Ask {
        self.cseq += 1;
        self.next = None;
        let credentials = self.credentials.take();
        let credentials = credentials.or_else(|| {
            self.attempt = Attempt::default();
            self.answerer.anticipate(&mut self.attempt, "REGISTER", uri)
        });
        Ask { cseq: self.cseq, expires_s: if self.leaving { 0 } else { self.expires_s }, credentials }
    }

    /// The binding is taken back: the next REGISTER says so, and none follows.
    pub fn leave(&mut self, now: Duration) {
        self.leaving = true;
        self.next = Some(now);
        self.credentials = None;
    }

    /// An answer to the REGISTER that is on its way, which went to `uri` for `contact`. `chance` is between 0 and 1.
    pub fn answered(&mut self, now: Duration, response: &Message, uri: &str, contact: &str, chance: f64) -> Outcome {
        let Some(status) = response.status() else { return Outcome::Again };
        match status {
            status if status.is_success() => self.granted(now, response, contact),
            Status::UNAUTHORIZED | Status::PROXY_AUTHENTICATION_REQUIRED => {
                match challenge(response, status, &mut self.answerer, &mut self.attempt, "REGISTER", uri) {
                    Ok(credentials) => {
                        self.credentials = Some(credentials);
                        self.next = Some(now);
                        Outcome::Again
                    }
                    Err(why) => self.failed(now, why, None, chance),
                }
            }
            Status::INTERVAL_TOO_BRIEF => {
                let least = response.number(Name::MinExpires, u64::from(EXPIRES_MAX_S)).ok().flatten();
                let least = least.and_then(|least| u32::try_from(least).ok());
                match least.filter(|least| *least > self.expires_s) {
                    Some(least) => {
                        self.expires_s = least;
                        self.next = Some(now);
                        Outcome::Again
                    }
                    None => self.failed(now, "423 without a Min-Expires that helps".to_owned(), None, chance),
                }
            }
            status => {
                let after = response.value(Name::RetryAfter).and_then(|value| RetryAfter::parse(value).ok());
                let after = after.map(|after| Duration::from_secs(after.seconds.into()));
                self.failed(now, format!("{} {}", status.code(), response.reason()), after, chance)
            }
        }
    }

    /// Nothing came.
    pub fn unanswered(&mut self, now: Duration, why: &str, chance: f64) -> Outcome {
        self.failed(now, why.to_owned(), None, chance)
    }

    fn granted(&mut self, now: Duration, response: &Message, contact: &str) -> Outcome {
        self.failures = 0;
        if self.leaving {
            self.until = None;
            return Outcome::Left;
        }
        // RFC 3261 section 10.2.4: what the Contact of ours says, else Expires, else what was asked for.
        let ours = Uri::parse(contact.as_bytes()).ok();
        let expires = response
            .values(Name::Contact)
            .filter_map(|value| NameAddr::parse(value.ok()?).ok())
            .find(|found| {
                let found = Uri::parse(found.uri).ok();
                found.zip(ours).is_some_and(|(found, ours)| {
                    found.user == ours.user && found.host.eq_ignore_ascii_case(ours.host) && found.port == ours.port
                })
            })
            .and_then(|found| std::str::from_utf8(found.params.value(b"expires")?).ok()?.parse::<u32>().ok());
        let header = || response.number(Name::Expires, u64::from(u32::MAX)).ok().flatten();
        let expires = expires.or_else(|| header().and_then(|n| u32::try_from(n).ok())).unwrap_or(self.expires_s);
        let lasts = Duration::from_secs(expires.max(1).into());
        self.until = Some(now + lasts);
        self.next = Some(now + lasts - (lasts / 2).min(REFRESH_BEFORE_MAX));
        Outcome::Registered(lasts)
    }

    fn failed(&mut self, now: Duration, why: String, after: Option<Duration>, chance: f64) -> Outcome {
        if self.leaving {
            // Its end will come by itself.
            self.until = None;
            self.next = None;
            return Outcome::Left;
        }
        self.attempt = Attempt::default();
        let doublings = self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        // RFC 5626 section 4.5: between half of the rest and all of it.
        let rest = REST_FIRST.saturating_mul(1 << doublings).min(REST_MAX).mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0));
        self.next = Some(now + rest.max(after.unwrap_or_default()));
        Outcome::Failed(why)
    }
}

/// What answers a 401 or 407: the header's kind and value.
///
/// # Errors
/// Why it is not answered, in words.
pub fn challenge(
    response: &Message,
    status: Status,
    answerer: &mut Answerer,
    attempt: &mut Attempt,
    method: &str,
    uri: &str,
) -> Result<(ChallengedBy, String), String> {
    let (by, name) = match status {
        Status::PROXY_AUTHENTICATION_REQUIRED => (ChallengedBy::Proxy, Name::ProxyAuthenticate),
        _ => (ChallengedBy::Server, Name::WwwAuthenticate),
    };
    let lines: Vec<_> = response.all(name).map(|header| header.unfolded().into_owned()).collect();
    let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
    let value = answerer.answer(attempt, PEER, by, &lines, method, uri).map_err(|why| why.to_string())?;
    Ok((by, value))
}

/// How the one peer of an answerer of ours is called: each gateway has answerers of its own, and only answers to requests
/// that went to it come to them.
pub const PEER: &str = "gateway";

#[cfg(test)]
mod tests {
    use super::*;
    use sip::auth::{Account, Algorithm, Challenger, Realm, Request, Secret, Verdict};

    const URI: &str = "sip:carrier.example";
    const CONTACT: &str = "sip:us@192.0.2.1:5060";

    fn registration() -> Registration {
        let account = Account {
            peer: PEER.into(),
            realm: None,
            username: "us".into(),
            secret: Secret::Password("s3cret-s3cret".into()),
        };
        Registration::new(Answerer::new(account, &[3; 32]), 3_600, Duration::ZERO)
    }

    fn answer(status: &str, more: &str) -> Message {
        let text = format!(
            "SIP/2.0 {status}\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:us@carrier.example>;tag=1\r\n\
             To: <sip:us@carrier.example>;tag=2\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\n{more}Content-Length: 0\r\n\r\n"
        );
        Message::parse(text.into_bytes()).unwrap()
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_registration_is_proved_granted_and_refreshed_before_it_ends() {
        let mut ours = registration();
        let realm = Realm {
            name: "carrier".into(),
            algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
            nonce_lifetime_ms: 60_000,
            replay_entries_max: 10,
            userhash: false,
        };
        let mut carrier = Challenger::new(realm, &[1; 32], 1);
        assert_eq!(ours.next(), Some(Duration::ZERO));
        assert_eq!(ours.ask(URI), Ask { cseq: 1, expires_s: 3_600, credentials: None });
        assert_eq!(ours.next(), None, "one at a time");
        let lines = carrier.challenge_values(0, b"", false);
        let lines: String = lines.iter().map(|line| format!("WWW-Authenticate: {line}\r\n")).collect();
        assert_eq!(ours.answered(s(1), &answer("401 Unauthorized", &lines), URI, CONTACT, 0.5), Outcome::Again);
        assert_eq!(ours.next(), Some(s(1)));
        let ask = ours.ask(URI);
        let (by, value) = ask.credentials.unwrap();
        assert_eq!((ask.cseq, by), (2, ChallengedBy::Server));
        let request = Request { method: "REGISTER", uri: URI.as_bytes(), scope: b"" };
        let secret = |user: &str, _: &str| (user == "us").then(|| Secret::Password("s3cret-s3cret".into()));
        assert_eq!(carrier.verify(1, &request, value.as_bytes(), &secret), Verdict::Ok { user: "us".into() });
        // The carrier grants less than was asked for, and has a binding of somebody else's too.
        let granted = answer("200 OK", &format!("Contact: <sip:us@192.0.2.9>;expires=9, <{CONTACT}>;expires=600\r\n"));
        assert_eq!(ours.answered(s(2), &granted, URI, CONTACT, 0.5), Outcome::Registered(s(600)));
        assert_eq!(ours.next(), Some(s(2 + 480)));
        assert!(ours.is_registered(s(601)) && !ours.is_registered(s(602)));
        let anticipated = ours.ask(URI);
        assert!(anticipated.credentials.is_some(), "the nonce of before serves again (RFC 3261 section 22.1)");
        // Short ones are refreshed after half of their time.
        let granted = answer("200 OK", "Expires: 60\r\n");
        assert_eq!(ours.answered(s(482), &granted, URI, CONTACT, 0.5), Outcome::Registered(s(60)));
        assert_eq!(ours.next(), Some(s(482 + 30)));
    }

    #[test]
    fn a_stale_nonce_is_followed_and_a_wrong_password_is_not_tried_again_at_once() {
        let mut ours = registration();
        ours.ask(URI);
        let challenge = |more: &str| {
            let line = format!("WWW-Authenticate: Digest realm=\"r\", nonce=\"{more}\", qop=\"auth\", algorithm=MD5");
            line + if more == "n2" { ", stale=true\r\n" } else { "\r\n" }
        };
        let asked = |ours: &mut Registration, nonce: &str, at| {
            ours.answered(s(at), &answer("401 Unauthorized", &challenge(nonce)), URI, CONTACT, 1.0)
        };
        assert_eq!(asked(&mut ours, "n1", 1), Outcome::Again);
        ours.ask(URI);
        assert_eq!(asked(&mut ours, "n2", 2), Outcome::Again, "stale");
        ours.ask(URI);
        assert!(matches!(asked(&mut ours, "n3", 3), Outcome::Failed(_)));
        assert_eq!(ours.next(), Some(s(3 + 30)));
    }

    #[test]
    fn a_carrier_that_wants_longer_gets_longer_once() {
        let mut ours = registration();
        ours.ask(URI);
        let brief = answer("423 Interval Too Brief", "Min-Expires: 7200\r\n");
        assert_eq!(ours.answered(s(1), &brief, URI, CONTACT, 0.0), Outcome::Again);
        assert_eq!(ours.ask(URI).expires_s, 7_200);
        assert!(matches!(ours.answered(s(2), &brief, URI, CONTACT, 0.0), Outcome::Failed(_)));
    }

    #[test]
    fn rests_after_failures_double_to_half_an_hour_and_keep_to_retry_after() {
        let mut ours = registration();
        let mut rests = Vec::new();
        for _ in 0..8 {
            ours.ask(URI);
            ours.unanswered(Duration::ZERO, "nothing came", 1.0);
            rests.push(ours.next().unwrap().as_secs());
        }
        assert_eq!(rests, [30, 60, 120, 240, 480, 960, 1_800, 1_800]);
        ours.ask(URI);
        ours.answered(s(0), &answer("503 Service Unavailable", "Retry-After: 4000\r\n"), URI, CONTACT, 0.0);
        assert_eq!(ours.next(), Some(s(4_000)));
        ours.ask(URI);
        ours.answered(s(0), &answer("200 OK", "Expires: 3600\r\n"), URI, CONTACT, 0.0);
        ours.ask(URI);
        ours.unanswered(s(3_500), "nothing came", 0.0);
        assert_eq!(ours.next(), Some(s(3_515)), "it begins anew after a success");
        assert!(ours.is_registered(s(3_550)), "what was granted stands until it ends");
    }

    #[test]
    fn it_is_taken_back_once_and_nothing_follows() {
        let mut ours = registration();
        ours.ask(URI);
        ours.answered(s(0), &answer("200 OK", "Expires: 3600\r\n"), URI, CONTACT, 0.0);
        assert!(ours.is_to_be_left());
        ours.leave(s(10));
        assert_eq!(ours.ask(URI).expires_s, 0);
        assert_eq!(ours.answered(s(11), &answer("200 OK", ""), URI, CONTACT, 0.0), Outcome::Left);
        assert!(ours.has_left() && !ours.is_to_be_left());
    }
}
