//! The actor that has messages read by a recogniser: a program beside the switch, so that nothing of it can harm a call.
//!
//! No message and no lamp waits for it. A letter about a message waits as long as its transcript may take, and goes without one
//! then. What waits here is lost with the actor: such messages have no transcript.

use std::collections::VecDeque;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, counter};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::mailbox::MailboxMsg;
use super::outbox::OutboxMsg;
use super::transcript::{self, Transcript};
use crate::shared::Shared;
use crate::supervision::{Cx, Live, Reply};

/// Messages that wait for the recogniser.
const WAITING_MAX: usize = 1_000;
/// What a recogniser may print, bytes.
const PRINTED_MAX: u64 = 1 << 20;
/// How long a mailbox may take for the sound, and for keeping the words.
const PATIENCE: Duration = Duration::from_secs(10);

/// How messages are read.
#[derive(Clone, Debug, PartialEq)]
pub struct TranscriptSettings {
    /// The recogniser, and what it is told; `{language}` is the language of voice mail, `{caller}` the caller's name.
    pub command: Vec<String>,
    /// What is longer is not read.
    pub longest: Duration,
    /// How long it may take, beyond twice the length of the message.
    pub patience: Duration,
    /// Recognisers that run at once.
    pub at_once: usize,
    /// Below this (0 to 1) a letter says that the words are not sure.
    pub confidence_low: f32,
    /// Below this it does not show them.
    pub confidence_min: f32,
}

impl TranscriptSettings {
    /// How long the words of a message may take.
    pub fn within(&self, length_ms: u64) -> Duration {
        Duration::from_millis(length_ms).saturating_mul(2).saturating_add(self.patience)
    }
}

/// What it can be told.
pub enum TranscriberMsg {
    /// A message to read.
    Read(Unread),
}

/// A message that nobody has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Whose.
    pub mailbox: String,
    /// Its number.
    pub number: u64,
    /// How long it plays, ms.
    pub length_ms: u64,
    /// The caller's name, as a hint.
    pub caller: String,
    /// Whether a letter waits for it.
    pub has_letter: bool,
}

/// See the module.
pub struct Transcriber {
    shared: Arc<Shared>,
    waiting: VecDeque<Unread>,
    running: usize,
    read: u64,
    failed: u64,
    outcomes: Outcomes,
}

struct Outcomes {
    read: Counter,
    failed: Counter,
    late: Counter,
    refused: Counter,
}

/// Why a message has no transcript.
#[derive(Debug, thiserror::Error)]
enum Unmade {
    #[error("the mailbox does not answer")]
    NoMailbox,
    /// It was deleted meanwhile.
    #[error("the message is not there: {0}")]
    NoMessage(store::StoreError),
    #[error("the recogniser `{0}` does not start: {1}")]
    NoStart(String, std::io::Error),
    #[error("the recogniser took longer than {0:?} and was ended")]
    Late(Duration),
    #[error("the recogniser failed: {0}")]
    Failed(String),
}

impl Transcriber {
    /// That of the node.
    pub fn new(shared: Arc<Shared>) -> Self {
        let of = |outcome: &'static str| counter!("strowger_transcripts_total", "outcome" => outcome);
        let outcomes = Outcomes { read: of("read"), failed: of("failed"), late: of("late"), refused: of("refused") };
        Self { shared, waiting: VecDeque::new(), running: 0, read: 0, failed: 0, outcomes }
    }

    fn next(&mut self, cx: &mut Cx<'_, Self>) {
        let Some(settings) = self.shared.settings().mail.transcripts.clone() else {
            // It was taken out of the configuration: letters need not wait.
            for unread in std::mem::take(&mut self.waiting) {
                self.release(&unread);
            }
            return;
        };
        while self.running < settings.at_once {
            let Some(unread) = self.waiting.pop_front() else { return };
            self.running += 1;
            let (shared, settings, job) = (Arc::clone(&self.shared), Arc::clone(&settings), unread.clone());
            let reading = async move { read(&shared, &settings, &job).await };
            cx.spawn(reading, move |this, made, cx| {
                this.running -= 1;
                match made {
                    Ok(()) => {
                        this.read += 1;
                        this.outcomes.read.increment(1);
                    }
                    Err(error) => {
                        this.failed += 1;
                        match error {
                            Unmade::Late(_) => this.outcomes.late.increment(1),
                            _ => this.outcomes.failed.increment(1),
                        }
                        tracing::warn!(mailbox = unread.mailbox, number = unread.number, %error, "a message has no transcript");
                    }
                }
                this.release(&unread);
                this.next(cx);
            });
        }
    }

    /// The letter about a message need not wait any longer.
    fn release(&self, unread: &Unread) {
        if !unread.has_letter {
            return;
        }
        let ready = OutboxMsg::Ready(unread.mailbox.clone(), unread.number);
        // One that does not hear it sends the letter when its time has come.
        let _told = self.shared.mailroom.outbox.try_send(ready);
    }
}

impl Live for Transcriber {
    type Msg = TranscriberMsg;
    const KIND: &'static str = "transcriber";
    const MAILBOX: usize = 1_024;

