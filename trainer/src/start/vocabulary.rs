//! The vocabulary of a network of random weights.

use clip_data::read_captions;
use clip_model::{Tokenizer, tokenizer};

use crate::error::{Error, Result};
use crate::job::Job;

/// The tokenizer of a new run; its vocabulary must fit the network's.
pub(super) fn of(job: &Job) -> Result<Tokenizer> {
    let settings = &job.settings;
    let rows = settings.config()?.text.vocab_size;
    let made = match settings.data.tokenizer.as_str() {
        "openai" => Tokenizer::openai(),
        "train" => {
            let data = &settings.data;
            let captions = read_captions(&job.data.shards(), &data.fields(), data.skip_bad_shards, job.warn)?;
            tokenizer::train(captions.into_iter(), rows)?
        }
        path => Tokenizer::open(path.as_ref())?,
    };
    let tokens = made.vocab_size();
    if tokens > rows {
        return Err(Error::Settings(format!(
            "the tokenizer has {tokens} tokens, the text tower's vocab_size is {rows}: make vocab_size {tokens}, or set \
             data.tokenizer = \"train\" for a vocabulary of {rows} tokens"
        )));
    }
    Ok(made)
}
