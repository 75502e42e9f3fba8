//! A graph with `QuantizeLinear` and `DequantizeLinear` around what computes in integers: engines see the pattern and
//! take their integer kernels.

use std::collections::HashMap;
use std::io::Result;

use super::plan::Plan;
use super::range::{Dialect, Quantization};
use super::weight::Weight;
use crate::onnx::{Attribute, Data, Graph, Node, TensorSource, numbers};

/// Operators that only move numbers around, so that they can as well move integers, a quarter of the bytes.
const MOVING: [&str; 2] = ["Reshape", "Transpose"];

/// Rewrites `graph` as `plan` says, with the quantization of each of its values.
///
/// # Errors
/// Those of `source`.
pub fn rewrite(
    graph: Graph,
    source: &dyn TensorSource,
    plan: &Plan,
    values: &HashMap<String, Quantization>,
    dialect: Dialect,
) -> Result<Graph> {
    let around = vec![Around::default(); graph.nodes.len()];
    let places = graph.makers().into_iter().map(|(value, i)| (value.to_owned(), i)).collect();
    let mut rewriter =
        Rewriter { graph, source, values, dialect, places, first: vec![], around, replaced: vec![] };
    for value in &plan.values {
        rewriter.quantize(value, plan);
    }
    for i in 0..rewriter.around.len() {
        if plan.products.contains(&rewriter.graph.nodes[i].name) {
            rewriter.product(i)?;
        }
    }
    Ok(rewriter.finish())
}

/// What comes immediately before a node, and after it.
#[derive(Clone, Default)]
struct Around {
    front: Vec<Node>,
    behind: Vec<Node>,
}

struct Rewriter<'a> {
    /// Its nodes keep their places until the end.
    graph: Graph,
    source: &'a dyn TensorSource,
    values: &'a HashMap<String, Quantization>,
    dialect: Dialect,
    /// The position of the node that computes each value, by the name that it had at first.
    places: HashMap<String, usize>,
    /// What comes before all nodes.
    first: Vec<Node>,
    /// What comes around each.
    around: Vec<Around>,
    /// Positions of a node and of an input of it, and the value that is read there instead.
    replaced: Vec<(usize, usize, String)>,
}

