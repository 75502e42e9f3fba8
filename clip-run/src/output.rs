//! Files that commands write.

use std::path::Path;

use anyhow::{Result, ensure};
use clip_program::input;

/// Refuses a destination before any work is done.
pub fn check(output: &Path, force: bool) -> Result<()> {
    // The entry itself: what a link names is not looked at, since the link would be replaced.
    let Ok(there) = output.symlink_metadata() else { return Ok(()) };
    if input::is_stdio(output) {
        return Ok(());
    }
    ensure!(
        there.is_file(),
        "{} is not a plain file: name a file to be written or replaced",
        output.display()
    );
    ensure!(force, "{} exists: name another file, or replace it with --force", output.display());
    Ok(())
}
