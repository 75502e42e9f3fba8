//! The interpreter that computes with plain loops, one sample at a time: slow, and easy to check by reading.

use std::collections::HashMap;

use clip_model::config::{Activation, EndOfText};
use clip_model::ops::{Conv, Ops, Projections};

use crate::models::Values;

/// A tensor of one sample, row-major. Token ids are whole numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Shape, outermost axis first.
    pub shape: Vec<usize>,
    /// Elements.
    pub data: Vec<f32>,
}

/// Computes with the parameters it is given.
#[derive(Debug)]
pub struct Reference<'a>(HashMap<&'a str, &'a [f32]>);

impl Array {
    /// A tensor of `shape`.
    pub fn new(shape: &[usize], data: Vec<f32>) -> Array {
        assert_eq!(shape.iter().product::<usize>(), data.len());
        Array { shape: shape.to_vec(), data }
    }

    fn from_fn(shape: &[usize], element: impl FnMut(usize) -> f32) -> Array {
        Array::new(shape, (0..shape.iter().product()).map(element).collect())
    }

    /// Row `i` of a matrix.
    fn row(&self, i: usize) -> &[f32] {
        &self.data[i * self.shape[1]..(i + 1) * self.shape[1]]
    }

    fn map(&self, f: impl Fn(f32) -> f32) -> Array {
        Array::new(&self.shape, self.data.iter().map(|&v| f(v)).collect())
    }

    /// The position of the end of a text with these ids.
    fn end(&self, end: EndOfText) -> usize {
        match end {
            EndOfText::Highest => self.highest(),
            EndOfText::Id(id) => self.data.iter().position(|&v| v == id as f32).unwrap_or(0),
        }
    }

    /// The position of the first highest element.
    fn highest(&self) -> usize {
        (0..self.data.len()).rev().max_by(|&a, &b| self.data[a].total_cmp(&self.data[b])).unwrap_or(0)
    }
}

impl<'a> Reference<'a> {
    /// Computes with `parameters`.
    pub fn new(parameters: &'a [Values]) -> Reference<'a> {
        Reference(parameters.iter().map(|v| (v.name.as_str(), v.data.as_slice())).collect())
    }

    fn get(&self, name: &str) -> &'a [f32] {
        self.0[name]
    }

    /// `x` times the transpose of `weight`, `[out, in]`, plus `bias`.
    fn affine(x: &Array, weight: &[f32], bias: &[f32]) -> Array {
        let (width, out) = (x.shape[1], bias.len());
        Array::from_fn(&[x.shape[0], out], |i| {
            bias[i % out] + dot(x.row(i / out), &weight[i % out * width..][..width])
        })
    }

    /// Part `part` of the stacked query, key and value maps.
    fn stacked(&self, x: &Array, name: &str, part: usize) -> Array {
        let weight = self.get(&format!("{name}.in_proj_weight"));
        let bias = self.get(&format!("{name}.in_proj_bias"));
        let d = x.shape[1];
        Self::affine(x, &weight[part * d * d..][..d * d], &bias[part * d..][..d])
    }

    /// Attention; query number `i` sees the keys up to number `last(i)`.
    fn mix(q: &Array, k: &Array, v: &Array, heads: usize, last: impl Fn(usize) -> usize) -> Array {
        let width = q.shape[1] / heads;
        Array::from_fn(&q.shape, |i| {
            let (query, channel) = (i / q.shape[1], i % q.shape[1]);
            let head = channel / width * width..(channel / width + 1) * width;
            let last = last(query);
            let score = |key: usize| dot(&q.row(query)[head.clone()], &k.row(key)[head.clone()]);
            let weights: Vec<f64> =
                (0..=last).map(|key| f64::from(score(key) / (width as f32).sqrt()).exp()).collect();
            let mixed: f64 =
                weights.iter().enumerate().map(|(key, w)| w * f64::from(v.row(key)[channel])).sum();
            (mixed / weights.iter().sum::<f64>()) as f32
        })
    }
}

/// Accumulated in double precision, as all sums here.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>() as f32
}

fn mean(values: impl Iterator<Item = f32> + Clone) -> f32 {
    (values.clone().map(f64::from).sum::<f64>() / values.count() as f64) as f32
}

