//! The settings of a training run: a TOML file, checked in full before any work starts.

mod model;

use std::path::Path;

use clip_model::config::Config;
use clip_model::files;
use clip_model::preprocess::Preprocess;
use serde::{Deserialize, Serialize};

use crate::data::Augment;
use crate::error::{Error, Result};
use crate::network::Precision;
pub use model::{ActivationName, Model, ResNetSizes, TextSizes, ViTSizes};

/// Everything that shapes a run. Unknown fields are errors; what is left out has the value given here.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The network.
    pub model: Model,
    /// What is done with the training data.
    #[serde(default)]
    pub data: Data,
    /// The optimiser and its schedule.
    #[serde(default)]
    pub optim: Optim,
    /// What is written and when; nothing here changes the result.
    #[serde(default)]
    pub run: Run,
}

/// What is done with the training data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Data {
    /// `openai` (the built-in vocabulary), `train` (a new one of `model.text.vocab_size` tokens, from the captions),
    /// or the path of a `tokenizer.json`.
    pub tokenizer: String,
    /// Samples that are held in memory to be drawn from at random.
    pub shuffle_buffer: usize,
    /// Memory for decoded pictures, megabytes: data that fits is decoded only once. 0 keeps none.
    pub cache_mb: usize,
    /// Random changes to the pictures.
    pub augment: Augment,
}

/// The optimiser (AdamW) and its schedule (linear warm-up, then a cosine).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Optim {
    /// Pairs in a batch; each picture is told apart from all the others' texts, so more is better.
    pub batch: usize,
    /// Length of the run, batches.
    pub steps: u64,
    /// Highest learning rate.
    pub lr: f64,
    /// Learning rate at the end.
    pub min_lr: f64,
    /// Steps until the learning rate is at its highest.
    pub warmup: u64,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients: the paper's table 18 has 0.999 for ResNets and 0.98 for ViTs.
    pub beta2: f64,
    /// Added to the root of the mean square: the paper's table 18 has 1e-8 for ResNets and 1e-6 for ViTs.
    pub eps: f64,
    /// Decoupled weight decay of matrices and kernels; gains, biases and the logit scale have none.
    pub weight_decay: f64,
    /// Gradients are scaled down to this global norm when they exceed it; 0 leaves them alone.
    pub clip: f64,
    /// `fp32`, or `bf16` for matrix products and convolutions (the weights themselves stay fp32).
    pub precision: Precision,
    /// Seed of the first weights, of shuffling and of augmentation.
    pub seed: u64,
}

/// What is written and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Run {
    /// Steps between lines of the log.
    pub log_every: u64,
    /// Steps between checkpoints; there is one at the end as well.
    pub checkpoint_every: u64,
    /// Steps between validations on the `--val` shards; there is one at the end as well. 0: at the end only.
    pub validate_every: u64,
    /// Prompt of zero-shot validation, `{}` stands for the class name.
    pub template: String,
    /// Number format of the weights in `open_clip_model.safetensors`: `fp32` or `fp16` (half the size).
    pub weights: WeightFormat,
}

/// Number format of the published weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightFormat {
    /// IEEE single precision.
    #[default]
    Fp32,
    /// IEEE half precision, rounded to nearest.
    Fp16,
}

impl Default for Data {
    fn default() -> Self {
        Data { tokenizer: "openai".into(), shuffle_buffer: 10_000, cache_mb: 0, augment: Augment::default() }
    }
}

impl Default for Optim {
    fn default() -> Self {
        Optim {
            batch: 256,
            steps: 10_000,
            lr: 5e-4,
            min_lr: 0.0,
            warmup: 500,
            beta1: 0.9,
            beta2: 0.98,
            eps: 1e-6,
            weight_decay: 0.2,
            clip: 0.0,
            precision: Precision::Fp32,
            seed: 0,
        }
    }
}

impl Default for Run {
    fn default() -> Self {
        Run {
            log_every: 50,
            checkpoint_every: 1000,
            validate_every: 0,
            template: "{}".into(),
            weights: WeightFormat::Fp32,
        }
    }
}

