//! Asking a long computation to stop at a good moment, by a signal.

use std::sync::atomic::{AtomicI32, Ordering};

/// Nobody looks whether the program is to stop: a signal ends it.
const DEAF: i32 = -1;
/// Somebody looks, and nobody has asked.
const LISTENING: i32 = 0;

/// One of these, or the signal that asked.
static STATE: AtomicI32 = AtomicI32::new(DEAF);

/// Whether SIGHUP, SIGINT, SIGTERM or SIGXCPU has asked the program to stop. From the first call on the program listens: the first
/// signal asks and does no more, one that comes more than a second later ends the process. [`crate::finish`] ends it by the signal that asked.
pub fn asked() -> bool {
    let _ = STATE.compare_exchange(DEAF, LISTENING, Ordering::SeqCst, Ordering::SeqCst);
    signal().is_some()
}

/// The signal that asked.
pub(crate) fn signal() -> Option<i32> {
    Some(STATE.load(Ordering::SeqCst)).filter(|&state| state > LISTENING)
}

/// Asks, where the program listens and was not asked before; whether that is so.
#[cfg(unix)]
pub(crate) fn ask(signal: i32) -> bool {
    STATE.compare_exchange(LISTENING, signal, Ordering::SeqCst, Ordering::SeqCst).is_ok()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn who_listens_is_asked_once() {
        assert!(!ask(15) && signal().is_none(), "nobody listens");
        assert!(!asked());
        assert!(ask(15) && asked());
        assert!(!ask(2) && signal() == Some(15), "the second one ends the program");
    }
}
