//! SigLIP's tokenizers as one `tokenizer.json`: what is done to a text around the vocabulary (cleaning, the end token, padding)
//! is said by Python code and by a `tokenizer_config.json` beside it, and is written into the file here.

use std::path::Path;

use clip_model::tokenizer::Cleaning;
use clip_model::{Tokenizer, excerpt, files};
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// Python's `string.punctuation`.
const PUNCTUATION: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"##;

/// The tokenizer of SigLIP's `tokenizer.json` and `tokenizer_config.json` in `folder`, for texts of `context_length` tokens
/// and a token embedding of `rows`.
///
/// # Errors
/// As [`files::read_text`] and [`Tokenizer::from_json`]; [`clip_model::Error::Tokenizer`] when the configuration does not name the
/// tokens at the end of a text.
pub fn open(
    folder: impl AsRef<Path>,
    cleaning: Cleaning,
    context_length: usize,
    rows: usize,
) -> Result<Tokenizer> {
    let folder = folder.as_ref();
    let path = folder.join("tokenizer.json");
    if !path.exists() && folder.join("spiece.model").exists() {
        return Err(Error::tokenizer(format!(
            "{} has sentencepiece's spiece.model and no tokenizer.json: put that of the same vocabulary beside it, \
             as the timm/ViT-*-SigLIP* models of the hub have it",
            folder.display()
        )));
    }
    let read = |name: &str| files::read_text(&folder.join(name));
    let (json, config) = (read("tokenizer.json")?, read("tokenizer_config.json")?);
    let fail = |reason: String| Error::tokenizer(format!("{}: {}", path.display(), excerpt(&reason)));
    let whole = complete(&json, &config, cleaning, context_length, rows).map_err(fail)?;
    Ok(Tokenizer::from_json(&whole)?.with_cleaning(cleaning)?)
}

/// The `tokenizer.json` in `json` with all that SigLIP's use of it needs, and as much of `cleaning` as its normalizer can do:
/// OpenCLIP's, or with [`Cleaning::None`] that of transformers, which has SigLIP's sentencepiece vocabulary take texts in lower case
/// without ASCII punctuation, and SigLIP 2's (Gemma's byte-pair vocabulary) in lower case only. `config` is its `tokenizer_config.json`; texts have
/// `context_length` tokens, and the token embedding `rows`.
fn complete(
    json: &str,
    config: &str,
    cleaning: Cleaning,
    context_length: usize,
    rows: usize,
) -> Result<String, String> {
    let parse = |text: &str, name: &str| -> Result<Value, String> {
        serde_json::from_str(text).map_err(|e| format!("{name} is no JSON: {e}"))
    };
    let (mut file, config) = (parse(json, "tokenizer.json")?, parse(config, "tokenizer_config.json")?);
    if !file.is_object() || !file["model"].is_object() {
        return Err("tokenizer.json describes no vocabulary".to_owned());
    }
    let (end, end_id) = special(&file, &config, "eos_token")?;
    let (pad, pad_id) = special(&file, &config, "pad_token")?;
    // A file that was completed and written by this crate says it itself.
    let front = config["padding_side"] == "left" || file["padding"]["direction"] == "Left";
    let direction = if front { "Left" } else { "Right" };
    let steps = steps(cleaning, file["model"]["type"] == "BPE");
    let reduces = steps.len() > 1;
    file["normalizer"] = with_steps_in_front(file["normalizer"].take(), steps);
    file["post_processor"] = json!({
        "type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": end, "type_id": 0}}],
        "pair": [
            {"Sequence": {"id": "A", "type_id": 0}},
            {"Sequence": {"id": "B", "type_id": 0}},
            {"SpecialToken": {"id": end, "type_id": 0}},
        ],
        "special_tokens": {&end: {"id": &end, "ids": [end_id], "tokens": [&end]}},
    });
    file["truncation"] = json!({
        "direction": "Right", "max_length": context_length, "strategy": "LongestFirst", "stride": 0,
    });
    file["padding"] = json!({
        "strategy": {"Fixed": context_length}, "direction": direction, "pad_to_multiple_of": null,
        "pad_id": pad_id, "pad_type_id": 0, "pad_token": pad,
    });
    // Tokens beyond the embedding's rows cannot be used. Where punctuation is taken out, nothing is left of an added token such
    // as "</s>" that could be looked for, and it would be found in the text as it was before.
    if let Some(added) = file["added_tokens"].as_array_mut() {
        let has_row = |token: &Value| token["id"].as_u64().is_some_and(|id| id < rows as u64);
        added.retain(|token| has_row(token) && !reduces);
    }
    if reduces {
        mark_every_start(&mut file["pre_tokenizer"]);
    }
    if let Some(pieces) = file["model"]["vocab"].as_array_mut() {
        pieces.truncate(rows);
    }
    serde_json::to_string(&file).map_err(|e| e.to_string())
}

