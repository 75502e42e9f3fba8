//! Texts to embeddings, without computing on padding where it does not count.

use std::path::Path;

use clip_model::manifest::TokenizerFile;
use clip_model::{Manifest, Tokenizer, files, memory};

use crate::encoder::Encoder;
use crate::engine::Elements;
use crate::error::{Error, Result};
use crate::input::grow;
use crate::source::Opened;

/// Token ids that run together, padding included. Enough for matrix products at full speed; more only takes memory.
const TOKENS_PER_RUN: usize = 2048;

/// Tokens of padding that a run may have: about what another run would cost for reading the weights once more,
/// and an eighth of the real ones.
const PADDING: usize = 32;
const PADDING_SHARE: usize = 8;

/// Memory that a tokenizer may need for a text, which it takes in small pieces and without a way to be refused: bytes for
/// each byte of the text, and for what it keeps of words that it has seen. Measured generously, see
/// docs/decisions/009-memory.md.
const TOKENIZER_SHARE: usize = 64;
const TOKENIZER: usize = 2 << 20;

/// The same for each byte of its file, when it is opened.
const TOKENIZER_FILE_SHARE: usize = 16;

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
    /// The tokenizer in `file`.
    pub fn tokenizer(folder: &Path, file: &TokenizerFile) -> Result<Tokenizer> {
        let path = folder.join(&file.file);
        let bytes = files::size(&path).saturating_mul(TOKENIZER_FILE_SHARE).saturating_add(TOKENIZER);
        memory::available(&path.to_string_lossy(), bytes)?;
        Ok(file.open(&path)?)
    }

    /// Checks what was opened, and runs it once.
    pub fn new(
        opened: Opened,
        manifest: &Manifest,
        (file, tokenizer): (&TokenizerFile, Tokenizer),
    ) -> Result<TextTower> {
        let (context_length, embed_dim) = (file.context_length, manifest.embed_dim);
        let shape = [file.padded.then_some(context_length)];
        let encoder = Encoder::new(opened, &shape, embed_dim)?;
        let tower = TextTower { encoder, tokenizer, context_length, padded: file.padded, embed_dim };
        tower.probe()?;
        Ok(tower)
    }

    /// What runs.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// The embeddings of `texts` in their order, `[texts, embed_dim]`.
    pub fn encode(&self, texts: &[impl AsRef<str>]) -> Result<Vec<f32>> {
        // All token ids one after the other, and where each text's are, shortest first.
        let (mut ids, mut places) = (Vec::new(), memory::with_capacity("texts", texts.len())?);
        for (number, text) in texts.iter().enumerate() {
            let tokens = self.tokens(text.as_ref())?;
            if let Some(longest) = self.encoder.length().map(|length| length.max)
                && tokens.len() > longest
            {
                let (file, tokens) = (self.encoder.file().to_owned(), tokens.len());
                return Err(Error::TextLength { file, text: number, tokens, longest });
            }
            memory::reserve("tokens", &mut ids, tokens.len())?;
            places.push((number, ids.len()..ids.len() + tokens.len()));
            ids.extend_from_slice(&tokens);
        }
        places.sort_unstable_by_key(|(number, place)| (place.len(), *number));

        let dim = self.embed_dim;
        let mut values = memory::filled("embeddings", 0.0, texts.len().saturating_mul(dim))?;
        let (mut input, mut output) = (Vec::new(), Vec::new());
        let mut rest = &places[..];
        while !rest.is_empty() {
            let size = run_size(rest.iter().map(|(_, place)| place.len()));
            let (members, others) = rest.split_at(size.min(self.encoder.most().unwrap_or(usize::MAX)));
            rest = others;
            // What comes after the end of a text does not reach it.
            let least = self.encoder.length().map_or(0, |length| length.min);
            let length = members.last().map_or(0, |(_, place)| place.len()).max(least);
            let rows = self.encoder.rows(members.len());
            input.clear();
            memory::reserve("a batch of texts", &mut input, rows * length)?;
            for (_, place) in members {
                input.extend_from_slice(&ids[place.clone()]);
                input.resize(input.len() + length - place.len(), self.tokenizer.pad_id());
            }
            input.resize(rows * length, 0);
            grow("embeddings", &mut output, rows * dim)?;
            let (shape, output) = ([rows, length], &mut output[..rows * dim]);
            let tokens = (&shape[..], Elements::Int32(&input));
            self.encoder.run(tokens, members.len(), output, |row| members[row].0)?;
            for ((number, _), row) in members.iter().zip(output.chunks_exact(dim)) {
                values[number * dim..(number + 1) * dim].copy_from_slice(row);
            }
        }
        Ok(values)
    }

    fn tokens(&self, text: &str) -> Result<Vec<i32>> {
        memory::available("the tokens of a text", text.len().saturating_mul(TOKENIZER_SHARE) + TOKENIZER)?;
        Ok(match self.padded {
            true => self.tokenizer.encode_padded(text, self.context_length),
            false => self.tokenizer.encode(text, self.context_length),
        })
    }

    /// Runs the text tower once on a text of the greatest length that holds the highest token id, so that a
    /// context or a vocabulary larger than the graph's shows when the folder is opened, not at the first long text.
    fn probe(&self) -> Result<()> {
        let longest = self.encoder.length().map_or(usize::MAX, |length| length.max);
        let (tokenizer, length) = (&self.tokenizer, self.context_length.min(longest));
        let highest = i32::try_from(tokenizer.vocab_size()).unwrap_or(i32::MAX).saturating_sub(1);
        let mut ids = vec![highest; length];
        if let Some(start) = tokenizer.start_id() {
            ids[0] = start;
        }
        ids[length - 1] = tokenizer.end_id();
        let rows = self.encoder.rows(1);
        ids.resize(rows * length, 0);
        let mut output = vec![0.0; rows * self.embed_dim];
        let tokens = (&[rows, length][..], Elements::Int32(&ids));
        self.encoder.run(tokens, 1, &mut output, |row| row).map_err(|e| match e {
            Error::Engine { file, reason, .. } => Error::Mismatch {
                file,
                expected: format!("{length} tokens of a vocabulary of {}", tokenizer.vocab_size()),
                found: format!("other sizes: {reason}"),
            },
            other => other,
        })
    }
}

/// How many of the next texts, shortest first, run together; at least one.
fn run_size(lengths: impl Iterator<Item = usize>) -> usize {
    let (mut count, mut tokens) = (0, 0);
    for length in lengths {
        tokens += length;
        let padded = (count + 1) * length;
        let too_much_padding = padded - tokens > PADDING + tokens / PADDING_SHARE;
        if count > 0 && (padded > TOKENS_PER_RUN || too_much_padding) {
            break;
        }
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes of all runs.
    fn runs(mut lengths: &[usize]) -> Vec<usize> {
        let mut sizes = Vec::new();
        while !lengths.is_empty() {
            sizes.push(run_size(lengths.iter().copied()));
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
