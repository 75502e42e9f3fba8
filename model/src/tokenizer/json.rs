//! Writes a vocabulary in OpenAI's style as `tokenizer.json`, the format of Hugging Face's `tokenizers`.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use super::bpe;

/// The start token's name in Hugging Face's CLIP tokenizers.
pub(super) const START: &str = "<|startoftext|>";
/// The end token's name there.
pub(super) const END: &str = "<|endoftext|>";
/// What marks a byte sequence at the end of a word.
pub(super) const END_OF_WORD: &str = "</w>";
/// The words of a text: as in [`bpe`], with the names of start and end that are used here.
const WORDS: &str = concat!(
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d",
    r"|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
);

/// A `tokenizer.json`; fields and their meaning are those of crate `tokenizers`.
#[derive(Serialize)]
struct File<'a> {
    version: &'static str,
    truncation: Option<Value>,
    padding: Option<Value>,
    added_tokens: [Value; 2],
    normalizer: Value,
    pre_tokenizer: Value,
    post_processor: Value,
    decoder: Value,
    model: Model<'a>,
}

#[derive(Serialize)]
struct Model<'a> {
    r#type: &'static str,
    dropout: Option<f32>,
    unk_token: &'static str,
    continuing_subword_prefix: &'static str,
    end_of_word_suffix: &'static str,
    fuse_unk: bool,
    byte_fallback: bool,
    ignore_merges: bool,
    #[serde(serialize_with = "in_order")]
    vocab: &'a [String],
    merges: &'a [String],
}

/// The vocabulary as a map from token to id, start and end added as the last two.
fn in_order<S: Serializer>(tokens: &&[String], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(tokens.iter().map(String::as_str).chain([START, END]).zip(0usize..))
}

/// A `tokenizer_config.json` for a tokenizer whose start, end and padding have these names.
pub(super) fn config(
    [start, end, pad]: [Option<String>; 3],
    pads_in_front: bool,
    context_length: usize,
) -> String {
    let mut fields = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": start,
        "eos_token": end,
        "pad_token": pad,
        "model_max_length": context_length,
    });
    if pads_in_front {
        fields["padding_side"] = "left".into();
    }
    format!("{fields:#}\n")
}

/// A CLIP `tokenizer.json`: `tokens` by id, to which start and end are added as the last two; `merges` as two
/// tokens with a space between them.
pub(super) fn tokenizer_json(tokens: &[String], merges: &[String], normalizer: Value) -> String {
    let (start_id, end_id) = (tokens.len(), tokens.len() + 1);
    let special = |content: &str, id: usize| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    };
    let file = File {
        version: "1.0",
        truncation: None,
        padding: None,
        added_tokens: [special(START, start_id), special(END, end_id)],
        normalizer,
        pre_tokenizer: json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": WORDS}, "behavior": "Removed", "invert": true},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        ]}),
        post_processor: json!({"type": "RobertaProcessing", "sep": [END, end_id], "cls": [START, start_id],
                               "trim_offsets": false, "add_prefix_space": false}),
        decoder: json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}),
        model: Model {
            r#type: "BPE",
            dropout: None,
            unk_token: END,
            continuing_subword_prefix: "",
            end_of_word_suffix: END_OF_WORD,
            fuse_unk: false,
            byte_fallback: false,
            ignore_merges: false,
            vocab: tokens,
            merges,
        },
    };
    #[expect(clippy::expect_used, reason = "strings and numbers, whose keys are strings, always serialize")]
    serde_json::to_string(&file).expect("a tokenizer serializes")
}

/// A CLIP `tokenizer.json` from the ids of all tokens, start and end last, and a list of merges, one a line.
pub(super) fn from_vocabulary(ids: &HashMap<String, usize>, merges: &str) -> Result<String, String> {
    let mut tokens: Vec<Option<&str>> = vec![None; ids.len()];
    for (token, &id) in ids {
        *tokens.get_mut(id).ok_or_else(|| format!("id {id} in a vocabulary of {} tokens", ids.len()))? =
            Some(token);
    }
    let tokens: Option<Vec<String>> = tokens.into_iter().map(|token| token.map(str::to_owned)).collect();
    let mut tokens = tokens.ok_or("two tokens have one id")?;
    if tokens.pop().as_deref() != Some(END) || tokens.pop().as_deref() != Some(START) {
        return Err(format!("its last two tokens are not {START} and {END}"));
    }
    // The first line of the file gives its version.
    let lines = merges.lines().filter(|line| !line.is_empty() && !line.starts_with("#version"));
    let merges: Vec<String> = lines.map(str::to_owned).collect();
    Ok(tokenizer_json(&tokens, &merges, clip_normalizer()))
}

