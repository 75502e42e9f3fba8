//! The operations over libtorch: the interpreter of [`Ops`] with a batch axis in front.

use clip_model::config::{Activation, EndOfText};
use clip_model::ops::{Block, Conv, Ops, Projections};
use tch::{Kind, Tensor};

use super::Network;
use super::attention::attention;
use super::texts::end_position;

/// What batch norms add to a variance.
const EPSILON: f64 = 1e-5;

/// How fast running statistics follow the batches, PyTorch's default.
const MOMENTUM: f64 = 0.1;

/// The tiles of `size` x `size` pixels of `[B, C, H, W]` as rows, `[B, H / size, W / size, C * size * size]`; what is left over at
/// the edges is not seen.
fn tiles(x: &Tensor, size: i64) -> Tensor {
    let (batch, channels) = (x.size()[0], x.size()[1]);
    let (rows, columns) = (x.size()[2] / size, x.size()[3] / size);
    let x = x.narrow(2, 0, rows * size).narrow(3, 0, columns * size);
    let x = x.reshape([batch, channels, rows, size, columns, size]).permute([0, 2, 4, 1, 3, 5]);
    x.reshape([batch, rows, columns, channels * size * size])
}

impl Ops for Network {
    type T = Tensor;

    fn conv2d(&self, x: &Tensor, name: &str, c: Conv) -> Tensor {
        let (stride, padding) = (c.stride as i64, c.padding as i64);
        let weight = self.weight(&format!("{name}.weight"));
        let bias = c.bias.then(|| self.weight(&format!("{name}.bias")));
        if c.padding == 0 && c.kernel == c.stride && c.kernel > 1 {
            // A linear map of tiles that do not overlap. As a product, the weight's gradient takes a fraction of the time.
            let weight = weight.reshape([c.channels as i64, -1]);
            return tiles(&self.operand(x), stride).linear(&weight, bias.as_ref()).permute([0, 3, 1, 2]);
        }
        self.operand(x).conv2d(&weight, bias.as_ref(), [stride, stride], [padding, padding], [1, 1], 1)
    }

    fn batch_norm(&self, x: &Tensor, name: &str) -> Tensor {
        let part = |suffix: &str| Some(self.parameter(&format!("{name}.{suffix}")));
        // One that is not learned stays as it is: it uses its running statistics in training, too.
        let training = self.training && self.parameter(&format!("{name}.weight")).requires_grad();
        let statistics = |suffix: &str| part(suffix).filter(|_| self.counts.get() || !training);
        let (mean, variance) = (statistics("running_mean"), statistics("running_var"));
        x.batch_norm(part("weight"), part("bias"), mean, variance, training, MOMENTUM, EPSILON, true)
    }

    fn relu(&self, x: &Tensor) -> Tensor {
        x.relu()
    }

    fn avg_pool(&self, x: &Tensor, size: usize) -> Tensor {
        let size = size as i64;
        x.avg_pool2d([size, size], [size, size], [0, 0], false, true, None)
    }

    fn tokens(&self, x: &Tensor) -> Tensor {
        x.flatten(2, 3).transpose(1, 2)
    }

    fn prepend_mean(&self, x: &Tensor) -> Tensor {
        Tensor::cat(&[&x.mean_dim([1i64].as_slice(), true, x.kind()), x], 1)
    }

    fn prepend(&self, x: &Tensor, token: &str) -> Tensor {
        let (batch, width) = (x.size()[0], x.size()[2]);
        let token = self.parameter(token).to_kind(x.kind()).expand([batch, 1, width], false);
        Tensor::cat(&[&token, x], 1)
    }

    fn learned_token(&self, token: &str, width: usize) -> Tensor {
        self.parameter(token).view([1, 1, width as i64])
    }

    fn embedding(&self, ids: &Tensor, table: &str, _: usize, _: usize) -> Tensor {
        Tensor::embedding(self.parameter(table), ids, -1, false, false).to_kind(Kind::Float)
    }

    fn add_positions(&self, x: &Tensor, table: &str, _: usize) -> Tensor {
        let x = x + self.parameter(table).narrow(0, 0, x.size()[1]).to_kind(Kind::Float);
        match table {
            "visual.positional_embedding" if self.training => {
                self.dropout.get().apply(&x, self.first_patch())
            }
            _ => x,
        }
    }

