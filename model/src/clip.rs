//! The network, written once over [`Ops`].
//!
//! Two savings that change no result are part of the definition. Where a single token leaves a transformer, only that one
//! has a query, an output projection and an MLP in the last block, and no token needs its key and value spelled
//! out ([`Ops::attention_pool`]). And CLIP's text tower is causal, so nothing
//! after the end-of-text token reaches it: interpreters may encode at the longest real length in a batch.
//!
//! Sources: the paper's section 2.4, and the parameter names and shapes of OpenAI's published models; for SigLIP the paper's
//! reference implementation (big_vision) and the models that Google published. SigLIP's parameters are called as those of CLIP
//! where they are the same.

mod resnet;
mod transformer;
mod vit;

use crate::config::{Config, Family, ImageTower, TextTower};
use crate::ops::Ops;
use transformer::{Leaving, Transformer};

/// Image `[3, S, S]`, normalised, to its embedding of length one, `[embed_dim]`.
pub fn encode_image<O: Ops>(o: &O, config: &Config, image: &O::T) -> O::T {
    let pooled = match &config.image {
        ImageTower::ResNet(r) => resnet::encode(o, r, config.embed_dim, image),
        ImageTower::ViT(v) => match config.family {
            Family::Clip => vit::with_class_token(o, v, config.embed_dim, image),
            Family::SigLip => vit::with_learned_query(o, v, image),
        },
    };
    o.l2_normalize(&pooled)
}

/// Token ids `[L]` to the text's embedding of length one, `[embed_dim]`. `L` is at most the context length; for SigLIP it is
/// the context length.
pub fn encode_text<O: Ops>(o: &O, config: &Config, ids: &O::T) -> O::T {
    let TextTower { context_length, vocab_size, width, heads, layers, activation, norm_epsilon, end, .. } =
        config.text;
    let x = o.embedding(ids, "token_embedding.weight", vocab_size, width); // [L, D]
    let x = o.add_positions(&x, "positional_embedding", context_length);
    let transformer = Transformer {
        name: "transformer",
        layers,
        heads,
        hidden: config.text.hidden(),
        width,
        activation,
        epsilon: norm_epsilon,
    };
    let leaving = match config.family {
        Family::Clip => Leaving::EndOfText(end),
        Family::SigLip => Leaving::Last,
    };
    let x = transformer.run(o, x, leaving, Some(ids)); // [1, D]
    let x = o.layer_norm(&x, "ln_final", norm_epsilon);
    o.l2_normalize(&match config.family {
        Family::Clip => o.project(&x, "text_projection", config.embed_dim),
        Family::SigLip => o.linear(&x, "text_projection", config.embed_dim),
    })
}
