//! transformers.js (`@huggingface/transformers`; read at 4.3.1).
//!
//! `CLIPTextModelWithProjection` opens `onnx/text_model.onnx`, `CLIPVisionModelWithProjection` `onnx/vision_model.onnx`; `CLIPModel`
//! and the pipeline `zero-shot-image-classification` open `onnx/model.onnx`, and SigLIP's classes do likewise. A number format is
//! a suffix of the file's name, and `transformers.js_config` says which one is there: else a browser would look for
//! 8-bit integers, and Node.js for single precision. Texts are fed as int64, with a mask, padded to the longest (SigLIP's to the
//! full length); those that are too long lose their end, which `Integers::cuts_ends` puts back.

use clip_model::config::Family;
use clip_model::manifest::Precision;
use serde_json::json;

use super::described;
use super::graph::{self, Integers, LaidGraph, Names};
use super::laid::Laid;
use super::source::Source;

const FOLDER: &str = "onnx";
const IDS: Integers =
    Integers { name: "input_ids", long: true, mask: Some("attention_mask"), cuts_ends: true };
const BOTH: Names = Names { pixels: "pixel_values", ids: IDS, images: "image_embeds", texts: "text_embeds" };
/// What SigLIP's single towers give is called by other names.
const SIGLIP: Names = Names { images: "pooler_output", texts: "pooler_output", ..BOTH };

/// The graphs' files in a number format, and what transformers.js calls that: both towers, text, image.
fn files(precision: Precision) -> ([[&'static str; 2]; 3], &'static str) {
    match precision {
        Precision::Fp32 => (
            [
                ["model.onnx", "model.onnx_data"],
                ["text_model.onnx", "text_model.onnx_data"],
                ["vision_model.onnx", "vision_model.onnx_data"],
            ],
            "fp32",
        ),
        Precision::Fp16 => (
            [
                ["model_fp16.onnx", "model_fp16.onnx_data"],
                ["text_model_fp16.onnx", "text_model_fp16.onnx_data"],
                ["vision_model_fp16.onnx", "vision_model_fp16.onnx_data"],
            ],
            "fp16",
        ),
        Precision::Int8 => (
            [
                ["model_quantized.onnx", "model_quantized.onnx_data"],
                ["text_model_quantized.onnx", "text_model_quantized.onnx_data"],
                ["vision_model_quantized.onnx", "vision_model_quantized.onnx_data"],
            ],
            "q8",
        ),
    }
}

/// What lies in the folder.
pub fn lay_out(source: &Source<'_>) -> Laid {
    let ([both, text, image], dtype) = files(source.precision);
    let single = if source.checkpoint.config.family == Family::SigLip { SIGLIP } else { BOTH };
    let graphs: Vec<LaidGraph> = [
        graph::both(source, (FOLDER, both), BOTH),
        graph::text(source, (FOLDER, text), single),
        graph::image(source, (FOLDER, image), single),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut config = described::config(source);
    let mut own = json!({ "dtype": dtype });
    // In a browser nothing else says which files there are.
    let beside = graphs.iter().filter(|laid| laid.has_file_beside(source));
    let beside: Vec<&str> = beside.map(|laid| laid.files[0]).collect();
    if !beside.is_empty() {
        own["use_external_data_format"] = beside.into_iter().map(|file| (file, 1)).collect();
    }
    config["transformers.js_config"] = own;
    Laid { texts: described::whole(source, &config), graphs }
}