    fn layer_norm(&self, x: &Tensor, name: &str, epsilon: f32) -> Tensor {
        let part = |suffix: &str| Some(self.single(&format!("{name}.{suffix}")));
        let width = x.size()[2];
        x.to_kind(Kind::Float).layer_norm([width], part("weight"), part("bias"), f64::from(epsilon), true)
    }

    fn linear(&self, x: &Tensor, name: &str, _: usize) -> Tensor {
        self.affine(x, &format!("{name}."))
    }

    fn in_projection(&self, x: &Tensor, name: &str) -> [Tensor; 3] {
        let width = x.size()[2];
        let mut parts = self.affine(x, &format!("{name}.in_proj_")).split(width, 2).into_iter();
        // Always three: the map has three times the width.
        std::array::from_fn(|_| parts.next().unwrap_or_default())
    }

    fn attention(&self, q: &Tensor, k: &Tensor, v: &Tensor, heads: usize, causal: bool) -> Tensor {
        attention(q, k, v, heads as i64, causal)
    }

    fn attention_pool(
        &self,
        token: &Tensor,
        x: &Tensor,
        maps: Projections<'_>,
        heads: usize,
        text: Option<(&Tensor, EndOfText)>,
    ) -> Tensor {
        let (batch, length, width, heads) = (x.size()[0], x.size()[1], x.size()[2], heads as i64);
        let queries = token.size()[0]; // one, when all samples share it
        let [query, key, value] = [0, 1, 2].map(|part| self.projection(maps, part, width));
        // By heads: `[heads, D / heads, D]`, and what they are multiplied with `[heads, B, ...]`.
        let [key_weight, value_weight] = [&key[0], &value[0]].map(|w| w.view([heads, width / heads, width]));
        let x = self.operand(x);
        let q = self.operand(token).linear(&query[0], Some(&query[1])) * (heads as f64 / width as f64).sqrt();
        let q = q.view([queries, heads, width / heads]).transpose(0, 1);
        let scores = q.matmul(&key_weight).transpose(0, 1).matmul(&x.transpose(1, 2)); // [B, heads, L]
        let scores = match text {
            None => scores,
            Some((ids, end)) => {
                let positions = Tensor::arange(length, (Kind::Int64, ids.device()));
                let hidden = positions.gt_tensor(&end_position(ids, end)).unsqueeze(1); // [B, 1, L]
                scores.masked_fill(&hidden, f64::NEG_INFINITY)
            }
        };
        let weights = self.operand(&scores.softmax(-1, Kind::Float));
        let mixed = weights.matmul(&x).transpose(0, 1); // [heads, B, D]
        let mixed = mixed.matmul(&value_weight.transpose(1, 2)).transpose(0, 1); // [B, heads, D / heads]
        mixed.reshape([batch, 1, width]) + &value[1]
    }

    fn activation(&self, x: &Tensor, kind: Activation) -> Tensor {
        match kind {
            // x * sigmoid(1.702 x): of its input a single tensor is kept for the gradient, where a product would keep two.
            Activation::QuickGelu => (x * 1.702).silu() * (1.0 / 1.702),
            Activation::Gelu => x.gelu("none"),
            Activation::GeluTanh => x.gelu("tanh"),
        }
    }

    fn add(&self, a: &Tensor, b: &Tensor) -> Tensor {
        a + b
    }

    fn first_token(&self, x: &Tensor) -> Tensor {
        x.narrow(1, 0, 1)
    }

    fn last_token(&self, x: &Tensor) -> Tensor {
        x.narrow(1, x.size()[1] - 1, 1)
    }

    fn end_of_text(&self, x: &Tensor, ids: &Tensor, end: EndOfText) -> Tensor {
        let (batch, width) = (x.size()[0], x.size()[2]);
        let end = end_position(ids, end).view([batch, 1, 1]).expand([batch, 1, width], false);
        x.gather(1, &end, false)
    }

    fn project(&self, x: &Tensor, matrix: &str, _: usize) -> Tensor {
        self.operand(x).matmul(&self.weight(matrix))
    }

    fn block(&self, x: &Tensor, ids: Option<&Tensor>, block: impl Block) -> Tensor {
        self.run_block(x, ids, block)
    }

    fn l2_normalize(&self, x: &Tensor) -> Tensor {
        let x = x.squeeze_dim(1).to_kind(Kind::Float);
        let length = x.norm_scalaropt_dim(2.0, [1i64], true);
        &x / length.clamp_min(1e-12)
    }
}

