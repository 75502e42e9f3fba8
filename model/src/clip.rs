//! The network, written once over [`Ops`].
//!
//! Two savings that change no result are part of the definition. Only the pooled token leaves a transformer's last
//! block, so there only it has a query, an output projection and an MLP, and no token needs its key and value spelled
//! out ([`Ops::attention_pool`]). And the text tower is causal, so nothing
//! after the end-of-text token reaches it: interpreters may encode at the longest real length in a batch.
//!
//! Sources: the paper's section 2.4, and the parameter names and shapes of OpenAI's published models.

use crate::config::{Activation, Config, ImageTower, ResNet, TextTower, ViT};
use crate::ops::{Conv, Ops, Projections};

/// Image `[3, S, S]`, normalised, to its embedding of length one, `[embed_dim]`.
pub fn encode_image<O: Ops>(o: &O, config: &Config, image: &O::T) -> O::T {
    let pooled = match &config.image {
        ImageTower::ResNet(r) => resnet(o, r, config.embed_dim, image),
        ImageTower::ViT(v) => vit(o, v, config.activation, config.embed_dim, image),
    };
    o.l2_normalize(&pooled)
}

/// Token ids `[L]`, `L` at most the context length, to the text's embedding of length one, `[embed_dim]`.
pub fn encode_text<O: Ops>(o: &O, config: &Config, ids: &O::T) -> O::T {
    let TextTower { context_length, vocab_size, width, heads, layers, .. } = config.text;
    let x = o.embedding(ids, "token_embedding.weight", vocab_size, width); // [L, D]
    let x = o.add_positions(&x, "positional_embedding", context_length);
    let transformer = Transformer {
        name: "transformer",
        layers,
        heads,
        hidden: config.text.hidden(),
        width,
        activation: config.activation,
        ids: Some(ids),
    };
    let x = transformer.run(o, x); // [1, D]
    let x = o.layer_norm(&x, "ln_final");
    o.l2_normalize(&o.project(&x, "text_projection", config.embed_dim))
}

fn vit<O: Ops>(o: &O, v: &ViT, activation: Activation, embed_dim: usize, image: &O::T) -> O::T {
    let patches = Conv { channels: v.width, kernel: v.patch_size, stride: v.patch_size, padding: 0 };
    let x = o.tokens(&o.conv2d(image, "visual.conv1.weight", patches)); // [grid^2, D]
    let x = o.prepend(&x, "visual.class_embedding"); // [1 + grid^2, D]
    let x = o.add_positions(&x, "visual.positional_embedding", 1 + v.grid() * v.grid());
    let x = o.layer_norm(&x, "visual.ln_pre");
    let transformer = Transformer {
        name: "visual.transformer",
        layers: v.layers,
        heads: v.heads(),
        hidden: v.hidden(),
        width: v.width,
        activation,
        ids: None,
    };
    let x = transformer.run(o, x); // [1, D]
    let x = o.layer_norm(&x, "visual.ln_post");
    o.project(&x, "visual.proj", embed_dim)
}

/// A stack of pre-norm residual attention blocks, reduced to its pooled token.
struct Transformer<'a, T> {
    name: &'static str,
    layers: usize,
    heads: usize,
    hidden: usize,
    width: usize,
    activation: Activation,
    /// Token ids of a text: attention is causal and the end-of-text token is pooled. None for images: the first is.
    ids: Option<&'a T>,
}

impl<T> Transformer<'_, T> {
    /// `[L, D] -> [1, D]`.
    fn run<O: Ops<T = T>>(&self, o: &O, mut x: T) -> T {
        for i in 0..self.layers {
            let name = format!("{}.resblocks.{i}", self.name);
            let last = i + 1 == self.layers;
            x = o.block(&x, |x| self.residual_block(o, x, &name, last));
        }
        x
    }

    fn residual_block<O: Ops<T = T>>(&self, o: &O, x: &T, name: &str, last: bool) -> T {
        let normed = o.layer_norm(x, &format!("{name}.ln_1"));
        let attn = format!("{name}.attn");
        if !last {
            let [q, k, v] = o.in_projection(&normed, &attn);
            let mixed = o.attention(&q, &k, &v, self.heads, self.ids.is_some());
            return self.rest_of_block(o, x, &mixed, name);
        }
        let token = self.pool(o, &normed); // [1, D]
        let mixed = o.attention_pool(&token, &normed, Projections::Stacked(&attn), self.heads, self.ids);
        self.rest_of_block(o, &self.pool(o, x), &mixed, name)
    }

    /// What follows attention in a block, token by token.
    fn rest_of_block<O: Ops<T = T>>(&self, o: &O, x: &T, mixed: &T, name: &str) -> T {
        let x = o.add(x, &o.linear(mixed, &format!("{name}.attn.out_proj"), self.width));
        let hidden =
            o.linear(&o.layer_norm(&x, &format!("{name}.ln_2")), &format!("{name}.mlp.c_fc"), self.hidden);
        let hidden = o.activation(&hidden, self.activation);
        o.add(&x, &o.linear(&hidden, &format!("{name}.mlp.c_proj"), self.width))
    }

    fn pool<O: Ops<T = T>>(&self, o: &O, x: &T) -> T {
        match self.ids {
            Some(ids) => o.end_of_text(x, ids),
            None => o.first_token(x),
        }
    }
}

