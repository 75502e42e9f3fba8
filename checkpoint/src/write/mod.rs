//! Checkpoints in OpenCLIP's hub layout, and weights alone, written tensor by tensor.

mod layout;

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;

use clip_model::{Tokenizer, files, memory};
use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use crate::checkpoint::Checkpoint;
use crate::error::Result;
use crate::layout::TOKENIZER;
use crate::layout::open_clip::{OpenClip, WEIGHTS};
use crate::weights::{End, Entry, write_safetensors};

pub use layout::Layout;

/// What transformers wants to know of the tokenizer besides; not read by this crate.
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

/// A tensor to be written, whose values are asked for when its turn comes: they need not all be in memory.
pub trait Source {
    /// State-dict name.
    fn name(&self) -> &str;

    /// Shape, outermost axis first.
    fn shape(&self) -> &[usize];

    /// Passes the elements on, row-major, in pieces of any size.
    fn read(&self, sink: &mut dyn FnMut(&[f32]) -> io::Result<()>) -> io::Result<()>;
}

/// Writes a safetensors file of float32 tensors, atomically and one after another. `metadata` may carry a few strings.
///
/// # Errors
/// [`clip_model::Error::Io`] when the disk is full or a tensor has another number of values than its shape says.
pub fn write_weights(
    path: impl AsRef<Path>,
    tensors: &[impl Source],
    metadata: HashMap<String, String>,
) -> Result<()> {
    write_safetensors(path.as_ref(), End::Named, singles(tensors), metadata, |t, out| write_singles(*t, out))
}

/// [`write_weights`] into a folder that has no name yet: not synced, which [`files::sync_folder`] does later for all that is
/// in it.
///
/// # Errors
/// As [`write_weights`].
pub fn write_weights_unsynced(
    path: impl AsRef<Path>,
    tensors: &[impl Source],
    metadata: HashMap<String, String>,
) -> Result<()> {
    write_safetensors(path.as_ref(), End::Unsynced, singles(tensors), metadata, |t, out| {
        write_singles(*t, out)
    })
}

fn singles<S: Source>(tensors: &[S]) -> Vec<(Entry, &S)> {
    tensors.iter().map(|tensor| (entry(tensor, Dtype::F32), tensor)).collect()
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
    let elements = tensor.shape().iter().product::<usize>().min(PIECE);
    let mut buffer = memory::with_capacity("a piece of a tensor", elements * N).map_err(io::Error::other)?;
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
/// [`crate::Error::Tensors`] when `tensors` are not those of `config`.
pub fn write(
    folder: impl AsRef<Path>,
    openclip: &OpenClip,
    tokenizer: &Tokenizer,
    tensors: &[impl Source],
    steps: u64,
) -> Result<()> {
    files::create_folder_atomically(folder.as_ref(), |folder| {
        write_into(folder, openclip, tokenizer, tensors, steps, WeightFormat::Fp32)?;
        files::sync_folder(folder)?;
        // What was written is opened as any reader would: a checkpoint that cannot be read back must not get its name.
        Checkpoint::open(folder).map(|_| ())
    })
}

/// Number format of the weights that [`write_into`] writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightFormat {
    /// IEEE single precision.
    #[default]
    Fp32,
    /// IEEE half precision, rounded to nearest, for everything of two axes or more: half the size. Gains, biases and
    /// running statistics, which weigh little and range widely, stay in single precision.
    Fp16,
}

/// Writes a checkpoint's files into a folder that has no name yet. Tensors are written one after another, so that little more
/// than a piece of one is in memory at any time. The caller syncs the folder ([`files::sync_folder`]), sees that
/// [`Checkpoint::open`] takes it, and gives it its name.
///
/// # Errors
/// As [`write()`].
pub fn write_into(
    folder: impl AsRef<Path>,
    openclip: &OpenClip,
    tokenizer: &Tokenizer,
    tensors: &[impl Source],
    steps: u64,
    format: WeightFormat,
) -> Result<()> {
    let folder = folder.as_ref();
    openclip.write(folder)?;
    let json = tokenizer.to_json();
    let config = tokenizer.to_config_json(openclip.config.text.context_length);
    for (name, text) in [(TOKENIZER, json), (TOKENIZER_CONFIG, config)] {
        files::write_atomically(&folder.join(name), |out| out.write_all(text.as_bytes()))?;
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
    let path = folder.join(WEIGHTS);
    write_safetensors(&path, End::Unsynced, entries, HashMap::new(), |source, out| match source {
        // PyTorch's `num_batches_tracked`, which OpenCLIP insists on finding.
        None => out.write_all(&(steps as i64).to_le_bytes()),
        Some((tensor, false)) => write_singles(*tensor, out),
        Some((tensor, true)) => write_numbers(*tensor, out, |value| half::f16::from_f32(value).to_le_bytes()),
    })
}
