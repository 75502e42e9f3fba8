//! Saving while training goes on.
//!
//! A checkpoint is written in two parts. Training waits for the first, in which the tensors are streamed to the operating
//! system piece by piece. The second is a thread's: it waits for the disk, opens what was written as a reader would, and gives it
//! its name. Nothing is copied for it in this process's memory; the pages are the system's, which it writes out and takes back
//! as it sees fit.

use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use clip_checkpoint::{Checkpoint, Weights};
use clip_model::{files, memory, parallel, temporary};

use super::folder;
use crate::error::{Error, Result};

/// Memory that is made sure of before a checkpoint is opened, for the small pieces of its lists of tensors, bytes.
const CHECK_NEEDS: usize = 8 << 20;

/// A checkpoint that is written, but not yet on the disk and without a name.
#[derive(Debug)]
pub(super) struct Written {
    /// Its files.
    pub folder: temporary::Folder,
    /// Steps done.
    pub step: u64,
    /// The run's output folder.
    pub out: PathBuf,
    /// Checkpoints that are kept.
    pub keep: usize,
    /// The step of one that is kept besides.
    pub best: Option<u64>,
}

impl Written {
    /// Waits for the disk and gives the checkpoint its name, then its place in the output folder.
    fn finish(self) -> Result<()> {
        let Written { folder: written, step, out, keep, best } = self;
        let path = written.path().to_owned();
        files::sync_folder(&path)?;
        memory::available("the check of a checkpoint", CHECK_NEEDS)?;
        // A checkpoint that cannot be read back must not take the place of an older one.
        Checkpoint::open(&path)?;
        Weights::open(path.join(folder::TRAINING))?;
        #[cfg(unix)]
        {
            // Temporary folders are private to their owner.
            use std::os::unix::fs::PermissionsExt;
            let open_to_readers = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(&path, open_to_readers).map_err(|e| Error::io("write", &path, e))?;
        }
        let name = folder::checkpoint(&out, step);
        if name.exists() {
            std::fs::remove_dir_all(&name).map_err(|e| Error::io("remove", &name, e))?;
        }
        written.rename(&name).map_err(|e| Error::io("rename", &name, e))?;
        #[cfg(unix)]
        if let Some(parent) = name.parent() {
            let synced = std::fs::File::open(parent).and_then(|folder| folder.sync_all());
            synced.map_err(|e| Error::io("write", parent, e))?;
        }
        folder::publish(&name, &out)?;
        folder::prune(&out, keep, best)
    }
}

/// The thread that finishes a checkpoint; there is one at a time.
#[derive(Debug, Default)]
pub(super) struct Saver(Option<(PathBuf, JoinHandle<Result<()>>)>);

impl Saver {
    /// Has a checkpoint finished in the background; where memory is too short for a thread, at once. The one before must have been
    /// waited for.
    ///
    /// # Errors
    /// Those of the checkpoint, when it is finished at once; [`Error::Io`] when no thread can be started, which removes what was
    /// written.
    pub fn finish(&mut self, written: Written) -> Result<()> {
        if !parallel::can_start() {
            return written.finish();
        }
        let out = written.out.clone();
        let thread = thread::Builder::new().name("save".to_owned()).spawn(move || written.finish());
        let thread = thread.map_err(|e| Error::io("start a thread to finish the checkpoint in", &out, e))?;
        self.0 = Some((out, thread));
        Ok(())
    }

    /// Waits until nothing is being saved.
    ///
    /// # Errors
    /// That of the checkpoint; the one before it is whole then.
    pub fn wait(&mut self) -> Result<()> {
        let Some((out, thread)) = self.0.take() else { return Ok(()) };
        let panicked = |_| Error::folder(out, "the thread that finishes checkpoints has panicked");
        thread.join().map_err(panicked)?
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        // A run that ends with an error has that one to tell.
        let _ = self.wait();
    }
}
