//! The average of two checkpoints' weights: WiSE-FT (Wortsman et al. 2021, arXiv 2109.01903), which keeps of a fine-tuned model
//! what its zero-shot start could do besides.

use std::io;
use std::path::Path;

use clip_checkpoint::{Checkpoint, OpenClip, Source};
use clip_model::Tokenizer;
use clip_model::config::Config;
use clip_model::shapes::summarize;

use crate::error::{Error, Result};
use crate::start::differences;

/// Writes the checkpoint whose weights are `(1 - share)` times the first one's plus `share` times the second one's into the new
/// folder `out`, in OpenCLIP's layout.
///
/// # Errors
/// [`Error::Settings`] when networks, preprocessing or vocabularies differ or `share` is not from 0 to 1; those of writing a
/// checkpoint.
pub fn mix(first: &Checkpoint, second: (&Path, &Checkpoint), share: f64, out: &Path) -> Result<()> {
    let (path, second) = second;
    if !(0.0..=1.0).contains(&share) {
        return Err(Error::Settings(format!(
            "the share of the second checkpoint is {share}, expected 0 to 1"
        )));
    }
    let refuse = |what: String| {
        Err(Error::Settings(format!("{} cannot be mixed with the first checkpoint: {what}", path.display())))
    };
    let differences = differences(&second.config, &first.config, ["the second", "the first"]);
    if !differences.is_empty() {
        return refuse(differences.join("; "));
    }
    let sizes = |config: &Config| (config.image.image_size(), config.text.context_length);
    let (a, b) = (sizes(&second.config), sizes(&first.config));
    if a != b {
        return refuse(format!("it reads {} pixels and {} tokens, the first {} and {}", a.0, a.1, b.0, b.1));
    }
    if first.preprocess != second.preprocess {
        return refuse("its preprocessing is another one".to_owned());
    }
    let tokenizer = second.tokenizer()?;
    if first.tokenizer()?.to_json() != tokenizer.to_json() {
        return refuse("its vocabulary is another one".to_owned());
    }
    let openclip = OpenClip {
        config: second.config.clone(),
        preprocess: second.preprocess.clone(),
        own_tokenizer: tokenizer.to_json() != Tokenizer::openai().to_json(),
    };
    let tensors = summarize(&second.config).tensors;
    let mixed = tensors.into_iter().map(|tensor| Mixed { checkpoints: [first, second], share, tensor });
    let mixed: Vec<Mixed<'_>> = mixed.collect();
    Ok(clip_checkpoint::write(out, &openclip, &tokenizer, &mixed, 0)?)
}

/// A tensor of both checkpoints.
struct Mixed<'a> {
    checkpoints: [&'a Checkpoint; 2],
    share: f64,
    tensor: clip_model::shapes::Tensor,
}

impl Source for Mixed<'_> {
    fn name(&self) -> &str {
        &self.tensor.name
    }

    fn shape(&self) -> &[usize] {
        &self.tensor.shape
    }

    fn read(&self, sink: &mut dyn FnMut(&[f32]) -> io::Result<()>) -> io::Result<()> {
        let values = |checkpoint: &Checkpoint| {
            let tensor = checkpoint.tensor(&self.tensor.name).map_err(io::Error::other)?;
            tensor.to_f32().map_err(io::Error::other)
        };
        let (mut first, second) = (values(self.checkpoints[0])?, values(self.checkpoints[1])?);
        for (a, b) in first.iter_mut().zip(second) {
            *a = (f64::from(*a) * (1.0 - self.share) + f64::from(b) * self.share) as f32;
        }
        sink(&first)
    }
}
