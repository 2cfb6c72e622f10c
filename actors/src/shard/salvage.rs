//! What an actor that was rebuilt, or is gone for good, asks of the transactions that outlived it.

use sip::transaction::Owned;

use super::core::{Core, Owner};
use super::request::RequestId;

impl Core {
    /// The requests of an owner that still wait for their final answer.
    pub fn open_requests(&self, owner: Owner) -> Vec<RequestId> {
        let mut open = self.errands_of(owner);
        open.extend(self.layer.borrow().owned(owner).into_iter().filter_map(|owned| match owned {
            Owned::Client { client, open: true, .. } => Some(RequestId::Direct(client)),
            Owned::Client { .. } | Owned::Server { .. } => None,
        }));
        open
    }

    /// The owner is gone for good: its open requests are answered 500, its INVITEs cancelled.
    pub fn abandon(&self, owner: Owner) {
        for errand in self.errands_of(owner) {
            self.cancel(errand, None);
        }
        self.with_layer(|layer, now, out| layer.abandon(now, owner, out));
    }
}
