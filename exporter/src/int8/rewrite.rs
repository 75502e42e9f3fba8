//! A graph with `QuantizeLinear` and `DequantizeLinear` around what computes in integers: engines see the pattern and
//! take their integer kernels.

use std::collections::HashMap;
use std::io::Result;

use super::plan::{Plan, readers};
use super::range::Quantization;
use super::weight::Weight;
use super::{Dialect, Scheme};
use crate::onnx::{Attribute, Data, Graph, Node, Weights, numbers};

/// Operators that only move numbers around, so that they can as well move integers, a quarter of the bytes.
const MOVING: [&str; 2] = ["Reshape", "Transpose"];

/// Rewrites `graph` as `plan` says, with the quantization of each of its values.
pub fn rewrite(
    graph: Graph,
    weights: &dyn Weights,
    plan: &Plan,
    values: &HashMap<String, Quantization>,
    dialect: Dialect,
) -> Result<Graph> {
    let mut rewriter = Rewriter { graph, weights, values, dialect };
    let order: HashMap<String, usize> = positions(&rewriter.graph);
    let mut behind: Vec<Vec<Node>> = Vec::new();
    behind.resize_with(rewriter.graph.nodes.len() + 1, Vec::new);
    let mut replaced: HashMap<(usize, usize), String> = HashMap::new();
    let mut front: Vec<Vec<Node>> = behind.clone();

    for value in &plan.values {
        let Some(quantization) = values.get(value) else { continue };
        let readers: Vec<usize> = {
            let nodes = &rewriter.graph.nodes;
            let all = readers(&rewriter.graph).remove(value.as_str()).unwrap_or_default();
            let quantized =
                |&i: &usize| plan.flowing.contains(value) || plan.products.contains(&nodes[i].name);
            all.into_iter().filter(quantized).collect()
        };
        // Where the numbers are quantized: before they are moved, if nobody else sees them on the way.
        let chain =
            if dialect == Dialect::Cpu { rewriter.moves_before(value, readers.len()) } else { vec![] };
        let source = chain.last().map_or(value.clone(), |&i| rewriter.graph.nodes[i].inputs[0].clone());
        let integers = format!("{source}_quantized_for_{value}");
        let parameters = rewriter.parameters(value, quantization);
        let quantize =
            node("QuantizeLinear", [&[source.clone()][..], &parameters].concat(), integers.clone());
        behind[order.get(&source).map_or(0, |&i| i + 1)].push(quantize);
        let mut last = integers;
        for &i in chain.iter().rev() {
            rewriter.graph.nodes[i].inputs[0] = last;
            last = format!("{}_quantized", rewriter.graph.nodes[i].outputs[0]);
            rewriter.graph.nodes[i].outputs[0] = last.clone();
        }
        for i in readers {
            let again = format!("{value}_for_{}", rewriter.graph.nodes[i].name);
            front[i].push(node(
                "DequantizeLinear",
                [&[last.clone()][..], &parameters].concat(),
                again.clone(),
            ));
            for (at, input) in rewriter.graph.nodes[i].inputs.iter().enumerate() {
                if input == value {
                    replaced.insert((i, at), again.clone());
                }
            }
        }
    }
    for (i, front) in front.iter_mut().enumerate() {
        if rewriter.graph.nodes.get(i).is_some_and(|n| plan.products.contains(&n.name)) {
            front.extend(rewriter.product(i)?);
        }
    }
    for ((i, at), name) in replaced {
        rewriter.graph.nodes[i].inputs[at] = name;
    }
    let Rewriter { mut graph, .. } = rewriter;
    let mut nodes = std::mem::take(&mut behind[0]);
    for ((node, before), behind) in
        std::mem::take(&mut graph.nodes).into_iter().zip(front).zip(&mut behind[1..])
    {
        nodes.extend(before);
        nodes.push(node);
        nodes.append(behind);
    }
    graph.nodes = nodes;
    graph.drop_unused();
    Ok(graph)
}

struct Rewriter<'a> {
    graph: Graph,
    weights: &'a dyn Weights,
    values: &'a HashMap<String, Quantization>,
    dialect: Dialect,
}

