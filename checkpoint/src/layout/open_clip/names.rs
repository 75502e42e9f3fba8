//! Names and layouts of OpenCLIP's SigLIP; those of its CLIP are this project's own.

use clip_model::config::Family;

use crate::weights::Origin;

/// Where the tensor that this crate calls `name` comes from.
pub(crate) fn origin(family: Family, name: &str) -> Origin {
    match family {
        Family::Clip => Origin::Same(name.to_owned()),
        Family::SigLip => siglip_origin(name),
    }
}

/// SigLIP's towers lie under `text.`, with this crate's names, and under `visual.trunk.`, with timm's.
fn siglip_origin(name: &str) -> Origin {
    let Some(visual) = name.strip_prefix("visual.") else {
        let top = name.starts_with("logit_");
        return Origin::Same(if top { name.to_owned() } else { format!("text.{name}") });
    };
    let same = |rest: String| Origin::Same(format!("visual.trunk.{rest}"));
    let (module, kind) = visual.rsplit_once('.').unwrap_or((visual, ""));
    if let Some((layer, rest)) = visual.strip_prefix("transformer.resblocks.").and_then(|v| v.split_once('.'))
    {
        if let Some(kind) = rest.strip_prefix("attn.in_proj_") {
            return same(format!("blocks.{layer}.attn.qkv.{kind}"));
        }
        let module = match rest.rsplit_once('.').map_or(rest, |(module, _)| module) {
            "ln_1" => "norm1",
            "ln_2" => "norm2",
            "attn.out_proj" => "attn.proj",
            "mlp.c_fc" => "mlp.fc1",
            "mlp.c_proj" => "mlp.fc2",
            other => other,
        };
        return same(format!("blocks.{layer}.{module}.{kind}"));
    }
    let stacked = |kind: &str| {
        let part = |map: &str| format!("visual.trunk.attn_pool.{map}.{kind}");
        Origin::Stacked(vec![(part("q"), 1), (part("kv"), 2)])
    };
    match visual {
        "positional_embedding" => return Origin::Wrapped("visual.trunk.pos_embed".to_owned(), 1),
        "attn_pool.query" => return Origin::Wrapped("visual.trunk.attn_pool.latent".to_owned(), 2),
        "attn_pool.attn.in_proj_weight" => return stacked("weight"),
        "attn_pool.attn.in_proj_bias" => return stacked("bias"),
        _ => {}
    }
    let module = match module {
        "conv1" => "patch_embed.proj",
        "ln_post" => "norm",
        "attn_pool.attn.out_proj" => "attn_pool.proj",
        "attn_pool.ln" => "attn_pool.norm",
        "attn_pool.mlp.c_fc" => "attn_pool.mlp.fc1",
        "attn_pool.mlp.c_proj" => "attn_pool.mlp.fc2",
        other => other,
    };
    same(format!("{module}.{kind}"))
}
