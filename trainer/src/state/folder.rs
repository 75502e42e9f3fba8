//! What lies where in a run's output folder, and which of it a dead run has left over.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clip_model::{files, temporary};

use crate::error::{Error, Result};

/// Where the checkpoints of a run are in its output folder.
pub const CHECKPOINTS: &str = "checkpoints";

/// What a run needs to go on besides the checkpoint's own files; the newest checkpoint has it.
pub const TRAINING: &str = "training.safetensors";

/// The name of the resolved settings, in the output folder and in each checkpoint.
pub const SETTINGS: &str = "train.toml";

/// Where version 2 had its state.
const VERSION_2: &str = "state";

/// The folder of the checkpoint after `step` steps.
pub fn checkpoint(out: &Path, step: u64) -> PathBuf {
    out.join(CHECKPOINTS).join(format!("step-{step:09}"))
}

/// The checkpoints of a run with their steps, the newest last.
///
/// # Errors
/// [`Error::Io`].
pub fn checkpoints(out: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let folder = out.join(CHECKPOINTS);
    let mut found = Vec::new();
    for name in names(&folder)? {
        let step = name.strip_prefix("step-").and_then(|step| step.parse().ok());
        found.extend(step.map(|step| (step, folder.join(&name))));
    }
    found.sort();
    Ok(found)
}

/// The folder from which a run goes on: its newest checkpoint that has all that is needed.
///
/// # Errors
/// [`Error::Io`].
pub fn resumable(out: &Path) -> Result<Option<PathBuf>> {
    let complete = |folder: &PathBuf| folder.join(TRAINING).exists();
    let newest = checkpoints(out)?.into_iter().map(|(_, folder)| folder).rfind(complete);
    Ok(newest.or_else(|| Some(out.join(VERSION_2)).filter(complete)))
}

/// Removes what a run that was killed has half written, which needs the folder's lock. A folder in which no run was ever
/// begun is left as it is.
///
/// # Errors
/// [`Error::Io`].
pub fn remove_left_overs(out: &Path) -> Result<()> {
    let parts = [CHECKPOINTS, VERSION_2].map(|name| out.join(name));
    if !parts.iter().any(|part| part.is_dir()) {
        return Ok(());
    }
    for folder in parts.iter().map(PathBuf::as_path).chain([out]).filter(|folder| folder.is_dir()) {
        temporary::remove_left_overs(folder).map_err(|e| Error::io("clear", folder, e))?;
    }
    // Empty when the first checkpoint never came about.
    parts.iter().for_each(|part| drop(fs::remove_dir(part)));
    Ok(())
}

/// Whether nothing is in a folder.
///
/// # Errors
/// [`Error::Io`].
pub fn is_empty(folder: &Path) -> Result<bool> {
    Ok(names(folder)?.is_empty())
}

/// Makes the files of the checkpoint in `folder` those of the output folder, under second names: no second copy of them is
/// written.
///
/// # Errors
/// [`Error::Io`].
pub fn publish(folder: &Path, out: &Path) -> Result<()> {
    for name in names(folder)?.iter().filter(|name| *name != TRAINING) {
        files::link(&folder.join(name), &out.join(name))?;
    }
    Ok(())
}

/// Removes all checkpoints but the newest `keep` and the one after `best` steps; the ones before the newest lose what only
/// resuming needs.
///
/// # Errors
/// [`Error::Io`].
pub fn prune(out: &Path, keep: usize, best: Option<u64>) -> Result<()> {
    let remove = |what: &Path, result: io::Result<()>| match result {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", what, e)),
        _ => Ok(()),
    };
    let mut checkpoints = checkpoints(out)?;
    checkpoints.reverse();
    for (age, (step, folder)) in checkpoints.iter().enumerate().skip(1) {
        let training = folder.join(TRAINING);
        remove(&training, fs::remove_file(&training))?;
        if age >= keep && best != Some(*step) {
            remove(folder, fs::remove_dir_all(folder))?;
        }
    }
    let old = out.join(VERSION_2);
    remove(&old, fs::remove_dir_all(&old))
}

/// The names in a folder; none when it is not there.
fn names(folder: &Path) -> Result<Vec<String>> {
    let fail = |e| Error::io("read", folder, e);
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(fail)?,
    };
    entries.map(|entry| Ok(entry.map_err(fail)?.file_name().to_string_lossy().into_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_checkpoints(steps: &[u64]) -> tempfile::TempDir {
        let out = tempfile::tempdir().unwrap();
        for &step in steps {
            let folder = checkpoint(out.path(), step);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(TRAINING), step.to_string()).unwrap();
            fs::write(folder.join("weights"), step.to_string()).unwrap();
        }
        out
    }

    fn steps(out: &Path) -> Vec<u64> {
        checkpoints(out).unwrap().into_iter().map(|(step, _)| step).collect()
    }

    #[test]
    fn the_newest_and_the_best_are_kept() {
        let out = with_checkpoints(&[0, 9, 10, 200, 1000]);
        assert_eq!(steps(out.path()), [0, 9, 10, 200, 1000]);
        prune(out.path(), 2, Some(9)).unwrap();
        assert_eq!(steps(out.path()), [9, 200, 1000]);
        let training = |step| checkpoint(out.path(), step).join(TRAINING).exists();
        assert_eq!([9, 200, 1000].map(training), [false, false, true]);
        assert_eq!(resumable(out.path()).unwrap(), Some(checkpoint(out.path(), 1000)));
        prune(out.path(), 0, None).unwrap();
        assert_eq!(steps(out.path()), [1000], "the newest is never removed");
    }

    #[test]
    fn the_output_folder_has_the_files_of_the_checkpoint() {
        let out = with_checkpoints(&[1, 2]);
        for step in [1, 2, 2] {
            publish(&checkpoint(out.path(), step), out.path()).unwrap();
            assert_eq!(fs::read_to_string(out.path().join("weights")).unwrap(), step.to_string());
        }
        assert!(!out.path().join(TRAINING).exists());
        assert_eq!(names(out.path()).unwrap().len(), 2);
    }

    #[test]
    fn left_overs_go_and_strangers_files_stay() {
        let out = with_checkpoints(&[]);
        fs::write(out.path().join(".tmp-mine"), "").unwrap();
        remove_left_overs(out.path()).unwrap();
        assert!(!is_empty(out.path()).unwrap(), "no run was begun here");
        fs::create_dir_all(out.path().join(CHECKPOINTS).join(".tmp-half")).unwrap();
        remove_left_overs(out.path()).unwrap();
        assert!(is_empty(out.path()).unwrap());
    }
}
