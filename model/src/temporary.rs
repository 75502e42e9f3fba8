//! Files and folders that get their name only when they are complete.
//!
//! A program that may be told to end before that gives [`record_in`] a list of its own, and removes what is in it when it
//! ends. This library has none, and installs nothing in the process it is linked into.

use std::fs::{self, File};
use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

/// How their names begin.
const PREFIX: &str = ".tmp-";

/// What is left to be removed when the process ends now.
#[derive(Debug, Default)]
pub struct Unfinished {
    /// Files and folders without a name, to be removed with all that is in them.
    pub temporary: Vec<PathBuf>,
    /// Folders that were made to hold others, to be removed where they are empty.
    pub parents: Vec<PathBuf>,
}

impl Unfinished {
    /// Nothing.
    pub const fn new() -> Unfinished {
        Unfinished { temporary: Vec::new(), parents: Vec::new() }
    }
}

static LIST: OnceLock<&'static Mutex<Option<Unfinished>>> = OnceLock::new();

/// Has every temporary file and folder of the process recorded in `list`, which is locked while one is made, named or
/// removed. Once the list holds `None`, because the process is about to end, no more are made or named: an attempt is an
/// error. To be called once, by a program, before it makes any; later calls do nothing.
pub fn record_in(list: &'static Mutex<Option<Unfinished>>) {
    LIST.get_or_init(|| list);
}

/// Runs `step` on the locked list; on an empty one where there is none.
fn recorded<T>(step: impl FnOnce(&mut Unfinished) -> Result<T>) -> Result<T> {
    let Some(list) = LIST.get() else { return step(&mut Unfinished::new()) };
    // A list of paths is whole whatever thread panicked.
    match &mut *list.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(unfinished) => step(unfinished),
        None => Err(Error::other("the program is ending")),
    }
}

fn forget(path: &Path) {
    // When the program is ending, there is no list any more.
    let _ = recorded(|unfinished| {
        unfinished.temporary.retain(|other| other != path);
        Ok(())
    });
}

/// Folders that were made so that one can be made in them. Those that are empty at the end are removed.
#[derive(Debug)]
pub(crate) struct Parents(Vec<PathBuf>);

impl Parents {
    /// Makes `path` and what is missing above it.
    pub fn create(path: &Path) -> Result<Parents> {
        let missing = path.ancestors().take_while(|p| !p.as_os_str().is_empty() && !p.exists());
        let made = Parents(missing.map(Path::to_owned).collect());
        recorded(|unfinished| {
            unfinished.parents.extend(made.0.iter().cloned());
            fs::create_dir_all(path)
        })?;
        Ok(made)
    }
}

impl Drop for Parents {
    fn drop(&mut self) {
        // The innermost first. One that holds something cannot be removed, and need not be.
        self.0.iter().for_each(|path| drop(fs::remove_dir(path)));
        let _ = recorded(|unfinished| {
            unfinished.parents.retain(|path| !self.0.contains(path));
            Ok(())
        });
    }
}

/// A folder that is removed with all that is in it, unless it gets a name.
#[derive(Debug)]
pub struct Folder(Option<tempfile::TempDir>);

impl Folder {
    /// A new folder inside `parent`, which must exist.
    pub fn create_in(parent: &Path) -> Result<Folder> {
        recorded(|unfinished| {
            let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
            unfinished.temporary.push(folder.path().to_owned());
            Ok(Folder(Some(folder)))
        })
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
        recorded(|unfinished| {
            let file = tempfile::Builder::new().prefix(PREFIX).tempfile_in(folder)?;
            unfinished.temporary.push(file.path().to_owned());
            Ok(TemporaryFile(file))
        })
    }

    /// The file, open for writing.
    pub fn file(&mut self) -> &mut File {
        self.0.as_file_mut()
    }

    /// Gives it its name; a file that has it already is replaced.
    pub fn rename(self, to: &Path) -> Result<()> {
        let from = self.0.path().to_owned();
        // A file that could not be renamed comes back in the error, and is removed with it.
        let renamed = uninterrupted(|| self.0.persist(to).map(drop).map_err(|e| e.error));
        forget(&from);
        renamed
    }
}

