//! The Vision Transformers (Dosovitskiy et al. 2020, arXiv 2010.11929).

use super::transformer::{Leaving, Transformer};
use crate::config::ViT;
use crate::ops::{Conv, Ops, Projections};

/// CLIP's: a class token in front of the patches, a layer norm before the transformer, a projection at the end.
/// `[3, S, S] -> [1, embed_dim]`.
pub(super) fn with_class_token<O: Ops>(o: &O, v: &ViT, embed_dim: usize, image: &O::T) -> O::T {
    let transformer = transformer(v);
    let x = o.prepend(&patches(o, v, image, false), "visual.class_embedding"); // [1 + grid^2, D]
    let x = o.add_positions(&x, "visual.positional_embedding", 1 + v.grid() * v.grid());
    let x = o.layer_norm(&x, "visual.ln_pre", transformer.epsilon);
    let x = transformer.run(o, x, Leaving::First, None); // [1, D]
    let x = o.layer_norm(&x, "visual.ln_post", transformer.epsilon);
    o.project(&x, "visual.proj", embed_dim)
}

/// SigLIP's: patches alone, pooled at the end by the attention of a learned query and an MLP (the multi-head attention
/// pooling of Zhai et al. 2022, arXiv 2106.04560). `[3, S, S] -> [1, width]`.
pub(super) fn with_learned_query<O: Ops>(o: &O, v: &ViT, image: &O::T) -> O::T {
    let transformer = transformer(v);
    let x = patches(o, v, image, true); // [grid^2, D]
    let x = o.add_positions(&x, "visual.positional_embedding", v.grid() * v.grid());
    let x = transformer.run(o, x, Leaving::All, None);
    let x = o.layer_norm(&x, "visual.ln_post", transformer.epsilon);
    let query = o.learned_token("visual.attn_pool.query", v.width);
    let x = o.attention_pool(&query, &x, Projections::Stacked("visual.attn_pool.attn"), v.heads(), None);
    let x = o.linear(&x, "visual.attn_pool.attn.out_proj", v.width);
    transformer.residual_mlp(o, &x, "visual.attn_pool.ln", "visual.attn_pool.mlp")
}

/// Square patches as tokens, `[3, S, S] -> [grid^2, D]`.
fn patches<O: Ops>(o: &O, v: &ViT, image: &O::T, bias: bool) -> O::T {
    let conv = Conv { channels: v.width, kernel: v.patch_size, stride: v.patch_size, padding: 0, bias };
    o.tokens(&o.conv2d(image, "visual.conv1", conv))
}

fn transformer(v: &ViT) -> Transformer {
    Transformer {
        name: "visual.transformer",
        layers: v.layers,
        heads: v.heads(),
        hidden: v.hidden(),
        width: v.width,
        activation: v.activation,
        epsilon: v.norm_epsilon,
    }
}
