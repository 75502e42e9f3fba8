//! Small cases of every operation of [`Ops`], which each interpreter runs and compares with the plain
//! loops of [`Reference`].
//!
//! All values are pseudo-random and the same everywhere.

mod reference;

use clip_model::config::{Activation, EndOfText};
use clip_model::ops::{Conv, Ops, Projections};
use clip_model::shapes::Shapes;

use crate::models::{Values, parameter, uniform};
pub use reference::{Array, Reference};

/// Samples in a case's batch.
pub const BATCH: usize = 2;

/// Ids that cases feed to the embedding are below this.
const VOCAB_SIZE: usize = 11;

/// An id that the cases' texts hold twice, in front of the highest and at the end.
const END: EndOfText = EndOfText::Id(VOCAB_SIZE as u32 - 2);

/// Rows of the position table; texts in cases are shorter.
pub const CONTEXT_LENGTH: usize = 9;

/// One operation on small inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// What it shows.
    pub name: &'static str,
    /// Its inputs, in order.
    pub inputs: &'static [Input],
}

/// An input of a case, by the shape of one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Pixels or tokens.
    Values(&'static [usize]),
    /// Token ids, so many of them.
    Ids(usize),
}

use Input::{Ids, Values as Numbers};

/// Every operation at least once.
pub const CASES: [Case; 36] = [
    case("conv2d: patches", &[Numbers(&[3, 8, 8])]),
    case("conv2d: padded, stride 2", &[Numbers(&[3, 6, 6])]),
    case("conv2d: pointwise", &[Numbers(&[5, 3, 3])]),
    case("conv2d: patches that leave a rest, with a bias", &[Numbers(&[3, 7, 9])]),
    case("batch_norm", &[Numbers(&[4, 3, 2])]),
    case("relu", &[Numbers(&[4, 3, 2])]),
    case("avg_pool", &[Numbers(&[3, 4, 6])]),
    case("tokens", &[Numbers(&[4, 2, 3])]),
    case("prepend_mean", &[Numbers(&[5, 4])]),
    case("prepend", &[Numbers(&[5, 4])]),
    case("embedding", &[Ids(6)]),
    case("add_positions: all rows", &[Numbers(&[CONTEXT_LENGTH, 4])]),
    case("add_positions: the first rows", &[Numbers(&[5, 4])]),
    case("layer_norm", &[Numbers(&[5, 6])]),
    case("layer_norm: a large epsilon", &[Numbers(&[5, 6])]),
    case("linear", &[Numbers(&[5, 6])]),
    case("in_projection: query", &[Numbers(&[5, 6])]),
    case("in_projection: key", &[Numbers(&[5, 6])]),
    case("in_projection: value", &[Numbers(&[5, 6])]),
    case("attention: everything", &[Numbers(&[5, 6]), Numbers(&[5, 6]), Numbers(&[5, 6])]),
    case("attention: causal", &[Ids(5), Numbers(&[5, 6]), Numbers(&[5, 6]), Numbers(&[5, 6])]),
    case("attention_pool: stacked maps", &[Numbers(&[1, 6]), Numbers(&[5, 6])]),
    case("attention_pool: separate maps", &[Numbers(&[1, 6]), Numbers(&[5, 6])]),
    case("attention_pool: up to the end of text", &[Ids(5), Numbers(&[1, 6]), Numbers(&[5, 6])]),
    case("attention_pool: up to an end below the highest id", &[Ids(5), Numbers(&[1, 6]), Numbers(&[5, 6])]),
    case("attention_pool: a learned query", &[Numbers(&[5, 6])]),
    case("activation: QuickGELU", &[Numbers(&[5, 6])]),
    case("activation: GELU", &[Numbers(&[5, 6])]),
    case("activation: GELU by tanh", &[Numbers(&[5, 6])]),
    case("add", &[Numbers(&[5, 6]), Numbers(&[5, 6])]),
    case("first_token", &[Numbers(&[5, 6])]),
    case("last_token", &[Numbers(&[5, 6])]),
    case("end_of_text", &[Ids(5), Numbers(&[5, 6])]),
    case("end_of_text: below the highest id", &[Ids(5), Numbers(&[5, 6])]),
    case("end_of_text: without an end", &[Ids(5), Numbers(&[5, 6])]),
    case("project and l2_normalize", &[Numbers(&[1, 6])]),
];

const fn case(name: &'static str, inputs: &'static [Input]) -> Case {
    Case { name, inputs }
}

