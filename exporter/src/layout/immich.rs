//! Immich's machine learning service (`immich_ml`, its classes for OpenCLIP's models; read at 2.2.3 and later).
//!
//! It opens `visual/model.onnx` and `textual/model.onnx`, feeds `image` and, as int32 padded to the context length, `text`, and takes the
//! first row of the first output. Beside the graphs it reads `visual/preprocess_cfg.json`, `textual/tokenizer.json`, the padding
//! token of `textual/tokenizer_config.json`, and the length of texts in `config.json`. Only names that it knows are looked for.

use clip_model::tokenizer::Cleaning;
use serde_json::json;

use super::described;
use super::graph::{self, Integers, Names};
use super::laid::Laid;
use super::source::Source;

/// Why a model is refused whose texts are padded in front.
pub const PADDING: &str = "it pads texts behind their end, and this model's are padded in front";

const FILES: [&str; 2] = ["model.onnx", "model.onnx.data"];
const NAMES: Names = Names {
    pixels: "image",
    ids: Integers { name: "text", long: false, mask: None, cuts_ends: false },
    images: "embedding",
    texts: "embedding",
};

/// What lies in the folder.
pub fn lay_out(source: &Source<'_>) -> Laid {
    let (config, preprocess) = (&source.checkpoint.config, &source.checkpoint.preprocess);
    let mut fields = json!({
        "embed_dim": config.embed_dim,
        "vision_cfg": { "image_size": config.image.image_size() },
        "text_cfg": { "context_length": source.context_length(), "vocab_size": config.text.vocab_size },
    });
    // It cleans texts only so far; the rest is in the tokenizer's file.
    if source.tokenizer.cleaning() == Cleaning::Canonicalize {
        fields["text_cfg"]["tokenizer_kwargs"] = json!({ "clean": "canonicalize" });
    }
    let mut texts = vec![described::file("", "config.json", &fields)];
    if source.text.is_some() {
        texts.extend(described::tokenizer(source, "textual"));
    }
    if source.image.is_some() {
        let fields = json!({
            "size": preprocess.size,
            "mode": "RGB",
            "mean": preprocess.mean,
            "std": preprocess.std,
            "interpolation": preprocess.interpolation,
            "resize_mode": preprocess.resize_mode,
        });
        texts.push(described::file("visual", "preprocess_cfg.json", &fields));
    }
    let graphs =
        [graph::text(source, ("textual", FILES), NAMES), graph::image(source, ("visual", FILES), NAMES)];
    Laid { graphs: graphs.into_iter().flatten().collect(), texts }
}
