//! The section `[data]`: how the training data is read.

use clip_data::{Augment, CaptionSource, Fields};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How the training data is read. Where it is, the command line says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataSettings {
    /// `openai` (the built-in vocabulary), `train` (a new one of `model.text.vocab_size` tokens, from the captions),
    /// or the path of a `tokenizer.json`.
    pub tokenizer: String,
    /// Samples that are held in memory to be drawn from at random.
    pub shuffle_buffer: usize,
    /// Memory for decoded pictures, megabytes: data that fits is decoded only once. 0 keeps none.
    pub cache_mb: usize,
    /// Shares of the sources among the samples that are drawn, in any unit (`[3, 1]`: three of four come from the first): one number
    /// for each word of the data, and for each part of `a::b`. How many samples a source has makes no difference, unlike with
    /// OpenCLIP's `--train-data-upsampling-factors`. Empty: all words are one source, of which an epoch has each sample once.
    pub weights: Vec<f64>,
    /// Whether shards are drawn with replacement, as with OpenCLIP's `--dataset-resampled`: then no epoch has each sample once.
    pub resampled: bool,
    /// Samples of the data, which epochs are shown by. 0: they are counted in the first epoch.
    pub samples: u64,
    /// What captions of tars and folders come from: `txt` (a caption a line), `json`, or `folder` (its name).
    pub captions: CaptionSource,
    /// Key in `.json` files and column of tables. Not given: `caption`, in CSV and TSV `title`, as OpenCLIP's `--csv-caption-key`.
    pub caption_key: Option<String>,
    /// Column of tables with the picture or its path. Not given: in CSV and TSV `filepath`, as OpenCLIP's `--csv-img-key`, in Parquet
    /// the first of `jpg`, `png`, `webp` and `image` that is there.
    pub image_key: Option<String>,
    /// What separates the columns of a CSV table. Not given: a tab where the name ends in `.tsv`, else a comma.
    pub separator: Option<char>,
    /// Whether the run goes on behind shards that are missing, truncated or no tar, as with WebDataset's `warn_and_continue`.
    pub skip_bad_shards: bool,
    /// Share of the samples that may be left out, 0 to 1: those without picture or caption, or with a picture that cannot be
    /// decoded. Above it the run stops. It is looked at once 1,000 samples were met.
    pub max_skipped: f64,
    /// Random changes to the pictures.
    pub augment: Augment,
}

impl DataSettings {
    /// Refuses values that make no sense, naming the field.
    pub(crate) fn validate(&self) -> Result<()> {
        let bad = |reason: String| Err(Error::Settings(reason));
        if self.shuffle_buffer == 0 {
            return bad(
                "data.shuffle_buffer is 0, expected 1 or more: 1 keeps the order of the shards".to_owned()
            );
        }
        if let Some(weight) = self.weights.iter().find(|weight| !weight.is_finite() || **weight <= 0.0) {
            return bad(format!("data.weights has {weight}, expected numbers above 0"));
        }
        if !(0.0..=1.0).contains(&self.max_skipped) {
            return bad(format!("data.max_skipped is {}, expected a share from 0 to 1", self.max_skipped));
        }
        self.fields().validate().map_err(|e| Error::Settings(format!("data.{e}")))?;
        Ok(self.augment.validate()?)
    }

    /// Where captions and pictures are looked for.
    pub fn fields(&self) -> Fields {
        Fields {
            captions: self.captions,
            caption_key: self.caption_key.clone(),
            image_key: self.image_key.clone(),
            separator: self.separator,
        }
    }
}

impl Default for DataSettings {
    fn default() -> Self {
        DataSettings {
            tokenizer: "openai".into(),
            shuffle_buffer: 10_000,
            cache_mb: 0,
            weights: Vec::new(),
            resampled: false,
            samples: 0,
            captions: CaptionSource::Txt,
            caption_key: None,
            image_key: None,
            separator: None,
            skip_bad_shards: false,
            max_skipped: 0.1,
            augment: Augment::default(),
        }
    }
}