impl Settings {
    /// Reads and checks a settings file.
    ///
    /// # Errors
    /// [`Error::Settings`] with the file, the line and the field.
    pub fn read(path: &Path) -> Result<Settings> {
        let text = files::read_text(path)?;
        Settings::parse(&text).map_err(|e| match e {
            Error::Settings(reason) => Error::Settings(format!("{}: {}", path.display(), reason.trim_end())),
            other => Error::Settings(format!("{}: {other}", path.display())),
        })
    }

    /// Checks the text of a settings file.
    pub fn parse(text: &str) -> Result<Settings> {
        let settings: Settings = toml::from_str(text).map_err(|e| Error::Settings(e.to_string()))?;
        settings.validate()?;
        Ok(settings)
    }

    /// The settings as TOML, every field written out.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::Settings(format!("the settings cannot be written: {e}")))
    }

    /// Refuses values that make no sense, naming the field.
    pub fn validate(&self) -> Result<()> {
        let check = |holds: bool, message: String| match holds {
            true => Ok(()),
            false => Err(Error::Settings(message)),
        };
        let o = &self.optim;
        let fraction = |name: &str, value: f64| {
            check(
                (0.0..1.0).contains(&value),
                format!("optim.{name} is {value}, expected at least 0 and below 1"),
            )
        };
        let not_negative = |name: &str, value: f64| {
            check(value.is_finite() && value >= 0.0, format!("optim.{name} is {value}, expected 0 or more"))
        };
        check(
            o.batch >= 2,
            format!("optim.batch is {}: a contrastive loss needs at least 2 pairs", o.batch),
        )?;
        let shuffled = self.data.shuffle_buffer;
        check(
            shuffled > 0,
            "data.shuffle_buffer is 0, expected 1 or more: 1 keeps the order of the shards".into(),
        )?;
        check(o.steps > 0, "optim.steps is 0: there is nothing to do".into())?;
        check(o.lr.is_finite() && o.lr > 0.0, format!("optim.lr is {}, expected above 0", o.lr))?;
        not_negative("min_lr", o.min_lr)?;
        check(o.min_lr <= o.lr, format!("optim.min_lr {} is above optim.lr {}", o.min_lr, o.lr))?;
        check(o.warmup <= o.steps, format!("optim.warmup {} is above optim.steps {}", o.warmup, o.steps))?;
        fraction("beta1", o.beta1)?;
        fraction("beta2", o.beta2)?;
        not_negative("eps", o.eps)?;
        not_negative("weight_decay", o.weight_decay)?;
        not_negative("clip", o.clip)?;
        check(self.run.log_every > 0, "run.log_every is 0, expected 1 or more".into())?;
        check(self.run.checkpoint_every > 0, "run.checkpoint_every is 0, expected 1 or more".into())?;
        let template = &self.run.template;
        check(template.contains("{}"), format!("run.template {template:?} has no {{}} for the class name"))?;
        self.data.augment.validate()?;
        self.config().map(|_| ())
    }

    /// The network that `[model]` describes.
    pub fn config(&self) -> Result<Config> {
        self.model.config()
    }

    /// How pictures become the image tower's input: OpenAI's mean and deviation, at the network's size.
    pub fn preprocess(&self) -> Result<Preprocess> {
        Ok(Preprocess { size: self.config()?.image.image_size(), ..Preprocess::default() })
    }

    /// The fields outside `[run]` in which `other` differs, each with both values; empty when there are none.
    pub fn difference(&self, other: &Settings) -> Result<String> {
        let mut lines = Vec::new();
        let flat = |settings: &Settings| -> Result<Vec<(String, String)>> {
            let settings = Settings { run: Run::default(), ..settings.clone() };
            let table = toml::Table::try_from(&settings).map_err(|e| Error::Settings(e.to_string()))?;
            let mut fields = Vec::new();
            flatten("", &toml::Value::Table(table), &mut fields);
            Ok(fields)
        };
        let (before, now) = (flat(self)?, flat(other)?);
        let find = |fields: &[(String, String)], name: &str| {
            fields.iter().find(|(n, _)| n == name).map_or("not given".to_owned(), |(_, value)| value.clone())
        };
        let new = now.iter().filter(|(name, _)| !before.iter().any(|(n, _)| n == name));
        for (name, _) in before.iter().chain(new) {
            let (was, is) = (find(&before, name), find(&now, name));
            if was != is {
                lines.push(format!("{name} was {was}, now {is}"));
            }
        }
        Ok(lines.join("; "))
    }
}