/// Has the mark of a word's start put in front of texts whose own beginning was taken out: the scheme `first` leaves it away
/// there. Without added tokens there is a single piece of text, which `always` marks, too.
fn mark_every_start(pre_tokenizer: &mut Value) {
    if pre_tokenizer["type"] == "Metaspace" && pre_tokenizer["prepend_scheme"] == "first" {
        pre_tokenizer["prepend_scheme"] = "always".into();
    }
    let inner = pre_tokenizer.get_mut("pretokenizers").and_then(Value::as_array_mut);
    for inner in inner.into_iter().flatten() {
        mark_every_start(inner);
    }
}

/// Name and id of the end or padding token that the configuration names.
fn special(file: &Value, config: &Value, role: &str) -> Result<(String, u64), String> {
    let token = &config[role];
    let name = token.as_str().or_else(|| token["content"].as_str());
    let name = name.ok_or_else(|| format!("tokenizer_config.json names no {role}"))?;
    let mut added = file["added_tokens"].as_array().into_iter().flatten();
    let vocabulary = &file["model"]["vocab"];
    // A list of pieces with their scores, or a map to ids.
    let mut pieces = vocabulary.as_array().into_iter().flatten();
    let id = added
        .find(|token| token["content"] == name)
        .and_then(|token| token["id"].as_u64())
        .or_else(|| vocabulary[name].as_u64())
        .or_else(|| pieces.position(|piece| piece[0] == name).map(|id| id as u64));
    match id {
        Some(id) => Ok((name.to_owned(), id)),
        None => Err(format!(
            "{role} {name:?} of tokenizer_config.json is not in the vocabulary of tokenizer.json"
        )),
    }
}

