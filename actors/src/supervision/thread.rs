//! A thread as a child: its face is an actor, so that the tree shows it and its supervisor restarts it.

use std::{io, sync::Arc};

use super::{Cx, Live, Ref, fault};

/// The face of a thread (RTP worker, store writer). The thread holds a [`ThreadBell`]; when the bell drops, the face
/// learns that the thread ends, joins it away from the arbiter, and fails with the thread's cause, unless the end was
/// asked for. A new face is made for each incarnation, and with it a new thread.
pub struct ThreadFace {
    start: Option<Start>,
    /// Tells the thread to end; called at most once.
    stop: Option<Box<dyn FnOnce()>>,
    join: Option<Join>,
    leaving: Leaving,
}

type Start = Box<dyn FnOnce(ThreadBell) -> io::Result<Join>>;

/// Waits for a thread that has rung its bell: a moment, on the blocking pool.
pub type Join = Box<dyn FnOnce() + Send>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaving {
    No,
    InOrder,
    Killed,
}

impl ThreadFace {
    /// `start` spawns the thread, moves the bell into it and returns how to join it; `stop` tells the thread to end soon (a
    /// flag, a command on its queue) and must not block.
    pub fn new(start: impl FnOnce(ThreadBell) -> io::Result<Join> + 'static, stop: impl FnOnce() + 'static) -> Self {
        Self { start: Some(Box::new(start)), stop: Some(Box::new(stop)), join: None, leaving: Leaving::No }
    }

    fn release(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop();
        }
    }

    /// Lets the thread end before the face does; at once where there is none.
    fn leave(&mut self, how: Leaving, cx: &mut Cx<'_, Self>) {
        self.leaving = how;
        self.release();
        if self.join.is_none() {
            self.left("no thread".into(), cx);
        }
    }

    fn left(&mut self, cause: Arc<str>, cx: &mut Cx<'_, Self>) {
        match self.leaving {
            Leaving::No => cx.fail(cause),
            Leaving::InOrder => cx.stop(),
            Leaving::Killed => cx.fail_as_killed(),
        }
    }
}

impl Live for ThreadFace {
    type Msg = ThreadDown;
    const KIND: &'static str = "thread";
    /// A thread ends once.
    const MAILBOX: usize = 1;

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        let Some(start) = self.start.take() else {
            return;
        };
        match start(ThreadBell { face: cx.me(), cause: None }) {
            Ok(join) => self.join = Some(join),
            Err(error) => cx.fail(format!("its thread did not start: {error}")),
        }
    }

    fn handle(&mut self, ThreadDown(cause): ThreadDown, cx: &mut Cx<'_, Self>) {
        self.stop = None;
        let Some(join) = self.join.take() else {
            return;
        };
        // The bell rings a moment before the thread is gone: its sockets and files must be free before a restart.
        cx.spawn(tokio::task::spawn_blocking(join), move |this, _, cx| this.left(cause, cx));
    }

    fn halting(&mut self, cx: &mut Cx<'_, Self>) {
        self.leave(Leaving::InOrder, cx);
    }

    fn killed(&mut self, cx: &mut Cx<'_, Self>) {
        self.leave(Leaving::Killed, cx);
    }
}

impl Drop for ThreadFace {
    fn drop(&mut self) {
        self.release();
    }
}

/// Held by a thread for as long as it runs; its drop tells the face.
pub struct ThreadBell {
    face: Ref<ThreadFace>,
    cause: Option<Arc<str>>,
}

impl ThreadBell {
    /// Rings with a cause that the thread knows better than its panic.
    pub fn toll(mut self, cause: impl Into<Arc<str>>) {
        self.cause = Some(cause.into());
    }
}

impl Drop for ThreadBell {
    fn drop(&mut self) {
        let cause = if let Some(cause) = self.cause.take() {
            cause
        } else if std::thread::panicking() {
            let told = fault::take_last().unwrap_or_else(|| "without a message".into());
            format!("its thread panicked: {told}").into()
        } else {
            Arc::from("its thread ended unasked")
        };
        self.face.send_reply(ThreadDown(cause));
    }
}

/// A thread has ended; the cause, if nobody asked it to.
pub struct ThreadDown(Arc<str>);
