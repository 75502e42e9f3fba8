//! The hashes by which the hub names files, which it sends as entity tags.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use clip_model::files;
use sha1::{Digest, Sha1};

/// What identifies a file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hash {
    /// SHA-256 of a large file, lower-case hex.
    Sha256(String),
    /// Git's object id of a small one: SHA-1 of `blob LENGTH`, a zero byte, and the content.
    Git(String),
}

impl Hash {
    /// From an entity tag, `"..."` or `W/"..."`; none where it is neither of the two.
    pub fn from_tag(tag: &str) -> Option<Hash> {
        let tag = tag.trim().trim_start_matches("W/").trim_matches('"');
        if is_hex(tag, 64) {
            Some(Hash::Sha256(tag.to_owned()))
        } else {
            is_hex(tag, 40).then(|| Hash::Git(tag.to_owned()))
        }
    }

    /// The digits; a file in the cache is called so.
    pub fn digits(&self) -> &str {
        let (Hash::Sha256(digits) | Hash::Git(digits)) = self;
        digits
    }

    /// The hash of a file, of the same kind, in hex.
    pub fn of_file(&self, path: &Path) -> clip_model::Result<String> {
        match self {
            Hash::Sha256(_) => files::sha256(path),
            Hash::Git(_) => git(path).map_err(|e| clip_model::Error::io("read", path, e)),
        }
    }
}

fn git(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha1::new();
    hasher.update(format!("blob {}\0", file.metadata()?.len()));
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(format!("{:x}", hasher.finalize())),
            n => hasher.update(&buffer[..n]),
        }
    }
}

/// Whether `text` has `length` lower-case hexadecimal digits and nothing else, so that it can name a file.
pub(super) fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf 'hello\n' | git hash-object --stdin`, and `sha256sum`.
    #[test]
    fn files_have_the_hashes_that_git_and_sha256sum_print() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hello\n").unwrap();
        for digits in [
            "ce013625030ba8dba906f756967f9e9ca394464a",
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
        ] {
            let hash = Hash::from_tag(&format!("W/\"{digits}\"")).unwrap();
            assert_eq!(hash.of_file(file.path()).unwrap(), digits);
            assert_eq!(hash.digits(), digits);
        }
    }

    #[test]
    fn other_tags_are_no_hashes() {
        let up = format!("\"../{}\"", "a".repeat(37));
        for tag in ["", "\"5f3a-1234\"", "d41d8cd98f00b204e9800998ecf8427e", &"A".repeat(40), &up] {
            assert_eq!(Hash::from_tag(tag), None, "{tag}");
        }
    }
}
