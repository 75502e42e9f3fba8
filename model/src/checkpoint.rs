//! Checkpoints: a network's configuration, preprocessing, weights and tokenizer.
//!
//! Our own are in OpenCLIP's hub layout: a folder with `open_clip_config.json`, `open_clip_model.safetensors` and, where
//! the vocabulary is not OpenAI's, `tokenizer.json`. Those of others are read in their layouts, see [`Checkpoint::open`].
//!
//! Names and shapes are checked in full before any weight is read. The files must not be changed by another program
//! while they are open; our own writers never do, they replace files by renaming.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::View;

use crate::config::{Activation, Config, EndOfText, Family};
use crate::error::{Error, Result, TensorMismatch};
use crate::files;
use crate::formats::{self, Found, TokenizerSource};
use crate::openclip::OpenClip;
use crate::preprocess::Preprocess;
use crate::shapes::summarize;
use crate::tokenizer::Tokenizer;

pub use crate::formats::Layout;
use crate::weights::same_shape;
pub use crate::weights::{Dtype, TensorRef, Weights};

/// The name of the weights in a checkpoint folder.
pub const WEIGHTS: &str = "open_clip_model.safetensors";

/// The name of the tokenizer in a checkpoint folder.
pub const TOKENIZER: &str = "tokenizer.json";

/// What transformers wants to know of the tokenizer besides; not read by this crate.
pub(crate) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

/// An opened checkpoint whose tensors are exactly those of its configuration.
#[derive(Debug)]
pub struct Checkpoint {
    /// The network.
    pub config: Config,
    /// The image preprocessing.
    pub preprocess: Preprocess,
    weights: Weights,
    tokenizer: TokenizerSource,
}

impl Checkpoint {
    /// Opens a checkpoint of any format that this crate knows, told by what it holds:
    ///
    /// - a folder in OpenCLIP's hub layout, with weights in `open_clip_model.safetensors` or
    ///   `open_clip_pytorch_model.bin`;
    /// - a folder of Hugging Face's CLIP or SigLIP: `config.json`, `model.safetensors` or `pytorch_model.bin` (or shards of
    ///   either), a tokenizer, `preprocessor_config.json`;
    /// - one of OpenAI's `.pt` files (TorchScript), or a state dict of theirs in PyTorch's or safetensors' format.
    ///
    /// Files of PyTorch's are read by a parser that builds tensors and containers and nothing else; what would run
    /// code is refused by name.
    ///
    /// # Errors
    /// [`Error::Safetensors`] and [`Error::Weights`] for a file that is truncated, lies about its lengths or is of no
    /// known format; [`Error::Tensors`], with the names, for tensors that are missing, surplus or of another shape;
    /// [`Error::Config`] for a configuration that is not supported; [`Error::ActivationUnknown`] for weights that come
    /// without a configuration and are not OpenAI's.
    pub fn open(path: &Path) -> Result<Checkpoint> {
        Self::open_as(path, None)
    }

    /// Like [`Self::open`], with the activation stated for weights that come without a configuration, such as the state
    /// dicts of OpenCLIP's trainer.
    ///
    /// # Errors
    /// As [`Self::open`], and [`Error::Config`] when the checkpoint itself says otherwise.
    pub fn open_as(path: &Path, activation: Option<Activation>) -> Result<Checkpoint> {
        let Found { config, preprocess, weights, tokenizer } = formats::open(path, activation)?;
        Checkpoint { config, preprocess, weights, tokenizer }.validated()
    }

    fn validated(self) -> Result<Checkpoint> {
        let mut mismatch = TensorMismatch::default();
        let expected = summarize(&self.config).tensors;
        for tensor in &expected {
            match self.weights.get(&tensor.name) {
                None => mismatch.missing.push((tensor.name.clone(), tensor.shape.clone())),
                Some(found) if !same_shape(found.shape, &tensor.shape) => {
                    mismatch.wrong.push((tensor.name.clone(), tensor.shape.clone(), found.shape.to_vec()));
                }
                Some(_) => {}
            }
        }
        let known: std::collections::HashSet<&str> = expected.iter().map(|t| t.name.as_str()).collect();
        mismatch.surplus = self
            .weights
            .names()
            .into_iter()
            .filter(|n| !known.contains(n.as_str()) && !is_counter(n))
            .collect();
        if mismatch.is_empty() { Ok(self) } else { Err(Error::Tensors(mismatch)) }
    }

