//! The interpreter of [`Ops`] that writes the network down as an ONNX graph.
//!
//! Operators are chosen so that engines find the forms they have fast kernels for. Sequences flow as matrices,
//! `[batch * length, channels]`, so that every linear map is one `Gemm` with the checkpoint's own row-major weight;
//! query, key and value come out of a single one. Activations are spelled as ONNX Runtime and TensorRT fuse them. What a
//! CPU's integer kernels want otherwise is in `integers`.

use clip_model::config::{Activation, EndOfText};
use clip_model::ops::{Conv, Ops, Projections};

use super::form::IDS;
use super::interpreter::{Interpreter, TEXT_LENGTH, Value, operands};
use crate::onnx::Attribute::{Float, Int, Ints};

/// Keeps the length of a vector from dividing by zero, as in PyTorch's `normalize`.
const SMALLEST_LENGTH: f32 = 1e-12;

impl Ops for Interpreter {
    type T = Value;

    fn conv2d(&self, x: &Value, name: &str, c: Conv) -> Value {
        let side = |n: usize| (n + 2 * c.padding - c.kernel) / c.stride + 1;
        let (inputs, k, weight) = (x.shape[0], c.kernel, format!("{name}.weight"));
        let bias = c.bias.then(|| self.weight(&format!("{name}.bias"), &[c.channels]));
        let tiles = c.padding == 0 && k > 1 && k == c.stride && x.shape[1..].iter().all(|n| n % k == 0);
        if tiles && self.for_integers {
            let [height, width] = [side(x.shape[1]), side(x.shape[2])];
            let sizes = [inputs, height, k, width, k].map(|n| n as i64);
            let tiles =
                self.transpose(&self.reshape(&x.name, &[&[-1], &sizes[..]].concat()), &[2, 4, 0, 1, 3, 5]);
            let rows = self.reshape(&tiles, &[-1, (inputs * k * k) as i64]);
            let weight = self.weight(&weight, &[c.channels, inputs * k * k]);
            let name = self.node("Gemm", &operands(&rows, &weight, &bias), vec![("transB", Int(1))]);
            return Value { name, shape: vec![c.channels, height, width], flat: true };
        }
        let weight = self.weight(&weight, &[c.channels, inputs, k, k]);
        let (kernel, stride, padding) = (k as i64, c.stride as i64, c.padding as i64);
        let name = self.node(
            "Conv",
            &operands(&x.name, &weight, &bias),
            vec![
                ("kernel_shape", Ints(vec![kernel; 2])),
                ("strides", Ints(vec![stride; 2])),
                ("pads", Ints(vec![padding; 4])),
            ],
        );
        Value::new(name, &[c.channels, side(x.shape[1]), side(x.shape[2])])
    }

    fn batch_norm(&self, x: &Value, name: &str) -> Value {
        let [gain, bias, mean, variance] = ["weight", "bias", "running_mean", "running_var"]
            .map(|part| self.weight(&format!("{name}.{part}"), &x.shape[..1]));
        let inputs = [&x.name, &gain, &bias, &mean, &variance].map(String::as_str);
        Value { name: self.node("BatchNormalization", &inputs, vec![("epsilon", Float(1e-5))]), ..x.clone() }
    }

    fn relu(&self, x: &Value) -> Value {
        Value { name: self.node("Relu", &[&x.name], vec![]), ..x.clone() }
    }

    fn avg_pool(&self, x: &Value, size: usize) -> Value {
        let window = Ints(vec![size as i64; 2]);
        let mut attributes = vec![("kernel_shape", window.clone()), ("strides", window)];
        let shape = [x.shape[0], x.shape[1] / size, x.shape[2] / size];
        if self.for_integers {
            let weight = self.mean_weight(x, size);
            attributes.push(("group", Int(x.shape[0] as i64)));
            return Value::new(self.node("Conv", &[&x.name, &weight], attributes), &shape);
        }
        Value::new(self.node("AveragePool", &[&x.name], attributes), &shape)
    }

    fn tokens(&self, x: &Value) -> Value {
        let (channels, length) = (x.shape[0], x.shape[1] * x.shape[2]);
        if x.flat {
            return Self::matrix(x.name.clone(), length, channels);
        }
        let rows = self.reshape(&x.name, &[0, channels as i64, length as i64]);
        let order = if self.for_integers { [2, 0, 1] } else { [0, 2, 1] };
        Value::new(self.transpose(&rows, &order), &[length, channels])
    }