impl Rewriter<'_> {
    /// The nodes, from the last to the first, that alone bring `value` to its `readers` by moving numbers.
    fn moves_before(&self, value: &str, quantized_readers: usize) -> Vec<usize> {
        let readers = readers(&self.graph);
        let order = positions(&self.graph);
        let count = |value: &str| readers.get(value).map_or(0, Vec::len);
        let mut chain = Vec::new();
        let mut value = value.to_owned();
        let mut expected = quantized_readers;
        while let Some(&i) = order.get(&value) {
            let node = &self.graph.nodes[i];
            if !MOVING.contains(&node.op) || count(&value) != expected {
                break;
            }
            chain.push(i);
            value = node.inputs[0].clone();
            expected = 1;
        }
        chain
    }

    /// Names of scale and zero point of a value.
    fn parameters(&mut self, value: &str, quantization: &Quantization) -> [String; 2] {
        let scale = Data::Float32(vec![quantization.scale]);
        let zero = match self.dialect.scheme() {
            Scheme::Unsigned => Data::UInt8(vec![quantization.zero as u8]),
            Scheme::Symmetric => Data::Int8(vec![quantization.zero as i8]),
        };
        [
            self.graph.constant(format!("{value}_scale"), vec![], scale),
            self.graph.constant(format!("{value}_zero"), vec![], zero),
        ]
    }

    /// Gives node `i` an integer weight and, for CPUs, an integer bias; returns the nodes that dequantize them.
    fn product(&mut self, i: usize) -> Result<Vec<Node>> {
        let inputs = self.graph.nodes[i].inputs.clone();
        let (Some(scale), Some(weights)) =
            (self.values.get(&inputs[0]).map(|q| q.scale), self.graph.initializer(&inputs[1]).cloned())
        else {
            return Ok(vec![]);
        };
        let biases = inputs.get(2).and_then(|bias| self.graph.initializer(bias)).cloned();
        let bias_values = match &biases {
            Some(biases) => numbers(&biases.data, self.weights)?,
            None => vec![],
        };
        // An integer bias has 31 bits; half of them are left to the sum.
        let least =
            |channel: usize| bias_values.get(channel).map_or(0.0, |b| b.abs() / scale / (1 << 30) as f32);
        let channels = weights.shape[0];
        let quantized = Weight::new(&numbers(&weights.data, self.weights)?, channels, least);
        let scales = quantized.scales.clone();
        let mut nodes = Vec::new();
        let mut dequantize = |graph: &mut Graph, name: &str, shape, data, zeros, scales| {
            let integers = graph.constant(format!("{name}_quantized"), shape, data);
            let scale = graph.constant(format!("{name}_scale"), vec![channels], Data::Float32(scales));
            let zero = graph.constant(format!("{name}_zero"), vec![channels], zeros);
            let result = format!("{name}_dequantized");
            let mut node = node("DequantizeLinear", vec![integers, scale, zero], result.clone());
            node.attributes.push(("axis", Attribute::Int(0)));
            nodes.push(node);
            result
        };
        let zeros = Data::Int8(vec![0; channels]);
        let integers = Data::Int8(quantized.integers);
        let weight =
            dequantize(&mut self.graph, &weights.name, weights.shape, integers, zeros, quantized.scales);
        self.graph.nodes[i].inputs[1] = weight;
        if let (Dialect::Cpu, Some(biases)) = (self.dialect, biases) {
            let scales: Vec<f32> = scales.iter().map(|s| s * scale).collect();
            let steps = bias_values.iter().zip(&scales).map(|(b, s)| (b / s).round_ties_even() as i32);
            let (integers, zeros) = (Data::Int32(steps.collect()), Data::Int32(vec![0; channels]));
            let bias = dequantize(&mut self.graph, &biases.name, biases.shape, integers, zeros, scales);
            self.graph.nodes[i].inputs[2] = bias;
        }
        Ok(nodes)
    }
}

/// The position of the node that computes each value.
fn positions(graph: &Graph) -> HashMap<String, usize> {
    let nodes = graph.nodes.iter().enumerate();
    nodes.flat_map(|(i, node)| node.outputs.iter().map(move |o| (o.clone(), i))).collect()
}

fn node(op: &'static str, inputs: Vec<String>, output: String) -> Node {
    Node {
        op,
        name: format!("{op}_{output}"),
        inputs,
        outputs: vec![output],
        attributes: vec![],
        exact: false,
    }
}
