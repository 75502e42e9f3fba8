//! Names and layouts of transformers' CLIP and SigLIP.

use crate::weights::Origin;
use clip_model::config::Family;

/// Where the tensor that this crate calls `name` comes from.
pub(crate) fn origin(family: Family, name: &str) -> Origin {
    let whole = match name {
        "text_projection" => return Origin::Transposed("text_projection.weight".to_owned()),
        "visual.proj" => return Origin::Transposed("visual_projection.weight".to_owned()),
        "token_embedding.weight" => "text_model.embeddings.token_embedding.weight",
        "positional_embedding" => "text_model.embeddings.position_embedding.weight",
        "visual.class_embedding" => "vision_model.embeddings.class_embedding",
        "visual.conv1.weight" => "vision_model.embeddings.patch_embedding.weight",
        "visual.conv1.bias" => "vision_model.embeddings.patch_embedding.bias",
        "visual.positional_embedding" => "vision_model.embeddings.position_embedding.weight",
        // SigLIP's.
        "text_projection.weight" => "text_model.head.weight",
        "text_projection.bias" => "text_model.head.bias",
        "visual.attn_pool.query" => return Origin::Wrapped("vision_model.head.probe".to_owned(), 2),
        "visual.attn_pool.attn.in_proj_weight" => "vision_model.head.attention.in_proj_weight",
        "visual.attn_pool.attn.in_proj_bias" => "vision_model.head.attention.in_proj_bias",
        _ => "",
    };
    if !whole.is_empty() {
        return Origin::Same(whole.to_owned());
    }
    if let Some((tower, layer, rest)) = block(name) {
        let layer = format!("{tower}.encoder.layers.{layer}");
        if let Some(kind) = rest.strip_prefix("attn.in_proj_") {
            let map = |map: &str| format!("{layer}.self_attn.{map}_proj.{kind}");
            return Origin::stacked(["q", "k", "v"].map(map));
        }
        let (part, kind) = rest.rsplit_once('.').unwrap_or((rest, ""));
        let part = match part {
            "ln_1" => "layer_norm1",
            "ln_2" => "layer_norm2",
            "attn.out_proj" => "self_attn.out_proj",
            "mlp.c_fc" => "mlp.fc1",
            "mlp.c_proj" => "mlp.fc2",
            other => other,
        };
        return Origin::Same(format!("{layer}.{part}.{kind}"));
    }
    let (norm, kind) = name.rsplit_once('.').unwrap_or((name, ""));
    let norm = match norm {
        "visual.ln_pre" => "vision_model.pre_layrnorm", // so spelled there
        "visual.ln_post" => "vision_model.post_layernorm",
        "ln_final" => "text_model.final_layer_norm",
        "visual.attn_pool.attn.out_proj" => "vision_model.head.attention.out_proj",
        "visual.attn_pool.ln" => "vision_model.head.layernorm",
        "visual.attn_pool.mlp.c_fc" => "vision_model.head.mlp.fc1",
        "visual.attn_pool.mlp.c_proj" => "vision_model.head.mlp.fc2",
        // The logits' scale and bias, which are vectors of one number in SigLIP.
        _ if family == Family::SigLip => return Origin::Wrapped(name.to_owned(), 1),
        _ => return Origin::Same(name.to_owned()),
    };
    Origin::Same(format!("{norm}.{kind}"))
}

/// Tower, number and rest of the name of a tensor in a transformer block.
fn block(name: &str) -> Option<(&'static str, &str, &str)> {
    let (tower, rest) = match name.strip_prefix("visual.transformer.resblocks.") {
        Some(rest) => ("vision_model", rest),
        None => ("text_model", name.strip_prefix("transformer.resblocks.")?),
    };
    let (layer, rest) = rest.split_once('.')?;
    Some((tower, layer, rest))
}
