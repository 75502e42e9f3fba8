//! What a word of the command line or of a list names.

use crate::error::{Error, Result};
use crate::location::{COMMAND, Location};

/// What a word begins with that is an object of a store or web server.
const SCHEMES: [&str; 4] = ["s3://", "gs://", "http://", "https://"];

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
}

#[cfg(test)]
mod tests {
    use std::path::Path;

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
