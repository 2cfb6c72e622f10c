//! The outbox: letters leave by SMTP, one after the other, and are tried again until they do or their time is over.
//!
//! A letter is in the store before its message is acknowledged, so none is lost with the process. One that was taken by the other
//! side just before a crash may go twice; its Message-ID is the same.

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use serde::Serialize;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use store::{Letter, LetterKind};

use super::Attach;
use super::letter::{self, Sound};
use super::mailbox::MailboxMsg;
use crate::shared::{Shared, unix_ms};
use crate::supervision::{Cx, Live, Reply};

/// How long a server may take for a letter.
const PATIENCE: Duration = Duration::from_secs(60);
/// The first wait after a failure; it doubles up to the longest.
const WAIT_FIRST: Duration = Duration::from_secs(5);
const WAIT_MAX: Duration = Duration::from_secs(1800);
/// Letters that were given up are kept, to be seen, for so long.
const GIVEN_UP_KEPT: Duration = Duration::from_secs(7 * 86_400);
/// Messages whose letters wait for nothing; those beyond wait until they are due.
const READY_MAX: usize = 10_000;
/// How often the outbox is looked at where nothing is due.
const LOOK_AGAIN: Duration = Duration::from_secs(300);

/// How letters leave.
#[derive(Clone, Debug)]
pub struct Smtp {
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether it is spoken to in TLS.
    pub security: SmtpSecurity,
    /// What its certificate must be signed by, PEM, where that is not the public ones.
    pub ca: Option<Vec<u8>>,
    /// Who we are to it.
    pub account: Option<(String, String)>,
    /// The sender of letters.
    pub from: String,
    /// How long a letter is tried.
    pub give_up: Duration,
}

/// TLS towards the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// None.
    Plain,
    /// From a plain beginning (RFC 3207).
    StartTls,
    /// From the beginning (RFC 8314).
    Tls,
}

/// What the outbox can be told.
pub enum OutboxMsg {
    /// There are letters, or may be.
    Look,
    /// The letter about a message waits for its words no longer.
    Ready(String, u64),
    /// What waits, and what was given up.
    List(Reply<Vec<LetterView>>),
}

/// A letter for an operator.
#[derive(Clone, Debug, Serialize)]
pub struct LetterView {
    /// Names it.
    pub number: u64,
    /// Whose mailbox.
    pub mailbox: String,
    /// The address.
    pub to: String,
    /// `voice`, `missed` or `notice`.
    pub kind: &'static str,
    /// Tries that failed.
    pub tries: u32,
    /// When the next is due, ms since 1970.
    pub due_ms: i64,
    /// Why it was given up.
    pub given_up: Option<String>,
}

impl From<&Letter> for LetterView {
    fn from(letter: &Letter) -> Self {
        Self {
            number: letter.number,
            mailbox: letter.mailbox.clone(),
            to: letter.to.clone(),
            kind: match letter.kind {
                LetterKind::Voice(_) => "voice",
                LetterKind::Missed => "missed",
                LetterKind::Notice { .. } => "notice",
            },
            tries: letter.tries,
            due_ms: letter.due_ms,
            given_up: letter.given_up.clone(),
        }
    }
}

/// See the module.
pub struct Outbox {
    shared: Arc<Shared>,
    busy: bool,
    /// Somebody has asked for a look while one was under way.
    again: bool,
    /// Messages whose letters wait for nothing.
    ready: HashSet<(String, u64)>,
    waiting: usize,
    sent: u64,
    failed: u64,
}

/// How a try ended.
enum Tried {
    Sent,
    /// It may work later.
    Later(String),
    /// It never will.
    Never(String),
}

