//! Who an end is: it registers, and answers those who ask for its password.

use std::time::{Duration, Instant};

use anyhow::bail;
use sip::auth::{Account, Answerer, Attempt, ChallengedBy, Secret};
use sip::{Message, Name, Status};

use super::calls::Side;
use super::names::register;
use super::party::{Party, T1, T2};
use crate::load::challenges;
use crate::trial::plan::User;

/// How long a registration may take.
const REGISTER_WITHIN: Duration = Duration::from_secs(5);
/// For how long a callee is registered, s.
const REGISTERED_S: u32 = 300;
/// The peer that the credentials are for.
const PEER: &str = "switch";

/// What answers for `user`.
pub fn answerer(user: &User) -> Answerer {
    let account = Account {
        peer: PEER.to_owned(),
        realm: None,
        username: user.name.clone(),
        secret: Secret::Password(user.password.clone()),
    };
    Answerer::new(account, &rand::random())
}

impl Party {
    /// Says where a callee is, where that is to be known.
    ///
    /// # Errors
    /// The switch does not take it.
    pub fn register(&mut self, domain: &str) -> anyhow::Result<()> {
        match (self.side, self.user.clone()) {
            (Side::Callee, Some(user)) => self.registers(&user, domain, REGISTERED_S),
            _ => Ok(()),
        }
    }

    pub(super) fn registers(&mut self, user: &User, domain: &str, expires: u32) -> anyhow::Result<()> {
        let call_id = format!("replay{:016x}", rand::random::<u64>());
        let uri = format!("sip:{domain}");
        let (mut attempt, mut credentials) = (Attempt::default(), None);
        let began = Instant::now();
        for cseq in 1.. {
            let mut writer = register(&user.name, domain, self.local, cseq, expires, &call_id);
            if let Some((name, value)) = credentials.take() {
                writer.header(name, value);
            }
            let bytes = writer.finish();
            let mut every = T1;
            let response = 'sent: loop {
                self.socket.send_to(&bytes, self.target)?;
                let sent = Instant::now();
                while sent.elapsed() < every {
                    let Some(came) = self.came() else { continue };
                    let fits = came.call_id() == call_id.as_bytes() && came.cseq() == cseq;
                    if fits && came.status().is_some_and(|status| !status.is_provisional()) {
                        break 'sent came;
                    }
                }
                if began.elapsed() > REGISTER_WITHIN {
                    bail!("{} could not register: no answer within {REGISTER_WITHIN:?}", user.name);
                }
                every = (every * 2).min(T2);
            };
            match (self.answer(&mut attempt, &response, "REGISTER", &uri), response.status()) {
                (_, Some(status)) if status.is_success() => return Ok(()),
                (Some(answered), _) => credentials = Some(answered),
                (None, status) => {
                    let code = status.map_or(0, Status::code);
                    bail!("{} could not register: {code} {}", user.name, response.reason());
                }
            }
        }
        Ok(())
    }

    /// The header that answers a challenge, if it is one and can be answered.
    pub(super) fn answer(
        &mut self,
        attempt: &mut Attempt,
        challenge: &Message,
        method: &str,
        uri: &str,
    ) -> Option<(Name, String)> {
        let (by, name) = match challenge.status()? {
            Status::UNAUTHORIZED => (ChallengedBy::Server, Name::Authorization),
            Status::PROXY_AUTHENTICATION_REQUIRED => (ChallengedBy::Proxy, Name::ProxyAuthorization),
            _ => return None,
        };
        let lines = challenges(challenge, by);
        let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        let value = self.answerer.as_mut()?.answer(attempt, PEER, by, &lines, method, uri).ok()?;
        Some((name, value))
    }
}
