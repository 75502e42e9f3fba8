//! Where a shard is: a file or folder, the output of a command, an object of a store or web server.

use std::fmt;
use std::path::{Path, PathBuf};

/// What a word begins with that is a command.
pub(crate) const COMMAND: &str = "pipe:";

/// Where a shard is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Location {
    /// A file, a named pipe or a folder.
    File(PathBuf),
    /// What a command of the shell writes to its standard output. Each epoch runs it once.
    Command(String),
    /// An object of S3 (`s3://BUCKET/KEY`) or Google Cloud Storage (`gs://BUCKET/KEY`), or a file of a web server.
    Url(String),
}

impl Location {
    /// The last part of its name, which stays the same when data moves to another place; of a command all of it.
    pub fn name(&self) -> String {
        match self {
            Location::File(path) => {
                path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
            }
            Location::Command(_) => self.to_string(),
            Location::Url(url) => url.rsplit('/').next().unwrap_or(url).to_owned(),
        }
    }

    /// The path, of a file or folder.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Location::File(path) => Some(path),
            _ => None,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::File(path) => path.display().fmt(f),
            Location::Command(command) => write!(f, "{COMMAND}{command}"),
            Location::Url(url) => f.write_str(url),
        }
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Location {
        Location::File(path)
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Location {
        Location::File(path.to_owned())
    }
}

impl From<&PathBuf> for Location {
    fn from(path: &PathBuf) -> Location {
        Location::File(path.clone())
    }
}
