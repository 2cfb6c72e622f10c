//! What an actor that was rebuilt, or is gone for good, asks of the transactions that outlived it.

use sip::transaction::Owned;

use super::core::{Core, Owner};

impl Core {
    /// The transactions of an owner.
    pub fn owned(&self, owner: Owner) -> Vec<Owned> {
        self.layer.borrow().owned(owner)
    }

    /// The owner is gone for good: its open requests are answered 500, its INVITEs cancelled.
    pub fn abandon(&self, owner: Owner) {
        self.with_layer(|layer, now, out| layer.abandon(now, owner, out));
    }
}
