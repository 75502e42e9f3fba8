//! optimum-onnx (`optimum.onnxruntime`; read at 0.1.0).
//!
//! `ORTModelForZeroShotImageClassification` opens `model.onnx`, feeds int64 and a mask, and asks for two similarities and both
//! embeddings. For one tower alone there is `ORTModelForCustomTasks`, which opens the file it is told and gives back whatever comes
//! out. Both read `config.json`; the tokenizer's and the preprocessor's files are for transformers.

use clip_model::config::Family;

use super::described;
use super::graph::{self, Integers, Names};
use super::laid::Laid;
use super::source::Source;

const IDS: Integers =
    Integers { name: "input_ids", long: true, mask: Some("attention_mask"), cuts_ends: false };
const BOTH: Names = Names { pixels: "pixel_values", ids: IDS, images: "image_embeds", texts: "text_embeds" };
/// What SigLIP's single towers give is called by other names.
const SIGLIP: Names = Names { images: "pooler_output", texts: "pooler_output", ..BOTH };

/// What lies in the folder.
pub fn lay_out(source: &Source<'_>) -> Laid {
    let single = if source.checkpoint.config.family == Family::SigLip { SIGLIP } else { BOTH };
    let graphs = [
        graph::both(source, ("", ["model.onnx", "model.onnx_data"]), BOTH),
        graph::text(source, ("", ["text_model.onnx", "text_model.onnx_data"]), single),
        graph::image(source, ("", ["vision_model.onnx", "vision_model.onnx_data"]), single),
    ];
    let texts = described::whole(source, &described::config(source));
    Laid { graphs: graphs.into_iter().flatten().collect(), texts }
}
