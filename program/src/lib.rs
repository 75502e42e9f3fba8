//! What the command-line programs share: one manner of ending, in [`finish`], inputs that may be `-`,
//! pages of the manual, and progress on a terminal or in plain lines.
//!
//! Exit status of every program: 0 when all went well, 1 when something failed, 2 for wrong arguments. A program that is
//! interrupted or terminated removes what it has half written and ends by that signal (130 and 143 in a shell); one whose work
//! can be stopped well ([`stop`]) does that first.

pub mod input;
mod lifeline;
mod output;
pub mod pages;
mod progress;
#[cfg(unix)]
mod signals;
pub mod stop;
mod unfinished;

use std::fmt;
use std::io;
use std::process::ExitCode;

pub use lifeline::end_with;
pub use output::{Kept, note, print};
pub use progress::Progress;

/// Exit status for wrong arguments, as the parser of the command line has it.
const USAGE: u8 = 2;

/// Wrong arguments that show only after they were parsed; a program that fails with it exits with 2.
#[derive(Debug)]
pub struct Usage(pub String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// To be called first: from then on an interrupted program leaves no temporary files behind, see
/// [`clip_model::temporary`].
pub fn start() {
    unfinished::record();
    #[cfg(unix)]
    signals::watch();
}

/// Says what went wrong as `error: what: why: ...` on one line of standard error, and gives the exit status.
///
/// When the reader of standard output has gone (`| head -1`), the program ends quietly and well. One that a signal asked to stop
/// ([`stop::asked`]) ends by that signal.
pub fn finish(result: anyhow::Result<()>) -> ExitCode {
    let status = told(result);
    #[cfg(unix)]
    if let Some(signal) = stop::signal() {
        signals::end_by(signal);
    }
    status
}

/// Says what went wrong, and gives the exit status.
fn told(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    while unfinished::is_removed() {
        // The process is being ended by a signal, which is what a shell is to see, not the error that this caused.
        std::thread::park();
    }
    if is_broken_pipe(&error) {
        return ExitCode::SUCCESS;
    }
    note(&format!("error: {error:#}"));
    match error.is::<Usage>() {
        true => ExitCode::from(USAGE),
        false => ExitCode::FAILURE,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    error.is::<output::Failed>() && io.is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
