//! The best checkpoint of a run so far, by a figure of the validation.

use std::path::Path;

use clip_model::files;
use serde::{Deserialize, Serialize};

use super::folder;
use crate::error::{Error, Result};

/// The name of its description in the output folder.
pub const BEST: &str = "best.json";

/// Which checkpoint is the best one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Steps done.
    pub step: u64,
    /// The figure, as `run.keep_best` names it.
    pub figure: String,
    /// Its value, the mean over the validation shards.
    pub value: f64,
    /// Where the checkpoint is, seen from the output folder.
    pub folder: String,
}

impl Best {
    /// The checkpoint after `step` steps, for which `figure` had this value.
    pub fn new(step: u64, figure: String, value: f64) -> Best {
        let folder = folder::checkpoint(Path::new(""), step).to_string_lossy().into_owned();
        Best { step, figure, value, folder }
    }

    /// The one that the output folder tells of, if it is there still.
    ///
    /// # Errors
    /// [`Error::Folder`] when the description is not understood.
    pub fn read(out: &Path) -> Result<Option<Best>> {
        let path = out.join(BEST);
        if !path.exists() {
            return Ok(None);
        }
        let best: Best = serde_json::from_str(&files::read_text(&path)?)
            .map_err(|e| Error::folder(&path, format!("{e}; remove the file to choose the best anew")))?;
        Ok(Some(best).filter(|best| folder::checkpoint(out, best.step).is_dir()))
    }

    /// Writes it into the output folder.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, out: &Path) -> Result<()> {
        let path = out.join(BEST);
        let json = serde_json::to_vec_pretty(self).map_err(|e| Error::io("write", &path, e.into()))?;
        Ok(files::write_atomically(&path, |out| std::io::Write::write_all(out, &json))?)
    }
}