fn flatten(prefix: &str, value: &toml::Value, into: &mut Vec<(String, String)>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&name, value, into);
            }
        }
        other => into.push((prefix.to_owned(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "
        [model]
        embed_dim = 16
        resnet = { image_size = 32, layers = [1, 1, 1, 1], width = 8 }
        text = { context_length = 8, vocab_size = 520, width = 16, heads = 2, layers = 1 }
    ";

    #[test]
    fn a_name_or_sizes() {
        let named = Settings::parse("[model]\nname = \"ViT-B/32\"").unwrap();
        assert_eq!(named.config().unwrap(), Config::named("ViT-B/32").unwrap());
        assert_eq!(named.preprocess().unwrap().size, 224);
        let small = Settings::parse(SMALL).unwrap();
        assert_eq!(small.config().unwrap().text.vocab_size, 520);
        assert_eq!(Settings::parse(&small.to_toml().unwrap()).unwrap(), small);
    }

    #[test]
    fn the_settings_that_come_with_the_source_are_valid() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for file in ["configs/vit-b-32.toml", "../models/emoji-tiny/train.toml"] {
            Settings::read(&root.join(file)).unwrap();
        }
    }

    #[test]
    fn errors_name_the_field() {
        for (toml, part) in [
            ("[optim]\nlr = 1.0", "missing field `model`"),
            ("[model]\nname = \"RN51\"", "RN51"),
            ("[model]\nname = \"RN50\"\nembed_dim = 3", "model.embed_dim must not be given"),
            ("[model]\nembed_dim = 3", "model.resnet or model.vit is missing"),
            ("[model]\nname = \"RN50\"\n[optim]\nlearning_rate = 1", "unknown field `learning_rate`"),
            ("[model]\nname = \"RN50\"\n[optim]\nlr = -1.0", "optim.lr is -1"),
            ("[model]\nname = \"RN50\"\n[optim]\nlr = nan", "optim.lr is NaN"),
            ("[model]\nname = \"RN50\"\n[optim]\nbatch = 1", "optim.batch is 1"),
            ("[model]\nname = \"RN50\"\n[optim]\nsteps = 10", "optim.warmup 500 is above optim.steps 10"),
            ("[model]\nname = \"RN50\"\n[optim]\nbeta2 = 1.0", "optim.beta2 is 1"),
            ("[model]\nname = \"RN50\"\n[optim]\nprecision = \"fp8\"", "fp8"),
            ("[model]\nname = \"RN50\"\n[data]\nshuffle_buffer = 0", "data.shuffle_buffer is 0"),
            ("[model]\nname = \"RN50\"\n[run]\ntemplate = \"a photo\"", "run.template"),
        ] {
            let message = Settings::parse(toml).unwrap_err().to_string();
            assert!(message.contains(part), "{toml}: {message}");
        }
        let missing = Settings::read("no/such/file.toml".as_ref()).unwrap_err().to_string();
        assert!(missing.contains("no/such/file.toml"), "{missing}");
    }

    #[test]
    fn differences_are_named_and_those_in_run_do_not_count() {
        let before = Settings::parse(SMALL).unwrap();
        let mut now = before.clone();
        now.run.log_every = 7;
        assert_eq!(before.difference(&now).unwrap(), "");
        now.optim.lr = 0.25;
        now.model.activation = Some(ActivationName::Gelu);
        let difference = before.difference(&now).unwrap();
        assert!(difference.contains("optim.lr was 0.0005, now 0.25"), "{difference}");
        assert!(difference.contains("model.activation was not given, now \"gelu\""), "{difference}");
    }
}
