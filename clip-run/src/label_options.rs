//! How labels are named on the command line.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clip_model::templates::parse_labels;
use clip_program::{Progress, Usage, input};
use clip_runtime::{Clip, LabelSet, Template};

/// Options of every command that takes labels.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("texts").multiple(true))]
pub struct LabelOptions {
    /// Labels, separated by commas; a label with a comma in it goes into a file [default: those stored in DIR]
    #[arg(long, value_name = "A,B,...", conflicts_with = "labels_file", groups = ["given", "texts"])]
    labels: Option<String>,
    /// File with one label a line; "-" reads standard input
    #[arg(long, value_name = "FILE", groups = ["given", "texts"])]
    labels_file: Option<PathBuf>,
    /// Labels that clip-run labels or calibrate wrote
    #[arg(long, value_name = "FILE", conflicts_with = "given")]
    label_set: Option<PathBuf>,
    /// What an image may show besides, separated by commas: it takes its share of the probability, and counts as none of the labels
    #[arg(long, value_name = "A,B,...", group = "texts")]
    background: Option<String>,
    /// Text around a label, with {} in its place; given several times, the embeddings are averaged [default: {}]
    #[arg(long = "template", value_name = "TEXT", requires = "texts")]
    templates: Vec<Template>,
    /// File with one template a line, in addition to --template; "-" reads standard input
    #[arg(long, value_name = "FILE", requires = "texts")]
    templates_file: Option<PathBuf>,
}

/// What the options say, read before a model is opened.
pub struct Labels<'a> {
    names: Option<Vec<String>>,
    file: Option<&'a Path>,
    background: Option<Vec<String>>,
    templates: Vec<Template>,
}

impl LabelOptions {
    /// The files that are read; one of them, at most, is standard input.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        [&self.labels_file, &self.templates_file].into_iter().flatten().map(PathBuf::as_path)
    }

    /// Reads the lists that are named.
    pub fn read(&self) -> Result<Labels<'_>> {
        let names = match (&self.labels_file, &self.labels) {
            (Some(path), _) => Some(parse_labels(&input::read_text(path)?, path)?),
            (None, Some(list)) => Some(split("--labels", list)?),
            (None, None) => None,
        };
        let background = self.background.as_ref().map(|list| split("--background", list)).transpose()?;
        let mut templates = self.templates.clone();
        if let Some(path) = &self.templates_file {
            templates.extend(Template::parse_list(&input::read_text(path)?, path)?);
        }
        Ok(Labels { names, file: self.label_set.as_deref(), background, templates })
    }
}

impl Labels<'_> {
    /// The labels for the model of `folder`: encoded, read, or those that are stored in it.
    pub fn of(&self, clip: &Clip, folder: &Path) -> Result<LabelSet> {
        let labels = match (&self.names, self.file) {
            (Some(names), _) => self.encode(clip, names)?,
            (None, Some(file)) => clip.open_label_set(file)?,
            (None, None) => {
                let missing = "has no stored labels: name some with --labels, --labels-file or --label-set";
                let stored = clip.stored_labels().cloned();
                stored.with_context(|| format!("{} {missing}", folder.display()))?
            }
        };
        self.with_background(clip, labels)
    }

    /// Puts the background behind `labels`, if one is named.
    pub fn with_background(&self, clip: &Clip, labels: LabelSet) -> Result<LabelSet> {
        match &self.background {
            Some(names) => Ok(labels.with_background(&self.encode(clip, names)?)?),
            None => Ok(labels),
        }
    }

    fn encode(&self, clip: &Clip, names: &[String]) -> Result<LabelSet> {
        let mut progress = Progress::new("labels encoded", names.len());
        Ok(clip.label_set_with(names, &self.templates, &mut |done| progress.set(done))?)
    }
}

/// The labels of a list with commas.
fn split(option: &str, list: &str) -> Result<Vec<String>> {
    let labels: Vec<String> = list.split(',').map(|label| label.trim().to_owned()).collect();
    match labels.iter().position(String::is_empty) {
        None => Ok(labels),
        Some(empty) => {
            Err(Usage(format!("{option} {list:?}: label {} of {} is empty", empty + 1, labels.len())).into())
        }
    }
}