#[cfg(test)]
mod tests {
    use clip_model::config::Config;
    use clip_model::shapes;
    use clip_testkit::cases::{Array, BATCH, CASES, Case};
    use tch::Device;

    use super::super::Precision;
    use super::*;
    use crate::parameters::{Parameters, to_vec};

    /// A network that has just the parameters of a case.
    fn network(case: &Case, precision: Precision) -> Network {
        let values = case.parameters();
        let tensors: Vec<shapes::Tensor> = values
            .iter()
            .map(|v| shapes::Tensor {
                name: v.name.clone(),
                shape: v.shape.clone(),
                learned: !v.name.contains(".running_"),
            })
            .collect();
        let fill = |name: &str, _: &[usize]| {
            Ok(values.iter().find(|v| v.name == name).map(|v| v.data.clone()).unwrap_or_default())
        };
        let parameters = Parameters::new(&tensors, Device::Cpu, fill).unwrap();
        Network::new(Config::named("RN50").unwrap(), parameters, Device::Cpu, precision)
    }

    /// The inputs of all samples of a case, each with the batch axis in front.
    fn inputs(case: &Case) -> Vec<Tensor> {
        let samples: Vec<Vec<Array>> = (0..BATCH).map(|sample| case.sample(sample)).collect();
        let input = |i: usize| {
            let of_samples: Vec<Tensor> = samples
                .iter()
                .map(|inputs| {
                    let shape: Vec<i64> = inputs[i].shape.iter().map(|&n| n as i64).collect();
                    Tensor::from_slice(&inputs[i].data).view(shape.as_slice())
                })
                .collect();
            let stacked = Tensor::stack(&of_samples, 0);
            match case.inputs[i] {
                clip_testkit::cases::Input::Ids(_) => stacked.to_kind(Kind::Int64),
                clip_testkit::cases::Input::Values(_) => stacked,
            }
        };
        (0..case.inputs.len()).map(input).collect()
    }

    fn largest_difference(case: &Case, precision: Precision) -> f32 {
        let result = case.apply(&network(case, precision), &inputs(case));
        let mut largest = 0f32;
        for sample in 0..BATCH {
            let expected = case.expected(sample);
            let found = result.get(sample as i64);
            let shape: Vec<usize> = found.size().into_iter().map(|n| n as usize).collect();
            assert_eq!(shape, expected.shape, "{}", case.name);
            let pairs = expected.data.iter().zip(to_vec(&found).unwrap());
            largest = pairs.fold(largest, |l, (e, f)| l.max((e - f).abs()));
        }
        largest
    }

    #[test]
    fn every_operation_gives_what_plain_loops_give() {
        for case in CASES {
            let difference = largest_difference(&case, Precision::Fp32);
            assert!(difference < 1e-5, "{}: {difference}", case.name);
        }
    }

    #[test]
    fn bf16_rounds_and_no_more() {
        let differences = CASES.map(|case| largest_difference(&case, Precision::Bf16));
        for (case, difference) in CASES.iter().zip(differences) {
            assert!(difference < 0.05, "{}: {difference}", case.name);
        }
        assert!(differences.iter().any(|&d| d > 1e-4), "bf16 must be used somewhere");
    }

    /// In training a batch is normalised by its own statistics, and the running variance takes a tenth of the
    /// unbiased one, as in PyTorch.
    #[test]
    fn batch_norm_in_training() {
        let case = CASES.iter().find(|c| c.name == "batch_norm").unwrap();
        let mut network = network(case, Precision::Fp32);
        network.set_training(true);
        let before = to_vec(network.parameters.tensor("bn.running_var")).unwrap();
        let x = &inputs(case)[0];
        let y = network.batch_norm(x, "bn");
        let axes = [0i64, 2, 3].as_slice();
        let bias = to_vec(network.parameters.tensor("bn.bias")).unwrap();
        for (mean, bias) in to_vec(&y.mean_dim(axes, false, Kind::Float)).unwrap().iter().zip(bias) {
            assert!((mean - bias).abs() < 1e-5, "{mean} {bias}");
        }
        let unbiased = to_vec(&x.var_dim(axes, true, false)).unwrap();
        let after = to_vec(network.parameters.tensor("bn.running_var")).unwrap();
        for ((before, variance), after) in before.iter().zip(unbiased).zip(after) {
            assert!((0.9 * before + 0.1 * variance - after).abs() < 1e-5, "{before} {variance} {after}");
        }
    }
}
