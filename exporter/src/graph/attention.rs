//! Attention: heads, masks, and the single query of a pooling.

use clip_model::config::EndOfText;
use clip_model::ops::Projections;

use super::form::IDS;
use super::interpreter::{Interpreter, TEXT_LENGTH, Value};
use crate::onnx::Attribute::Int;
use crate::onnx::{Data, Element};

/// Names of separate query, key and value maps.
const MAPS: [&str; 3] = ["q_proj", "k_proj", "v_proj"];

impl Interpreter {
    /// `[batch * length, channels]` as `[batch, length, ...split]`, where the sizes in `split` multiply to the channels; both
    /// with length first if spelled for integers.
    pub fn by_sample(&self, x: &Value, split: &[i64]) -> String {
        let rows = self.flat(x);
        match x.shape[0] {
            TEXT_LENGTH => {
                let [a, b] = self.in_order(self.size(IDS, 0), self.size(IDS, 1));
                let shape = self.concat(&[&a, &b, &self.integers(split)], 0);
                self.node("Reshape", &[&rows, &shape], vec![])
            }
            length => self.reshape(&rows, &[&self.in_order(-1, length as i64), split].concat()),
        }
    }

    /// `[batch * length, heads * width]` as `[batch, heads, length, width]`.
    pub fn heads(&self, x: &Value, heads: usize) -> String {
        let split = [heads as i64, (x.shape[1] / heads) as i64];
        let order = if self.for_integers { [1, 2, 0, 3] } else { [0, 2, 1, 3] };
        self.transpose(&self.by_sample(x, &split), &order)
    }

    /// The weight or bias (`kind`) of the query (0), key (1) or value (2) map of an attention, in the given shape, whose last
    /// axis is that of the channels.
    pub fn map(&self, maps: Projections<'_>, kind: &str, part: usize, shape: &[usize]) -> String {
        match maps {
            Projections::Stacked(name) => {
                let channels = shape.last().copied().unwrap_or(0);
                let rows = part * channels..(part + 1) * channels;
                self.weight_rows(&format!("{name}.in_proj_{kind}"), rows, shape)
            }
            Projections::Separate(name) => self.weight(&format!("{name}.{}.{kind}", MAPS[part]), shape),
        }
    }

    /// [`Ops::attention_pool`](clip_model::ops::Ops::attention_pool).
    pub fn pool(
        &self,
        token: &Value,
        x: &Value,
        maps: Projections<'_>,
        heads: usize,
        text: Option<(&Value, EndOfText)>,
    ) -> Value {
        let channels = x.shape[1];
        let width = channels / heads;
        let query = self.map(maps, "weight", 0, &[channels, channels]);
        let key = self.map(maps, "weight", 1, &[heads, width, channels]);
        let value = self.map(maps, "weight", 2, &[heads, width, channels]);
        // Heads come first where their maps are applied, samples where tokens are mixed.
        let swap = |x: &str| self.transpose(x, &[1, 0, 2]);
        let q = self.gemm(token, &query, &self.map(maps, "bias", 0, &[channels]));
        let q = self.node("Mul", &[&q, &self.number((width as f32).sqrt().recip())], vec![]);
        let q = swap(&self.reshape(&q, &[-1, heads as i64, width as i64]));
        let q = swap(&self.node("MatMul", &[&q, &key], vec![])); // [B, heads, D]
        let tokens = if x.flat { self.by_sample(x, &[channels as i64]) } else { x.name.clone() };
        let (tokens, keys) = if self.for_integers {
            (self.transpose(&tokens, &[1, 0, 2]), self.transpose(&tokens, &[1, 2, 0]))
        } else {
            (tokens.clone(), self.transpose(&tokens, &[0, 2, 1]))
        };
        let scores = self.node("MatMul", &[&q, &keys], vec![]); // [B, heads, L]
        let scores = match text {
            None => scores,
            Some((ids, end)) => {
                let mask = self.causal_mask(&self.size(&ids.name, 1));
                let row =
                    self.node("Gather", &[&mask, &self.end_position(&ids.name, end)], vec![("axis", Int(0))]);
                let row = self.node("Unsqueeze", &[&row, &self.integers(&[1])], vec![]); // [B, 1, L]
                self.node("Add", &[&scores, &row], vec![])
            }
        };
        let weights = self.node("Softmax", &[&scores], vec![("axis", Int(-1))]);
        let mixed = swap(&self.node("MatMul", &[&weights, &tokens], vec![])); // [heads, B, D]
        let mixed = swap(&self.node("MatMul", &[&mixed, &self.transpose(&value, &[0, 2, 1])], vec![]));
        let mixed = self.reshape(&mixed, &[-1, channels as i64]);
        Self::matrix(
            self.node("Add", &[&mixed, &self.map(maps, "bias", 2, &[channels])], vec![]),
            1,
            channels,
        )
    }

    /// What is added to attention scores, `[length, length]`: minus infinity right of the diagonal.
    pub fn causal_mask(&self, length: &str) -> String {
        let n = self.context_length;
        let hidden = |i: usize| if i % n > i / n { f32::NEG_INFINITY } else { 0.0 };
        let values = Data::Float32((0..n * n).map(hidden).collect());
        let whole = self.constant("causal_mask".to_owned(), vec![n, n], values);
        let start = self.integers(&[0, 0]);
        let axes = self.integers(&[0, 1]);
        self.node("Slice", &[&whole, &start, &self.concat(&[length, length], 0), &axes], vec![])
    }

    /// The position of the end of each text, `[batch]`. Of several equal numbers, `ArgMax` takes the first.
    pub fn end_position(&self, ids: &str, end: EndOfText) -> String {
        let marks;
        let ids = match end {
            EndOfText::Highest => ids,
            EndOfText::Id(id) => {
                let id = i32::try_from(id).unwrap_or(i32::MAX);
                let id = self.constant(format!("id_{id}"), vec![], Data::Int32(vec![id]));
                let equal = self.node("Equal", &[ids, &id], vec![]);
                marks = self.node("Cast", &[&equal], vec![("to", Int(Element::Int32 as i64))]);
                &marks
            }
        };
        self.node("ArgMax", &[ids], vec![("axis", Int(1)), ("keepdims", Int(0))])
    }
}
