//! The calls of a shard, the dialogs that lead to them, and the records of those that have ended of late.

use ahash::AHashMap;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use super::core::Core;
use crate::call::{Call, CallFile, CallKey, CallMsg, EndedRecord, LegId, Mail, RecordView, What};
use crate::supervision::{Ref, Refused};

/// Ended calls of a shard whose whole record is kept for who asks: a usual one takes 2.5 kB.
const ENDED_KEPT: usize = 512;

/// Dialogs by [`dialog_key`].
pub(super) type Dialogs = AHashMap<Box<[u8]>, (CallKey, LegId)>;

/// An entry of the table of calls.
pub struct CallSlot {
    /// The actor.
    pub seat: Ref<Call>,
    /// What outlives the actor.
    pub file: Rc<CallFile>,
}

impl Core {
    /// Tells a call something that is bounded by construction; a call that is gone needs it no more.
    pub fn tell_call(&self, key: CallKey, msg: CallMsg) {
        let found = self.calls.borrow().get(&key).map(|slot| (slot.seat.clone(), Rc::clone(&slot.file)));
        let Some((seat, file)) = found else { return };
        if !file.post(msg) {
            tracing::warn!(call = %key, "a call has too much to do");
        }
        // Nobody is there: who comes reads all of it.
        seat.send_reply(Mail);
    }

    /// Notes something in the record of a call.
    pub(super) fn note_call(&self, key: CallKey, leg: LegId, what: What) {
        if let Some(slot) = self.calls.borrow().get(&key) {
            slot.file.note(self.now(), Some(leg), what);
        }
    }

    /// Gives a call a request, up to the bound of its mailbox; one that is being rebuilt finds it when it is back. False
    /// when the call is gone, or has too much to do.
    pub fn ask_call(&self, key: CallKey, msg: CallMsg) -> bool {
        let found = self.calls.borrow().get(&key).map(|slot| (slot.seat.clone(), Rc::clone(&slot.file)));
        let Some((seat, file)) = found else { return false };
        match seat.try_send(Mail) {
            Ok(()) | Err(Refused::Dead(Mail)) => file.post(msg),
            Err(Refused::Full(Mail)) => false,
        }
    }

    /// Ties a dialog to a call's leg.
    pub fn add_dialog(&self, call_id: &[u8], local_tag: &[u8], key: CallKey, leg: LegId) {
        self.dialogs.borrow_mut().insert(dialog_key(call_id, local_tag), (key, leg));
    }

    /// Unties it.
    pub fn remove_dialog(&self, call_id: &[u8], local_tag: &[u8]) {
        self.dialogs.borrow_mut().remove(&dialog_key(call_id, local_tag));
    }

    /// The call and leg of a dialog.
    pub fn dialog(&self, call_id: &[u8], local_tag: &[u8]) -> Option<(CallKey, LegId)> {
        self.dialogs.borrow().get(&dialog_key(call_id, local_tag)).copied()
    }

    /// A call has begun.
    pub fn add_call(&self, key: CallKey, seat: Ref<Call>, file: Rc<CallFile>) {
        self.calls.borrow_mut().insert(key, CallSlot { seat, file });
    }

    /// Forgets a call that has ended, with everything that was tied to it.
    pub fn forget_call(&self, key: CallKey) {
        let Some(slot) = self.calls.borrow_mut().remove(&key) else { return };
        self.shared.calls_alive.fetch_sub(1, Ordering::Relaxed);
        let mut ended = self.ended.borrow_mut();
        if ended.len() >= ENDED_KEPT {
            ended.pop_front();
        }
        ended.push_back(slot.file.end(key));
    }

    /// The whole record of a call of this shard, by our name or a Call-ID: one that is up, or that has ended of late.
    pub fn record_of(&self, id: &str) -> Option<RecordView> {
        let calls = self.calls.borrow();
        let up = calls.iter().find(|(key, slot)| key.name() == id || slot.file.has_call_id(id));
        up.map(|(key, slot)| slot.file.record_view(*key))
            .or_else(|| self.ended.borrow().iter().rev().find(|ended| ended.is(id)).map(EndedRecord::view))
    }
}

/// The key of a dialog on our side: Call-ID and our tag.
pub fn dialog_key(call_id: &[u8], local_tag: &[u8]) -> Box<[u8]> {
    let mut key = Vec::with_capacity(call_id.len() + local_tag.len() + 1);
    key.extend_from_slice(call_id);
    key.push(0);
    key.extend_from_slice(local_tag);
    key.into()
}
