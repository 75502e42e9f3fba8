//! Which teacher a run learns from, so that another one under the same name is noticed when the run goes on.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// What the files of weights end with.
const WEIGHTS: [&str; 3] = ["safetensors", "bin", "pt"];

/// The path of a teacher and a hash of its weights, apart by a tab; `none` without one.
///
/// # Errors
/// [`Error::Io`] for files that cannot be read.
pub(super) fn note(teacher: Option<&Path>) -> Result<String> {
    let Some(path) = teacher else { return Ok("none".to_owned()) };
    let hash = hash(path).map_err(|source| Error::io("read", path, source))?;
    Ok(format!("{}\t{hash}", path.display()))
}

/// The teachers of two notes as they are told, the same when they are one: by their weights, wherever those lie.
pub(super) fn compared(was: &str, now: &str) -> (String, String) {
    let parts = |note: &str| note.split_once('\t').map(|(path, hash)| (path.to_owned(), hash.to_owned()));
    match (parts(was), parts(now)) {
        (Some((_, was)), Some((path, now))) if was == now => (path.clone(), path),
        // Older states have the path alone.
        (None, Some((path, _))) => (was.to_owned(), path),
        (Some((path, _)), None) => (path, now.to_owned()),
        (None, None) => (was.to_owned(), now.to_owned()),
        (Some((before, was)), Some((path, now))) => (format!("{before} ({was})"), format!("{path} ({now})")),
    }
}

fn hash(path: &Path) -> io::Result<String> {
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        let entries = path.read_dir()?.map(|entry| entry.map(|entry| entry.path()));
        files = entries.collect::<io::Result<Vec<PathBuf>>>()?;
        let ends =
            |file: &Path| file.extension().is_some_and(|end| WEIGHTS.iter().any(|known| end == *known));
        files.retain(|file| ends(file) && file.is_file());
        files.sort();
    }
    let mut hasher = Sha256::new();
    for file in files {
        io::copy(&mut File::open(file)?, &mut hasher)?;
    }
    Ok(hasher.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_teacher_is_its_weights() {
        let root = tempfile::tempdir().unwrap();
        let (first, second) = (root.path().join("first"), root.path().join("second"));
        for folder in [&first, &second] {
            std::fs::create_dir_all(folder.join("folder.bin")).unwrap();
            std::fs::write(folder.join("model.safetensors"), [7; 1 << 17]).unwrap();
        }
        let of = |path: &Path| note(Some(path)).unwrap();
        let before = of(&first);
        let (was, now) = compared(&before, &of(&second));
        assert_eq!(was, now, "a copy elsewhere");
        std::fs::write(first.join("model.safetensors"), [[7; 1 << 16], [8; 1 << 16]].concat()).unwrap();
        let (was, now) = compared(&before, &of(&first));
        assert!(was != now && was.starts_with(first.to_str().unwrap()), "{was} {now}");
        assert_eq!(compared(&before, "none").1, "none");
        assert_eq!(compared("first", "first\t00"), ("first".to_owned(), "first".to_owned()));
        assert!(note(Some(&root.path().join("missing"))).is_err());
    }
}