/// The 512 tokens that need no merge, by id: the bytes' printable stand-ins, then the same at the end of a word.
pub(super) fn alphabet() -> Vec<String> {
    // A byte that is not printable in Latin-1 is written as U+0100 and up, in order.
    let mut unprintable = '\u{100}'..;
    let inside: Vec<String> = bpe::bytes_in_order()
        .filter_map(|b| if bpe::is_printable(b) { Some(char::from(b)) } else { unprintable.next() })
        .map(String::from)
        .collect();
    let at_end: Vec<String> = inside.iter().map(|symbol| format!("{symbol}{END_OF_WORD}")).collect();
    inside.into_iter().chain(at_end).collect()
}

/// OpenAI's tokens by id, without start and end, and the merges that make them.
fn openai_vocabulary() -> (Vec<String>, Vec<String>) {
    let mut tokens = alphabet();
    let mut merges = Vec::new();
    for (left, right) in bpe::merges() {
        let (left, right) = (&tokens[usize::from(left)], &tokens[usize::from(right)]);
        merges.push(format!("{left} {right}"));
        tokens.push(format!("{left}{right}"));
    }
    (tokens, merges)
}

/// The `tokenizer.json` of OpenAI's vocabulary. Its normalizer does by replacements what it can of OpenAI's
/// cleaning; transformers' CLIP tokenizer replaces it by its own.
pub(super) fn openai() -> String {
    let (tokens, merges) = openai_vocabulary();
    tokenizer_json(&tokens, &merges, openai_normalizer())
}

/// Whether `json` is what [`openai`] writes, up to its layout: OpenAI's merges under the normalizer that only this
/// crate writes.
pub(super) fn is_openai(json: &str) -> bool {
    #[derive(Deserialize)]
    struct File<'a> {
        normalizer: Value,
        #[serde(borrow)]
        model: Model<'a>,
    }
    #[derive(Deserialize)]
    struct Model<'a> {
        #[serde(borrow)]
        merges: Vec<Cow<'a, str>>,
    }
    serde_json::from_str(json).is_ok_and(|file: File<'_>| {
        file.normalizer == openai_normalizer() && file.model.merges == openai_vocabulary().1
    })
}

/// Whether `json` splits and cleans text as [`tokenizer_json`] has it with [`clip_normalizer`], without tokens of its own that
/// are looked for in the text besides start and end.
pub(super) fn is_in_our_style(json: &str) -> bool {
    #[derive(Deserialize)]
    struct File {
        added_tokens: Vec<Value>,
        normalizer: Value,
        pre_tokenizer: Value,
    }
    let ours: Option<File> = serde_json::from_str(&tokenizer_json(&[], &[], clip_normalizer())).ok();
    let found: Option<File> = serde_json::from_str(json).ok();
    found.zip(ours).is_some_and(|(found, ours)| {
        found.normalizer == ours.normalizer
            && found.pre_tokenizer == ours.pre_tokenizer
            && found.added_tokens.iter().all(|token| token["content"] == START || token["content"] == END)
    })
}

/// Hugging Face's normalizer for CLIP.
pub(super) fn clip_normalizer() -> Value {
    json!({"type": "Sequence", "normalizers": [
        {"type": "NFC"}, replace_pattern(r"\s+", " "), {"type": "Lowercase"}
    ]})
}

fn openai_normalizer() -> Value {
    let references =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", " "), ("&amp;", "&")];
    let mut steps: Vec<Value> = references
        .iter()
        .map(|(from, to)| json!({"type": "Replace", "pattern": {"String": from}, "content": to}))
        .collect();
    steps.extend([
        replace_pattern("[\u{2bc}\u{2018}-\u{201b}]", "'"),
        replace_pattern("[\u{201c}-\u{201f}]", "\""),
        json!({"type": "NFC"}),
        replace_pattern(r"\s+", " "),
        json!({"type": "Strip", "strip_left": true, "strip_right": true}),
        json!({"type": "Lowercase"}),
    ]);
    json!({"type": "Sequence", "normalizers": steps})
}

pub(super) fn replace_pattern(pattern: &str, content: &str) -> Value {
    json!({"type": "Replace", "pattern": {"Regex": pattern}, "content": content})
}