    fn prepend_mean(&self, x: &Value) -> Value {
        let tokens = self.nested(x);
        let mean = self.reduce("ReduceMean", &tokens, self.token_axis());
        Value::new(self.concat(&[&mean, &tokens], self.token_axis()), &[x.shape[0] + 1, x.shape[1]])
    }

    fn prepend(&self, x: &Value, token: &str) -> Value {
        let tokens = self.nested(x);
        let token = self.weight(token, &x.shape[1..]);
        let [a, b] = self.in_order(self.size(&tokens, 1 - self.token_axis()), self.integers(&[1]));
        let shape = self.concat(&[&a, &b, &self.integers(&[x.shape[1] as i64])], 0);
        let token = self.node("Expand", &[&token, &shape], vec![]);
        Value::new(self.concat(&[&token, &tokens], self.token_axis()), &[x.shape[0] + 1, x.shape[1]])
    }

    fn learned_token(&self, token: &str, width: usize) -> Value {
        // The same for every sample: whatever it meets is broadcast over the batch.
        Self::matrix(self.weight(token, &[1, width]), 1, width)
    }

    fn embedding(&self, ids: &Value, table: &str, vocab_size: usize, width: usize) -> Value {
        let table = self.weight(table, &[vocab_size, width]);
        let ids_in_order =
            if self.for_integers { self.transpose(&ids.name, &[1, 0]) } else { ids.name.clone() };
        let rows = self.node("Gather", &[&table, &ids_in_order], vec![("axis", Int(0))]);
        Value::new(rows, &[ids.shape[0], width])
    }

    fn add_positions(&self, x: &Value, table: &str, rows: usize) -> Value {
        let (length, channels) = (x.shape[0], x.shape[1]);
        let tokens = self.nested(x);
        let shape = |rows: usize| {
            if self.for_integers { vec![rows, 1, channels] } else { vec![rows, channels] }
        };
        let positions = match length {
            TEXT_LENGTH => {
                let table = self.weight(table, &shape(rows));
                let (start, axis) = (self.integers(&[0]), self.integers(&[0]));
                self.node("Slice", &[&table, &start, &self.size(&tokens, self.token_axis()), &axis], vec![])
            }
            _ if length == rows => self.weight(table, &shape(rows)),
            _ => self.weight_rows(table, 0..length, &shape(length)),
        };
        Value::new(self.node("Add", &[&tokens, &positions], vec![]), &x.shape)
    }

    fn layer_norm(&self, x: &Value, name: &str, epsilon: f32) -> Value {
        let channels = x.shape[1];
        let gain = self.weight(&format!("{name}.weight"), &[channels]);
        let bias = self.weight(&format!("{name}.bias"), &[channels]);
        let attributes = vec![("axis", Int(-1)), ("epsilon", Float(epsilon))];
        let rows = self.flat(x);
        let normed = self.exact(|| self.node("LayerNormalization", &[&rows, &gain, &bias], attributes));
        Self::matrix(normed, x.shape[0], channels)
    }

    fn linear(&self, x: &Value, name: &str, out: usize) -> Value {
        let weight = self.weight(&format!("{name}.weight"), &[out, x.shape[1]]);
        let bias = self.weight(&format!("{name}.bias"), &[out]);
        Self::matrix(self.gemm(x, &weight, &bias), x.shape[0], out)
    }

    fn in_projection(&self, x: &Value, name: &str) -> [Value; 3] {
        let (length, channels) = (x.shape[0], x.shape[1]);
        if self.for_integers {
            return self.separate_projections(x, name);
        }
        let weight = self.weight(&format!("{name}.in_proj_weight"), &[3 * channels, channels]);
        let bias = self.weight(&format!("{name}.in_proj_bias"), &[3 * channels]);
        let stacked = self.gemm(x, &weight, &bias);
        self.split(&stacked, &[channels as i64; 3]).map(|name| Self::matrix(name, length, channels))
    }

    fn attention(&self, q: &Value, k: &Value, v: &Value, heads: usize, causal: bool) -> Value {
        let (length, channels) = (q.shape[0], q.shape[1]);
        let scale = self.number(((channels / heads) as f32).sqrt().recip());
        let queries = self.node("Mul", &[&self.heads(q, heads), &scale], vec![]);
        let keys = self.transpose(&self.heads(k, heads), &[0, 1, 3, 2]);
        let scores = self.node("MatMul", &[&queries, &keys], vec![]); // [B, heads, L, L]
        let scores = match causal {
            true => {
                let mask = self.causal_mask(&self.size(IDS, 1));
                self.node("Add", &[&scores, &mask], vec![])
            }
            false => scores,
        };
        let weights = self.exact(|| self.node("Softmax", &[&scores], vec![("axis", Int(-1))]));
        let mixed = self.node("MatMul", &[&weights, &self.heads(v, heads)], vec![]); // [B, heads, L, width]
        let order = if self.for_integers { [2, 0, 1, 3] } else { [0, 2, 1, 3] };
        let mixed = self.transpose(&mixed, &order);
        Self::matrix(self.reshape(&mixed, &[-1, channels as i64]), length, channels)
    }

