//! A small SigLIP, and its tokenizer.

use std::path::{Path, PathBuf};

use clip_checkpoint::{Checkpoint, Error, TensorMismatch, write_weights};
use clip_model::shapes::Tensor;
use serde_json::{Value, json};

use crate::models::{Values, parameter};

/// A folder in Hugging Face's layout: weights under transformers' names, a sentencepiece vocabulary, fields that have their
/// defaults left out.
pub fn checkpoint(root: &Path) -> PathBuf {
    let folder = root.join("siglip");
    std::fs::create_dir(&folder).unwrap();
    let put = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    let image = json!({
        "image_size": 18, "patch_size": 8, "hidden_size": 12, "intermediate_size": 20, "num_hidden_layers": 2,
        "num_attention_heads": 3,
    });
    let text = json!({
        "vocab_size": 10, "max_position_embeddings": 6, "hidden_size": 8, "intermediate_size": 12,
        "num_hidden_layers": 1, "num_attention_heads": 2, "hidden_act": "gelu", "projection_size": 12,
    });
    let config = json!({"model_type": "siglip", "vision_config": image, "text_config": text});
    put("config.json", &config.to_string());
    put("preprocessor_config.json", r#"{"size": {"height": 18, "width": 18}, "resample": 2}"#);
    put("tokenizer.json", &unigram().to_string());
    put("tokenizer_config.json", CONFIG);
    // The names and shapes that are missed are those of this layout.
    let weights = folder.join("model.safetensors");
    write_weights(&weights, &[] as &[Values], Default::default()).unwrap();
    let Err(Error::Tensors(TensorMismatch { missing, .. })) = Checkpoint::open(&folder) else { panic!() };
    let tensor = |(name, shape)| parameter(Tensor { name, shape, learned: true });
    let tensors: Vec<Values> = missing.into_iter().map(tensor).collect();
    write_weights(&weights, &tensors, Default::default()).unwrap();
    folder
}

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