impl Outbox {
    /// The outbox of the node.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, busy: false, again: false, ready: HashSet::new(), waiting: 0, sent: 0, failed: 0 }
    }

    fn look(&mut self, cx: &mut Cx<'_, Self>) {
        if std::mem::replace(&mut self.busy, true) {
            self.again = true;
            return;
        }
        let mailboxes = self.shared.store.mailboxes();
        let reading = tokio::task::spawn_blocking(move || mailboxes.letters());
        cx.spawn(reading, |this, letters, cx| match letters {
            Ok(Ok(letters)) => this.take_next(letters, cx),
            Ok(Err(error)) => {
                tracing::error!(%error, "the outbox cannot be read");
                this.rest(LOOK_AGAIN, cx);
            }
            Err(error) => cx.fail(format!("reading the outbox: {error}")),
        });
    }

    /// Tries the letter that is due first; looks again afterwards.
    fn take_next(&mut self, letters: Vec<Letter>, cx: &mut Cx<'_, Self>) {
        let now = unix_ms();
        let kept_ms = i64::try_from(GIVEN_UP_KEPT.as_millis()).unwrap_or(i64::MAX);
        for old in letters.iter().filter(|letter| letter.given_up.is_some() && now - letter.written_ms > kept_ms) {
            self.shared.store.mailboxes().remove_letter(old.number, |_| {});
        }
        self.waiting = letters.iter().filter(|letter| letter.given_up.is_none()).count();
        let mut open: Vec<Letter> = letters.into_iter().filter(|letter| letter.given_up.is_none()).collect();
        for letter in &mut open {
            if letter.tries == 0 && self.is_ready(letter) {
                letter.due_ms = letter.written_ms;
            }
        }
        let Some(letter) = open.into_iter().min_by_key(|letter| (letter.due_ms, letter.number)) else {
            self.ready.clear();
            return self.rest(LOOK_AGAIN, cx);
        };
        let Some(smtp) = self.shared.settings().mail.smtp.clone() else { return self.rest(LOOK_AGAIN, cx) };
        if letter.due_ms > now {
            let wait = Duration::from_millis(u64::try_from(letter.due_ms - now).unwrap_or(0));
            return self.rest(wait.min(LOOK_AGAIN), cx);
        }
        if let LetterKind::Voice(number) = letter.kind {
            self.ready.remove(&(letter.mailbox.clone(), number));
        }
        let shared = Arc::clone(&self.shared);
        let trying = async move {
            let tried = deliver(&shared, &smtp, &letter).await;
            settle(&shared, &smtp, letter, &tried).await;
            tried
        };
        cx.spawn(trying, |this, tried, cx| {
            match tried {
                Tried::Sent => this.sent += 1,
                Tried::Later(_) | Tried::Never(_) => this.failed += 1,
            }
            this.busy = false;
            this.look(cx);
        });
    }

    fn is_ready(&self, letter: &Letter) -> bool {
        matches!(letter.kind, LetterKind::Voice(number) if self.ready.contains(&(letter.mailbox.clone(), number)))
    }

    fn rest(&mut self, wait: Duration, cx: &mut Cx<'_, Self>) {
        self.busy = false;
        if std::mem::take(&mut self.again) {
            return self.look(cx);
        }
        cx.later(wait, |this, cx| {
            if !this.busy {
                this.look(cx);
            }
        });
    }
}

impl Live for Outbox {
    type Msg = OutboxMsg;
    const KIND: &'static str = "outbox";
    const MAILBOX: usize = 64;

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        self.look(cx);
    }

    fn handle(&mut self, msg: OutboxMsg, cx: &mut Cx<'_, Self>) {
        match msg {
            OutboxMsg::Look => self.look(cx),
            OutboxMsg::Ready(mailbox, number) => {
                if self.ready.len() < READY_MAX {
                    self.ready.insert((mailbox, number));
                }
                self.look(cx);
            }
            OutboxMsg::List(reply) => {
                let mailboxes = self.shared.store.mailboxes();
                let reading = tokio::task::spawn_blocking(move || mailboxes.letters().unwrap_or_default());
                cx.spawn(reading, |_, letters, _| {
                    reply.send(letters.unwrap_or_default().iter().map(LetterView::from).collect());
                });
            }
        }
    }

    fn describe(&self) -> String {
        format!("{} waiting, {} sent, {} tries failed", self.waiting, self.sent, self.failed)
    }
}

async fn deliver(shared: &Arc<Shared>, smtp: &Smtp, letter: &Letter) -> Tried {
    let sound = match letter.kind {
        LetterKind::Voice(number) => {
            let (reply, answer) = tokio::sync::oneshot::channel();
            let asked = shared.mailroom.send(shared, &letter.mailbox, MailboxMsg::Audio(number, Reply::of(reply)));
            match (asked, tokio::time::timeout(PATIENCE, answer).await) {
                (Ok(()), Ok(Ok(Ok(sound)))) => Some(sound),
                // It was deleted meanwhile, or is damaged: that it was there is told all the same.
                (Ok(()), Ok(Ok(Err(_)))) => None,
                _ => return Tried::Later("the mailbox does not answer".into()),
            }
        }
        _ => None,
    };
    let words = preview(shared, letter).await;
    let attach = shared.mailroom.owner(shared, &letter.mailbox).map_or(Attach::Wav, |owner| owner.policy.attach);
    let (voice, sound) = match sound {
        Some((voice, file)) => match formed(file, attach).await {
            Some(made) => (Some(voice), Some(made)),
            None => return Tried::Later("its sound was not made".into()),
        },
        None => (None, None),
    };
    let sound = voice.as_ref().zip(sound).map(|(voice, (file, form))| Sound { voice, file, form });
    let message = match letter::write(letter, &smtp.from, sound, words.as_deref()) {
        Ok(message) => message,
        Err(error) => return Tried::Never(error.to_string()),
    };
    let transport = match transport(smtp) {
        Ok(transport) => transport,
        Err(error) => return Tried::Later(error.to_string()),
    };
    match tokio::time::timeout(PATIENCE, transport.send(message)).await {
        Ok(Ok(_)) => Tried::Sent,
        Ok(Err(error)) if error.is_permanent() => Tried::Never(error.to_string()),
        Ok(Err(error)) => Tried::Later(error.to_string()),
        Err(_) => Tried::Later("the server takes too long".into()),
    }
}