    /// A tensor of the network.
    ///
    /// # Errors
    /// [`Error::Tensors`] for a name that the configuration does not have.
    pub fn tensor(&self, name: &str) -> Result<TensorRef<'_>> {
        self.weights.get(name).ok_or_else(|| {
            Error::Tensors(TensorMismatch { missing: vec![(name.to_owned(), vec![])], ..Default::default() })
        })
    }

    /// The tokenizer: the folder's own, or OpenAI's.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when its ids do not fit the embedding table.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        let tokenizer = self.tokenizer.open()?;
        let rows = self.config.text.vocab_size;
        if tokenizer.vocab_size() > rows {
            let ids = tokenizer.vocab_size();
            return Err(Error::Tokenizer(format!(
                "the vocabulary has {ids} entries, the token embedding only {rows}: this is another model's tokenizer"
            )));
        }
        if let EndOfText::Id(pooled) = self.config.text.end
            && i64::from(tokenizer.end_id()) != i64::from(pooled)
        {
            return Err(Error::Tokenizer(format!(
                "it ends texts with token {}, but the text tower is pooled at token {pooled}: this is another model's tokenizer",
                tokenizer.end_id()
            )));
        }
        if self.config.family == Family::Clip && tokenizer.start_id().is_none() {
            return Err(Error::Tokenizer(
                "it puts one token around an empty text; CLIP needs one start and one end token".to_owned(),
            ));
        }
        Ok(tokenizer)
    }

    /// Whether the tokenizer is another than OpenAI's.
    pub(crate) fn has_own_tokenizer(&self) -> bool {
        self.tokenizer != TokenizerSource::OpenAi
    }

    /// The summand on scaled cosine similarities, which SigLIP has.
    pub fn logit_bias(&self) -> Result<Option<f32>> {
        if self.config.family == Family::Clip {
            return Ok(None);
        }
        match self.tensor("logit_bias")?.to_f32()?.first() {
            Some(bias) if bias.is_finite() => Ok(Some(*bias)),
            _ => Err(Error::Config("logit_bias is not a finite number".into())),
        }
    }

    /// The factor on cosine similarities, `exp` of the stored parameter.
    pub fn logit_scale(&self) -> Result<f32> {
        let values = self.tensor("logit_scale")?.to_f32()?;
        match values.first().map(|v| v.exp()) {
            Some(scale) if scale.is_finite() => Ok(scale),
            _ => Err(Error::Config("the exponential of logit_scale is not a finite number".into())),
        }
    }
}

/// PyTorch's count of batches seen by a batch norm: not used by the network.
fn is_counter(name: &str) -> bool {
    name.ends_with(".num_batches_tracked")
}

/// A tensor to be written: its name, shape and row-major elements.
#[derive(Debug, Clone)]
pub struct Values {
    /// State-dict name.
    pub name: String,
    /// Shape, outermost axis first.
    pub shape: Vec<usize>,
    /// Row-major elements.
    pub data: Vec<f32>,
}

/// Writes a safetensors file of float32 tensors, atomically. `metadata` may carry a few strings.
pub fn write_weights(path: &Path, tensors: &[Values], metadata: HashMap<String, String>) -> Result<()> {
    write_entries(path, tensors.iter().map(|t| (t.name.clone(), Entry::Single(t))), metadata)
}

fn write_entries<'a>(
    path: &Path,
    entries: impl IntoIterator<Item = (String, Entry<'a>)>,
    mut metadata: HashMap<String, String>,
) -> Result<()> {
    metadata.entry("format".into()).or_insert_with(|| "pt".into());
    let bytes = safetensors::serialize(entries, Some(metadata))
        .map_err(|source| Error::Safetensors { path: path.to_owned(), source })?;
    files::write_atomically(path, |out| std::io::Write::write_all(out, &bytes))
}

