//! The ResNets with the changes of the paper's section 2.4: ResNet-D stem, anti-aliased strides, attention pooling.

use crate::config::ResNet;
use crate::ops::{Block, Conv, Ops, Projections};

/// `[3, S, S] -> [1, embed_dim]`.
pub(super) fn encode<O: Ops>(o: &O, r: &ResNet, embed_dim: usize, image: &O::T) -> O::T {
    let x = conv_bn_relu(o, image, "visual.", 1, square(r.width / 2, 2));
    let x = conv_bn_relu(o, &x, "visual.", 2, square(r.width / 2, 1));
    let x = conv_bn_relu(o, &x, "visual.", 3, square(r.width, 1));
    let mut x = o.avg_pool(&x, 2); // [width, S / 4, S / 4]
    for (stage, &blocks) in r.layers.iter().enumerate() {
        for block in 0..blocks {
            let name = format!("visual.layer{}.{block}.", stage + 1);
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            // The first block of each stage changes the number of channels, so its shortcut needs a convolution.
            x = o.block(&x, None, Bottleneck { name, planes: r.width << stage, stride, widen: block == 0 });
        }
    }
    attention_pool(o, r, embed_dim, &x)
}

/// A convolution of three by three pixels that keeps the image's size, but for its stride.
fn square(channels: usize, stride: usize) -> Conv {
    Conv { channels, kernel: 3, stride, padding: 1, bias: false }
}

/// A convolution of single pixels.
fn pointwise(channels: usize) -> Conv {
    Conv { channels, kernel: 1, stride: 1, padding: 0, bias: false }
}

/// Convolution, batch norm and ReLU number `n` below `prefix`.
fn conv_bn_relu<O: Ops>(o: &O, x: &O::T, prefix: &str, n: usize, c: Conv) -> O::T {
    let x = o.conv2d(x, &format!("{prefix}conv{n}"), c);
    o.relu(&o.batch_norm(&x, &format!("{prefix}bn{n}")))
}

/// Bottleneck block whose strides are average pools in front of a convolution (anti-aliasing), `planes * 4` channels out.
struct Bottleneck {
    name: String,
    planes: usize,
    stride: usize,
    widen: bool,
}

impl Block for Bottleneck {
    fn run<O: Ops>(&self, o: &O, x: &O::T, _: Option<&O::T>) -> O::T {
        let Bottleneck { ref name, planes, stride, widen } = *self;
        let pool = |x: O::T| if stride > 1 { o.avg_pool(&x, stride) } else { x };
        let y = conv_bn_relu(o, x, name, 1, pointwise(planes));
        let y = conv_bn_relu(o, &y, name, 2, square(planes, 1));
        let y = o.conv2d(&pool(y), &format!("{name}conv3"), pointwise(planes * 4));
        let y = o.batch_norm(&y, &format!("{name}bn3"));
        if !widen {
            return o.relu(&o.add(&y, x));
        }
        let convolution = format!("{name}downsample.0");
        let short = match stride {
            1 => o.conv2d(x, &convolution, pointwise(planes * 4)),
            _ => o.conv2d(&o.avg_pool(x, stride), &convolution, pointwise(planes * 4)),
        };
        o.relu(&o.add(&y, &o.batch_norm(&short, &format!("{name}downsample.1"))))
    }
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