/// The error function: its Taylor series, which converges everywhere and fast for the small arguments of tests.
fn erf(x: f64) -> f64 {
    let mut term = x;
    let mut sum = x;
    for n in 1..200 {
        let n = f64::from(n);
        term *= -x * x / n;
        sum += term / (2.0 * n + 1.0);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}

impl Ops for Reference<'_> {
    type T = Array;

    fn conv2d(&self, x: &Array, name: &str, c: Conv) -> Array {
        let (channels, height, width) = (x.shape[0], x.shape[1], x.shape[2]);
        let side = |n: usize| (n + 2 * c.padding - c.kernel) / c.stride + 1;
        let weight = self.get(&format!("{name}.weight"));
        let bias = c.bias.then(|| self.get(&format!("{name}.bias")));
        let (out_height, out_width) = (side(height), side(width));
        Array::from_fn(&[c.channels, out_height, out_width], |i| {
            let (out, row, column) =
                (i / (out_height * out_width), i / out_width % out_height, i % out_width);
            let mut sum = bias.map_or(0.0, |bias| f64::from(bias[out]));
            for k in 0..channels * c.kernel * c.kernel {
                let (channel, dy, dx) = (k / (c.kernel * c.kernel), k / c.kernel % c.kernel, k % c.kernel);
                let (y, x_) = (row * c.stride + dy, column * c.stride + dx);
                let inside = (c.padding..height + c.padding).contains(&y)
                    && (c.padding..width + c.padding).contains(&x_);
                if inside {
                    let pixel = x.data[(channel * height + y - c.padding) * width + x_ - c.padding];
                    sum += f64::from(pixel) * f64::from(weight[out * channels * c.kernel * c.kernel + k]);
                }
            }
            sum as f32
        })
    }

    fn batch_norm(&self, x: &Array, name: &str) -> Array {
        let [gain, bias, mean, variance] =
            ["weight", "bias", "running_mean", "running_var"].map(|part| self.get(&format!("{name}.{part}")));
        let pixels = x.shape[1] * x.shape[2];
        Array::from_fn(&x.shape, |i| {
            let c = i / pixels;
            (x.data[i] - mean[c]) / (variance[c] + 1e-5).sqrt() * gain[c] + bias[c]
        })
    }

    fn relu(&self, x: &Array) -> Array {
        x.map(|v| v.max(0.0))
    }

    fn avg_pool(&self, x: &Array, size: usize) -> Array {
        let (height, width) = (x.shape[1] / size, x.shape[2] / size);
        Array::from_fn(&[x.shape[0], height, width], |i| {
            let (channel, row, column) = (i / (height * width), i / width % height, i % width);
            let pixel = |k: usize| {
                let (y, x_) = (row * size + k / size, column * size + k % size);
                x.data[(channel * x.shape[1] + y) * x.shape[2] + x_]
            };
            mean((0..size * size).map(pixel))
        })
    }

    fn tokens(&self, x: &Array) -> Array {
        let (channels, pixels) = (x.shape[0], x.shape[1] * x.shape[2]);
        Array::from_fn(&[pixels, channels], |i| x.data[i % channels * pixels + i / channels])
    }

    fn prepend_mean(&self, x: &Array) -> Array {
        let column = |c: usize| mean((0..x.shape[0]).map(move |i| x.row(i)[c]));
        let mut data: Vec<f32> = (0..x.shape[1]).map(column).collect();
        data.extend(&x.data);
        Array::new(&[x.shape[0] + 1, x.shape[1]], data)
    }

    fn prepend(&self, x: &Array, token: &str) -> Array {
        let data = [self.get(token), &x.data].concat();
        Array::new(&[x.shape[0] + 1, x.shape[1]], data)
    }

    fn learned_token(&self, token: &str, width: usize) -> Array {
        Array::new(&[1, width], self.get(token).to_vec())
    }

    fn embedding(&self, ids: &Array, table: &str, _: usize, width: usize) -> Array {
        let table = self.get(table);
        Array::from_fn(&[ids.data.len(), width], |i| table[ids.data[i / width] as usize * width + i % width])
    }

    fn add_positions(&self, x: &Array, table: &str, _: usize) -> Array {
        let table = self.get(table);
        Array::from_fn(&x.shape, |i| x.data[i] + table[i])
    }

    fn layer_norm(&self, x: &Array, name: &str, epsilon: f32) -> Array {
        let (gain, bias) = (self.get(&format!("{name}.weight")), self.get(&format!("{name}.bias")));
        let width = x.shape[1];
        Array::from_fn(&x.shape, |i| {
            let row = x.row(i / width);
            let centre = mean(row.iter().copied());
            let variance = mean(row.iter().map(|v| (v - centre).powi(2)));
            (x.data[i] - centre) / (variance + epsilon).sqrt() * gain[i % width] + bias[i % width]
        })
    }

    fn linear(&self, x: &Array, name: &str, _: usize) -> Array {
        Self::affine(x, self.get(&format!("{name}.weight")), self.get(&format!("{name}.bias")))
    }

    fn in_projection(&self, x: &Array, name: &str) -> [Array; 3] {
        [0, 1, 2].map(|part| self.stacked(x, name, part))
    }

    fn attention(&self, q: &Array, k: &Array, v: &Array, heads: usize, causal: bool) -> Array {
        Self::mix(q, k, v, heads, |query| if causal { query } else { k.shape[0] - 1 })
    }

    /// With every key and value spelled out.
    fn attention_pool(
        &self,
        token: &Array,
        x: &Array,
        maps: Projections<'_>,
        heads: usize,
        text: Option<(&Array, EndOfText)>,
    ) -> Array {
        let last = text.map_or(x.shape[0] - 1, |(ids, end)| ids.end(end));
        let [q, k, v] = match maps {
            Projections::Stacked(name) => {
                [(token, 0), (x, 1), (x, 2)].map(|(x, part)| self.stacked(x, name, part))
            }
            Projections::Separate(name) => [(token, "q_proj"), (x, "k_proj"), (x, "v_proj")]
                .map(|(x, map)| self.linear(x, &format!("{name}.{map}"), x.shape[1])),
        };
        Self::mix(&q, &k, &v, heads, |_| last)
    }

    fn activation(&self, x: &Array, kind: Activation) -> Array {
        match kind {
            Activation::QuickGelu => x.map(|v| v / (1.0 + (-1.702 * v).exp())),
            Activation::Gelu => x.map(|v| {
                let v = f64::from(v);
                (0.5 * v * (1.0 + erf(v / std::f64::consts::SQRT_2))) as f32
            }),
            Activation::GeluTanh => x.map(|v| {
                let v = f64::from(v);
                let cubic = v + 0.044_715 * v.powi(3);
                (0.5 * v * (1.0 + (std::f64::consts::FRAC_2_PI.sqrt() * cubic).tanh())) as f32
            }),
        }
    }

    fn add(&self, a: &Array, b: &Array) -> Array {
        Array::from_fn(&a.shape, |i| a.data[i] + b.data[i])
    }

    fn first_token(&self, x: &Array) -> Array {
        Array::new(&[1, x.shape[1]], x.row(0).to_vec())
    }

    fn last_token(&self, x: &Array) -> Array {
        Array::new(&[1, x.shape[1]], x.row(x.shape[0] - 1).to_vec())
    }

    fn end_of_text(&self, x: &Array, ids: &Array, end: EndOfText) -> Array {
        Array::new(&[1, x.shape[1]], x.row(ids.end(end)).to_vec())
    }

    fn project(&self, x: &Array, matrix: &str, out: usize) -> Array {
        let matrix = self.get(matrix);
        let column = |c: usize| -> Vec<f32> { (0..x.shape[1]).map(|i| matrix[i * out + c]).collect() };
        Array::from_fn(&[x.shape[0], out], |i| dot(x.row(i / out), &column(i % out)))
    }

    fn l2_normalize(&self, x: &Array) -> Array {
        let length = dot(&x.data, &x.data).sqrt();
        Array::new(&x.shape[1..], x.data.iter().map(|v| v / length).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the error function from Abramowitz and Stegun, table 7.1.
    #[test]
    fn erf_is_that_of_the_tables() {
        for (x, expected) in
            [(0.0, 0.0), (0.5, 0.520_499_877_8), (1.0, 0.842_700_792_9), (2.0, 0.995_322_265_0)]
        {
            assert!((erf(x) - expected).abs() < 1e-9, "{x}");
            assert!((erf(-x) + expected).abs() < 1e-9, "{x}");
        }
    }

    #[test]
    fn the_first_of_equal_ids_is_the_highest() {
        assert_eq!(Array::new(&[4], vec![1.0, 9.0, 2.0, 9.0]).highest(), 1);
    }

    #[test]
    fn a_text_ends_at_the_first_of_the_id_and_at_its_beginning_without_it() {
        let ids = Array::new(&[4], vec![1.0, 7.0, 9.0, 7.0]);
        assert_eq!(
            [EndOfText::Highest, EndOfText::Id(7), EndOfText::Id(5)].map(|end| ids.end(end)),
            [2, 1, 0]
        );
    }
}