/// Writes a checkpoint folder in OpenCLIP's hub layout. The folder appears whole or not at all, and must not exist.
///
/// `steps` is the number of batches the batch norms have seen.
///
/// # Errors
/// [`Error::Tensors`] when `tensors` are not those of `config`.
pub fn write(
    folder: &Path,
    openclip: &OpenClip,
    tokenizer: &Tokenizer,
    tensors: &[Values],
    steps: u64,
) -> Result<()> {
    files::create_folder_atomically(folder, |folder| {
        write_into(folder, openclip, tokenizer, tensors, steps, WeightFormat::Fp32)
    })
}

/// Number format of the weights that [`write_into`] writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeightFormat {
    /// IEEE single precision.
    #[default]
    Fp32,
    /// IEEE half precision, rounded to nearest, for everything of two axes or more: half the size. Gains, biases and
    /// running statistics, which weigh little and range widely, stay in single precision.
    Fp16,
}

/// Writes a checkpoint's files into an existing folder, each atomically, in place of older ones.
pub fn write_into(
    folder: &Path,
    openclip: &OpenClip,
    tokenizer: &Tokenizer,
    tensors: &[Values],
    steps: u64,
    format: WeightFormat,
) -> Result<()> {
    openclip.write(folder)?;
    let json = tokenizer.to_json();
    let config = tokenizer.to_config_json(openclip.config.text.context_length);
    for (name, text) in [(TOKENIZER, json), (TOKENIZER_CONFIG, config)] {
        files::write_atomically(&folder.join(name), |out| std::io::Write::write_all(out, text.as_bytes()))?;
    }
    let statistics = tensors.iter().filter_map(|t| t.name.strip_suffix(".running_mean"));
    let count = (steps as i64).to_le_bytes();
    let counters = statistics.map(|norm| (format!("{norm}.num_batches_tracked"), Entry::Counter(count)));
    let values = tensors.iter().map(|t| {
        let halve = format == WeightFormat::Fp16 && t.shape.len() >= 2;
        (t.name.clone(), if halve { Entry::Half(t) } else { Entry::Single(t) })
    });
    write_entries(&folder.join(WEIGHTS), values.chain(counters), HashMap::new())?;
    // What was written is opened as any reader would: a checkpoint that cannot be read back must not get its name.
    Checkpoint::open(folder).map(|_| ())
}

