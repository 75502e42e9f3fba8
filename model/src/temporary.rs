//! Files and folders that get their name only when they are complete, and of which nothing is left when the process is
//! told to end before that.
//!
//! Every temporary file of the process is in one list. [`remove_all`], which a program calls when a signal ends it, removes
//! them and keeps the list locked, so that no other thread makes or names another one.

use std::fs::{self, File};
use std::io::Result;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How their names begin.
const PREFIX: &str = ".tmp-";

static ALL: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Folders that were made to hold others; never locked while waiting for [`ALL`].
static PARENTS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn parents() -> MutexGuard<'static, Vec<PathBuf>> {
    PARENTS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn all() -> MutexGuard<'static, Vec<PathBuf>> {
    // A list of paths is whole whatever thread panicked.
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

fn forget(path: &Path) {
    all().retain(|other| other != path);
}

/// Folders that were made so that one can be made in them. Those that are empty at the end are removed.
#[derive(Debug)]
pub(crate) struct Parents(Vec<PathBuf>);

impl Parents {
    /// Makes `path` and what is missing above it.
    pub fn create(path: &Path) -> Result<Parents> {
        let missing = path.ancestors().take_while(|p| !p.as_os_str().is_empty() && !p.exists());
        let made = Parents(missing.map(Path::to_owned).collect());
        let _all = all();
        parents().extend(made.0.iter().cloned());
        fs::create_dir_all(path)?;
        Ok(made)
    }
}

impl Drop for Parents {
    fn drop(&mut self) {
        // The innermost first. One that holds something cannot be removed, and need not be.
        self.0.iter().for_each(|path| drop(fs::remove_dir(path)));
        parents().retain(|path| !self.0.contains(path));
    }
}

/// A folder that is removed with all that is in it, unless it gets a name.
#[derive(Debug)]
pub struct Folder(Option<tempfile::TempDir>);

impl Folder {
    /// A new folder inside `parent`, which must exist.
    pub fn create_in(parent: &Path) -> Result<Folder> {
        let mut all = all();
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        all.push(folder.path().to_owned());
        Ok(Folder(Some(folder)))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.as_ref().map_or(Path::new(""), tempfile::TempDir::path)
    }

    /// Gives it its name.
    ///
    /// # Errors
    /// As [`fs::rename`]; the folder is removed then.
    pub fn rename(mut self, to: &Path) -> Result<()> {
        let from = self.path().to_owned();
        uninterrupted(|| fs::rename(&from, to))?;
        self.keep();
        Ok(())
    }

    /// Leaves it where it is, for good.
    pub fn keep(&mut self) {
        if let Some(folder) = self.0.take() {
            forget(&folder.keep());
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(folder) = self.0.take() {
            let path = folder.path().to_owned();
            drop(folder);
            forget(&path);
        }
    }
}

/// A file that is removed unless it gets a name.
#[derive(Debug)]
pub(crate) struct TemporaryFile(tempfile::NamedTempFile);

impl TemporaryFile {
    /// A new, empty file inside `folder`, which must exist.
    pub fn create_in(folder: &Path) -> Result<TemporaryFile> {
        let mut all = all();
        let file = tempfile::Builder::new().prefix(PREFIX).tempfile_in(folder)?;
        all.push(file.path().to_owned());
        Ok(TemporaryFile(file))
    }

    /// The file, open for writing.
    pub fn file(&mut self) -> &mut File {
        self.0.as_file_mut()
    }

    /// Gives it its name; a file that has it already is replaced.
    pub fn rename(self, to: &Path) -> Result<()> {
        let from = self.0.path().to_owned();
        let renamed = uninterrupted(|| self.0.persist(to));
        // A file that could not be renamed is removed here.
        let result = renamed.map(drop).map_err(|e| e.error);
        forget(&from);
        result
    }
}

/// Runs `f`, and lets [`remove_all`] wait for it: for several renames of which none must be missing.
pub fn uninterrupted<T>(f: impl FnOnce() -> T) -> T {
    let _all = all();
    f()
}

/// Removes every temporary file and folder of this process. Other threads stand still at their next attempt to make or
/// name one: to be called when the process is about to end.
pub fn remove_all() {
    /// A thread may add a file to a folder while it is being removed.
    const ATTEMPTS: usize = 10;
    let all = all();
    for path in all.iter() {
        for _ in 0..ATTEMPTS {
            let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            if removed.is_ok() || path.symlink_metadata().is_err() {
                break;
            }
        }
    }
    let mut made = parents().clone();
    made.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
    made.iter().for_each(|path| drop(fs::remove_dir(path)));
    std::mem::forget(all);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_name_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::create_in(root.path()).unwrap();
        let path = folder.path().to_owned();
        fs::write(path.join("half"), "").unwrap();
        assert!(all().contains(&path));
        drop(folder);
        assert!(!path.exists() && !all().contains(&path));
    }

    #[test]
    fn what_has_its_name_stays() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::create_in(root.path()).unwrap();
        let path = folder.path().to_owned();
        folder.rename(&root.path().join("folder")).unwrap();
        let mut file = TemporaryFile::create_in(root.path()).unwrap();
        std::io::Write::write_all(file.file(), b"x").unwrap();
        file.rename(&root.path().join("file")).unwrap();
        let mut names: Vec<_> = fs::read_dir(root.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["file", "folder"]);
        assert!(!all().contains(&path));
    }

    #[test]
    fn parents_of_nothing_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("a/b/c");
        drop(Parents::create(&inner).unwrap());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        let made = Parents::create(&inner).unwrap();
        fs::write(root.path().join("a/b/file"), "").unwrap();
        drop(made);
        assert!(root.path().join("a/b/file").exists() && !inner.exists());
        assert!(!parents().iter().any(|path| path.starts_with(root.path())));
    }

    #[test]
    fn a_name_that_is_taken_leaves_nothing_behind() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("taken/inside")).unwrap();
        assert!(Folder::create_in(root.path()).unwrap().rename(&root.path().join("taken")).is_err());
        assert!(TemporaryFile::create_in(root.path()).unwrap().rename(&root.path().join("taken")).is_err());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
