//! The actor that looks up where names lead (RFC 3263). It holds nothing: what is asked and who waits lies in
//! [`super::errands`], and a successor asks again.

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use sip::net::resolve::ResolveError;
use std::rc::Rc;

use super::core::Core;
use crate::supervision::{Cx, Live};

/// See the module.
pub struct Names {
    core: Rc<Core>,
}

impl Names {
    /// Looks up for `core`.
    pub fn new(core: Rc<Core>) -> Self {
        Self { core }
    }
}

impl Live for Names {
    type Msg = ();
    const KIND: &'static str = "names";
    const MAILBOX: usize = 16;

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        self.core.ask_again();
        cx.spawn(look_up(Rc::clone(&self.core)), |_, (), _| {});
    }

    fn handle(&mut self, (): (), _: &mut Cx<'_, Self>) {}

    fn describe(&self) -> String {
        let (requests, names) = self.core.errands.borrow().counts();
        format!("{requests} requests to names, {names} names asked for")
    }
}

/// Looks up, for as long as the actor lives. The number of names at once is bounded where they are queued.
async fn look_up(core: Rc<Core>) {
    let bell = core.name_bell();
    let mut under_way = FuturesUnordered::new();
    loop {
        while let Some(place) = core.next_name() {
            let answer = core.network().map(|net| net.resolving(place.clone()));
            under_way.push(async move {
                let found = match answer {
                    Some(answer) => answer.await,
                    None => Err(ResolveError::Dns),
                };
                (place, found)
            });
        }
        tokio::select! {
            () = bell.notified() => {}
            Some((place, found)) = under_way.next() => core.located(&place, &found),
        }
    }
}