/// What a file of weights is made of.
enum Entry<'a> {
    Single(&'a Values),
    Half(&'a Values),
    /// PyTorch's `num_batches_tracked`, an `i64` scalar that OpenCLIP insists on finding.
    Counter([u8; 8]),
}

impl View for Entry<'_> {
    fn dtype(&self) -> Dtype {
        match self {
            Entry::Single(_) => Dtype::F32,
            Entry::Half(_) => Dtype::F16,
            Entry::Counter(_) => Dtype::I64,
        }
    }
    fn shape(&self) -> &[usize] {
        match self {
            Entry::Single(values) | Entry::Half(values) => &values.shape,
            Entry::Counter(_) => &[],
        }
    }
    fn data(&self) -> Cow<'_, [u8]> {
        match self {
            Entry::Single(values) => Cow::Owned(values.data.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Entry::Half(values) => {
                let halves = values.data.iter().map(|&v| half::f16::from_f32(v));
                Cow::Owned(halves.flat_map(|v| v.to_le_bytes()).collect())
            }
            Entry::Counter(bytes) => Cow::Borrowed(bytes),
        }
    }
    fn data_len(&self) -> usize {
        match self {
            Entry::Single(values) => values.data.len() * 4,
            Entry::Half(values) => values.data.len() * 2,
            Entry::Counter(bytes) => bytes.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::vit;

    fn tiny() -> OpenClip {
        OpenClip {
            config: vit(16, [32, 16, 64, 1, 64], [8, 49408, 64, 1, 1], 2.0, Activation::Gelu),
            preprocess: Preprocess { size: 32, ..Preprocess::default() },
            own_tokenizer: false,
        }
    }

    fn values(openclip: &OpenClip) -> Vec<Values> {
        let tensors = summarize(&openclip.config).tensors.into_iter();
        tensors.map(|t| Values { data: vec![0.5; t.elements()], name: t.name, shape: t.shape }).collect()
    }

    fn save(folder: &Path, tensors: &[Values]) -> Result<()> {
        write(folder, &tiny(), &Tokenizer::openai(), tensors, 0)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("ckpt");
        save(&folder, &values(&tiny())).unwrap();
        let opened = Checkpoint::open(&folder).unwrap();
        assert_eq!(opened.config, tiny().config);
        assert_eq!(opened.tensor("visual.proj").unwrap().shape, [64, 16]);
        assert_eq!(opened.tensor("visual.proj").unwrap().to_f32().unwrap(), vec![0.5; 64 * 16]);
        assert!((opened.logit_scale().unwrap() - 0.5f32.exp()).abs() < 1e-6);
        let config = std::fs::read_to_string(folder.join(TOKENIZER_CONFIG)).unwrap();
        assert!(config.contains(r#""pad_token": "<|endoftext|>""#), "{config}");
        assert!(matches!(save(&folder, &values(&tiny())), Err(Error::Io { action: "create", .. })));
    }

    #[test]
    fn missing_surplus_and_misshapen_tensors_are_named() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("ckpt");
        let mut tensors = values(&tiny());
        tensors.retain(|t| t.name != "visual.ln_pre.bias");
        tensors.push(Values { name: "extra".into(), shape: vec![1], data: vec![0.0] });
        let last = tensors.iter_mut().find(|t| t.name == "visual.proj").unwrap();
        last.shape = vec![16, 64];
        let message = save(&folder, &tensors).unwrap_err().to_string();
        for part in [
            "missing: visual.ln_pre.bias [64]",
            "surplus: extra",
            "visual.proj (expected [64, 16], found [16, 64])",
        ] {
            assert!(message.contains(part), "{message}");
        }
        assert!(!folder.exists(), "a bad checkpoint must not get its name");
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0, "nothing is left behind");
    }

    #[test]
    fn damaged_files_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("ckpt");
        save(&folder, &values(&tiny())).unwrap();
        let file = folder.join(WEIGHTS);
        let whole = std::fs::read(&file).unwrap();
        let mut lying = whole.clone();
        lying[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        let mut long = whole.clone();
        long[..8].copy_from_slice(&(whole.len() as u64).to_le_bytes());
        for bytes in [&whole[..whole.len() - 1], &whole[..4], &[], &lying, &long] {
            std::fs::write(&file, bytes).unwrap();
            let error = Checkpoint::open(&folder).unwrap_err();
            assert!(matches!(error, Error::Safetensors { .. } | Error::Io { .. }), "{error}");
        }
    }

    #[test]
    fn half_precision_halves_matrices_and_reads_back() {
        let root = tempfile::tempdir().unwrap();
        let mut tensors = values(&tiny());
        tensors.iter_mut().for_each(|t| t.data.fill(0.1));
        write_into(root.path(), &tiny(), &Tokenizer::openai(), &tensors, 0, WeightFormat::Fp16).unwrap();
        let opened = Checkpoint::open(root.path()).unwrap();
        let matrix = opened.tensor("visual.proj").unwrap();
        assert_eq!(matrix.dtype, Dtype::F16);
        assert_eq!(matrix.to_f32().unwrap()[0], half::f16::from_f32(0.1).to_f32());
        let gain = opened.tensor("visual.ln_pre.weight").unwrap();
        assert_eq!((gain.dtype, gain.to_f32().unwrap()[0]), (Dtype::F32, 0.1));
    }

    #[test]
    fn a_file_of_weights_alone_is_enough() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("ckpt");
        // A published model's widths, for which the number of heads is known.
        let mut openclip = tiny();
        openclip.config = vit(16, [32, 16, 384, 1, 64], [8, 49408, 256, 4, 1], 2.0, Activation::Gelu);
        write(&folder, &openclip, &Tokenizer::openai(), &values(&openclip), 0).unwrap();
        let file = folder.join(WEIGHTS);
        let message = Checkpoint::open(&file).unwrap_err().to_string();
        assert!(message.contains("--gelu or --quickgelu"), "{message}");
        for activation in [Activation::Gelu, Activation::QuickGelu] {
            let opened = Checkpoint::open_as(&file, Some(activation)).unwrap();
            let [image, text] = [[32, 16, 384, 1, 64], [8, 49408, 256, 4, 1]];
            assert_eq!(opened.config, vit(16, image, text, 2.0, activation));
        }
        let message = Checkpoint::open_as(&folder, Some(Activation::QuickGelu)).unwrap_err().to_string();
        assert!(message.contains("says Gelu"), "{message}");
    }
}
