//! Where a shard is: a file or folder, the output of a command, an object of a store or web server.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// What a word begins with that is a command.
pub(crate) const COMMAND: &str = "pipe:";
/// What a word begins with that is an object of a store or web server.
const SCHEMES: [&str; 4] = ["s3://", "gs://", "http://", "https://"];

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
    /// What a word of the command line names: `pipe:COMMAND`, the address of an object, else a file or folder.
    ///
    /// # Errors
    /// [`Error::Pattern`] for an empty command, and for addresses that are not read.
    pub fn parse(word: &str) -> Result<Location> {
        let bad = |reason: &str| Error::Pattern { pattern: word.to_owned(), reason: reason.to_owned() };
        if let Some(command) = word.strip_prefix(COMMAND) {
            return match command.trim() {
                "" => Err(bad("there is no command behind `pipe:`")),
                command => Ok(Location::Command(command.to_owned())),
            };
        }
        if SCHEMES.iter().any(|scheme| word.starts_with(scheme)) {
            return match word.contains('?') {
                // What signs a request would be lost, or be seen in every message.
                true => Err(bad("an address with `?` is not read; use `pipe:curl -fsSL 'ADDRESS'`")),
                false => Ok(Location::Url(word.to_owned())),
            };
        }
        match word.split_once("://") {
            Some((scheme, _)) if !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                Err(bad(
                    "of addresses s3://, gs://, http:// and https:// are read; for others there is `pipe:COMMAND`",
                ))
            }
            _ => Ok(Location::File(word.into())),
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_files_commands_and_addresses() {
        for (word, name) in [
            ("d/a.tar", "a.tar"),
            ("s3://bucket/d/a.tar", "a.tar"),
            ("http://localhost:80/a.tar", "a.tar"),
            ("pipe: cat d/a.tar", "pipe:cat d/a.tar"),
        ] {
            assert_eq!(Location::parse(word).unwrap().name(), name);
        }
        assert_eq!(Location::parse("d/a.tar").unwrap().path(), Some(Path::new("d/a.tar")));
        assert_eq!(Location::parse("gs://b/a.tar").unwrap().to_string(), "gs://b/a.tar");
    }

    #[test]
    fn what_cannot_be_read_says_what_can() {
        for (word, part) in [
            ("pipe: ", "no command"),
            ("hdfs://x/a.tar", "s3://, gs://, http:// and https:// are read"),
            ("https://x/a.tar?signature=1", "pipe:curl"),
        ] {
            let message = Location::parse(word).unwrap_err().to_string();
            assert!(message.contains(part) && message.contains(word), "{message}");
        }
    }
}
