//! `clip-train --evaluate`: measures a checkpoint.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clip_checkpoint::Checkpoint;
use clip_model::templates::{Template, parse_labels};
use clip_program::{input, note};
use clip_trainer::objective::ObjectiveName;
use clip_trainer::validate::{Evaluation, Validator};
use clip_trainer::{Network, Precision, start};

/// Options of an evaluation.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Evaluate this checkpoint on the --val shards instead of training: a folder or file, or a model's name on the Hugging
    /// Face hub, as --init
    #[arg(long, value_name = "CHECKPOINT", conflicts_with_all = ["config", "data", "out", "resume", "resume_with", "init", "teacher", "vocab_size"], requires = "val")]
    evaluate: Option<PathBuf>,
    /// With --evaluate: text around a class name, with {} in its place, or a list of them: imagenet, simple or cifar; given several
    /// times, the embeddings are averaged [default: {}]
    #[arg(long = "template", value_name = "TEXT", requires = "evaluate", value_parser = Template::list)]
    templates: Vec<Vec<Template>>,
    /// With --evaluate: file with one template a line, in addition to --template; "-" reads standard input
    #[arg(long, value_name = "FILE", requires = "evaluate")]
    templates_file: Option<PathBuf>,
    /// With --evaluate: class names, one a line; only samples whose first caption is one of them count; "-"
    /// reads standard input
    #[arg(long, value_name = "FILE", requires = "evaluate")]
    labels_file: Option<PathBuf>,
    /// With --evaluate: pairs in a batch of the loss
    #[arg(long, value_name = "N", requires = "evaluate", default_value = "256", value_parser = clap::value_parser!(u32).range(2..))]
    loss_batch: u32,
}

impl Options {
    /// The checkpoint to be evaluated, where there is one.
    pub fn checkpoint(&self) -> Option<&Path> {
        self.evaluate.as_deref()
    }

    /// Measures `checkpoint` on the shards `val`.
    pub fn run(
        &self,
        checkpoint: &Path,
        val: &[PathBuf],
        device: tch::Device,
        threads: usize,
    ) -> Result<Evaluation> {
        input::check_once(
            [&self.labels_file, &self.templates_file].into_iter().flatten().map(PathBuf::as_path),
        )?;
        let mut templates: Vec<Template> = self.templates.iter().flatten().cloned().collect();
        if let Some(path) = &self.templates_file {
            templates.extend(Template::parse_list(&input::read_text(path)?, path)?);
        }
        if templates.is_empty() {
            templates.push("{}".parse()?);
        }
        let read = |path: &PathBuf| Ok::<_, anyhow::Error>(parse_labels(&input::read_text(path)?, path)?);
        let labels = self.labels_file.as_ref().map(read).transpose()?;
        clip_data::check_shards(val)?;
        let checkpoint = Checkpoint::open(start::find(checkpoint, note)?)?;
        checkpoint.resized.iter().for_each(|resized| note(&resized.to_string()));
        let mut network = Network::load(&checkpoint, device, Precision::Fp32)?;
        let objective = match network.logit_bias() {
            Some(_) => ObjectiveName::Sigmoid,
            None => ObjectiveName::Contrastive,
        };
        let validator = Validator {
            preprocess: checkpoint.preprocess.clone(),
            tokenizer: checkpoint.tokenizer()?,
            templates,
            labels,
            objective,
            batch: self.loss_batch as usize,
            threads,
            // Nothing is lost when a signal ends the program at once.
            stop: || false,
        };
        Ok(validator.run(&mut network, val)?)
    }
}
