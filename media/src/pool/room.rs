//! Rooms: what a conference keeps of its mixing, and what it tells its worker.
//!
//! A room is on one worker, and so are the flows of all who are in it. Who hears [`super::Source::Room`] is in: it is heard by
//! the others and hears them without itself. What is wanted of a room and its members stands in atomics beside the worker, as
//! the book does: a worker that starts again finds its rooms by the members that its flows name, and mixes on.

use crate::mixer::RoomSpec;
use crate::prompt::Audio;
use crate::recorder::Tape;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};

/// Announcements that wait in a room at most; what comes beyond them is not played.
const NOTICES_MAX: usize = 8;

/// What a room itself lets be heard.
#[derive(Clone, Debug, Default)]
pub struct RoomSounds {
    /// Once to who is alone, before the music.
    pub alone: Option<Arc<Audio>>,
    /// To who is alone, without end.
    pub music: Option<Arc<Audio>>,
    /// To all when somebody has come.
    pub entry: Option<Arc<Audio>>,
    /// To all when somebody has gone.
    pub exit: Option<Arc<Audio>>,
}

/// A room, by a handle that is cheap to clone.
#[derive(Clone, Debug)]
pub struct Room(pub(super) Arc<RoomRecord>);

/// A room as it is wished and as it is.
#[derive(Debug)]
pub struct RoomRecord {
    pub worker: u16,
    pub spec: RoomSpec,
    pub sounds: RoomSounds,
    pub notices: Mutex<VecDeque<Arc<Audio>>>,
    pub tape: Mutex<Option<Arc<Tape>>>,
    /// Notices or tape have changed: a turn takes no lock to see that they have not.
    pub changed: AtomicBool,
    pub present: AtomicU32,
    pub turns: AtomicU64,
    pub encodings: AtomicU64,
    pub packets: AtomicU64,
}

/// What a room has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoomFigures {
    /// Participants that the worker mixes.
    pub present: u32,
    /// Frames mixed.
    pub turns: u64,
    /// Packets encoded.
    pub encodings: u64,
    /// Packets sent: more than were encoded, because who hears the same gets the same.
    pub packets: u64,
}

impl Room {
    /// A room on a worker; it begins to work with its first member.
    pub fn new(worker: u16, spec: RoomSpec, sounds: RoomSounds) -> Room {
        Room(Arc::new(RoomRecord {
            worker,
            spec,
            sounds,
            notices: Mutex::default(),
            tape: Mutex::default(),
            changed: AtomicBool::new(false),
            present: AtomicU32::new(0),
            turns: AtomicU64::new(0),
            encodings: AtomicU64::new(0),
            packets: AtomicU64::new(0),
        }))
    }

    /// The worker that its flows must be on.
    pub fn worker(&self) -> u16 {
        self.0.worker
    }

    /// How it is laid out.
    pub fn spec(&self) -> RoomSpec {
        self.0.spec
    }

    /// Makes a member, for one side of one flow of this room's worker.
    pub fn member(&self) -> Member {
        Member(Arc::new(MemberRecord {
            room: Arc::clone(&self.0),
            gain_db: AtomicU32::new(0f32.to_bits()),
            muted: AtomicBool::new(false),
            level_dbm0: AtomicU32::new((-127f32).to_bits()),
            talking: AtomicBool::new(false),
            present: AtomicBool::new(false),
            announced: AtomicBool::new(false),
        }))
    }

    /// Lets all hear something, after what waits to be heard already.
    pub fn announce(&self, audio: Arc<Audio>) {
        let mut notices = self.0.notices.lock();
        if notices.len() < NOTICES_MAX {
            notices.push_back(audio);
            self.0.changed.store(true, SeqCst);
        }
    }

    /// Records the mix on a tape of the room's rate from now on, or on none.
    pub fn record(&self, tape: Option<Arc<Tape>>) {
        *self.0.tape.lock() = tape;
        self.0.changed.store(true, SeqCst);
    }

    /// What the room has done.
    pub fn figures(&self) -> RoomFigures {
        RoomFigures {
            present: self.0.present.load(Relaxed),
            turns: self.0.turns.load(Relaxed),
            encodings: self.0.encodings.load(Relaxed),
            packets: self.0.packets.load(Relaxed),
        }
    }
}

/// Somebody in a room, by a handle that is cheap to clone.
#[derive(Clone, Debug)]
pub struct Member(pub(super) Arc<MemberRecord>);

#[derive(Debug)]
pub struct MemberRecord {
    pub room: Arc<RoomRecord>,
    pub gain_db: AtomicU32,
    pub muted: AtomicBool,
    pub level_dbm0: AtomicU32,
    pub talking: AtomicBool,
    /// The worker has it in the mix.
    pub present: AtomicBool,
    /// Its coming was heard: a worker that starts again does not tell it anew.
    pub announced: AtomicBool,
}

impl Member {
    /// Makes it louder or softer for the others, in dB.
    pub fn set_gain_db(&self, db: f32) {
        self.0.gain_db.store(db.to_bits(), Relaxed);
    }

    /// Whether the others hear it not.
    pub fn set_muted(&self, muted: bool) {
        self.0.muted.store(muted, Relaxed);
    }

    /// Its gain in dB.
    pub fn gain_db(&self) -> f32 {
        f32::from_bits(self.0.gain_db.load(Relaxed))
    }

    /// Whether it is muted.
    pub fn is_muted(&self) -> bool {
        self.0.muted.load(Relaxed)
    }

    /// Level of its sound, smoothed, in dBm0; -127 for none.
    pub fn level_dbm0(&self) -> f32 {
        f32::from_bits(self.0.level_dbm0.load(Relaxed))
    }

    /// Whether the others hear it at this moment.
    pub fn is_talking(&self) -> bool {
        self.0.talking.load(Relaxed)
    }

    /// Whether the worker mixes it.
    pub fn is_present(&self) -> bool {
        self.0.present.load(Relaxed)
    }
}