    fn started(&mut self, _: &mut Cx<'_, Self>) {}

    fn handle(&mut self, TranscriberMsg::Read(unread): TranscriberMsg, cx: &mut Cx<'_, Self>) {
        if self.waiting.len() >= WAITING_MAX {
            self.outcomes.refused.increment(1);
            return self.release(&unread);
        }
        self.waiting.push_back(unread);
        self.next(cx);
    }

    fn describe(&self) -> String {
        let Self { waiting, running, read, failed, .. } = self;
        format!("{running} being read, {} waiting, {read} read, {failed} failed", waiting.len())
    }
}

/// Reads a message, and keeps its words in its mailbox.
async fn read(shared: &Arc<Shared>, settings: &TranscriptSettings, job: &Unread) -> Result<(), Unmade> {
    let within = settings.within(job.length_ms);
    let sound = asked(shared, &job.mailbox, |reply| MailboxMsg::Audio(job.number, reply)).await?;
    let (_, file) = sound.map_err(Unmade::NoMessage)?;
    let prepared = tokio::task::spawn_blocking(move || transcript::for_recogniser(&file)).await;
    let wav = prepared.map_err(|error| Unmade::Failed(error.to_string()))?.map_err(Unmade::NoMessage)?;
    let language = shared.settings().mail.rules.language.tag();
    let words: Vec<String> = settings
        .command
        .iter()
        .map(|word| word.replace("{language}", language).replace("{caller}", &job.caller))
        .collect();
    let printed = tokio::time::timeout(within, run(&words, wav)).await.map_err(|_| Unmade::Late(within))??;
    let transcript = Transcript::parse(&printed).map_err(Unmade::Failed)?;
    let kept = asked(shared, &job.mailbox, |reply| MailboxMsg::Transcribed(job.number, transcript, reply)).await?;
    kept.map_err(Unmade::NoMessage)
}

async fn asked<T: Send + 'static>(
    shared: &Arc<Shared>,
    mailbox: &str,
    msg: impl FnOnce(Reply<T>) -> MailboxMsg,
) -> Result<T, Unmade> {
    let (reply, answer) = tokio::sync::oneshot::channel();
    shared.mailroom.send(shared, mailbox, msg(Reply::of(reply))).map_err(|_| Unmade::NoMailbox)?;
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        _ => Err(Unmade::NoMailbox),
    }
}

/// Runs a recogniser; it ends with the future, however that ends.
async fn run(words: &[String], wav: Vec<u8>) -> Result<Vec<u8>, Unmade> {
    let Some((program, arguments)) = words.split_first() else { return Ok(Vec::new()) };
    let failed = |error: std::io::Error| Unmade::Failed(error.to_string());
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Unmade::NoStart(program.clone(), error))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feeding = async move {
        if let Some(mut stdin) = stdin {
            // One that has heard enough closes its input.
            let _heard = stdin.write_all(&wav).await;
        }
    };
    let hearing = async move {
        let mut printed = Vec::new();
        if let Some(stdout) = stdout {
            stdout.take(PRINTED_MAX).read_to_end(&mut printed).await?;
        }
        Ok::<_, std::io::Error>(printed)
    };
    let complaining = async move {
        // What is past the bound is read and dropped: a pipe that is full would hold the recogniser.
        let (mut said, mut piece) = (Vec::new(), [0; 4_096]);
        if let Some(mut stderr) = stderr {
            while let Ok(count @ 1..) = stderr.read(&mut piece).await {
                said.extend_from_slice(piece.get(..count).unwrap_or_default());
                said.drain(..said.len().saturating_sub(2_000));
            }
        }
        said
    };
    let ((), printed, said) = tokio::join!(feeding, hearing, complaining);
    let printed = printed.map_err(failed)?;
    let ended = child.wait().await.map_err(failed)?;
    if !ended.success() {
        let said = String::from_utf8_lossy(&said);
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        return Err(Unmade::Failed(format!("{ended}: {last}")));
    }
    Ok(printed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(str::to_owned).to_vec()
    }

    #[tokio::test]
    async fn a_recogniser_gets_the_sound_and_its_words_are_heard() {
        let printed = run(&shell(r#"printf '{"text":"%s bytes"}' $(wc -c)"#), vec![7; 100_000]).await.unwrap();
        assert_eq!(Transcript::parse(&printed).unwrap().text, "100000 bytes");
    }

    #[tokio::test]
    async fn a_recogniser_that_fails_says_why() {
        let error = run(&shell("cat >/dev/null; echo no model >&2; exit 3"), vec![7; 100_000]).await.unwrap_err();
        assert!(error.to_string().contains("no model"), "{error}");
        let error = run(&["/nowhere/recogniser".to_owned()], Vec::new()).await.unwrap_err();
        assert!(error.to_string().contains("/nowhere/recogniser"), "{error}");
    }

    #[tokio::test]
    async fn a_recogniser_that_does_not_listen_or_never_stops_talking_is_no_trap() {
        let printed = run(&shell(r#"echo '{"text":"deaf"}'"#), vec![7; 1_000_000]).await.unwrap();
        assert_eq!(Transcript::parse(&printed).unwrap().text, "deaf");
        let loud = run(&shell("head -c 3000000 /dev/zero >&2; head -c 9000000 /dev/zero || true"), Vec::new()).await;
        assert!(loud.is_err() || loud.is_ok_and(|printed| printed.len() as u64 == PRINTED_MAX));
    }

    #[tokio::test]
    async fn a_recogniser_ends_with_the_wait_for_it() {
        let room = tempfile::tempdir().unwrap();
        let pid = room.path().join("pid");
        let script = format!("echo $$ >{0}.new; mv {0}.new {0}; exec sleep 60", pid.display());
        let words = shell(&script);
        let running = run(&words, Vec::new());
        let written = async {
            while !pid.exists() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! { _ = running => panic!("it ended"), () = written => {} }
        let number = std::fs::read_to_string(&pid).unwrap();
        let process = std::path::PathBuf::from(format!("/proc/{}/stat", number.trim()));
        // Killed; whoever reaps it may be a moment later.
        let is_over = || std::fs::read_to_string(&process).map_or(true, |stat| stat.contains(") Z "));
        while !is_over() {
            tokio::task::yield_now().await;
        }
    }
}