impl Case {
    /// Runs the operation on `x`, one value per input.
    ///
    /// # Panics
    /// For a case that is not in [`CASES`].
    pub fn apply<O: Ops>(&self, o: &O, x: &[O::T]) -> O::T {
        let conv =
            |channels, kernel, stride, padding| Conv { channels, kernel, stride, padding, bias: false };
        match self.name {
            "conv2d: patches" => o.conv2d(&x[0], "conv", conv(5, 4, 4, 0)),
            "conv2d: padded, stride 2" => o.conv2d(&x[0], "conv", conv(4, 3, 2, 1)),
            "conv2d: pointwise" => o.conv2d(&x[0], "conv", conv(4, 1, 1, 0)),
            "conv2d: patches that leave a rest, with a bias" => {
                o.conv2d(&x[0], "conv", Conv { bias: true, ..conv(5, 2, 2, 0) })
            }
            "batch_norm" => o.batch_norm(&x[0], "bn"),
            "relu" => o.relu(&x[0]),
            "avg_pool" => o.avg_pool(&x[0], 2),
            "tokens" => o.tokens(&x[0]),
            "prepend_mean" => o.prepend_mean(&x[0]),
            "prepend" => o.prepend(&x[0], "class_embedding"),
            "embedding" => o.embedding(&x[0], "table", VOCAB_SIZE, 4),
            "add_positions: all rows" | "add_positions: the first rows" => {
                o.add_positions(&x[0], "positions", CONTEXT_LENGTH)
            }
            "layer_norm" => o.layer_norm(&x[0], "ln", 1e-5),
            "layer_norm: a large epsilon" => o.layer_norm(&x[0], "ln", 0.5),
            "linear" => o.linear(&x[0], "fc", 4),
            "in_projection: query" => {
                let [q, _, _] = o.in_projection(&x[0], "attn");
                q
            }
            "in_projection: key" => {
                let [_, k, _] = o.in_projection(&x[0], "attn");
                k
            }
            "in_projection: value" => {
                let [_, _, v] = o.in_projection(&x[0], "attn");
                v
            }
            "attention: everything" => o.attention(&x[0], &x[1], &x[2], 2, false),
            "attention: causal" => o.attention(&x[1], &x[2], &x[3], 2, true),
            "attention_pool: stacked maps" => {
                o.attention_pool(&x[0], &x[1], Projections::Stacked("attn"), 2, None)
            }
            "attention_pool: separate maps" => {
                o.attention_pool(&x[0], &x[1], Projections::Separate("pool"), 3, None)
            }
            "attention_pool: up to the end of text" => o.attention_pool(
                &x[1],
                &x[2],
                Projections::Stacked("attn"),
                3,
                Some((&x[0], EndOfText::Highest)),
            ),
            "attention_pool: up to an end below the highest id" => {
                o.attention_pool(&x[1], &x[2], Projections::Stacked("attn"), 3, Some((&x[0], END)))
            }
            "attention_pool: a learned query" => {
                let query = o.learned_token("query", 6);
                o.attention_pool(&query, &x[0], Projections::Stacked("attn"), 2, None)
            }
            "activation: QuickGELU" => o.activation(&x[0], Activation::QuickGelu),
            "activation: GELU" => o.activation(&x[0], Activation::Gelu),
            "activation: GELU by tanh" => o.activation(&x[0], Activation::GeluTanh),
            "add" => o.add(&x[0], &x[1]),
            "first_token" => o.first_token(&x[0]),
            "last_token" => o.last_token(&x[0]),
            "end_of_text" => o.end_of_text(&x[1], &x[0], EndOfText::Highest),
            "end_of_text: below the highest id" => o.end_of_text(&x[1], &x[0], END),
            "end_of_text: without an end" => o.end_of_text(&x[1], &x[0], EndOfText::Id(99)),
            "project and l2_normalize" => o.l2_normalize(&o.project(&x[0], "proj", 4)),
            other => panic!("there is no case {other:?}"),
        }
    }

    /// The inputs of sample number `sample`, at most [`BATCH`].
    pub fn sample(&self, sample: usize) -> Vec<Array> {
        let inputs = self.inputs.iter().enumerate();
        inputs
            .map(|(i, input)| {
                let seed = format!("{} {i} {sample}", self.name);
                match input {
                    Numbers(shape) => Array::new(shape, uniform(&seed, shape.iter().product(), -2.0, 2.0)),
                    // The end of text, the highest id or the one below it, stands elsewhere in each sample, and what
                    // follows is lower or the same again.
                    Ids(length) => {
                        let mut ids = uniform(&seed, *length, 0.0, (VOCAB_SIZE - 2) as f32);
                        ids.iter_mut().for_each(|id| *id = id.floor());
                        ids[length - 1] = (VOCAB_SIZE - 2) as f32;
                        let end = length / 2 + sample;
                        ids[end - 1] = (VOCAB_SIZE - 2) as f32;
                        ids[end] = (VOCAB_SIZE - 1) as f32;
                        Array::new(&[*length], ids)
                    }
                }
            })
            .collect()
    }

    /// The tensors that the operation uses.
    pub fn parameters(&self) -> Vec<Values> {
        let shapes = Shapes::default();
        let inputs: Vec<Vec<usize>> = self.sample(0).into_iter().map(|x| x.shape).collect();
        self.apply(&shapes, &inputs);
        shapes.into_tensors().into_iter().map(parameter).collect()
    }

    /// The result for sample number `sample`, by plain loops.
    pub fn expected(&self, sample: usize) -> Array {
        self.apply(&Reference::new(&self.parameters()), &self.sample(sample))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_those_of_the_results() {
        for case in CASES {
            let inputs: Vec<Vec<usize>> = case.sample(0).into_iter().map(|x| x.shape).collect();
            let expected = case.expected(0);
            assert_eq!(case.apply(&Shapes::default(), &inputs), expected.shape, "{}", case.name);
            assert!(expected.data.iter().all(|v| v.is_finite()), "{}", case.name);
            assert_ne!(expected, case.expected(1), "{}", case.name);
        }
    }
}
