//! Writing to standard output and standard error.

use std::fmt;
use std::io::{self, Write};

use anyhow::Result;

/// Standard output did not take what was written to it.
#[derive(Debug)]
pub(crate) struct Failed {
    /// What exists in spite of it.
    kept: String,
    source: io::Error,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}cannot write to standard output", self.kept)
    }
}

impl std::error::Error for Failed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Names an [`io::Error`] of standard output.
pub trait Kept<T> {
    /// The error says that standard output failed.
    fn on_stdout(self) -> Result<T>;

    /// The error says so too, and before it what the program has done all the same: `the folder x is complete`.
    fn on_stdout_after(self, kept: &str) -> Result<T>;
}

impl<T> Kept<T> for io::Result<T> {
    fn on_stdout(self) -> Result<T> {
        self.map_err(|source| Failed { kept: String::new(), source }.into())
    }

    fn on_stdout_after(self, kept: &str) -> Result<T> {
        self.map_err(|source| Failed { kept: format!("{kept}, but "), source }.into())
    }
}

/// Prints a line. `kept` is what exists even when that fails.
///
/// # Errors
/// When standard output takes no more; [`crate::finish`] is quiet about a reader that has gone.
pub fn print(line: &str, kept: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).on_stdout_after(kept)
}

/// A line on standard error; whether anybody reads it is not the program's concern.
pub fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
