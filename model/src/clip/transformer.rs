//! The transformer of both towers.

use crate::config::{Activation, EndOfText};
use crate::ops::{Block, Ops, Projections};

/// A stack of pre-norm residual attention blocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transformer {
    pub name: &'static str,
    pub layers: usize,
    pub heads: usize,
    pub hidden: usize,
    pub width: usize,
    pub activation: Activation,
    pub epsilon: f32,
}

/// The tokens that leave a transformer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Leaving {
    /// All of them.
    All,
    /// The first.
    First,
    /// The last.
    Last,
    /// The one at the end of the text; attention is causal.
    EndOfText(EndOfText),
}

/// Block number `number` of a transformer.
#[derive(Debug, Clone, Copy)]
struct ResidualBlock {
    transformer: Transformer,
    number: usize,
    leaving: Leaving,
}

impl Block for ResidualBlock {
    fn run<O: Ops>(&self, o: &O, x: &O::T, ids: Option<&O::T>) -> O::T {
        let ResidualBlock { transformer, number, leaving } = *self;
        let name = format!("{}.resblocks.{number}", transformer.name);
        let last = number + 1 == transformer.layers;
        match (leaving, ids) {
            (Leaving::First, _) if last => transformer.pooling_block(o, x, &name, |x| o.first_token(x), None),
            (Leaving::Last, _) if last => transformer.pooling_block(o, x, &name, |x| o.last_token(x), None),
            (Leaving::EndOfText(end), Some(ids)) if last => {
                transformer.pooling_block(o, x, &name, |x| o.end_of_text(x, ids, end), Some((ids, end)))
            }
            (Leaving::EndOfText(_), _) => transformer.residual_block(o, x, &name, true),
            _ => transformer.residual_block(o, x, &name, false),
        }
    }
}

impl Transformer {
    /// `[L, D] -> [L, D]`, or `[1, D]` when a single token leaves. `ids`: those of a text, `[L]`.
    pub fn run<O: Ops>(&self, o: &O, mut x: O::T, leaving: Leaving, ids: Option<&O::T>) -> O::T {
        for number in 0..self.layers {
            x = o.block(&x, ids, ResidualBlock { transformer: *self, number, leaving });
        }
        x
    }

    fn residual_block<O: Ops>(&self, o: &O, x: &O::T, name: &str, causal: bool) -> O::T {
        let normed = o.layer_norm(x, &format!("{name}.ln_1"), self.epsilon);
        let [q, k, v] = o.in_projection(&normed, &format!("{name}.attn"));
        let mixed = o.attention(&q, &k, &v, self.heads, causal);
        self.rest_of_block(o, x, &mixed, name)
    }

    /// A residual block for the token that `pool` takes alone, which sees all tokens, or those of `text` up to its end.
    fn pooling_block<O: Ops>(
        &self,
        o: &O,
        x: &O::T,
        name: &str,
        pool: impl Fn(&O::T) -> O::T,
        text: Option<(&O::T, EndOfText)>,
    ) -> O::T {
        let normed = o.layer_norm(x, &format!("{name}.ln_1"), self.epsilon);
        let maps = format!("{name}.attn");
        let mixed = o.attention_pool(&pool(&normed), &normed, Projections::Stacked(&maps), self.heads, text);
        self.rest_of_block(o, &pool(x), &mixed, name)
    }

    /// What follows attention in a block, token by token.
    fn rest_of_block<O: Ops>(&self, o: &O, x: &O::T, mixed: &O::T, name: &str) -> O::T {
        let x = o.add(x, &o.linear(mixed, &format!("{name}.attn.out_proj"), self.width));
        self.residual_mlp(o, &x, &format!("{name}.ln_2"), &format!("{name}.mlp"))
    }

    /// `x` plus the MLP called `mlp` of `x` normed, token by token.
    pub fn residual_mlp<O: Ops>(&self, o: &O, x: &O::T, norm: &str, mlp: &str) -> O::T {
        let hidden = o.linear(&o.layer_norm(x, norm, self.epsilon), &format!("{mlp}.c_fc"), self.hidden);
        let hidden = o.activation(&hidden, self.activation);
        o.add(x, &o.linear(&hidden, &format!("{mlp}.c_proj"), self.width))
    }
}
