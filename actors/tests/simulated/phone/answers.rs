//! What a phone answers to requests: once, and the same again to each repetition.

use super::*;

impl Phone {
    pub(super) fn take(&self, text: &str) {
        if text.starts_with("SIP/2.0") {
            self.take_response(text);
        } else if header(text, "CSeq").is_some() {
            self.take_request(text);
        }
        self.0.changed.notify_waiters();
    }

    fn take_request(&self, request: &str) {
        let method = request.split(' ').next().unwrap_or_default().to_owned();
        let call_id = header(request, "Call-ID").unwrap_or_default().to_owned();
        if method == "ACK" {
            self.0.state.borrow_mut().acknowledged.insert((call_id, sequence(request)));
            return;
        }
        let key = (branch(request).to_owned(), method.clone());
        let known = {
            let mut state = self.0.state.borrow_mut();
            match state.servers.get(&key) {
                Some(answer) => Some(answer.clone()),
                None => {
                    state.servers.insert(key, String::new());
                    *state.came.entry(method.clone()).or_default() += 1;
                    None
                }
            }
        };
        if let Some(answer) = known {
            // Empty: a person is still thinking.
            if !answer.is_empty() {
                self.send(&answer);
            }
            return;
        }
        let is_inside = header(request, "To").is_some_and(|to| to.contains("tag="));
        let dialog = self.0.state.borrow().dialogs.iter().find(|dialog| dialog.call_id == call_id).cloned();
        match (method.as_str(), dialog) {
            ("INVITE", _) if !is_inside => self.0.state.borrow_mut().invites.push_back(request.to_owned()),
            ("CANCEL", _) => self.take_cancel(request),
            // A dialog that has ended knows nothing any more, but that the other side hangs up too.
            (method, Some(dialog)) if dialog.ended.get() && method != "BYE" => {
                self.respond(request, "481 Call/Transaction Does Not Exist", "", "");
            }
            (_, None) if is_inside => self.respond(request, "481 Call/Transaction Does Not Exist", "", ""),
            ("INVITE", Some(dialog)) => {
                *dialog.target.borrow_mut() = target(request);
                let session = self.session_of(request);
                let sees = self.0.eyes.get() && has_picture(request);
                let body = description("sendrecv") + if sees { PICTURE } else { "" };
                self.respond(request, "200 OK", &format!("{SDP_TYPE}{SUPPORTED}{session}"), &body);
                self.repeat_until_acknowledged(request);
            }
            ("BYE", Some(dialog)) => {
                dialog.ended.set(true);
                self.respond(request, "200 OK", "", "");
            }
            ("UPDATE", Some(_)) => {
                self.respond(request, "200 OK", &format!("{SUPPORTED}{}", self.session_of(request)), "")
            }
            _ => self.respond(request, "200 OK", "", ""),
        }
    }

    fn take_cancel(&self, cancel: &str) {
        self.respond(cancel, "200 OK", "", "");
        let mut refused = None;
        {
            let mut state = self.0.state.borrow_mut();
            let branch = branch(cancel).to_owned();
            let answer = state.servers.get(&(branch.clone(), "INVITE".to_owned())).cloned();
            if answer.is_some_and(|answer| status(&answer).is_none_or(|code| code < 200)) {
                state.cancelled.insert(branch.clone());
                // Not taken yet, or with whoever took it.
                state.invites.retain(|invite| self::branch(invite) != branch);
                refused = Some(cancel.replacen("CANCEL", "INVITE", 1).replace("CANCEL", "INVITE"));
            }
        }
        if let Some(invite) = refused {
            self.refuse(&invite, "487 Request Terminated");
        }
    }

    pub(super) fn respond(&self, request: &str, status: &str, extra: &str, body: &str) {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for line in request.lines().take_while(|line| !line.is_empty()) {
            match line.split(':').next().unwrap_or_default() {
                "Via" | "From" | "Call-ID" | "CSeq" | "Record-Route" => text += &format!("{line}\r\n"),
                "To" if line.contains("tag=") => text += &format!("{line}\r\n"),
                "To" => text += &format!("{line};tag={}\r\n", self.tag(request)),
                _ => {}
            }
        }
        text += &format!("Contact: {}\r\n{extra}Content-Length: {}\r\n\r\n{body}", self.contact(), body.len());
        let key = (branch(request).to_owned(), request.split(' ').next().unwrap_or_default().to_owned());
        self.0.state.borrow_mut().servers.insert(key, text.clone());
        self.send(&text);
    }

    /// Our final answer to an INVITE (timers G and H; RFC 3261 section 13.3.1.4).
    pub(super) fn repeat_until_acknowledged(&self, invite: &str) {
        let key = (branch(invite).to_owned(), "INVITE".to_owned());
        let acknowledged = (header(invite, "Call-ID").unwrap_or_default().to_owned(), sequence(invite));
        let (phone, begun) = (Rc::downgrade(&self.0), Instant::now());
        tokio::task::spawn_local(async move {
            let mut wait = T1;
            loop {
                sleep(wait).await;
                wait = (wait * 2).min(T2);
                let Some(inner) = phone.upgrade() else { return };
                let phone = Self(inner);
                let answer = {
                    let state = phone.0.state.borrow();
                    if state.acknowledged.contains(&acknowledged) || begun.elapsed() >= GIVE_UP {
                        return;
                    }
                    state.servers.get(&key).cloned().unwrap_or_default()
                };
                phone.send(&answer);
            }
        });
    }
}

/// Whether a description has a picture that is not refused.
fn has_picture(message: &str) -> bool {
    message.lines().any(|line| line.starts_with("m=video ") && !line.starts_with("m=video 0 "))
}
