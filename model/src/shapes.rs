//! The interpreter that computes nothing but shapes: it lists a network's tensors and counts its parameters and FLOPs.

use std::cell::{Cell, RefCell};

use crate::clip;
use crate::config::{Activation, Config, EndOfText};
use crate::ops::{Conv, Ops, Projections};

/// A tensor that a checkpoint must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// State-dict name.
    pub name: String,
    /// Shape, outermost axis first.
    pub shape: Vec<usize>,
    /// Whether training learns it; false for the running statistics of batch norms.
    pub learned: bool,
}

impl Tensor {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// What a network is made of and what it costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Every tensor, in the order of use: image tower, text tower, logit scale and bias.
    pub tensors: Vec<Tensor>,
    /// Floating-point operations for one image: two for each multiply-accumulate of convolutions, matrix products
    /// and attention; the rest (a per cent or so) is not counted. `u64::MAX` stands for more.
    pub image_flops: u64,
    /// The same for one text of the full context length.
    pub text_flops: u64,
}

impl Summary {
    /// Number of values in all tensors.
    pub(crate) fn values(&self) -> u64 {
        let of = |t: &Tensor| t.shape.iter().map(|&n| n as u64).product::<u64>();
        self.tensors.iter().map(of).sum()
    }

    /// Number of learned values, the figure that model tables print.
    pub fn parameters(&self) -> usize {
        self.tensors.iter().filter(|t| t.learned).map(Tensor::elements).sum()
    }
}

/// Walks both towers of `config`, each of whose sizes must be [valid](Config::validate).
pub fn summarize(config: &Config) -> Summary {
    let shapes = Shapes::default();
    let side = config.image.image_size();
    clip::encode_image(&shapes, config, &vec![3, side, side]);
    let image_flops = shapes.flops.take();
    clip::encode_text(&shapes, config, &vec![config.text.context_length]);
    let text_flops = shapes.flops.take();
    shapes.learned("logit_scale", &[]);
    if config.logit_bias {
        shapes.learned("logit_bias", &[]);
    }
    Summary { tensors: shapes.into_tensors(), image_flops, text_flops }
}

/// FLOPs of one text of `length` tokens.
pub fn text_flops(config: &Config, length: usize) -> u64 {
    let shapes = Shapes::default();
    clip::encode_text(&shapes, config, &vec![length]);
    shapes.flops.get()
}

/// The interpreter: a value is its shape, without the batch.
#[derive(Debug, Default)]
pub struct Shapes {
    tensors: RefCell<Vec<Tensor>>,
    flops: Cell<u64>,
}

impl Shapes {
    /// Every tensor that was asked for, once, in the order of use.
    pub fn into_tensors(self) -> Vec<Tensor> {
        let mut seen = std::collections::HashSet::new();
        let tensors = self.tensors.into_inner().into_iter();
        tensors.filter(|tensor| seen.insert(tensor.name.clone())).collect()
    }

    fn record(&self, name: &str, shape: &[usize], learned: bool) {
        self.tensors.borrow_mut().push(Tensor { name: name.to_owned(), shape: shape.to_vec(), learned });
    }

    fn learned(&self, name: &str, shape: &[usize]) {
        self.record(name, shape, true);
    }

    fn stacked(&self, name: &str, width: usize) {
        self.learned(&format!("{name}.in_proj_weight"), &[3 * width, width]);
        self.learned(&format!("{name}.in_proj_bias"), &[3 * width]);
    }

    fn multiply_accumulates(&self, factors: &[usize]) {
        let product = factors.iter().fold(2u64, |n, &f| n.saturating_mul(f as u64));
        self.flops.set(self.flops.get().saturating_add(product));
    }
}

impl Ops for Shapes {
    type T = Vec<usize>;

    fn conv2d(&self, x: &Self::T, name: &str, c: Conv) -> Self::T {
        let side = |n: usize| (n + 2 * c.padding - c.kernel) / c.stride + 1;
        let out = vec![c.channels, side(x[1]), side(x[2])];
        self.learned(&format!("{name}.weight"), &[c.channels, x[0], c.kernel, c.kernel]);
        if c.bias {
            self.learned(&format!("{name}.bias"), &[c.channels]);
        }
        self.multiply_accumulates(&[c.channels, out[1], out[2], x[0], c.kernel, c.kernel]);
        out
    }

    fn batch_norm(&self, x: &Self::T, name: &str) -> Self::T {
        self.learned(&format!("{name}.weight"), &x[..1]);
        self.learned(&format!("{name}.bias"), &x[..1]);
        self.record(&format!("{name}.running_mean"), &x[..1], false);
        self.record(&format!("{name}.running_var"), &x[..1], false);
        x.clone()
    }

    fn relu(&self, x: &Self::T) -> Self::T {
        x.clone()
    }

