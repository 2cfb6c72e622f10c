//! What a phone asks: requests that are repeated until they are answered, and what follows from the answers.

use super::*;

impl Phone {
    pub(super) fn invite(&self, request: String) -> Calling {
        let (sender, responses) = mpsc::unbounded_channel();
        let key = (branch(&request).to_owned(), "INVITE".to_owned());
        self.0.state.borrow_mut().clients.insert(key, sender);
        self.send(&request);
        let heard = Rc::new(Cell::new(false));
        let calling = Calling { request: request.clone(), responses, answer: None };
        // Timers A and B.
        let (phone, begun) = (Rc::downgrade(&self.0), Instant::now());
        tokio::task::spawn_local(async move {
            let mut wait = T1;
            loop {
                sleep(wait).await;
                wait *= 2;
                let Some(inner) = phone.upgrade() else { return };
                let phone = Self(inner);
                heard.set(heard.get() || phone.has_heard(branch(&request)));
                if heard.get() || begun.elapsed() >= GIVE_UP {
                    return;
                }
                phone.send(&request);
            }
        });
        calling
    }

    pub(super) async fn final_answer(&self, calling: &mut Calling) -> Option<String> {
        if let Some(answer) = calling.answer.take() {
            return Some(answer);
        }
        let mut until = Instant::now() + GIVE_UP;
        loop {
            let answer = timeout_at(until, calling.responses.recv()).await.ok()??;
            if status(&answer)? >= 200 {
                return Some(answer);
            }
            until = Instant::now() + RINGING;
        }
    }

    pub(super) fn has_heard(&self, branch: &str) -> bool {
        self.0.state.borrow().acks.contains_key(&format!("heard {branch}"))
    }

    pub(super) async fn ask_as_user(&self, request: &str) -> Option<String> {
        let answer = self.ask(request).await?;
        if status(&answer) != Some(401) {
            return Some(answer);
        }
        self.ask(&self.signed(request, &answer)).await
    }

    /// A request other than INVITE: timers E and F. Its final answer, if one came.
    pub(super) async fn ask(&self, request: &str) -> Option<String> {
        let method = request.split(' ').next().expect("a method").to_owned();
        let (sender, mut responses) = mpsc::unbounded_channel();
        let key = (branch(request).to_owned(), method);
        self.0.state.borrow_mut().clients.insert(key.clone(), sender);
        let end = Instant::now() + GIVE_UP;
        let mut wait = T1;
        let answer = loop {
            self.send(request);
            let next = end.min(Instant::now() + wait);
            match timeout_at(next, responses.recv()).await {
                Ok(Some(answer)) if status(&answer).is_some_and(|code| code >= 200) => break Some(answer),
                Ok(Some(_)) => sleep_until(next).await,
                Ok(None) => break None,
                Err(_) => {}
            }
            if Instant::now() >= end {
                break None;
            }
            wait = (wait * 2).min(T2);
        };
        self.0.state.borrow_mut().clients.remove(&key);
        answer
    }

    pub(super) fn take_response(&self, response: &str) {
        let method = header(response, "CSeq").and_then(|v| v.split(' ').nth(1)).unwrap_or_default().to_owned();
        let (branch, code) = (branch(response).to_owned(), status(response).unwrap_or_default());
        let mut again = None;
        {
            let mut state = self.0.state.borrow_mut();
            if method == "INVITE" {
                state.acks.entry(format!("heard {branch}")).or_default();
                if code >= 300 {
                    again = state.acks.get(&branch).cloned();
                } else if code >= 200 {
                    again = state.acks.get(&success_key(response)).cloned();
                }
            }
            if let Some(client) = state.clients.get(&(branch.clone(), method.clone())) {
                // Nobody waits any more: it was answered already.
                let _ = client.send(response.to_owned());
            }
        }
        if let Some(ack) = again {
            self.send(&ack);
        } else if method == "INVITE" && code >= 300 {
            self.acknowledge_refusal(response);
        }
    }

    /// RFC 3261 section 17.1.1.3.
    pub(super) fn acknowledge_refusal(&self, response: &str) {
        let of = |name| header(response, name).unwrap_or_default();
        let ack = format!(
            "ACK sip:{DOMAIN} SIP/2.0\r\nVia: {}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\n\
             CSeq: {} ACK\r\nContent-Length: 0\r\n\r\n",
            of("Via"),
            of("From"),
            of("To"),
            of("Call-ID"),
            sequence(response),
        );
        self.0.state.borrow_mut().acks.insert(branch(response).to_owned(), ack.clone());
        self.send(&ack);
    }

    pub(super) fn dialog_of(&self, request: &str, answer: &str) -> Rc<Dialog> {
        let dialog = Rc::new(Dialog {
            call_id: header(answer, "Call-ID").expect("a Call-ID").to_owned(),
            local: header(answer, "From").expect("From").to_owned(),
            remote: RefCell::new(header(answer, "To").expect("To").to_owned()),
            target: RefCell::new(target(answer)),
            cseq: Cell::new(sequence(request)),
            ended: Cell::new(false),
        });
        let ack = self.text_inside(&dialog, "ACK", sequence(request), "", "");
        let mut state = self.0.state.borrow_mut();
        state.acks.insert(success_key(answer), ack.clone());
        state.dialogs.push(Rc::clone(&dialog));
        drop(state);
        self.send(&ack);
        dialog
    }
}