/// The normalizers that clean a text.
fn steps(cleaning: Cleaning, gemma: bool) -> Vec<Value> {
    let lower = json!({"type": "Lowercase"});
    let mut steps = match cleaning {
        Cleaning::None if gemma => return vec![lower],
        Cleaning::None => vec![],
        _ => vec![json!({"type": "Replace", "pattern": {"String": "_"}, "content": " "})],
    };
    steps.extend([
        json!({"type": "Replace", "pattern": {"Regex": PUNCTUATION}, "content": ""}),
        lower,
        json!({"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}),
        json!({"type": "Strip", "strip_left": true, "strip_right": true}),
    ]);
    steps
}

/// A normalizer that takes `steps` first; one that does so already stays as it is.
fn with_steps_in_front(normalizer: Value, mut steps: Vec<Value>) -> Value {
    let own = match normalizer["normalizers"].as_array() {
        Some(own) if normalizer["type"] == "Sequence" => own.clone(),
        _ if normalizer.is_null() => vec![],
        _ => vec![normalizer],
    };
    if own.starts_with(&steps) {
        steps = own;
    } else {
        steps.extend(own);
    }
    json!({"type": "Sequence", "normalizers": steps})
}

#[cfg(test)]
mod tests {
    use super::*;
    use clip_testkit::siglip::{CONFIG, unigram};

    /// A small byte-pair vocabulary in the layout of Gemma's.
    fn gemma() -> Value {
        json!({
            "version": "1.0", "truncation": null, "padding": null,
            "added_tokens": [{"id": 1, "content": "<eos>", "single_word": false, "lstrip": false, "rstrip": false,
                              "normalized": false, "special": true}],
            "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            "pre_tokenizer": null, "post_processor": null, "decoder": null,
            "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": false,
                      "vocab": {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3, "a": 4, "b": 5, "▁": 6, "ab": 7, "!": 8},
                      "merges": [["a", "b"]]},
        })
    }

    fn open(json: &Value, config: &str, cleaning: Cleaning) -> Result<Tokenizer, String> {
        let whole = complete(&json.to_string(), config, cleaning, 6, 10)?;
        let again = complete(&whole, config, cleaning, 6, 10)?;
        assert_eq!(again, whole, "what is complete stays as it is");
        Ok(Tokenizer::from_json(&whole).unwrap())
    }

    #[test]
    fn a_sentencepiece_vocabulary_is_completed() {
        let tokenizer = open(&unigram(), CONFIG, Cleaning::Canonicalize).unwrap();
        assert_eq!((tokenizer.start_id(), tokenizer.end_id(), tokenizer.pad_id()), (None, 1, 1));
        assert_eq!(tokenizer.vocab_size(), 10, "the embedding has no row for <extra_id_0>");
        assert_eq!(tokenizer.encode("CAB, ab!", 6), [8, 9, 1]);
        assert_eq!(tokenizer.encode_padded("ab_cab", 6), [9, 8, 1, 1, 1, 1]);
        assert_eq!(tokenizer.encode("</s>", 6), [3, 7, 1], "nothing but the letter is left");
        assert_eq!(tokenizer.encode("  (cab", 6), [8, 1], "a word starts there all the same");
        assert_eq!(tokenizer.encode("", 6), [1]);
        assert_eq!(tokenizer.encode("ab ab ab ab", 3), [9, 9, 1]);
        let transformers = open(&unigram(), CONFIG, Cleaning::None).unwrap();
        assert_eq!(transformers.encode("_cab", 6), [8, 1]);
        assert_eq!(transformers.encode("ab_", 6), tokenizer.encode("ab", 6));
    }

    #[test]
    fn a_byte_pair_vocabulary_is_completed() {
        let config = r#"{"eos_token": "<eos>", "pad_token": "<pad>"}"#;
        let tokenizer = open(&gemma(), config, Cleaning::None).unwrap();
        assert_eq!((tokenizer.start_id(), tokenizer.end_id(), tokenizer.pad_id()), (None, 1, 0));
        assert_eq!(tokenizer.encode_padded("AB ab!", 6), [7, 6, 7, 8, 1, 0]);
        assert_eq!(tokenizer.encode_batch(&["a", "b"], 4).ids, [4, 1, 0, 0, 5, 1, 0, 0]);
        let config = r#"{"eos_token": "<eos>", "pad_token": "<pad>", "padding_side": "left"}"#;
        let left = open(&gemma(), config, Cleaning::None).unwrap();
        assert_eq!(left.encode_padded("AB", 4), [0, 0, 7, 1]);
        let written: Value = serde_json::from_str(&left.to_config_json(4)).unwrap();
        assert_eq!((&written["padding_side"], left.pads_in_front()), (&"left".into(), true));
        assert_eq!(
            open(&gemma(), config, Cleaning::Canonicalize).unwrap().encode(" AB ab!", 6),
            [7, 6, 7, 1]
        );
    }

    #[test]
    fn what_cannot_be_completed_is_named() {
        for (config, named) in [
            ("{}", "names no eos_token"),
            (r#"{"eos_token": "</s>"}"#, "names no pad_token"),
            (r#"{"eos_token": "<e>", "pad_token": "</s>"}"#, "eos_token \"<e>\""),
            ("x", "tokenizer_config.json is no JSON"),
            ("[]", "names no eos_token"),
        ] {
            let reason = open(&unigram(), config, Cleaning::Canonicalize).unwrap_err();
            assert!(reason.contains(named), "{reason}");
        }
        for json in ["[]", "3", r#""text""#, "{}", r#"{"model": []}"#, r#"{"model": 1}"#] {
            let reason = complete(json, CONFIG, Cleaning::Canonicalize, 6, 10).unwrap_err();
            assert!(reason.contains("no vocabulary"), "{reason}");
        }
        for field in
            ["added_tokens", "normalizer", "pre_tokenizer", "post_processor", "truncation", "padding"]
        {
            let mut odd = unigram();
            odd[field] = "odd".into();
            // Whether the rest is usable is for the tokenizers crate to say; nothing panics.
            let whole = complete(&odd.to_string(), CONFIG, Cleaning::Canonicalize, 6, 10);
            drop(whole.map(|json| Tokenizer::from_json(&json)));
        }
        let mut odd = unigram();
        odd["model"]["vocab"] = "odd".into();
        assert!(
            complete(&odd.to_string(), CONFIG, Cleaning::Canonicalize, 6, 10)
                .is_ok_and(|json| Tokenizer::from_json(&json).is_err())
        );
    }
}
