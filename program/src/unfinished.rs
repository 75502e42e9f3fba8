//! What a program leaves half written when it is told to end, and its removal.

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};

use clip_model::temporary::{self, Unfinished};

/// `None` once the process is about to end.
static UNFINISHED: Mutex<Option<Unfinished>> = Mutex::new(Some(Unfinished::new()));

fn unfinished() -> MutexGuard<'static, Option<Unfinished>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on every temporary file and folder is known here.
pub fn record() {
    temporary::record_in(&UNFINISHED);
}

/// Whether [`remove_all`] was called: the process ends at any moment.
pub fn is_removed() -> bool {
    unfinished().is_none()
}

/// Removes every temporary file and folder of this process. From then on, other threads' attempts to make or name one are
/// errors: to be called when the process is about to end.
pub fn remove_all() {
    /// A thread may add a file to a folder while it is being removed.
    const ATTEMPTS: usize = 10;
    let mut list = unfinished();
    let Some(Unfinished { temporary, mut parents }) = list.take() else { return };
    for path in &temporary {
        for _ in 0..ATTEMPTS {
            let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            if removed.is_ok() || path.symlink_metadata().is_err() {
                break;
            }
        }
    }
    parents.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
    parents.iter().for_each(|path| drop(fs::remove_dir(path)));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::sync::mpsc;
    use std::time::Duration;

    fn entries(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn all_is_removed_and_later_writes_fail_instead_of_waiting() {
        record();
        let root = tempfile::tempdir().unwrap();
        let half = temporary::Folder::create_in(root.path()).unwrap();
        fs::write(half.path().join("half"), "").unwrap();
        assert!(entries(root.path()) == 1 && !is_removed());
        remove_all();
        assert!(entries(root.path()) == 0 && is_removed());

        let (result, is_done) = mpsc::channel();
        let path = root.path().join("late");
        std::thread::spawn(move || {
            let written = clip_model::files::write_atomically(&path, |_| Ok(()));
            result.send(written.map_err(|e| std::error::Error::source(&e).map(ToString::to_string)))
        });
        let written = is_done.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(written.unwrap_err().unwrap(), "the program is ending");
        assert!(half.rename(&root.path().join("name")).is_err());
        assert_eq!(entries(root.path()), 0);
        remove_all();
    }
}
