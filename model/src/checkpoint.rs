//! Checkpoints: a network's configuration, preprocessing, weights and tokenizer.
//!
//! Our own are in OpenCLIP's hub layout: a folder with `open_clip_config.json`, `open_clip_model.safetensors` and, where
//! the vocabulary is not OpenAI's, `tokenizer.json`. Those of others are read in their layouts, see [`Checkpoint::open`].
//!
//! Names and shapes are checked in full before any weight is read. The files must not be changed by another program
//! while they are open; our own writers never do, they replace files by renaming.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;

use crate::config::{Activation, Config, EndOfText, Family};
use crate::error::{Error, Result, TensorMismatch};
use crate::files;
use crate::formats::{self, Found, TokenizerSource};
use crate::openclip::OpenClip;
use crate::preprocess::Preprocess;
use crate::shapes::summarize;
use crate::tokenizer::Tokenizer;

pub use crate::formats::Layout;
pub use crate::weights::{Dtype, TensorRef, Weights};
use crate::weights::{Entry, same_shape, write_safetensors};

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

/// A tensor in memory: its name, shape and row-major elements.
#[derive(Debug, Clone)]
pub struct Values {
    /// State-dict name.
    pub name: String,
    /// Shape, outermost axis first.
    pub shape: Vec<usize>,
    /// Row-major elements.
    pub data: Vec<f32>,
}

/// A tensor to be written, whose values are asked for when its turn comes: they need not all be in memory.
pub trait Source {
    /// State-dict name.
    fn name(&self) -> &str;

    /// Shape, outermost axis first.
    fn shape(&self) -> &[usize];

    /// Passes the elements on, row-major, in pieces of any size.
    fn read(&self, sink: &mut dyn FnMut(&[f32]) -> io::Result<()>) -> io::Result<()>;
}

impl Source for Values {
    fn name(&self) -> &str {
        &self.name
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn read(&self, sink: &mut dyn FnMut(&[f32]) -> io::Result<()>) -> io::Result<()> {
        sink(&self.data)
    }
}

/// Writes a safetensors file of float32 tensors, atomically and one after another. `metadata` may carry a few strings.
///
/// # Errors
/// [`Error::Io`] when the disk is full or a tensor has another number of values than its shape says.
pub fn write_weights(path: &Path, tensors: &[impl Source], metadata: HashMap<String, String>) -> Result<()> {
    let entries = tensors.iter().map(|t| (entry(t, Dtype::F32), t)).collect();
    write_safetensors(path, entries, metadata, |tensor, out| write_singles(*tensor, out))
}

fn entry(tensor: &impl Source, dtype: Dtype) -> Entry {
    Entry { name: tensor.name().to_owned(), dtype, shape: tensor.shape().to_vec() }
}

fn write_singles(tensor: &impl Source, out: &mut dyn Write) -> io::Result<()> {
    write_numbers(tensor, out, |value: f32| value.to_le_bytes())
}

/// Writes all elements of a tensor, each as the bytes that `encode` makes of it.
fn write_numbers<const N: usize>(
    tensor: &impl Source,
    out: &mut dyn Write,
    encode: impl Fn(f32) -> [u8; N],
) -> io::Result<()> {
    /// Elements that are encoded at once.
    const PIECE: usize = 1 << 18;
    let mut buffer = Vec::new();
    tensor.read(&mut |values| {
        for piece in values.chunks(PIECE) {
            buffer.resize(piece.len() * N, 0);
            for (bytes, &value) in buffer.as_chunks_mut().0.iter_mut().zip(piece) {
                *bytes = encode(value);
            }
            out.write_all(&buffer)?;
        }
        Ok(())
    })
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
    tensors: &[impl Source],
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

/// Writes a checkpoint's files into an existing folder, each atomically, in place of older ones. Tensors are written one after
/// another, so that little more than a piece of one is in memory at any time.
///
/// # Errors
/// As [`write()`].
pub fn write_into(
    folder: &Path,
    openclip: &OpenClip,
    tokenizer: &Tokenizer,
    tensors: &[impl Source],
    steps: u64,
    format: WeightFormat,
) -> Result<()> {
    openclip.write(folder)?;
    let json = tokenizer.to_json();
    let config = tokenizer.to_config_json(openclip.config.text.context_length);
    for (name, text) in [(TOKENIZER, json), (TOKENIZER_CONFIG, config)] {
        files::write_atomically(&folder.join(name), |out| std::io::Write::write_all(out, text.as_bytes()))?;
    }
    let mut entries = Vec::new();
    for tensor in tensors {
        if let Some(norm) = tensor.name().strip_suffix(".running_mean") {
            let name = format!("{norm}.num_batches_tracked");
            entries.push((Entry { name, dtype: Dtype::I64, shape: vec![] }, None));
        }
        let half = format == WeightFormat::Fp16 && tensor.shape().len() >= 2;
        entries.push((entry(tensor, if half { Dtype::F16 } else { Dtype::F32 }), Some((tensor, half))));
    }
    write_safetensors(&folder.join(WEIGHTS), entries, HashMap::new(), |source, out| match source {
        // PyTorch's `num_batches_tracked`, which OpenCLIP insists on finding.
        None => out.write_all(&(steps as i64).to_le_bytes()),
        Some((tensor, false)) => write_singles(*tensor, out),
        Some((tensor, true)) => write_numbers(*tensor, out, |value| half::f16::from_f32(value).to_le_bytes()),
    })?;
    // What was written is opened as any reader would: a checkpoint that cannot be read back must not get its name.
    Checkpoint::open(folder).map(|_| ())
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
