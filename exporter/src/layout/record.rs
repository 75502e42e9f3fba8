//! `clip-layout.json`: what was written for another program, so that it can be checked, and nothing else be replaced.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clip_model::manifest::Precision;
use clip_model::{Manifest, files};
use serde::{Deserialize, Serialize};

use super::program::Program;
use crate::contents::replacement;
use crate::error::{Error, Result};

/// The file's name; no program looks for it.
pub const FILE: &str = "clip-layout.json";

/// The version of its fields.
const SCHEMA: u64 = 1;

/// What lies in a folder for another program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Version of these fields, 1.
    pub schema: u64,
    /// Program and version that wrote the folder.
    pub producer: String,
    /// The program that the folder is for.
    pub program: Program,
    /// Human-readable name of the model.
    pub model: String,
    /// Number format of its graphs.
    pub precision: Precision,
    /// Width of the embeddings.
    pub embed_dim: usize,
    /// Factor on cosine similarities.
    pub logit_scale: f32,
    /// Summand on scaled similarities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logit_bias: Option<f32>,
    /// Lower-case hex SHA-256 of each other file, by its path in the folder.
    pub files: BTreeMap<String, String>,
}

impl Record {
    /// Of a folder without files, for the model with `manifest`.
    pub fn new(program: Program, manifest: &Manifest, precision: Precision) -> Record {
        Record {
            schema: SCHEMA,
            producer: manifest.producer.clone(),
            program,
            model: manifest.model.clone(),
            precision,
            embed_dim: manifest.embed_dim,
            logit_scale: manifest.logit_scale,
            logit_bias: manifest.logit_bias,
            files: BTreeMap::new(),
        }
    }

    /// Reads `folder/clip-layout.json`.
    ///
    /// # Errors
    /// [`Error::NotLaidOut`] where there is none, or one of another version.
    pub fn read(folder: impl AsRef<Path>) -> Result<Record> {
        let folder = folder.as_ref();
        let path = folder.join(FILE);
        let refused = |source| Error::NotLaidOut { folder: folder.to_owned(), source };
        let bytes = files::read(&path, files::TEXT_LIMIT).map_err(refused)?;
        let record: Record =
            serde_json::from_slice(&bytes).map_err(|e| refused(clip_model::Error::json(&path, e)))?;
        match record.schema {
            SCHEMA => Ok(record),
            found => Err(refused(clip_model::Error::SchemaVersion { path, found, known: SCHEMA..=SCHEMA })),
        }
    }

    /// Writes `folder/clip-layout.json` atomically.
    ///
    /// # Errors
    /// [`Error::Model`] when it cannot be written.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<()> {
        let path = folder.as_ref().join(FILE);
        let json = serde_json::to_vec_pretty(self).map_err(|e| clip_model::Error::json(&path, e))?;
        files::write_hashed(&path, &[&json[..], b"\n"].concat())?;
        Ok(())
    }

    /// Whether the file at this path in the folder is one of its own.
    fn knows(&self, path: &str) -> bool {
        path == FILE || self.files.contains_key(path)
    }
}

/// Refuses a destination before any work is done: one that exists, unless it holds nothing but what was written for another
/// program, and is to be replaced.
///
/// # Errors
/// [`Error::Exists`], [`Error::NotLaidOut`] and [`Error::ForeignFile`].
pub fn check(folder: impl AsRef<Path>, replace: bool) -> Result<()> {
    let folder = folder.as_ref();
    if replacement::is_free(folder, replace)? {
        return Ok(());
    }
    let record = Record::read(folder)?;
    check_files(folder, Path::new(""), &record)
}

/// Refuses files in the folder `inside` of `folder` that are not the record's.
fn check_files(folder: &Path, inside: &Path, record: &Record) -> Result<()> {
    let io = |e| Error::Model(clip_model::Error::io("read", folder.join(inside), e));
    for entry in std::fs::read_dir(folder.join(inside)).map_err(io)? {
        let entry = entry.map_err(io)?;
        let path: PathBuf = inside.join(entry.file_name());
        // What a link names is somebody's own.
        if entry.file_type().map_err(io)?.is_dir() {
            check_files(folder, &path, record)?;
        } else if !path.to_str().is_some_and(|path| record.knows(path)) {
            return Err(Error::ForeignFile { folder: folder.to_owned(), file: path });
        }
    }
    Ok(())
}
