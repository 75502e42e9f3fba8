//! The operations that the network is written in, implemented once by each interpreter (shapes, libtorch, ONNX).
//!
//! Every operation sees the shape of *one sample*: the batch axis is implicit. Shapes in the comments are
//! `[C, H, W]` for images and `[L, D]` for sequences of `L` tokens of `D` channels.
//! Parameters are named as in OpenAI's and OpenCLIP's state dicts.

use crate::config::{Activation, EndOfText};

/// An interpreter of the network in [`crate::clip`].
pub trait Ops {
    /// A value flowing through the network.
    type T;

    /// Convolution, `[C, H, W] -> [c.channels, H', W']`. Uses `name.weight`: `[channels, C, kernel, kernel]` and, when the
    /// convolution has one, `name.bias`: `[channels]`.
    fn conv2d(&self, x: &Self::T, name: &str, c: Conv) -> Self::T;

    /// Batch normalisation over channels, epsilon 1e-5. Uses `name.weight`, `.bias`, `.running_mean`, `.running_var`.
    fn batch_norm(&self, x: &Self::T, name: &str) -> Self::T;

    /// `max(x, 0)`.
    fn relu(&self, x: &Self::T) -> Self::T;

    /// Mean over `size` x `size` tiles, `[C, H, W] -> [C, H / size, W / size]`.
    fn avg_pool(&self, x: &Self::T, size: usize) -> Self::T;

    /// Pixels become tokens in row-major order, `[C, H, W] -> [H * W, C]`.
    fn tokens(&self, x: &Self::T) -> Self::T;

    /// The mean of all tokens goes in front, `[L, D] -> [1 + L, D]`.
    fn prepend_mean(&self, x: &Self::T) -> Self::T;

    /// A learned token goes in front, `[L, D] -> [1 + L, D]`. `token`: `[D]`.
    fn prepend(&self, x: &Self::T, token: &str) -> Self::T;

    /// A learned token alone, the same for every sample, `[1, width]`. `token`: `[width]`.
    fn learned_token(&self, token: &str, width: usize) -> Self::T;

    /// Token ids to vectors, `[L] -> [L, width]`. `table`: `[vocab_size, width]`.
    fn embedding(&self, ids: &Self::T, table: &str, vocab_size: usize, width: usize) -> Self::T;

    /// Adds the first `L` rows of a position table, `[L, D] -> [L, D]`. `table`: `[rows, D]`.
    fn add_positions(&self, x: &Self::T, table: &str, rows: usize) -> Self::T;

    /// Layer normalisation over channels; `epsilon` is added to the variance. Uses `name.weight` and `name.bias`: `[D]`.
    fn layer_norm(&self, x: &Self::T, name: &str, epsilon: f32) -> Self::T;

    /// Affine map, `[L, D] -> [L, out]`. Uses `name.weight`: `[out, D]` and `name.bias`: `[out]`.
    fn linear(&self, x: &Self::T, name: &str, out: usize) -> Self::T;

    /// Query, key and value, each `[L, D] -> [L, D]`, by the maps that PyTorch's `MultiheadAttention` stacks in
    /// `name.in_proj_weight`: `[3 D, D]` and `name.in_proj_bias`: `[3 D]`.
    fn in_projection(&self, x: &Self::T, name: &str) -> [Self::T; 3];

    /// Scaled dot-product attention in `heads` heads, queries, keys and values `[L, D] -> [L, D]`. With `causal`, a
    /// query sees the keys at its own position and before.
    fn attention(&self, q: &Self::T, k: &Self::T, v: &Self::T, heads: usize, causal: bool) -> Self::T;

    /// Attention with a single query, which comes from `token`: `[1, D]`, over the tokens of `x`: `[L, D]`, projected
    /// by `maps`; result `[1, D]`. With a text's ids, `[L]`, the query sees the tokens up to its end.
    ///
    /// No interpreter needs the keys and values of all tokens for that. With `q` the query and `K`, `k` and `V`, `v`
    /// the key and value maps of one head, the scores `q . (K x_i + k)` are `(Kᵀ q) . x_i` plus what all of them share
    /// and the softmax ignores, and the mixture `sum w_i (V x_i + v)` is `V (sum w_i x_i) + v`.
    fn attention_pool(
        &self,
        token: &Self::T,
        x: &Self::T,
        maps: Projections<'_>,
        heads: usize,
        text: Option<(&Self::T, EndOfText)>,
    ) -> Self::T;

    /// The non-linearity of that kind.
    fn activation(&self, x: &Self::T, kind: Activation) -> Self::T;

    /// Element-wise sum of two values of one shape.
    fn add(&self, a: &Self::T, b: &Self::T) -> Self::T;

    /// The first token alone, `[L, D] -> [1, D]`.
    fn first_token(&self, x: &Self::T) -> Self::T;

    /// The last token alone, `[L, D] -> [1, D]`.
    fn last_token(&self, x: &Self::T) -> Self::T;

    /// The token at the end of the text alone, `[L, D] -> [1, D]`. `ids`: `[L]`.
    fn end_of_text(&self, x: &Self::T, ids: &Self::T, end: EndOfText) -> Self::T;

    /// Linear map without bias, `[L, D] -> [L, out]`. `matrix`: `[D, out]`, not transposed.
    fn project(&self, x: &Self::T, matrix: &str, out: usize) -> Self::T;

    /// A single token becomes an embedding of length one, `[1, D] -> [D]`.
    fn l2_normalize(&self, x: &Self::T) -> Self::T;

    /// One residual block, where an interpreter may trade memory for recomputation. `ids`: those of the text that `x` belongs to,
    /// when the block asks for them.
    fn block(&self, x: &Self::T, ids: Option<&Self::T>, block: impl Block) -> Self::T
    where
        Self: Sized,
    {
        block.run(self, x, ids)
    }
}

/// A residual block as a value, so that an interpreter may keep it and run it again.
pub trait Block: 'static {
    /// The block's result from its input `x` and, in a text tower, the ids of the text.
    fn run<O: Ops>(&self, o: &O, x: &O::T, ids: Option<&O::T>) -> O::T;
}

/// Sizes of a convolution; kernel and padding are square.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv {
    /// Output channels.
    pub channels: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Step in both directions.
    pub stride: usize,
    /// Zeros added on each side.
    pub padding: usize,
    /// Whether each channel has a learned summand.
    pub bias: bool,
}

/// Names of the query, key and value maps of an attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Projections<'a> {
    /// One above the other in `name.in_proj_weight`: `[3 D, D]` and `name.in_proj_bias`: `[3 D]`.
    Stacked(&'a str),
    /// `.weight`: `[D, D]` and `.bias`: `[D]` of `name.q_proj`, `name.k_proj` and `name.v_proj`.
    Separate(&'a str),
}
