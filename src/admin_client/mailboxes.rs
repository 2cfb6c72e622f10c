//! What is asked about mailboxes.

use anyhow::Context as _;
use serde_json::Value;

use super::{ANSWER_BYTES_MAX, AdminClient, path_segment};

impl AdminClient {
    /// The mailboxes: `{"mailboxes": […]}`.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn mailboxes(&self) -> anyhow::Result<Value> {
        self.get("/api/mailboxes")
    }

    /// A mailbox with its messages: `{"mailbox": …}`.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn mailbox(&self, user: &str) -> anyhow::Result<Value> {
        self.get(&format!("/api/mailboxes/{}", path_segment(user)))
    }

    /// Has something done with a mailbox; docs/http.md says what can be ordered.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn order_mailbox(&self, user: &str, order: &Value) -> anyhow::Result<Value> {
        self.post(&format!("/api/mailboxes/{}", path_segment(user)), order)
    }

    /// What the owner of a mailbox has written about callers: `{"rules": […], "contacts": […]}`.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn callers(&self, user: &str) -> anyhow::Result<Value> {
        self.get(&format!("/api/mailboxes/{}/callers", path_segment(user)))
    }

    /// Sets all of it.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn set_callers(&self, user: &str, book: &Value) -> anyhow::Result<Value> {
        let url = format!("{}/api/mailboxes/{}/callers", self.base, path_segment(user));
        let bearer = format!("Bearer {}", self.token);
        let response = self.agent.put(&url).header("Authorization", bearer).send_json(book);
        response.map_err(|error| self.unanswered(error)).and_then(|response| self.answer(response))
    }

    /// Has a phone called, and something played there: `{"play": …}`.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn play(&self, user: &str, wanted: &Value) -> anyhow::Result<Value> {
        self.post(&format!("/api/mailboxes/{}/play", path_segment(user)), wanted)
    }

    /// The records of a day's calls with voice mail, as CSV.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn mail_records(&self, day: &str) -> anyhow::Result<Vec<u8>> {
        self.bytes(&format!("/api/mail/records?day={}", path_segment(day)))
    }

    /// Sums of them, by `day`, `hour`, `plan` or `gateway`: `{"sums": …}`.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn mail_statistics(&self, by: &str) -> anyhow::Result<Value> {
        self.get(&format!("/api/mail/statistics?by={}", path_segment(by)))
    }

    /// The letters that wait: `{"letters": […]}`.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn outbox(&self) -> anyhow::Result<Value> {
        self.get("/api/outbox")
    }

    /// The words of a message: `{"transcript": …}`.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn transcript(&self, user: &str, number: u64) -> anyhow::Result<Value> {
        self.get(&format!("/api/mailboxes/{}/messages/{number}/transcript", path_segment(user)))
    }

    /// What is at a path, as bytes: sound.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn bytes(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let mut response = self.request(path, None).map_err(|error| self.unanswered(error))?;
        if !response.status().is_success() {
            return self.answer(response).map(|_| Vec::new());
        }
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        body.with_context(|| format!("the answer of {} broke off", self.base))
    }

    /// Adds a message to a mailbox: what it is, and its sound.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn import_message(&self, user: &str, what: &[(&str, String)], sound: &[u8]) -> anyhow::Result<Value> {
        let query: Vec<String> = what.iter().map(|(key, value)| format!("{key}={}", path_segment(value))).collect();
        let url = format!("{}/api/mailboxes/{}/messages?{}", self.base, path_segment(user), query.join("&"));
        let request = self.agent.post(url).header("Authorization", format!("Bearer {}", self.token));
        let sent = request.header("Content-Type", "audio/wav").send(sound);
        sent.map_err(|error| self.unanswered(error)).and_then(|response| self.answer(response))
    }

    /// Sets a greeting of a mailbox.
    ///
    /// # Errors
    ///
    /// See [`Self::tree`].
    pub fn set_greeting(&self, user: &str, which: &str, sound: &[u8]) -> anyhow::Result<Value> {
        let url = format!("{}/api/mailboxes/{}/greetings/{}", self.base, path_segment(user), path_segment(which));
        let request = self.agent.put(url).header("Authorization", format!("Bearer {}", self.token));
        let sent = request.header("Content-Type", "audio/wav").send(sound);
        sent.map_err(|error| self.unanswered(error)).and_then(|response| self.answer(response))
    }
}
