//! The settings of a training run: a TOML file, checked in full before any work starts.

mod change;
mod data;
mod eval;
mod model;
mod optim;
pub mod reference;
mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clip_model::config::Config;
use clip_model::files;
use clip_model::preprocess::Preprocess;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
pub use change::Change;
pub use data::DataSettings;
pub use eval::EvalSettings;
pub use model::{ModelSettings, PreprocessSettings};
pub use optim::OptimSettings;
pub use run::{KeepBest, RunSettings};

/// Everything that shapes a run. Unknown fields are errors; what is left out has the value given here.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The network.
    #[serde(default)]
    pub model: ModelSettings,
    /// What is done with the training data.
    #[serde(default)]
    pub data: DataSettings,
    /// The optimiser and its schedule.
    #[serde(default)]
    pub optim: OptimSettings,
    /// What validation measures; nothing here changes what is trained.
    #[serde(default)]
    pub eval: EvalSettings,
    /// What is written and when; nothing here changes the result.
    #[serde(default)]
    pub run: RunSettings,
}

impl Settings {
    /// Reads and checks a settings file.
    ///
    /// # Errors
    /// [`Error::Settings`] with the file, the line and the field.
    pub fn read(path: impl AsRef<Path>) -> Result<Settings> {
        let path = path.as_ref();
        let text = files::read_text(path)?;
        Settings::parse(&text)
            .map_err(|e| Error::Settings(format!("{}: {}", path.display(), e.to_string().trim_end())))
    }

    /// Checks the text of a settings file.
    ///
    /// # Errors
    /// [`Error::Settings`] and those of the network's sizes, with the field.
    pub fn parse(text: &str) -> Result<Settings> {
        let fail = |e: toml::de::Error| Error::Settings(e.to_string());
        let mut settings: Settings = match eval::renamed(text)? {
            Some(table) => table.try_into().map_err(fail)?,
            None => toml::from_str(text).map_err(fail)?,
        };
        let given: toml::Table = toml::from_str(text).map_err(fail)?;
        if given.get("optim").and_then(|optim| optim.get("warmup")).is_none() {
            settings.optim.warmup = settings.optim.warmup.min(settings.optim.steps / 10);
        }
        settings.validate()?;
        Ok(settings)
    }

