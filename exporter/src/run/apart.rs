//! Encoders run in another process: an engine holds a whole model in memory, and the process that exports then never does.
//!
//! ONNX Runtime takes more than a model's weights, and twice as much as those in half precision, which it widens on a CPU (figures in
//! BENCHMARKS.md).

use std::ffi::OsStr;
use std::io::{self, BufWriter};
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};

use serde::de::DeserializeOwned;

use super::inputs::Inputs;
use super::outcome::Outcome;

/// What [`run`] calls its program with, before the folder.
pub const ARGUMENT: &str = "run-apart";

/// Runs the encoders of `folder` in the program `program`, which is to do this when its arguments are [`ARGUMENT`] and a
/// folder: [`Inputs::read`] from standard input, find the [`Outcome`], and write it as JSON to standard output. When
/// it fails, it is to say on standard error why.
///
/// Its standard input stays open until it has ended. When it is closed before, this process is gone, and nobody waits for the
/// outcome any more: the program is to end too.
///
/// # Errors
/// Why it failed, in words.
pub fn run(program: &Path, folder: &Path, inputs: &Inputs) -> Result<Outcome, String> {
    ask(program, &[ARGUMENT.as_ref(), folder.as_os_str()], |input| inputs.write(&mut BufWriter::new(input)))
}

/// What `program` answers in JSON, called with these arguments and given on standard input what `write` writes. The rest is as
/// it is with [`run`].
pub(crate) fn ask<T: DeserializeOwned>(
    program: &Path,
    arguments: &[&OsStr],
    write: impl FnOnce(&mut ChildStdin) -> io::Result<()>,
) -> Result<T, String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| format!("{} does not start: {e}", program.display()))?;
    // Taken, since waiting would close it.
    let mut input = child.stdin.take();
    if let Some(input) = &mut input {
        // A program that does not read its input fails, and says below why.
        let _ = write(input);
    }
    let failed = |e: io::Error| format!("{}: {e}", program.display());
    let output = child.wait_with_output().map_err(failed)?;
    drop(input);
    if output.status.success() {
        return serde_json::from_slice(&output.stdout).map_err(|e| failed(e.into()));
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    // Ended from outside, for want of memory, say.
    Err(if said.is_empty() {
        format!("the process that ran the model ended with {}", output.status)
    } else {
        said
    })
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    /// What a program that is a shell script with `body` comes to.
    fn apart(body: &str) -> Result<Outcome, String> {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        std::fs::write(&program, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let inputs = Inputs { texts: vec!["cat".to_owned()], ..Inputs::default() };
        run(&program, Path::new("/models/cat"), &inputs)
    }

    #[test]
    fn another_process_says_how_it_went() {
        let outcome = apart(
            r#"read inputs; [ "$*" = "run-apart /models/cat" ] && case $inputs in *'"texts":["cat"]'*) true;; *) false;; esac &&
               echo '{"images":null,"texts":[[0.6,0.8]],"image_ms":0}'"#,
        );
        assert_eq!(outcome.unwrap().texts.unwrap(), [[0.6, 0.8]]);
        let waits = "exec 3<&0; cat <&3 >/dev/null & sleep 0.3; kill $! && echo '{\"image_ms\":1}'";
        assert_eq!(apart(waits).unwrap().image_ms, 1.0, "standard input was closed before it had ended");
        assert_eq!(apart("echo no memory >&2; exit 1").unwrap_err(), "no memory");
        let message = apart("kill -9 $$").unwrap_err();
        assert!(message.contains("signal: 9"), "{message}");
        let message = apart("exit 0").unwrap_err();
        assert!(message.contains("program: EOF"), "{message}");
        let message = run(Path::new("/no/program"), Path::new("x"), &Inputs::default()).unwrap_err();
        assert!(message.contains("/no/program does not start"), "{message}");
    }
}