    fn attention_pool(
        &self,
        token: &Value,
        x: &Value,
        maps: Projections<'_>,
        heads: usize,
        text: Option<(&Value, EndOfText)>,
    ) -> Value {
        self.exact(|| self.pool(token, x, maps, heads, text))
    }

    fn activation(&self, x: &Value, kind: Activation) -> Value {
        let name = match kind {
            Activation::QuickGelu => {
                let scaled = self.node("Mul", &[&x.name, &self.number(1.702)], vec![]);
                let gate = self.node("Sigmoid", &[&scaled], vec![]);
                self.node("Mul", &[&x.name, &gate], vec![])
            }
            Activation::Gelu => {
                let scaled = self.node("Div", &[&x.name, &self.number(std::f32::consts::SQRT_2)], vec![]);
                let erf = self.node("Erf", &[&scaled], vec![]);
                let twice = self.node("Add", &[&erf, &self.number(1.0)], vec![]);
                let product = self.node("Mul", &[&x.name, &twice], vec![]);
                self.node("Mul", &[&product, &self.number(0.5)], vec![])
            }
            Activation::GeluTanh => {
                let cube = self.node("Pow", &[&x.name, &self.number(3.0)], vec![]);
                let cubic = self.node("Mul", &[&cube, &self.number(0.044_715)], vec![]);
                let sum = self.node("Add", &[&x.name, &cubic], vec![]);
                let factor = self.number((2.0 / std::f32::consts::PI).sqrt());
                let tanh = self.node("Tanh", &[&self.node("Mul", &[&sum, &factor], vec![])], vec![]);
                let twice = self.node("Add", &[&tanh, &self.number(1.0)], vec![]);
                let half = self.node("Mul", &[&x.name, &self.number(0.5)], vec![]);
                self.node("Mul", &[&half, &twice], vec![])
            }
        };
        Value { name, ..x.clone() }
    }

    fn add(&self, a: &Value, b: &Value) -> Value {
        if a.flat == b.flat {
            return Value { name: self.node("Add", &[&a.name, &b.name], vec![]), ..a.clone() };
        }
        let sum = self.node("Add", &[&self.flat(a), &self.flat(b)], vec![]);
        Self::matrix(sum, a.shape[0], a.shape[1])
    }

    fn first_token(&self, x: &Value) -> Value {
        self.token(x, 0)
    }

    fn last_token(&self, x: &Value) -> Value {
        self.token(x, -1)
    }

    fn end_of_text(&self, x: &Value, ids: &Value, end: EndOfText) -> Value {
        let ends = self.end_position(&ids.name, end);
        let size = |axis| self.node("Squeeze", &[&self.size(&ids.name, axis), &self.integers(&[0])], vec![]);
        let range = |end: &str, step: &str| self.node("Range", &[&self.integer(0), end, step], vec![]);
        let ends = if self.for_integers {
            // Token number p of text number b is row p * batch + b of the matrix.
            let batch = size(0);
            let rows = self.node("Mul", &[&ends, &batch], vec![]);
            self.node("Add", &[&rows, &range(&batch, &self.integer(1))], vec![])
        } else {
            // And here row b * length + p. OpenVINO's part of ONNX Runtime has no Size.
            let length = size(1);
            let rows = self.node("Mul", &[&size(0), &length], vec![]);
            self.node("Add", &[&range(&rows, &length), &ends], vec![])
        };
        let tokens = self.node("Gather", &[&self.flat(x), &ends], vec![("axis", Int(0))]);
        Self::matrix(tokens, 1, x.shape[1])
    }

    fn project(&self, x: &Value, matrix: &str, out: usize) -> Value {
        let matrix = self.weight(matrix, &[x.shape[1], out]);
        Self::matrix(self.node("MatMul", &[&self.flat(x), &matrix], vec![]), x.shape[0], out)
    }

    fn l2_normalize(&self, x: &Value) -> Value {
        let row = self.flat(x); // one token a sample
        self.exact(|| {
            let length = self.reduce("ReduceL2", &row, 1);
            let length = self.node("Clip", &[&length, &self.number(SMALLEST_LENGTH)], vec![]);
            Value::new(self.node("Div", &[&row, &length], vec![]), &x.shape[1..])
        })
    }
}