    /// The settings as TOML, every field written out.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::Settings(format!("the settings cannot be written: {e}")))
    }

    /// Refuses values that make no sense, naming the field.
    pub fn validate(&self) -> Result<()> {
        let (o, run) = (&self.optim, &self.run);
        let from_0 = |name: &str, value: f64| {
            (value.is_finite() && value >= 0.0, format!("optim.{name} is {value}, expected 0 or more"))
        };
        let below_1 = |name: &str, value: f64| {
            let expected = format!("optim.{name} is {value}, expected at least 0 and below 1");
            ((0.0..1.0).contains(&value), expected)
        };
        let named = |holds: bool, what: &str| (holds, what.to_owned());
        for (holds, otherwise) in [
            (o.batch >= 2, format!("optim.batch is {}: a contrastive loss needs at least 2 pairs", o.batch)),
            named(o.steps > 0, "optim.steps is 0: there is nothing to do"),
            (o.lr.is_finite() && o.lr > 0.0, format!("optim.lr is {}, expected above 0", o.lr)),
            from_0("min_lr", o.min_lr),
            (o.min_lr <= o.lr, format!("optim.min_lr {} is above optim.lr {}", o.min_lr, o.lr)),
            (o.warmup <= o.steps, format!("optim.warmup {} is above optim.steps {}", o.warmup, o.steps)),
            below_1("beta1", o.beta1),
            below_1("beta2", o.beta2),
            from_0("eps", o.eps),
            from_0("weight_decay", o.weight_decay),
            from_0("clip", o.clip),
            below_1("patch_dropout", o.patch_dropout),
            below_1("ema", o.ema),
            (
                o.layer_decay > 0.0 && o.layer_decay <= 1.0,
                format!("optim.layer_decay is {}, expected above 0 and at most 1", o.layer_decay),
            ),
            named(
                o.unlocked_blocks == 0 || !o.lock.is_empty(),
                "optim.unlocked_blocks frees blocks of a locked tower, but optim.lock names none",
            ),
            ((0.0..=1.0).contains(&o.distill), format!("optim.distill is {}, expected 0 to 1", o.distill)),
            named(run.log_every > 0, "run.log_every is 0, expected 1 or more"),
            (
                run.checkpoint_minutes.is_finite() && run.checkpoint_minutes >= 0.0,
                format!("run.checkpoint_minutes is {}, expected 0 or more", run.checkpoint_minutes),
            ),
            named(
                run.keep_last > 0,
                "run.keep_last is 0, expected 1 or more: a run goes on from its newest checkpoint",
            ),
        ] {
            if !holds {
                return Err(Error::Settings(otherwise));
            }
        }
        self.data.validate()?;
        self.eval.validate()?;
        self.model.preprocess.over(Preprocess::default())?;
        self.model.config().map(|_| ())
    }

    /// The network that `[model]` describes.
    ///
    /// # Errors
    /// [`Error::Settings`] when it describes none, so that it has to come from a checkpoint.
    pub fn config(&self) -> Result<Config> {
        self.model.config()?.ok_or_else(|| {
            Error::Settings(
                "there is no network: give its name (model.name) or its sizes, or start from a checkpoint"
                    .into(),
            )
        })
    }

    /// How pictures become the input of the network that `[model]` describes: as it says, else OpenAI's, at the network's size.
    ///
    /// # Errors
    /// As [`Self::config`].
    pub fn preprocess(&self) -> Result<Preprocess> {
        let size = self.config()?.image.image_size();
        self.model.preprocess.over(Preprocess { size, ..Preprocess::default() })
    }

    /// The fields in which `other` differs, each with both values.
    ///
    /// # Errors
    /// [`Error::Settings`] when the settings cannot be written out.
    pub fn difference(&self, other: &Settings) -> Result<Vec<Change>> {
        let (before, now) = (self.fields()?, other.fields()?);
        let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
        let value = |fields: &BTreeMap<String, String>, name| {
            fields.get(name).map_or("not given".to_owned(), String::clone)
        };
        let changed = names.into_iter().filter(|name| before.get(*name) != now.get(*name));
        Ok(changed
            .map(|name| Change { name: name.clone(), was: value(&before, name), now: value(&now, name) })
            .collect())
    }

    /// Whether a setting has this name, or a section.
    pub fn is_named(name: &str) -> bool {
        reference::names().iter().any(|setting| {
            setting.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    /// Every field, by its name with the section's.
    fn fields(&self) -> Result<BTreeMap<String, String>> {
        let table = toml::Table::try_from(self).map_err(|e| Error::Settings(e.to_string()))?;
        let mut fields = BTreeMap::new();
        flatten("", &table, &mut fields);
        Ok(fields)
    }
}

fn flatten(prefix: &str, table: &toml::Table, into: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        match value {
            toml::Value::Table(table) => flatten(&format!("{prefix}{key}."), table, into),
            other => drop(into.insert(format!("{prefix}{key}"), other.to_string())),
        }
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
    fn a_warmup_that_is_not_given_fits_the_steps() {
        for (steps, warmup) in [(9, 0), (100, 10), (5000, 500), (100_000, 500)] {
            let text = format!("[model]\nname = \"RN50\"\n[optim]\nsteps = {steps}");
            assert_eq!(Settings::parse(&text).unwrap().optim.warmup, warmup, "{steps} steps");
            let given = Settings::parse(&format!("{text}\nwarmup = {steps}")).unwrap();
            assert_eq!(given.optim.warmup, steps);
        }
    }

    #[test]
    fn the_settings_that_come_with_the_source_are_valid() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for file in [
            "configs/vit-b-32.toml",
            "../models/emoji-tiny/train.toml",
            "../models/emoji-vit-tiny/train.toml",
        ] {
            Settings::read(root.join(file)).unwrap();
        }
    }

    #[test]
    fn errors_name_the_field() {
        for (toml, part) in [
            ("[model.preprocess]\nstd = [1.0, 0.0, 1.0]", "std is [1.0, 0.0, 1.0]"),
            ("[model]\npreprocess = { crop = 1 }", "unknown field `crop`"),
            ("[model]\nname = \"RN51\"", "RN51"),
            ("[model]\nname = \"RN50\"\nembed_dim = 3", "model.embed_dim must not be given"),
            ("[model]\nembed_dim = 3", "model.resnet or model.vit is missing"),
            ("[model]\nname = \"RN50\"\n[optim]\nlearning_rate = 1", "unknown field `learning_rate`"),
            ("[model]\nname = \"RN50\"\n[optim]\nlr = -1.0", "optim.lr is -1"),
            ("[model]\nname = \"RN50\"\n[optim]\nlr = nan", "optim.lr is NaN"),
            ("[model]\nname = \"RN50\"\n[optim]\nbatch = 1", "optim.batch is 1"),
            (
                "[model]\nname = \"RN50\"\n[optim]\nsteps = 10\nwarmup = 500",
                "optim.warmup 500 is above optim.steps 10",
            ),
            ("[model]\nname = \"RN50\"\n[optim]\nbeta2 = 1.0", "optim.beta2 is 1"),
            ("[model]\nname = \"RN50\"\n[optim]\nprecision = \"fp8\"", "fp8"),
            ("[model]\nname = \"RN50\"\n[data]\nshuffle_buffer = 0", "data.shuffle_buffer is 0"),
            ("[model]\nname = \"RN50\"\n[data]\nweights = [1.0, 0.0]", "data.weights has 0"),
            ("[model]\nname = \"RN50\"\n[data]\nmax_skipped = 2.0", "data.max_skipped is 2"),
            ("[model]\nname = \"RN50\"\n[data]\nseparator = \"é\"", "data.separator is 'é'"),
            ("[model]\nname = \"RN50\"\n[data]\ncaptions = \"xml\"", "unknown variant `xml`"),
            ("[model]\nname = \"RN50\"\n[data.augment]\nink = 2", "augment.ink is 2, expected 0 to 1"),
            ("[model]\nname = \"RN50\"\n[data.augment]\nmirror = 0.5", "unknown field `mirror`"),
            ("[model]\nname = \"RN50\"\n[run]\nkeep_last = 0", "run.keep_last is 0"),
            ("[model]\nname = \"RN50\"\n[run]\ncheckpoint_minutes = -1.0", "run.checkpoint_minutes is -1"),
            ("[model]\nname = \"RN50\"\n[run]\nkeep_best = \"loss\"", "unknown variant `loss`"),
            ("[model]\nname = \"RN50\"\n[eval]\nbatch = 1", "eval.batch is 1"),
            ("[model]\nname = \"RN50\"\n[eval]\ntemplates = []", "eval.templates is empty"),
            (
                "[model]\nname = \"RN50\"\n[eval]\ntemplates = [\"a photo\"]",
                "eval.templates: prompt: template \"a photo\" has no {}",
            ),
            (
                "[model]\nname = \"RN50\"\n[run]\ntemplate = 5",
                "run.template is of type integer, expected a text",
            ),
            (
                "[model]\nname = \"RN50\"\n[run]\ntemplate = \"{}\"\n[eval]\ntemplates = [\"{}\"]",
                "run.template is the former name of eval.templates: leave it out",
            ),
        ] {
            let message = Settings::parse(toml).unwrap_err().to_string();
            assert!(message.contains(part), "{toml}: {message}");
        }
        let none = Settings::parse("[optim]\nlr = 1.0").unwrap().config().unwrap_err().to_string();
        assert!(none.contains("there is no network"), "{none}");
        let missing = Settings::read("no/such/file.toml").unwrap_err().to_string();
        assert!(missing.contains("no/such/file.toml"), "{missing}");
    }

    #[test]
    fn differences_are_named() {
        let before = Settings::parse(SMALL).unwrap();
        let mut now = before.clone();
        assert!(before.difference(&now).unwrap().is_empty());
        now.run.log_every = 7;
        now.optim.lr = 0.25;
        now.model.activation = Some(clip_model::config::Activation::Gelu);
        let told: Vec<String> = before.difference(&now).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "model.activation was not given, now \"gelu\"",
                "optim.lr was 0.0005, now 0.25",
                "run.log_every was 50, now 7",
            ]
        );
    }
}
