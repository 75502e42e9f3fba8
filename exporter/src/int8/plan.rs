//! Which products compute in 8-bit integers, and which values are quantized for them.

use std::collections::{HashMap, HashSet};

use crate::onnx::{Graph, Node};

/// What is quantized in a graph.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Names of the nodes, `Gemm` and `Conv`, whose weights are 8-bit integers.
    pub products: Vec<String>,
    /// Values that are quantized, in the order in which they are computed.
    pub values: Vec<String>,
    /// Those of `values` that flow from one integer operator to the next, as in a convolutional network: all their
    /// readers get the quantized value. Of the others, only products do.
    pub flowing: HashSet<String>,
}

impl Plan {
    /// Quantizes all products of `graph` but those named in `float`.
    ///
    /// A transformer's products take quantized inputs and give float results, since layer norms, softmax and the
    /// residual sum between them compute in float. A convolutional network stays in integers from its first convolution
    /// to its last: also sums and average pools take and give quantized values.
    pub fn new(graph: &Graph, float: &HashSet<String>) -> Plan {
        let readers = graph.readers();
        let mut plan = Plan::default();
        for node in &graph.nodes {
            let product = is_product(graph, node) && !float.contains(&node.name);
            if product {
                plan.products.push(node.name.clone());
                plan.quantize(&node.inputs[0]);
            }
            let flows = match node.op {
                "Conv" => product,
                "Add" | "AveragePool" => node.inputs.iter().all(|input| plan.flowing.contains(input)),
                _ => false,
            };
            if flows {
                let result = clipped(graph, &readers, &node.outputs[0]);
                plan.quantize(&result);
                plan.flowing.insert(result);
            }
        }
        plan
    }

    fn quantize(&mut self, value: &str) {
        if !self.values.iter().any(|v| v == value) {
            self.values.push(value.to_owned());
        }
    }
}

/// Whether a node multiplies with a constant weight in a form that integer kernels know.
fn is_product(graph: &Graph, node: &Node) -> bool {
    let constant = |i: usize| node.inputs.get(i).is_some_and(|name| graph.initializer(name).is_some());
    matches!(node.op, "Gemm" | "Conv") && constant(1) && (node.inputs.len() == 2 || constant(2))
}

/// The value itself, or what a `Relu` that alone reads it makes of it: integer kernels clip while they round.
fn clipped(graph: &Graph, readers: &HashMap<&str, Vec<usize>>, value: &str) -> String {
    match readers.get(value).map(Vec::as_slice) {
        Some(&[only]) if graph.nodes[only].op == "Relu" => graph.nodes[only].outputs[0].clone(),
        _ => value.to_owned(),
    }
}
