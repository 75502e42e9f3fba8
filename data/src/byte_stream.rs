//! The bytes of a shard, wherever it is.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use clip_model::files;

use crate::error::{Error, Result};
use crate::location::Location;

/// Opens a shard to be read from its beginning to its end, once.
///
/// # Errors
/// [`Error::Model`] for a path at which there is no file; [`Error::Read`] for what cannot be started or fetched.
pub(crate) fn open(shard: &Location) -> Result<Box<dyn Read + Send>> {
    match shard {
        Location::File(path) if is_stream(path) => {
            // This waits until something writes into it.
            let file = File::open(path).map_err(|source| Error::Read { shard: shard.clone(), source })?;
            Ok(Box::new(file))
        }
        Location::File(path) => Ok(Box::new(files::open(path)?)),
        Location::Command(command) => {
            let output =
                Output::of(command).map_err(|source| Error::Read { shard: shard.clone(), source })?;
            Ok(Box::new(output))
        }
        Location::Url(url) => object(url).map_err(|source| Error::Read { shard: shard.clone(), source }),
    }
}

#[cfg(feature = "remote")]
fn object(url: &str) -> io::Result<Box<dyn Read + Send>> {
    Ok(Box::new(crate::remote::Object::open(url)?))
}

#[cfg(not(feature = "remote"))]
fn object(_: &str) -> io::Result<Box<dyn Read + Send>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this program was built without reading from servers"))
}

/// Whether a path is something that is read once, from the beginning: a named pipe, or what a shell made of `<(command)`.
pub(crate) fn is_stream(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo())
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// What a command writes. Its end is an error when the command failed; when it is dropped, the command is ended.
struct Output {
    child: Child,
    stdout: ChildStdout,
    status: Option<ExitStatus>,
}

impl Output {
    fn of(command: &str) -> io::Result<Output> {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::piped());
        // A group of its own: Ctrl-C on a terminal is for the program, which may yet need the data.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut shell, 0);
        let mut child = shell.spawn()?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Output { child, stdout, status: None })
    }
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stdout.read(buffer)?;
        if count > 0 || buffer.is_empty() {
            return Ok(count);
        }
        let status = match self.status {
            Some(status) => status,
            None => *self.status.insert(self.child.wait()?),
        };
        match status.success() {
            true => Ok(0),
            false => Err(io::Error::other(format!("the command failed: {status}"))),
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.status.is_none() {
            // It may have ended by itself; there is nobody to tell. What the shell has started ends when it writes on.
            let _ = (self.child.kill(), self.child.wait());
        }
    }
}