    fn avg_pool(&self, x: &Self::T, size: usize) -> Self::T {
        vec![x[0], x[1] / size, x[2] / size]
    }

    fn tokens(&self, x: &Self::T) -> Self::T {
        vec![x[1] * x[2], x[0]]
    }

    fn prepend_mean(&self, x: &Self::T) -> Self::T {
        vec![x[0] + 1, x[1]]
    }

    fn prepend(&self, x: &Self::T, token: &str) -> Self::T {
        self.learned(token, &x[1..]);
        vec![x[0] + 1, x[1]]
    }

    fn learned_token(&self, token: &str, width: usize) -> Self::T {
        self.learned(token, &[width]);
        vec![1, width]
    }

    fn embedding(&self, ids: &Self::T, table: &str, vocab_size: usize, width: usize) -> Self::T {
        self.learned(table, &[vocab_size, width]);
        vec![ids[0], width]
    }

    fn add_positions(&self, x: &Self::T, table: &str, rows: usize) -> Self::T {
        self.learned(table, &[rows, x[1]]);
        x.clone()
    }

    fn layer_norm(&self, x: &Self::T, name: &str, _: f32) -> Self::T {
        self.learned(&format!("{name}.weight"), &x[1..]);
        self.learned(&format!("{name}.bias"), &x[1..]);
        x.clone()
    }

    fn linear(&self, x: &Self::T, name: &str, out: usize) -> Self::T {
        self.learned(&format!("{name}.weight"), &[out, x[1]]);
        self.learned(&format!("{name}.bias"), &[out]);
        self.multiply_accumulates(&[x[0], x[1], out]);
        vec![x[0], out]
    }

    fn in_projection(&self, x: &Self::T, name: &str) -> [Self::T; 3] {
        self.stacked(name, x[1]);
        self.multiply_accumulates(&[3, x[0], x[1], x[1]]);
        [x.clone(), x.clone(), x.clone()]
    }

    fn attention(&self, q: &Self::T, k: &Self::T, _: &Self::T, _: usize, _: bool) -> Self::T {
        self.multiply_accumulates(&[2, q[0], k[0], k[1]]);
        q.clone()
    }

    fn attention_pool(
        &self,
        token: &Self::T,
        x: &Self::T,
        maps: Projections<'_>,
        heads: usize,
        _: Option<(&Self::T, EndOfText)>,
    ) -> Self::T {
        let (length, width) = (x[0], x[1]);
        match maps {
            Projections::Stacked(name) => self.stacked(name, width),
            Projections::Separate(name) => {
                for map in ["q_proj", "k_proj", "v_proj"] {
                    self.learned(&format!("{name}.{map}.weight"), &[width, width]);
                    self.learned(&format!("{name}.{map}.bias"), &[width]);
                }
            }
        }
        self.multiply_accumulates(&[3, width, width]); // the query, and the key and value maps around the sum
        self.multiply_accumulates(&[2, heads, length, width]); // scores and sum
        token.clone()
    }

    fn activation(&self, x: &Self::T, _: Activation) -> Self::T {
        x.clone()
    }

    fn add(&self, a: &Self::T, _: &Self::T) -> Self::T {
        a.clone()
    }

    fn first_token(&self, x: &Self::T) -> Self::T {
        vec![1, x[1]]
    }

    fn last_token(&self, x: &Self::T) -> Self::T {
        vec![1, x[1]]
    }

    fn end_of_text(&self, x: &Self::T, _: &Self::T, _: EndOfText) -> Self::T {
        vec![1, x[1]]
    }

    fn project(&self, x: &Self::T, matrix: &str, out: usize) -> Self::T {
        self.learned(matrix, &[x[1], out]);
        self.multiply_accumulates(&[x[0], x[1], out]);
        vec![x[0], out]
    }

    fn l2_normalize(&self, x: &Self::T) -> Self::T {
        x[1..].to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NAMES;

    /// The totals that OpenAI's model card notebook and OpenCLIP's model profile print.
    #[test]
    fn parameter_totals_are_the_published_ones() {
        let published: [usize; 9] = [
            102_007_137,
            119_688_033,
            178_300_601,
            290_979_217,
            623_258_305,
            151_277_313,
            149_620_737,
            427_616_513,
            427_944_193,
        ];
        for (name, total) in NAMES.iter().zip(published) {
            assert_eq!(summarize(&Config::named(name).unwrap()).parameters(), total, "{name}");
        }
    }

    /// ViT-B/32: 4.4 G multiply-accumulates an image (its published figure), less what the last block saves.
    #[test]
    fn flops_are_counted() {
        let summary = summarize(&Config::named("ViT-B/32").unwrap());
        assert!((8.0e9..8.8e9).contains(&(summary.image_flops as f64)), "{}", summary.image_flops);
        assert!(text_flops(&Config::named("ViT-B/32").unwrap(), 7) * 9 < summary.text_flops);
    }
}
