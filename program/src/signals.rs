//! Ending by a signal without leaving temporary files behind.

use std::ptr;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXCPU, SIGXFSZ};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use crate::{note, stop, unfinished};

/// By which a person, a terminal or a limit ends a program.
const ENDING: [i32; 5] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXCPU];

/// Signals within this time are one request: `timeout` and batch systems send theirs to the process and to its group, and a terminal
/// that is closed sends several.
const SAME: Duration = Duration::from_secs(1);

/// Starts a thread that waits for SIGHUP, SIGINT, SIGQUIT, SIGTERM and SIGXCPU. At the first one it removes the temporary files and ends the
/// process by that very signal, so that a shell sees what happened and a script stops at Ctrl-C. Where the program can be asked to
/// stop ([`stop::asked`]), the first one asks, and one that comes more than a second later ends it.
///
/// Where the thread cannot be started, signals do what they always did. A file that passes the limit of `ulimit -f` is an
/// error of the writing, and no signal.
pub fn watch() {
    // SAFETY: ignoring a signal runs no code of ours; nothing here relied on it before.
    unsafe { libc::signal(SIGXFSZ, libc::SIG_IGN) };
    let (ready, is_ready) = mpsc::channel();
    let wait = move || {
        let signals = ENDING.into_iter().filter(|&signal| !is_ignored(signal));
        let Ok(mut signals) = Signals::new(signals) else { return };
        let _ = ready.send(());
        let mut asked = None;
        for signal in signals.forever() {
            if signal != SIGQUIT && stop::ask(signal) {
                asked = Some(Instant::now());
                note("stopping after this step, which is saved; another signal ends at once");
            } else if signal == SIGQUIT || asked.is_none_or(|asked| asked.elapsed() > SAME) {
                end_by(signal);
            }
        }
    };
    let _ = std::thread::Builder::new().name("signals".to_owned()).spawn(wait);
    // Until then a signal would end the process at once. An error says that there is no thread to wait for.
    let _ = is_ready.recv();
}

/// Removes what is half written and ends the process as the signal does where nobody handles it.
pub fn end_by(signal: i32) -> ! {
    unfinished::remove_all();
    let _ = low_level::emulate_default_handler(signal);
    // Were there no such handler: the status that a shell gives to the signal.
    low_level::exit(128 + signal)
}

/// Whether the parent process asked for the signal to be ignored, as `nohup` does; that stays so.
fn is_ignored(signal: i32) -> bool {
    // SAFETY: a null action only asks; zeros are a valid `sigaction` to write the answer to.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, ptr::null(), &mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}
