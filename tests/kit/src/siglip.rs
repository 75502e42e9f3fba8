//! A small tokenizer of SigLIP's.

use serde_json::{Value, json};

/// Its `tokenizer_config.json`.
pub const CONFIG: &str = r#"{"eos_token": "</s>", "pad_token": {"content": "</s>"}, "model_max_length": 64}"#;

/// A small sentencepiece vocabulary in the layout of T5's.
pub fn unigram() -> Value {
    let pieces = ["<pad>", "</s>", "<unk>", "▁", "a", "b", "c", "s", "▁cab", "▁ab", "<extra_id_0>"];
    let vocabulary: Vec<Value> =
        pieces.iter().enumerate().map(|(i, p)| json!([p, if i < 3 { 0.0 } else { -(i as f64) }])).collect();
    let special = |id: usize| {
        json!({"id": id, "content": pieces[id], "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    };
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [special(0), special(1), special(2), special(10)],
        "normalizer": {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true},
        "post_processor": null, "decoder": null,
        "model": {"type": "Unigram", "unk_id": 2, "vocab": vocabulary, "byte_fallback": false},
    })
}
