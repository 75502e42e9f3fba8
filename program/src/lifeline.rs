//! A program that works for another one ends with it.

use std::io::{self, Read};
use std::thread;

use crate::unfinished;

/// Ends the process with status 1 as soon as `input` ends, whatever it is doing: a pipe whose other end is held open by the
/// process that it works for, and is closed when that one ends, however it does. What comes through it is dropped.
///
/// Where the thread that waits for it cannot be started, the process goes on until its work is done.
pub fn end_with(mut input: impl Read + Send + 'static) {
    let wait = move || {
        let _ = io::copy(&mut input, &mut io::sink());
        unfinished::remove_all();
        end();
    };
    let _ = thread::Builder::new().name("lifeline".to_owned()).spawn(wait);
}

/// Without destructors, which would take from an engine's threads what they are working with.
#[cfg(unix)]
fn end() -> ! {
    signal_hook::low_level::exit(1)
}

#[cfg(not(unix))]
fn end() -> ! {
    std::process::exit(1)
}
