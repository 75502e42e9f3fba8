//! Where a checkpoint is: a path, or the hub.

use std::path::{Path, PathBuf};

use clip_checkpoint::hub::{self, Id};

use crate::error::{Error, Result};

/// The checkpoint that a user calls `name`: a file or folder, or a model of the Hugging Face hub (`ORGANISATION/NAME`), which is
/// fetched into the cache that Python programs use too, as the environment says (`HF_HOME`, `HF_ENDPOINT`, `HF_TOKEN`,
/// `HF_HUB_OFFLINE`). `say` is told what is being fetched.
///
/// # Errors
/// [`Error::NoCheckpoint`] when what is no path cannot be had from the hub either.
pub fn find(name: &Path, say: fn(&str)) -> Result<PathBuf> {
    let Some(id) = name.to_str().filter(|_| !name.exists()).and_then(Id::parse) else {
        return Ok(name.to_owned());
    };
    let settings = hub::Settings::from_env()?;
    // A large file is told of in tenths.
    let mut told = (String::new(), 0);
    let fetched = hub::fetch(&id, &settings, &mut |progress| match progress {
        hub::Progress::Download { file, done, size } => {
            let tenths = 10 * done / size.max(1);
            if (told.0.as_str(), told.1) != (file, tenths) {
                say(&format!("downloading {file}: {} % of {:.1} MB", 10 * tenths, size as f64 / 1e6));
                told = (file.to_owned(), tenths);
            }
        }
        hub::Progress::Retry { file, reason } => say(&format!("{file}: {reason}; trying again")),
        hub::Progress::Wait { file } => {
            say(&format!("{file}: waiting for another program that downloads it"))
        }
    });
    fetched.map_err(|source| Error::NoCheckpoint { name: id.to_string(), source })
}
