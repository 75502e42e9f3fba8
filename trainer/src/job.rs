//! What a run is asked to do, and the folder that it takes for itself.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use clip_data::{DataSet, Location, Warn};
use tch::Device;

use crate::error::{Error, Result};
use crate::settings::Settings;

/// A run as it is asked for.
#[derive(Debug, Clone)]
pub struct Job {
    /// The settings.
    pub settings: Settings,
    /// Training data.
    pub data: DataSet,
    /// Validation shards, each reported by itself; may be none.
    pub val: Vec<PathBuf>,
    /// The output folder.
    pub out: PathBuf,
    /// The device.
    pub device: Device,
    /// Go on with the run in the output folder.
    pub resume: bool,
    /// What may differ from the run that is gone on with: names of settings (`optim.lr`) or of sections (`optim`), `shards`,
    /// `device`.
    pub resume_with: Vec<String>,
    /// A checkpoint whose weights, vocabulary and preprocessing are the first ones, and whose network is the run's.
    pub init: Option<PathBuf>,
    /// A checkpoint to learn from, see [`crate::objective::Distillation`].
    pub teacher: Option<PathBuf>,
    /// Threads that decode pictures.
    pub decode_threads: usize,
    /// Takes the warnings about samples that are left out, and about weights that are not as they were stored.
    pub warn: Warn,
    /// Asked after each step: whether to save and stop.
    pub stop: fn() -> bool,
}

impl Job {
    /// The kind of device: its number changes nothing.
    pub(crate) fn device_name(&self) -> String {
        match self.device {
            Device::Cpu => "cpu".to_owned(),
            Device::Cuda(_) => "cuda".to_owned(),
            other => format!("{other:?}").to_lowercase(),
        }
    }

    /// The training shards' file names alone: a run may go on with its data in another place.
    pub(crate) fn shard_names(&self) -> Vec<String> {
        self.data.shards().iter().map(Location::name).collect()
    }
}

/// Locks the output folder: two runs in it would overwrite each other.
pub(crate) fn lock(folder: &Path) -> Result<File> {
    let lock = File::open(folder).map_err(|e| Error::io("open", folder, e))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            Err(Error::folder(folder, "another clip-train is at work in this folder; choose another one"))
        }
        Err(TryLockError::Error(e)) => Err(Error::io("lock", folder, e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_takes_one_run_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = lock(folder.path()).unwrap();
        assert!(lock(folder.path()).unwrap_err().to_string().contains("another clip-train"));
        drop(first);
        lock(folder.path()).unwrap();
    }
}