impl Rewriter<'_> {
    /// Quantizes a value where it is computed, and dequantizes it before each node that reads it as integers.
    fn quantize(&mut self, value: &str, plan: &Plan) {
        let Some(quantization) = self.values.get(value) else { return };
        let mut readers = self.graph.readers().remove(value).unwrap_or_default();
        let nodes = &self.graph.nodes;
        readers.retain(|&i| plan.flowing.contains(value) || plan.products.contains(&nodes[i].name));
        // Where the numbers are quantized: before they are moved, if nobody else sees them on the way.
        let chain =
            if self.dialect == Dialect::Cpu { self.moves_before(value, readers.len()) } else { vec![] };
        let origin = chain.last().map_or(value.to_owned(), |&i| self.graph.nodes[i].inputs[0].clone());
        let parameters = self.parameters(value, quantization);
        let with_parameters = |value: &str| [&[value.to_owned()][..], &parameters].concat();
        let mut integers = format!("{origin}_quantized_for_{value}");
        let quantize = Node::giving(integers.clone(), "QuantizeLinear", with_parameters(&origin));
        match self.places.get(&origin) {
            Some(&i) => self.around[i].behind.push(quantize),
            None => self.first.push(quantize),
        }
        for &i in chain.iter().rev() {
            let node = &mut self.graph.nodes[i];
            node.inputs[0] = integers;
            integers = format!("{}_quantized", node.outputs[0]);
            node.outputs[0] = integers.clone();
        }
        for i in readers {
            let node = &self.graph.nodes[i];
            let again = format!("{value}_for_{}", node.name);
            let dequantize = Node::giving(again.clone(), "DequantizeLinear", with_parameters(&integers));
            self.around[i].front.push(dequantize);
            let at = (0..node.inputs.len()).filter(|&at| node.inputs[at] == value);
            self.replaced.extend(at.map(|at| (i, at, again.clone())));
        }
    }

    /// The nodes, from the last to the first, that alone bring `value` to its readers by moving numbers.
    fn moves_before(&self, value: &str, quantized_readers: usize) -> Vec<usize> {
        let (readers, makers) = (self.graph.readers(), self.graph.makers());
        let (mut chain, mut value, mut expected) = (Vec::new(), value, quantized_readers);
        while let Some(&i) = makers.get(value) {
            let node = &self.graph.nodes[i];
            if !MOVING.contains(&node.op) || readers.get(value).map_or(0, Vec::len) != expected {
                break;
            }
            chain.push(i);
            value = &node.inputs[0];
            expected = 1;
        }
        chain
    }

    /// Names of scale and zero point of a value.
    fn parameters(&mut self, value: &str, quantization: &Quantization) -> [String; 2] {
        let scale = Data::Float32(vec![quantization.scale]);
        let zero = match self.dialect {
            Dialect::Cpu => Data::UInt8(vec![quantization.zero as u8]),
            Dialect::Trt => Data::Int8(vec![quantization.zero as i8]),
        };
        [("scale", scale), ("zero", zero)]
            .map(|(part, data)| self.graph.constant(format!("{value}_{part}"), vec![], data))
    }

    /// Gives node `i` an integer weight and, for CPUs, an integer bias, with the nodes that dequantize them before it.
    fn product(&mut self, i: usize) -> Result<()> {
        let inputs = self.graph.nodes[i].inputs.clone();
        let (Some(step), Some(weights)) =
            (self.values.get(&inputs[0]).map(|q| q.scale), self.graph.initializer(&inputs[1]).cloned())
        else {
            return Ok(());
        };
        let biases = inputs.get(2).and_then(|bias| self.graph.initializer(bias)).cloned();
        let bias_values = match &biases {
            Some(biases) => numbers(&biases.data, self.source)?,
            None => vec![],
        };
        // An integer bias has 31 bits; half of them are left to the sum.
        let least =
            |channel: usize| bias_values.get(channel).map_or(0.0, |b| b.abs() / step / (1 << 30) as f32);
        let channels = weights.shape[0];
        let Weight { integers, scales } = Weight::new(&numbers(&weights.data, self.source)?, channels, least);
        let bias_scales: Vec<f32> = scales.iter().map(|scale| scale * step).collect();
        let (integers, zeros) = (Data::Int8(integers), Data::Int8(vec![0; channels]));
        self.dequantize(i, 1, weights.shape, integers, zeros, scales);
        if let (Dialect::Cpu, Some(biases)) = (self.dialect, biases) {
            let steps = bias_values.iter().zip(&bias_scales).map(|(b, s)| (b / s).round_ties_even() as i32);
            let (integers, zeros) = (Data::Int32(steps.collect()), Data::Int32(vec![0; channels]));
            self.dequantize(i, 2, biases.shape, integers, zeros, bias_scales);
        }
        Ok(())
    }

    /// Has node `i` take integers with a scale per channel instead of the constant that is its input number `at`.
    fn dequantize(
        &mut self,
        i: usize,
        at: usize,
        shape: Vec<usize>,
        data: Data,
        zeros: Data,
        scales: Vec<f32>,
    ) {
        let (graph, channels) = (&mut self.graph, vec![scales.len()]);
        let name = graph.nodes[i].inputs[at].clone();
        let integers = graph.constant(format!("{name}_quantized"), shape, data);
        let scale = graph.constant(format!("{name}_scale"), channels.clone(), Data::Float32(scales));
        let zero = graph.constant(format!("{name}_zero"), channels, zeros);
        let result = format!("{name}_dequantized");
        graph.nodes[i].inputs[at].clone_from(&result);
        let mut node = Node::giving(result, "DequantizeLinear", vec![integers, scale, zero]);
        node.attributes.push(("axis", Attribute::Int(0)));
        self.around[i].front.push(node);
    }

    fn finish(self) -> Graph {
        let Rewriter { mut graph, first, around, replaced, .. } = self;
        for (i, at, name) in replaced {
            graph.nodes[i].inputs[at] = name;
        }
        let nodes = std::mem::replace(&mut graph.nodes, first);
        for (node, Around { front, behind }) in nodes.into_iter().zip(around) {
            graph.nodes.extend(front.into_iter().chain([node]).chain(behind));
        }
        graph.drop_unused();
        graph
    }
}