/// Gives `from` a second name in place of the file that has it.
pub(crate) fn link(from: &Path, to: &Path) -> Result<()> {
    let name = to.file_name().ok_or(std::io::ErrorKind::InvalidInput)?;
    let mut first = std::ffi::OsString::from(PREFIX);
    first.push(name);
    let first = to.with_file_name(first);
    // Quick enough for a program that ends to wait for it.
    uninterrupted(|| {
        fs::hard_link(from, &first)?;
        let renamed = fs::rename(&first, to);
        // Two names of one file are left as they are by a rename.
        let _ = fs::remove_file(&first);
        renamed
    })
}

/// Removes from `folder` the temporary files and folders of processes that were killed; how many there were. Only for a folder
/// in which no process is at work.
///
/// # Errors
/// [`Error`] when the folder cannot be read, or one of them not removed.
pub fn remove_left_overs(folder: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            match entry.file_type()?.is_dir() {
                true => fs::remove_dir_all(entry.path())?,
                false => fs::remove_file(entry.path())?,
            }
            count += 1;
        }
    }
    Ok(count)
}

/// Runs `f` while the list of [`record_in`] is locked, so that a program that ends waits for it: for several renames of
/// which none must be missing.
///
/// # Errors
/// What `f` returns; an error of its own when the program is ending.
pub fn uninterrupted<T>(f: impl FnOnce() -> Result<T>) -> Result<T> {
    recorded(|_| f())
}

#[cfg(test)]
mod tests {
    use super::*;

    static RECORDED: Mutex<Option<Unfinished>> = Mutex::new(Some(Unfinished::new()));

    /// Whether anything under `path` is in the list, which all tests of this process share.
    fn is_recorded(path: &Path) -> bool {
        record_in(&RECORDED);
        let list = RECORDED.lock().unwrap();
        let Unfinished { temporary, parents } = list.as_ref().unwrap();
        temporary.iter().chain(parents).any(|other| other.starts_with(path))
    }

    #[test]
    fn what_has_no_name_is_removed() {
        let root = tempfile::tempdir().unwrap();
        assert!(!is_recorded(root.path()));
        let folder = Folder::create_in(root.path()).unwrap();
        let path = folder.path().to_owned();
        fs::write(path.join("half"), "").unwrap();
        assert!(is_recorded(&path));
        drop(folder);
        assert!(!path.exists() && !is_recorded(&path));
    }

    #[test]
    fn what_has_its_name_stays() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::create_in(root.path()).unwrap();
        folder.rename(&root.path().join("folder")).unwrap();
        let mut file = TemporaryFile::create_in(root.path()).unwrap();
        std::io::Write::write_all(file.file(), b"x").unwrap();
        file.rename(&root.path().join("file")).unwrap();
        let mut names: Vec<_> = fs::read_dir(root.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["file", "folder"]);
        assert!(!is_recorded(root.path()));
    }

    #[test]
    fn parents_of_nothing_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("a/b/c");
        assert!(!is_recorded(root.path()));
        let made = Parents::create(&inner).unwrap();
        assert!(is_recorded(&inner));
        drop(made);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        let made = Parents::create(&inner).unwrap();
        fs::write(root.path().join("a/b/file"), "").unwrap();
        drop(made);
        assert!(root.path().join("a/b/file").exists() && !inner.exists());
        assert!(!is_recorded(root.path()));
    }

    #[test]
    fn left_overs_of_a_dead_process_are_removed_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        Folder::create_in(root.path()).unwrap().keep();
        fs::write(root.path().join(".tmp-half"), "half").unwrap();
        fs::write(root.path().join("tmp-mine"), "whole").unwrap();
        assert_eq!(remove_left_overs(root.path()).unwrap(), 2);
        let names: Vec<_> = fs::read_dir(root.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["tmp-mine"]);
        assert!(remove_left_overs(&root.path().join("missing")).is_err());
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