fn resnet<O: Ops>(o: &O, r: &ResNet, embed_dim: usize, image: &O::T) -> O::T {
    let x = conv_bn_relu(
        o,
        image,
        "visual.",
        1,
        Conv { channels: r.width / 2, kernel: 3, stride: 2, padding: 1 },
    );
    let x =
        conv_bn_relu(o, &x, "visual.", 2, Conv { channels: r.width / 2, kernel: 3, stride: 1, padding: 1 });
    let x = conv_bn_relu(o, &x, "visual.", 3, Conv { channels: r.width, kernel: 3, stride: 1, padding: 1 });
    let mut x = o.avg_pool(&x, 2); // [width, S / 4, S / 4]
    for (stage, &blocks) in r.layers.iter().enumerate() {
        for block in 0..blocks {
            let name = format!("visual.layer{}.{block}.", stage + 1);
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            // The first block of each stage changes the number of channels, so its shortcut needs a convolution.
            x = o.block(&x, |x| bottleneck(o, x, &name, r.width << stage, stride, block == 0));
        }
    }
    attention_pool(o, r, embed_dim, &x)
}

/// Convolution, batch norm and ReLU number `n` below `prefix`.
fn conv_bn_relu<O: Ops>(o: &O, x: &O::T, prefix: &str, n: usize, c: Conv) -> O::T {
    let x = o.conv2d(x, &format!("{prefix}conv{n}.weight"), c);
    o.relu(&o.batch_norm(&x, &format!("{prefix}bn{n}")))
}

/// Bottleneck block whose strides are average pools in front of a convolution (anti-aliasing), `planes * 4` channels out.
fn bottleneck<O: Ops>(o: &O, x: &O::T, name: &str, planes: usize, stride: usize, widen: bool) -> O::T {
    let pool = |x: O::T| if stride > 1 { o.avg_pool(&x, stride) } else { x };
    let pointwise = |channels| Conv { channels, kernel: 1, stride: 1, padding: 0 };
    let y = conv_bn_relu(o, x, name, 1, pointwise(planes));
    let y = conv_bn_relu(o, &y, name, 2, Conv { channels: planes, kernel: 3, stride: 1, padding: 1 });
    let y = o.conv2d(&pool(y), &format!("{name}conv3.weight"), pointwise(planes * 4));
    let y = o.batch_norm(&y, &format!("{name}bn3"));
    if !widen {
        return o.relu(&o.add(&y, x));
    }
    let weight = format!("{name}downsample.0.weight");
    let short = match stride {
        1 => o.conv2d(x, &weight, pointwise(planes * 4)),
        _ => o.conv2d(&o.avg_pool(x, stride), &weight, pointwise(planes * 4)),
    };
    o.relu(&o.add(&y, &o.batch_norm(&short, &format!("{name}downsample.1"))))
}

/// Attention whose only query is the mean of all pixels, `[C, H, W] -> [1, embed_dim]`.
fn attention_pool<O: Ops>(o: &O, r: &ResNet, embed_dim: usize, x: &O::T) -> O::T {
    let side = r.image_size / 32;
    let x = o.prepend_mean(&o.tokens(x)); // [1 + H W, C]
    let x = o.add_positions(&x, "visual.attnpool.positional_embedding", 1 + side * side);
    let maps = Projections::Separate("visual.attnpool");
    let x = o.attention_pool(&o.first_token(&x), &x, maps, r.heads(), None);
    o.linear(&x, "visual.attnpool.c_proj", embed_dim)
}