/// What a letter says of the words of its message.
async fn preview(shared: &Arc<Shared>, letter: &Letter) -> Option<String> {
    let settings = shared.settings().mail.transcripts.clone()?;
    let LetterKind::Voice(number) = letter.kind else { return None };
    let (reply, answer) = tokio::sync::oneshot::channel();
    shared.mailroom.send(shared, &letter.mailbox, MailboxMsg::Transcript(number, Reply::of(reply))).ok()?;
    let transcript = tokio::time::timeout(PATIENCE, answer).await.ok()?.ok()??;
    Some(transcript.letter(settings.confidence_low, settings.confidence_min))
}

/// The file in the form in which it is attached; as it is where it cannot be made so.
async fn formed(file: Vec<u8>, form: Attach) -> Option<(Vec<u8>, Attach)> {
    if form == Attach::Wav {
        return Some((file, form));
    }
    let made = tokio::task::spawn_blocking(move || match media::ogg::of_wav(&file) {
        Ok(packed) => (packed, form),
        Err(error) => {
            tracing::warn!(%error, "a message is attached as WAV");
            (file, Attach::Wav)
        }
    });
    made.await.ok()
}

/// Writes how a letter stands; it is waited for, so that one that was sent is not sent again.
async fn settle(shared: &Arc<Shared>, smtp: &Smtp, letter: Letter, tried: &Tried) {
    let (done, written) = tokio::sync::oneshot::channel();
    let reply = move |outcome: Result<(), store::StoreError>| {
        if let Err(error) = outcome {
            tracing::error!(%error, "a letter's state is not written: it may go twice");
        }
        let _ = done.send(());
    };
    let mailboxes = shared.store.mailboxes();
    match tried {
        Tried::Sent => mailboxes.remove_letter(letter.number, reply),
        Tried::Later(why) | Tried::Never(why) => {
            let now = unix_ms();
            let tries = letter.tries.saturating_add(1);
            let wait = WAIT_FIRST.saturating_mul(1 << tries.min(16).saturating_sub(1)).min(WAIT_MAX);
            let age = Duration::from_millis(u64::try_from(now - letter.written_ms).unwrap_or(0));
            let over = matches!(tried, Tried::Never(_)) || age > smtp.give_up;
            tracing::warn!(mailbox = letter.mailbox, tries, over, why, "a letter was not delivered");
            let due_ms = now + i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
            let given_up = over.then(|| why.chars().take(500).collect());
            mailboxes.put_letter(&Letter { tries, due_ms, given_up, ..letter }, reply);
        }
    }
    let _ = written.await;
}

fn transport(smtp: &Smtp) -> Result<AsyncSmtpTransport<Tokio1Executor>, lettre::transport::smtp::Error> {
    let mut builder =
        AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&smtp.host).port(smtp.port).timeout(Some(PATIENCE));
    if let Some((user, password)) = &smtp.account {
        builder = builder.credentials(Credentials::new(user.clone(), password.clone()));
    }
    let parameters = || {
        let own = TlsParameters::builder(smtp.host.clone());
        match &smtp.ca {
            Some(pem) => {
                own.certificate_store(CertificateStore::None).add_root_certificate(Certificate::from_pem(pem)?).build()
            }
            None => own.certificate_store(CertificateStore::WebpkiRoots).build(),
        }
    };
    Ok(match smtp.security {
        SmtpSecurity::Plain => builder.tls(Tls::None),
        SmtpSecurity::StartTls => builder.tls(Tls::Required(parameters()?)),
        SmtpSecurity::Tls => builder.tls(Tls::Wrapper(parameters()?)),
    }
    .build())
}

/// A number that no letter has had: later ones are higher.
pub fn new_number(now_ms: i64) -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    // Microseconds, so that those of one millisecond differ.
    let now = u64::try_from(now_ms).unwrap_or(0).saturating_mul(1000);
    let before = LAST.fetch_update(Relaxed, Relaxed, |last| Some(now.max(last + 1))).unwrap_or(0);
    now.max(before + 1)
}
