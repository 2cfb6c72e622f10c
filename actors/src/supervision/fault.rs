//! Panics: caught at the door of the actor, and told with message and source location.
//!
//! The standard hook prints to the standard error and forgets. Ours keeps message and location in the thread until the
//! catcher asks; a panic that happens outside of any actor goes on to the hook that was there before.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind},
    sync::{Arc, Once},
};

thread_local! {
    /// Whether this thread runs an actor's code right now.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// The last panic of this thread, not yet taken by a catcher.
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Installs the hook once a process; later calls do nothing.
pub(super) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            remember(info);
            if !INSIDE.try_with(Cell::get).unwrap_or(false) {
                before(info);
            }
        }));
    });
}

/// Runs code of an actor; a panic comes back as its cause.
pub(super) fn guarded<R>(code: impl FnOnce() -> R) -> Result<R, Arc<str>> {
    let outer = INSIDE.replace(true);
    let result = catch_unwind(AssertUnwindSafe(code));
    INSIDE.set(outer);
    result.map_err(|payload| take_cause(payload.as_ref()))
}

/// Message and location of the panic that this thread is unwinding from or has just caught, if the hook saw one.
pub(super) fn take_last() -> Option<Arc<str>> {
    LAST.try_with(|last| last.take()).ok().flatten().map(Arc::from)
}

fn take_cause(payload: &(dyn Any + Send)) -> Arc<str> {
    // Without our hook (a test harness may replace it) the payload still has the message, without the location.
    take_last().unwrap_or_else(|| Arc::from(text(payload)))
}

fn remember(info: &PanicHookInfo<'_>) {
    let message = text(info.payload());
    let told = match info.location() {
        Some(at) => format!("{message} at {}:{}", at.file(), at.line()),
        None => message.to_owned(),
    };
    // A thread that is being torn down has no place to remember it; the payload is then all there is.
    let _ = LAST.try_with(|last| last.replace(Some(told)));
}

fn text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}
