//! A tokenizer read from a `tokenizer.json`, run by the `tokenizers` crate.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokenizers::{PaddingDirection, Tokenizer};

use super::clean::Cleaning;
use super::{charsmap, front, json, limits};
use crate::error::{Error, Result};
use crate::excerpt::excerpt;

/// Names of the start token, of CLIP's tokenizers first.
const STARTS: [&str; 5] = ["<|startoftext|>", "<start_of_text>", "[CLS]", "<s>", "<bos>"];
/// Names of the end token, in the same order.
const ENDS: [&str; 5] = ["<|endoftext|>", "<end_of_text>", "[SEP]", "</s>", "<eos>"];
/// Names of a token that does nothing but pad.
const PADS: [&str; 3] = ["<|pad|>", "[PAD]", "<pad>"];

/// An ordinary text, which every tokenizer can encode.
const PROBE: &str = "A photo of 2 cats.";

/// The tokenizer of a file, with the ids that CLIP needs of it.
#[derive(Debug)]
pub(super) struct FileTokenizer {
    inner: Tokenizer,
    /// The file's text, as read.
    pub(super) json: String,
    pub(super) start: Option<i32>,
    pub(super) end: i32,
    pub(super) pad: i32,
    /// Whether padding goes in front of texts and not behind them; CLIP's always goes behind.
    pub(super) pads_in_front: bool,
    /// The highest id plus one.
    pub(super) vocab_size: usize,
    /// Whether what stands before a space has tokens of its own, whatever comes after: true of the files that this crate
    /// writes, not of every file.
    ends_words_at_spaces: bool,
}

impl FileTokenizer {
    pub(super) fn from_json(json: &str) -> Result<Self> {
        charsmap::check(json).map_err(refuse)?;
        limits::check(json).map_err(refuse)?;
        let usable = |e: tokenizers::Error| refuse(format!("not a usable tokenizer.json: {e}"));
        let mut inner: Tokenizer = guarded(|| json.parse()).ok_or_else(panicked)?.map_err(usable)?;
        let padding = inner.get_padding().cloned();
        // Cutting and padding are done here, to the caller's length instead of the file's.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|e| refuse(e.to_string()))?;

        // What fails at an ordinary text would fail at all of them.
        let probe = guarded(|| inner.encode_fast(PROBE, false)).ok_or_else(panicked)?;
        probe.map_err(|e| refuse(format!("cannot encode {PROBE:?}: {e}")))?;
        let (start, end) = start_and_end(&inner)?;
        let pads_in_front = start.is_none()
            && padding.as_ref().is_some_and(|p| matches!(p.direction, PaddingDirection::Left));
        let pad = padding
            .map(|p| p.pad_id)
            .or_else(|| PADS.iter().find_map(|name| inner.token_to_id(name)))
            .unwrap_or(end);
        let highest = inner.get_vocab(true).into_values().max().unwrap_or(0);
        let id =
            |id: u32| i32::try_from(id).map_err(|_| refuse(format!("token id {id} is over 2,147,483,647")));
        id(highest)?;
        let vocab_size = highest as usize + 1;
        if let Some(beyond) = start.into_iter().chain([end, pad]).find(|&id| id > highest) {
            return Err(refuse(format!("it adds token id {beyond}, but its vocabulary ends at {highest}")));
        }
        let ends_words_at_spaces = json::is_in_our_style(json);
        Ok(Self {
            ends_words_at_spaces,
            pads_in_front,
            inner,
            json: json.to_owned(),
            start: start.map(id).transpose()?,
            end: id(end)?,
            pad: id(pad)?,
            vocab_size,
        })
    }

    /// The tokens of `text`, cleaned, without start and end: at least the first `limit` of them, or all. Text in which the file's
    /// pattern fails (it may hold look-around with a limit on backtracking) has none.
    pub(super) fn encode(&self, text: &str, limit: usize, cleaning: Cleaning) -> Vec<i32> {
        let whole = |text: &str| self.encode_cleaned(&cleaning.apply(text));
        match self.ends_words_at_spaces {
            true => front::encode(
                text,
                front::BYTES,
                limit,
                |front, rest| cleaning.cuts_between(front, rest),
                whole,
            ),
            false => whole(text),
        }
    }

    /// The name of a token.
    pub(super) fn token(&self, id: i32) -> Option<String> {
        self.inner.id_to_token(u32::try_from(id).ok()?)
    }

    fn encode_cleaned(&self, text: &str) -> Vec<i32> {
        match guarded(|| self.inner.encode_fast(text, false)).ok_or(()) {
            // Every id is at most the highest, which was checked to fit.
            Ok(Ok(encoding)) => encoding.get_ids().iter().map(|&id| id as i32).collect(),
            _ => Vec::new(),
        }
    }
}

fn refuse(reason: String) -> Error {
    Error::Tokenizer(excerpt(&reason).into_owned())
}

/// What `work` gives, or nothing when it panics, as crate tokenizers does at some files that make no sense.
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

fn panicked() -> Error {
    refuse("not a usable tokenizer.json: its parts contradict each other".to_owned())
}

/// The ids before (unless there is none) and behind every text: what the file's post-processor puts around an empty one, or
/// the usual tokens where it has no post-processor.
fn start_and_end(tokenizer: &Tokenizer) -> Result<(Option<u32>, u32)> {
    let around_nothing = guarded(|| tokenizer.encode_fast("", true)).ok_or_else(panicked)?;
    let around_nothing = around_nothing.map_err(|e| refuse(format!("cannot encode an empty text: {e}")))?;
    match *around_nothing.get_ids() {
        [start, end] => Ok((Some(start), end)),
        [end] => Ok((None, end)),
        [] => {
            let usual = STARTS.iter().zip(ENDS);
            let found =
                usual.filter_map(|(s, e)| tokenizer.token_to_id(s).zip(tokenizer.token_to_id(e))).next();
            found.map(|(start, end)| (Some(start), end)).ok_or_else(|| {
                refuse(
                    "it adds no start and end tokens and has none of the usual names (such as <|startoftext|> and \
                     <|endoftext|>): give it a post_processor"
                        .to_owned(),
                )
            })
        }
        ref ids => Err(refuse(format!(
            "it puts {} tokens around an empty text; CLIP needs one start and one end token, SigLIP one end token",
            ids.len()
        ))),
    }
}
