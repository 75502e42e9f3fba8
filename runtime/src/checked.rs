//! Whether the files of a model folder are those that its manifest describes: by their hashes, or, where the user trusts
//! that, by a record of the last time that they were hashed.
//!
//! The record says of each file which hash it had, and size, times and inode number that it had then. A file of which any
//! of these differs is hashed again. The record lies in the folder, or, where that cannot be written to, in the user's cache
//! folder. It keeps nobody out: who can change a model's files can change its manifest, too.

use std::fs::Metadata;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clip_model::files;
use clip_model::manifest::{self, CHECKED};
use clip_model::parallel::each;
use serde::{Deserialize, Serialize};

use crate::cache;
use crate::error::Result;

/// Files that are hashed at the same time, at most: a disk gains nothing from more.
const AT_ONCE: usize = 4;

/// Largest record that is read, bytes.
const LIMIT: u64 = 1 << 20;

/// A file that changed so shortly before it was hashed may change once more without its time showing that.
const SETTLED: Duration = Duration::from_secs(2);

/// A record.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    files: Vec<Entry>,
}

/// A file as it was when it was hashed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    file: String,
    sha256: String,
    state: State,
}

/// What the file system says about a file.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    bytes: u64,
    /// Time of the last change of its content, since 1970.
    modified: Duration,
    /// Time of the last change of its content or attributes, which no program can set: seconds and nanoseconds.
    changed: (i64, i64),
    /// Device and number of the file there.
    inode: (u64, u64),
}

impl State {
    fn of(metadata: &Metadata) -> std::io::Result<State> {
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).map_err(std::io::Error::other)?;
        #[cfg(unix)]
        let (changed, inode) = {
            use std::os::unix::fs::MetadataExt;
            ((metadata.ctime(), metadata.ctime_nsec()), (metadata.dev(), metadata.ino()))
        };
        #[cfg(not(unix))]
        let (changed, inode) = Default::default();
        Ok(State { bytes: metadata.len(), modified, changed, inode })
    }

    /// None for what is not there, or has no times.
    fn read(path: &Path) -> Option<State> {
        State::of(&path.metadata().ok()?).ok()
    }

    /// Whether the file was left alone for a while.
    fn is_settled(&self) -> bool {
        let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH) else { return false };
        let changed = Duration::from_secs(u64::try_from(self.changed.0).unwrap_or(0));
        self.modified.max(changed) + SETTLED < now
    }
}

/// Checks files of `folder`, of which the manifest says which hash they have. Those that are `trust`ed by the record of an
/// earlier check are not read.
///
/// # Errors
/// [`clip_model::Error::Hash`] for a file that is another one; [`clip_model::Error::Io`] for one that is missing.
pub(crate) fn check(folder: &Path, listed: Vec<(&str, &str)>, trust: bool, threads: usize) -> Result<()> {
    let listed = listed.into_iter();
    let helpers = threads.min(AT_ONCE).saturating_sub(1);
    if !trust {
        let checked = each(listed, helpers, |(file, sha256)| manifest::verified(folder, file, sha256));
        return Ok(checked.into_iter().try_for_each(|result| result.map(drop))?);
    }
    let known = read(folder);
    let checked = each(listed, helpers, |(file, sha256)| {
        // Before the file is read: what changes it while it is read shows next time.
        let state = State::read(&folder.join(file));
        let entry = state.map(|state| Entry { file: file.to_owned(), sha256: sha256.to_owned(), state });
        match entry {
            Some(entry) if known.files.contains(&entry) => Ok(Some(entry)),
            entry => {
                manifest::verified(folder, file, sha256)?;
                Ok(entry.filter(|entry| entry.state.is_settled()))
            }
        }
    });
    let checked: clip_model::Result<Vec<Option<Entry>>> = checked.into_iter().collect();
    let record = Record { files: checked?.into_iter().flatten().collect() };
    if !record.files.iter().all(|entry| known.files.contains(entry)) {
        write(folder, &record);
    }
    Ok(())
}

/// What the records in the folder and in the cache say; nothing where there is none, or none that can be read.
fn read(folder: &Path) -> Record {
    let read = |path: PathBuf| serde_json::from_slice::<Record>(&files::read(&path, LIMIT).ok()?).ok();
    let records = [read(folder.join(CHECKED)), in_cache(folder).and_then(read)];
    Record { files: records.into_iter().flatten().flat_map(|record| record.files).collect() }
}

/// Keeps the record where it can be kept. Where it cannot, the next check reads all files again.
fn write(folder: &Path, record: &Record) {
    let Ok(text) = serde_json::to_vec_pretty(record) else { return };
    let write = |path: &Path| files::write_atomically(path, |out| std::io::Write::write_all(out, &text));
    if write(&folder.join(CHECKED)).is_ok() {
        return;
    }
    if let Some(path) = in_cache(folder)
        && path.parent().is_some_and(|parent| std::fs::create_dir_all(parent).is_ok())
    {
        let _ = write(&path);
    }
}

/// The record of `folder` in the user's cache folder, named after the folder's path. Two of one name only displace each
/// other, since they are told apart by their files' numbers.
fn in_cache(folder: &Path) -> Option<PathBuf> {
    let mut hasher = DefaultHasher::new();
    folder.canonicalize().ok()?.hash(&mut hasher);
    Some(cache::folder()?.join("checked").join(format!("{:016x}.json", hasher.finish())))
}
