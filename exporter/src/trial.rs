//! Each encoder runs once before a folder gets its name.

use std::path::Path;
use std::process::{Command, Stdio};

use clip_runtime::{Clip, Image};

use crate::error::{Error, Result};

/// What [`run_apart`] calls its program with, before the folder.
pub const ARGUMENT: &str = "trial-run";

/// Runs the encoders of `folder` once. The runtime refuses embeddings that are not finite or not of length one.
///
/// # Errors
/// [`Error::Trial`].
pub fn run(folder: &Path) -> Result<()> {
    let run = || -> clip_runtime::Result<()> {
        let clip = Clip::open(folder)?;
        if clip.manifest().image.is_some() {
            clip.encode_images(&[gradient()?])?;
        }
        if clip.manifest().text.is_some() {
            clip.encode_texts(&["a photo of a cat", ""])?;
        }
        Ok(())
    };
    run().map_err(Error::Trial)
}

/// The same in another process, `program`, which is to call [`run`] when its arguments are [`ARGUMENT`] and a folder,
/// and to say on standard error why it fails. An engine holds a whole model in memory; this process then never does.
///
/// # Errors
/// [`Error::TrialApart`].
pub fn run_apart(program: &Path, folder: &Path) -> Result<()> {
    let mut command = Command::new(program);
    command.arg(ARGUMENT).arg(folder).stdin(Stdio::null()).stdout(Stdio::null());
    let reason = match command.output() {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            // Ended from outside, for want of memory, say.
            if said.is_empty() { format!("the trial run ended with {}", output.status) } else { said }
        }
        Err(error) => format!("{} does not start: {error}", program.display()),
    };
    Err(Error::TrialApart(reason))
}

/// A picture with something to see in every channel.
fn gradient() -> clip_model::Result<Image> {
    const SIDE: usize = 64;
    let pixel = |i: usize| [i % SIDE * 4, i / SIDE * 4, ((i % SIDE) ^ (i / SIDE)) * 4].map(|v| v as u8);
    Image::new(SIDE, SIDE, (0..SIDE * SIDE).flat_map(pixel).collect())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    /// What a program that is a shell script with `body` comes to.
    fn apart(body: &str) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        std::fs::write(&program, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        run_apart(&program, Path::new("/models/cat"))
    }

    #[test]
    fn another_process_says_how_it_went() {
        apart(r#"[ "$*" = "trial-run /models/cat" ]"#).unwrap();
        let message = apart("echo no memory >&2; exit 1").unwrap_err().to_string();
        assert!(message.ends_with(": no memory"), "{message}");
        let message = apart("kill -9 $$").unwrap_err().to_string();
        assert!(message.contains("signal: 9"), "{message}");
        let message = run_apart(Path::new("/no/program"), Path::new("x")).unwrap_err().to_string();
        assert!(message.contains("/no/program does not start"), "{message}");
    }
}
