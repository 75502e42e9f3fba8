//! Texts to embeddings, without computing on padding where it does not count.

use std::path::Path;

use clip_model::manifest::{self, TokenizerFile};
use clip_model::{Manifest, Tokenizer};
use ort::value::TensorElementType;

use crate::encoder::{Encoder, Signature};
use crate::error::{Error, Result};
use crate::library::Loaded;

/// Token ids that run together, padding included. Enough for matrix products at full speed; more only takes memory.
const TOKENS_PER_RUN: usize = 2048;

/// Tokens of padding that a run may have: about what another run would cost for reading the weights once more,
/// and an eighth of the real ones.
const PADDING: usize = 32;
const PADDING_SHARE: usize = 8;

/// The text tower and its tokenizer.
#[derive(Debug)]
pub(crate) struct TextTower {
    encoder: Encoder,
    tokenizer: Tokenizer,
    context_length: usize,
    /// Whether all texts are padded to the context length.
    padded: bool,
    embed_dim: usize,
}

impl TextTower {
    /// Opens the graph that `encoder` describes and the tokenizer in `file`, and runs both once.
    pub fn open(
        loaded: &Loaded,
        folder: &Path,
        manifest: &Manifest,
        (encoder, file): (&manifest::Encoder, &TokenizerFile),
        threads: usize,
    ) -> Result<TextTower> {
        let tokenizer = file.open(&manifest::verified(folder, &file.file, &file.sha256)?)?;
        let (context_length, embed_dim) = (file.context_length, manifest.embed_dim);
        let padded = i64::try_from(context_length).unwrap_or(i64::MAX);
        let input_shape = [if file.padded { padded } else { Signature::FREE }];
        let signature =
            Signature { encoder, input_type: TensorElementType::Int32, input_shape: &input_shape, embed_dim };
        let encoder = Encoder::open(loaded, folder, &signature, threads)?;
        let tower = TextTower { encoder, tokenizer, context_length, padded: file.padded, embed_dim };
        tower.probe()?;
        Ok(tower)
    }

    /// The embeddings of `texts` in their order, `[texts, embed_dim]`.
    pub fn encode(&self, texts: &[impl AsRef<str>]) -> Result<Vec<f32>> {
        let encode = |text: &_| match self.padded {
            true => self.tokenizer.encode_padded(AsRef::as_ref(text), self.context_length),
            false => self.tokenizer.encode(AsRef::as_ref(text), self.context_length),
        };
        let ids: Vec<Vec<i32>> = texts.iter().map(encode).collect();
        let mut order: Vec<usize> = (0..ids.len()).collect();
        order.sort_by_key(|&i| ids[i].len());
        let lengths: Vec<usize> = order.iter().map(|&i| ids[i].len()).collect();

        let dim = self.embed_dim;
        let mut values = vec![0.0; ids.len() * dim];
        let mut input = Vec::new();
        let mut start = 0;
        while start < order.len() {
            let size = run_size(&lengths[start..]).min(self.encoder.batch().unwrap_or(usize::MAX));
            let members = &order[start..start + size];
            start += size;
            let length = members.last().map_or(0, |&i| ids[i].len());
            input.clear();
            for &i in members {
                input.extend_from_slice(&ids[i]);
                input.resize(input.len() + length - ids[i].len(), self.tokenizer.pad_id());
            }
            let rows = self.encoder.run(&[size, length], &input)?;
            self.encoder.check_lengths(&rows, |row| members[row])?;
            for (&i, row) in members.iter().zip(rows.chunks_exact(dim)) {
                values[i * dim..(i + 1) * dim].copy_from_slice(row);
            }
        }
        Ok(values)
    }

    /// Runs the text tower once on a text of the full context length that holds the highest token id, so that a
    /// context or a vocabulary larger than the graph's shows when the folder is opened, not at the first long text.
    fn probe(&self) -> Result<()> {
        let (tokenizer, length) = (&self.tokenizer, self.context_length);
        let highest = i32::try_from(tokenizer.vocab_size()).unwrap_or(i32::MAX).saturating_sub(1);
        let mut ids = vec![highest; length];
        if let Some(start) = tokenizer.start_id() {
            ids[0] = start;
        }
        ids[length - 1] = tokenizer.end_id();
        let rows = self.encoder.run(&[1, length], &ids).map_err(|e| match e {
            Error::Engine { file, reason, .. } => Error::Mismatch {
                file,
                expected: format!("{length} tokens of a vocabulary of {}", tokenizer.vocab_size()),
                found: format!("other sizes: {reason}"),
            },
            other => other,
        })?;
        self.encoder.check_lengths(&rows, |row| row)
    }
}

/// How many of the next texts, shortest first, run together; at least one.
fn run_size(lengths: &[usize]) -> usize {
    let mut tokens = 0;
    for (count, &length) in lengths.iter().enumerate() {
        tokens += length;
        let padded = (count + 1) * length;
        let too_much_padding = padded - tokens > PADDING + tokens / PADDING_SHARE;
        if count > 0 && (padded > TOKENS_PER_RUN || too_much_padding) {
            return count;
        }
    }
    lengths.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes of all runs.
    fn runs(mut lengths: &[usize]) -> Vec<usize> {
        let mut sizes = Vec::new();
        while !lengths.is_empty() {
            sizes.push(run_size(lengths));
            lengths = &lengths[sizes[sizes.len() - 1]..];
        }
        sizes
    }

    #[test]
    fn equal_texts_run_together_and_different_ones_apart() {
        assert!(runs(&[]).is_empty());
        assert_eq!(runs(&[77]), [1]);
        assert_eq!(runs(&[5, 5, 5]), [3]);
        assert_eq!(runs(&[3, 3, 77]), [2, 1]);
        // One longer text among many short ones is not worth a run of its own.
        assert_eq!(runs(&[4, 4, 4, 4, 4, 4, 4, 4, 4, 5]), [10]);
        assert_eq!(runs(&[77; 60]), [26, 26, 8]);
        assert_eq!(runs(&[TOKENS_PER_RUN + 1, TOKENS_PER_RUN + 1]), [1, 1]);
    }

    #[test]
    fn a_thousand_labels_are_hardly_padded() {
        let mut lengths: Vec<usize> = (0..1000).map(|i| 3 + (i * i) % 9).collect();
        lengths.sort();
        let (mut start, mut padded) = (0, 0);
        let sizes = runs(&lengths);
        for size in &sizes {
            start += size;
            padded += size * lengths[start - 1];
        }
        let real: usize = lengths.iter().sum();
        assert!(padded <= real + real / 8 + sizes.len() * PADDING, "{padded} for {real}");
        assert!(sizes.len() < 12, "{sizes:?}");
    }
}
