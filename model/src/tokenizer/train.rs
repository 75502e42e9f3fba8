//! Trains a new byte-level vocabulary in OpenAI's style.

use serde_json::Value;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::BpeTrainer;
use tokenizers::{AddedToken, Model};

use super::{Cleaning, Tokenizer, json};
use crate::error::{Error, Result};

/// What is done to texts before: what OpenCLIP does where a checkpoint has a tokenizer of its own.
const CLEANING: Cleaning = Cleaning::Whitespace;

/// Learns a vocabulary of `vocab_size` tokens from `captions`: 256 bytes, the same bytes at the end of a word, the
/// most frequent merges, start, end (the last id). The same captions give the same vocabulary, in any order. They are cleaned as
/// the texts of the tokenizer are, with [`Cleaning::Whitespace`]: as OpenCLIP cleans them for a checkpoint that has it.
///
/// # Errors
/// [`Error::Tokenizer`] when `vocab_size` is below 514, or above what the captions have merges for.
pub fn train(captions: impl Iterator<Item = String> + Send, vocab_size: usize) -> Result<Tokenizer> {
    let refuse = |e: tokenizers::Error| Error::Tokenizer(format!("training failed: {e}"));
    let alphabet = json::alphabet();
    let fixed = alphabet.len() + 2;
    if vocab_size < fixed {
        return Err(Error::Tokenizer(format!(
            "a vocabulary of {vocab_size} tokens is too small: bytes, start and end alone take {fixed}"
        )));
    }
    // The trainer numbers characters in the order of a randomly seeded map, unless they are special tokens; and it
    // breaks ties by these numbers. As special tokens they come first and in our order.
    let specials = alphabet.iter().map(|symbol| AddedToken::from(symbol.clone(), true)).collect();
    let mut trainer = TrainerWrapper::BpeTrainer(
        BpeTrainer::builder()
            .vocab_size(vocab_size - 2)
            .special_tokens(specials)
            .end_of_word_suffix(json::END_OF_WORD.to_owned())
            .show_progress(false)
            .build(),
    );
    let empty = json::tokenizer_json(&alphabet, &[], json::clip_normalizer());
    let mut untrained: tokenizers::Tokenizer = empty.parse().map_err(refuse)?;
    let cleaned = captions.map(|caption| CLEANING.apply(&caption).into_owned());
    untrained.train(&mut trainer, cleaned).map_err(refuse)?;

    let model = untrained.get_model();
    let mut tokens = vec![String::new(); model.get_vocab_size()];
    for (token, id) in model.get_vocab() {
        if let Some(slot) = tokens.get_mut(id as usize) {
            *slot = token;
        }
    }
    if tokens.len() + 2 < vocab_size {
        return Err(Error::Tokenizer(format!(
            "the captions give a vocabulary of at most {} tokens, {vocab_size} were asked for: ask for fewer, or bring \
             more captions",
            tokens.len() + 2
        )));
    }
    let merges = merges_of(model).ok_or_else(|| Error::Tokenizer("the trainer made no merges".to_owned()))?;
    Tokenizer::from_json(&json::tokenizer_json(&tokens, &merges, json::clip_normalizer()))?
        .with_cleaning(CLEANING)
}

/// The merges of a trained model, in order; it shows them in its JSON only.
fn merges_of(model: &tokenizers::ModelWrapper) -> Option<Vec<String>> {
    let model = serde_json::to_value(model).ok()?;
    let merge = |value: &Value| Some(format!("{} {}", value.get(0)?.as_str()?, value.get(1)?.as_str()?));
    model["merges"].as_array()?.iter().map(merge).collect()
}
