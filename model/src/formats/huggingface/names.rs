//! Names and layouts of transformers' CLIP.

use crate::weights::Origin;

/// Where the tensor that this crate calls `name` comes from.
pub(in crate::formats) fn origin(name: &str) -> Origin {
    let whole = match name {
        "text_projection" => return Origin::Transposed("text_projection.weight".to_owned()),
        "visual.proj" => return Origin::Transposed("visual_projection.weight".to_owned()),
        "token_embedding.weight" => "text_model.embeddings.token_embedding.weight",
        "positional_embedding" => "text_model.embeddings.position_embedding.weight",
        "visual.class_embedding" => "vision_model.embeddings.class_embedding",
        "visual.conv1.weight" => "vision_model.embeddings.patch_embedding.weight",
        "visual.positional_embedding" => "vision_model.embeddings.position_embedding.weight",
        _ => "",
    };
    if !whole.is_empty() {
        return Origin::Same(whole.to_owned());
    }
    if let Some((tower, layer, rest)) = block(name) {
        let layer = format!("{tower}.encoder.layers.{layer}");
        if let Some(kind) = rest.strip_prefix("attn.in_proj_") {
            let map = |map: &str| format!("{layer}.self_attn.{map}_proj.{kind}");
            return Origin::Stacked(["q", "k", "v"].map(map).to_vec());
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
        _ => return Origin::Same(name.to_owned()), // logit_scale
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
