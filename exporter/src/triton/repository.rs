//! A model repository, to which models are added.

use std::path::{Path, PathBuf};

use clip_model::{Manifest, files};

use super::Device;
use super::config::{self, MARK};
use super::model::{Backend, Model};
use crate::contents::replacement;
use crate::error::{Error, Result};
use crate::options::Options;

const CONFIG: &str = "config.pbtxt";
/// The version that is written, of those that Triton can tell apart.
const VERSION: &str = "1";
const WARMUP: &str = "warmup";

/// Where models are added, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The folder; made where it is not there.
    pub path: PathBuf,
    /// What runs the models.
    pub device: Device,
    /// Whether models of these names that were written before may be replaced. Others are left alone always.
    pub replace: bool,
}

impl Repository {
    /// Refuses, before anything is exported, what [`Repository::add`] would refuse of a model folder `folder` that is exported
    /// with `options`.
    ///
    /// # Errors
    /// [`Error::TritonName`], [`Error::TritonNested`], [`Error::TritonModel`] and [`Error::ForeignFile`].
    pub fn check(&self, folder: impl AsRef<Path>, options: &Options) -> Result<()> {
        self.check_apart(folder.as_ref())?;
        let name = model_name(&options.model)?;
        let names = options.components().into_iter().map(|c| format!("{name}_{}", c.suffix()));
        names.map(|name| self.path.join(name)).try_for_each(|model| self.check_model(&model))
    }

    /// Adds the graphs of the model folder `folder`, copied. All of them get their names together, or none does. Gives back the
    /// models' folders.
    ///
    /// # Errors
    /// Those of [`Repository::check`]; [`Error::Model`] for a folder that is none, or when a file cannot be copied.
    pub fn add(&self, folder: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
        let folder = folder.as_ref();
        self.check_apart(folder)?;
        let manifest = Manifest::read(folder)?;
        let tokenizer = manifest.tokenizer.as_ref();
        let tokenizer = tokenizer.map(|file| file.open(folder.join(&file.file))).transpose()?;
        let models = Model::all(&manifest, tokenizer.as_ref(), &model_name(&manifest.model)?);
        let names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
        let check = |model: &Path| self.check_model(model);
        let fill = |i: usize, path: &Path| self.fill(&models[i], folder, path);
        replacement::write_each(&self.path, &names, check, fill)?;
        Ok(names.into_iter().map(|name| self.path.join(name)).collect())
    }

    /// Fills `path` with a model of the model folder `folder`.
    fn fill(&self, model: &Model<'_>, folder: &Path, path: &Path) -> Result<()> {
        let version = path.join(VERSION);
        create(&version)?;
        let encoder = model.encoder;
        copy(&folder.join(&encoder.file), &version.join(Backend::of(&encoder.file).file()))?;
        // A graph names the files of its weights.
        encoder.data.iter().try_for_each(|data| copy(&folder.join(&data.file), &version.join(&data.file)))?;
        if let Some(labels) = model.labels {
            copy(&folder.join(labels), &path.join(labels))?;
        }
        for warmup in &model.warmups {
            let Some(ids) = &warmup.ids else { continue };
            create(&path.join(WARMUP))?;
            // Of a fixed batch, the whole.
            let rows = encoder.batch.unwrap_or(1);
            let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
            files::write_hashed(&path.join(WARMUP).join(warmup.name), &bytes.repeat(rows))?;
        }
        files::write_hashed(&path.join(CONFIG), config::text(model, self.device).as_bytes())?;
        Ok(())
    }

    /// A model folder in a repository is taken for a model, and a repository in a model folder keeps that from being replaced.
    fn check_apart(&self, folder: &Path) -> Result<()> {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let [repository, model] = [&self.path, folder].map(absolute);
        if repository.starts_with(&model) || model.starts_with(&repository) {
            return Err(Error::TritonNested { repository: self.path.clone(), folder: folder.to_owned() });
        }
        Ok(())
    }

    /// Refuses a model that is there already, unless it may be replaced and is nothing but what was written here.
    fn check_model(&self, model: &Path) -> Result<()> {
        if model.symlink_metadata().is_err() {
            return Ok(());
        }
        if !self.replace {
            return Err(Error::TritonModel { model: model.to_owned(), ours: true });
        }
        let config = files::read_text(&model.join(CONFIG)).unwrap_or_default();
        if !config.starts_with(MARK) {
            return Err(Error::TritonModel { model: model.to_owned(), ours: false });
        }
        // What somebody has added, another version for example, would be lost.
        let labels =
            |name: &str| name.ends_with(".txt") && config.contains(&format!("label_filename: \"{name}\""));
        only(model, |name| [CONFIG, VERSION, WARMUP].contains(&name) || labels(name))?;
        only(&model.join(VERSION), |name| {
            let graph =
                [Backend::OnnxRuntime, Backend::TensorRt].iter().any(|backend| backend.file() == name);
            graph || name.ends_with(".onnx.data")
        })?;
        only(&model.join(WARMUP), |name| config.contains(&format!("input_data_file: \"{name}\"")))
    }
}

/// What the names of models begin with: the model's own, with a low line for what cannot be in a part of a URL.
fn model_name(model: &str) -> Result<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name: String = model.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    match name.contains(|c: char| c.is_ascii_alphanumeric()) && !name.starts_with('.') {
        true => Ok(name),
        false => Err(Error::TritonName { name: model.to_owned() }),
    }
}

/// Refuses a folder in which there is a file whose name is not `known`.
fn only(folder: &Path, known: impl Fn(&str) -> bool) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let name = entry.map_err(|e| clip_model::Error::io("read", folder, e))?.file_name();
        if !name.to_str().is_some_and(&known) {
            return Err(Error::ForeignFile { folder: folder.to_owned(), file: name.into() });
        }
    }
    Ok(())
}

fn create(folder: &Path) -> Result<()> {
    Ok(std::fs::create_dir_all(folder).map_err(|e| clip_model::Error::io("create", folder, e))?)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::copy(from, to).map_err(|e| clip_model::Error::io("write", to, e))?;
    let written = std::fs::File::open(to).and_then(|file| file.sync_all());
    Ok(written.map_err(|e| clip_model::Error::io("write", to, e))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_part_of_a_url() {
        assert_eq!(model_name("ViT-B/32").unwrap(), "ViT-B_32");
        assert_eq!(model_name("my model, v1.2").unwrap(), "my_model__v1.2");
        for none in ["模型", "..", "_", ".hidden"] {
            let error = model_name(none).unwrap_err();
            assert!(matches!(&error, Error::TritonName { name } if name == none), "{error}");
        }
    }
}
