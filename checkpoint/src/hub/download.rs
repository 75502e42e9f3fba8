//! One file of a model: announced, downloaded, checked, and put into the cache.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use clip_model::Error as ModelError;
use ureq::Body;
use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG};
use ureq::http::{Response, StatusCode};

use super::cache::{self, Cache};
use super::connection::{Connection, Failure};
use super::hash::Hash;
use super::{Id, Progress, Settings};
use crate::error::{Error, Result};

/// A request is given up after this many failures in a row without a byte between them.
const ATTEMPTS: u32 = 6;

/// Downloads files of one commit.
pub(super) struct Download<'a> {
    pub settings: &'a Settings,
    pub connection: &'a Connection,
    pub cache: &'a Cache,
    pub id: &'a Id,
    pub commit: &'a str,
}

/// A file as the hub announces it.
struct Announced<'a> {
    name: &'a str,
    url: String,
    hash: Hash,
    size: u64,
}

impl Download<'_> {
    /// Sees to it that the file `name` is in the cache, and returns its path there.
    pub fn file(&mut self, name: &str, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
        let path = self.cache.snapshot(self.commit).join(name);
        if path.exists() {
            return Ok(path);
        }
        let announced = self.patiently(name, progress, |_| self.announcement(name))?;
        let blob = self.cache.blob(&announced.hash);
        cache::create_parent(&blob)?;
        // The lock ends with the file.
        let lock = self.cache.lock_file(&announced.hash)?;
        let locked = match lock.try_lock() {
            Err(TryLockError::WouldBlock) => {
                progress(Progress::Wait { file: name });
                lock.lock()
            }
            Err(TryLockError::Error(e)) => Err(e),
            Ok(()) => Ok(()),
        };
        locked.map_err(|e| ModelError::io("lock", &blob, e))?;
        if !blob.exists() {
            self.content(&announced, &blob, progress)?;
        }
        self.cache.link(self.commit, name, &announced.hash)
    }

    /// What the hub says of a file.
    fn announcement<'n>(&self, name: &'n str) -> Result<Announced<'n>, Failure> {
        let url = format!("{}/{}/resolve/{}/{name}", self.settings.endpoint, self.id.name(), self.commit);
        let mut response = self.connection.head(&url)?;
        self.connection.check(&mut response, &url, self.id)?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        // Those of the file itself; the plain ones may be of the redirect to it.
        let tag = header("x-linked-etag").or_else(|| header(ETAG.as_str()));
        let size = header("x-linked-size").or_else(|| header(CONTENT_LENGTH.as_str()));
        let bad = |what: String| Error::HubAnswer { url: url.clone(), what };
        let hash = tag
            .and_then(Hash::from_tag)
            .ok_or_else(|| bad(format!("its entity tag is {tag:?}, neither a SHA-256 nor an id of git's")))?;
        let size = size
            .and_then(|size| size.parse().ok())
            .ok_or_else(|| bad(format!("it gives {size:?} as the size of the file")))?;
        Ok(Announced { name, url, hash, size })
    }

    /// Downloads what is missing of a file, and gives it its name if its hash is the announced one.
    fn content(&self, file: &Announced, blob: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
        let path = self.cache.part(&file.hash);
        let mut part = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|source| Error::io("write", &path, source))?;
        self.patiently(file.name, progress, |progress| self.append(file, &mut part, &path, progress))?;
        part.sync_all().map_err(|source| Error::io("write", &path, source))?;
        let found = file.hash.of_file(&path)?;
        if found != file.hash.digits() {
            std::fs::remove_file(&path).map_err(|e| ModelError::io("remove", &path, e))?;
            return Err(Error::HubHash {
                url: file.url.clone(),
                expected: file.hash.digits().to_owned(),
                found,
            });
        }
        Ok(std::fs::rename(&path, blob).map_err(|e| ModelError::io("rename", &path, e))?)
    }

    /// One request for what `part` lacks.
    fn append(
        &self,
        file: &Announced,
        part: &mut File,
        path: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), Failure> {
        let write = |source| Failure::from(Error::io("write", path, source));
        let mut done = part.seek(SeekFrom::End(0)).map_err(write)?;
        if done > file.size {
            part.set_len(0).map_err(write)?;
            done = part.seek(SeekFrom::Start(0)).map_err(write)?;
        }
        if done == file.size {
            return Ok(());
        }
        let mut response = self.connection.get(&file.url, done)?;
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            // The server has another idea of the file's size: from the beginning, then.
            part.set_len(0).map_err(write)?;
            return Err(Failure::connection(&file.url, format!("it has no byte {done} of {}", file.size)));
        }
        self.connection.check(&mut response, &file.url, self.id)?;
        if done > 0 && !goes_on_at(&response, done) {
            // The whole file comes, from its beginning.
            part.set_len(0).map_err(write)?;
            done = part.seek(SeekFrom::Start(0)).map_err(write)?;
        }
        progress(Progress::Download { file: file.name, done, size: file.size });
        let mut reader = response.body_mut().as_reader();
        let mut buffer = vec![0; 1 << 16];
        while done < file.size {
            // Never more than was announced, whatever the server sends.
            let room = usize::try_from(file.size - done).unwrap_or(buffer.len()).min(buffer.len());
            let n = match reader.read(&mut buffer[..room]) {
                Ok(0) => {
                    let what = format!("it ended after {done} of {} bytes", file.size);
                    return Err(Failure::connection(&file.url, what));
                }
                Ok(n) => n,
                Err(e) => return Err(Failure::connection(&file.url, e)),
            };
            part.write_all(&buffer[..n]).map_err(write)?;
            done += n as u64;
            progress(Progress::Download { file: file.name, done, size: file.size });
        }
        Ok(())
    }

    /// Tries again after failures that may pass, with longer and longer pauses as long as no byte arrives.
    fn patiently<T>(
        &self,
        file: &str,
        progress: &mut dyn FnMut(Progress),
        mut attempt: impl FnMut(&mut dyn FnMut(Progress)) -> Result<T, Failure>,
    ) -> Result<T> {
        let mut failures = 0;
        let mut reached = 0;
        loop {
            let mut furthest = reached;
            let result = attempt(&mut |step| {
                if let Progress::Download { done, .. } = step {
                    furthest = furthest.max(done);
                }
                progress(step);
            });
            let failure = match result {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            failures = if furthest > reached { 1 } else { failures + 1 };
            reached = furthest;
            if !failure.passing || failures == ATTEMPTS {
                return Err(failure.error);
            }
            progress(Progress::Retry { file, reason: reason(&failure.error) });
            std::thread::sleep(self.settings.pause * (1 << (failures - 1)));
        }
    }
}

/// Whether the answer is the part of the file that was asked for, rather than all of it.
fn goes_on_at(response: &Response<Body>, start: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    response.status() == StatusCode::PARTIAL_CONTENT
        && range.is_some_and(|range| range.starts_with(&format!("bytes {start}-")))
}

fn reason(error: &Error) -> String {
    match error {
        Error::HubConnection { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}
