//! The factor in a gate becomes part of the products around it.

use std::collections::{HashMap, HashSet};

use super::data::Data;
use super::graph::Graph;
use super::node::Node;

/// `x * sigmoid(factor * x)` between products.
struct Gate {
    /// Position of the multiplication with the factor.
    scaling: usize,
    /// Position of the sigmoid.
    sigmoid: usize,
    /// Name of `x`.
    value: String,
    factor: f32,
    /// Weight and bias of the product that `x` is the result of.
    before: Vec<String>,
    /// Weights of the products that take the gate's result.
    behind: Vec<String>,
}

impl Graph {
    /// Rewrites every `x * sigmoid(f * x)` between products (QuickGELU) as `z * sigmoid(z)` with `z = f * x`: the weight and bias
    /// of the product before are multiplied by `f`, and the weights behind divided. Exact up to rounding, and one
    /// pass over the numbers less.
    pub fn fold_gate_factors(&mut self) {
        let gates: Vec<Gate> = {
            let (readers, makers) = (self.readers(), self.makers());
            (0..self.nodes.len()).filter_map(|i| self.gate(i, &readers, &makers)).collect()
        };
        for gate in &gates {
            self.nodes[gate.sigmoid].inputs[0].clone_from(&gate.value);
            gate.before.iter().for_each(|name| self.scale(name, &[gate.factor]));
            gate.behind.iter().for_each(|name| self.scale(name, &[gate.factor.recip()]));
        }
        let dropped: HashSet<usize> = gates.iter().map(|gate| gate.scaling).collect();
        self.retain_nodes(|i| !dropped.contains(&i));
        self.drop_unused();
    }

    /// The gate whose sigmoid is at a position, if it is one.
    fn gate(
        &self,
        sigmoid: usize,
        readers: &HashMap<&str, Vec<usize>>,
        makers: &HashMap<&str, usize>,
    ) -> Option<Gate> {
        let read_by = |value: &String| readers.get(value.as_str()).map_or(&[][..], Vec::as_slice);
        let product = |i: usize| {
            let node = &self.nodes[i];
            let alone = |name: &String| self.initializer(name).is_some() && read_by(name) == [i];
            (node.op == "Gemm" && node.inputs[1..].iter().all(alone)).then_some(node)
        };
        let is = |i: usize, op: &str| (self.nodes[i].op == op).then_some(&self.nodes[i]);
        let open = is(sigmoid, "Sigmoid")?;
        let &scaling = makers.get(open.inputs[0].as_str())?;
        let [value, factor] = is(scaling, "Mul")?.inputs.as_slice() else { return None };
        let Data::Float32(factor) = &self.initializer(factor)?.data else { return None };
        let (&[factor], &[end]) = (factor.as_slice(), read_by(&open.outputs[0])) else { return None };
        let end_node: &Node = is(end, "Mul")?;
        let alone = end_node.inputs == [value.clone(), open.outputs[0].clone()]
            && read_by(value) == [scaling, end]
            && read_by(&open.inputs[0]) == [sigmoid];
        let before = product(*makers.get(value.as_str())?)?.inputs[1..].to_vec();
        let behind = read_by(&end_node.outputs[0]).iter().map(|&i| {
            product(i).filter(|node| node.inputs[0] == end_node.outputs[0]).map(|node| node.inputs[1].clone())
        });
        let behind: Vec<String> = behind.collect::<Option<_>>()?;
        let found = alone && !behind.is_empty();
        found.then(|| Gate { scaling, sigmoid, value: value.clone(), factor, before, behind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{Axis, Element};
    use crate::testing::weight;

    /// A gate between two products, and what its result is read by besides.
    fn graph(also_read_by: Option<&'static str>) -> Graph {
        let mut graph = Graph::new("gate", 17);
        let x = graph.input("x", Element::Float32, vec![Axis::Named("rows"), Axis::Fixed(4)]);
        let [first, bias, second] = [("first", vec![8, 4]), ("bias", vec![8]), ("second", vec![4, 8])]
            .map(|(n, s)| weight(&mut graph, n, &s));
        let hidden = graph.node("Gemm", &[&x, &first, &bias], vec![]);
        let factor = graph.constant("factor".to_owned(), vec![], Data::Float32(vec![1.702]));
        let scaled = graph.node("Mul", &[&hidden, &factor], vec![]);
        let open = graph.node("Sigmoid", &[&scaled], vec![]);
        let gated = graph.node("Mul", &[&hidden, &open], vec![]);
        graph.node("Gemm", &[&gated, &second], vec![]);
        if let Some(op) = also_read_by {
            graph.node(op, &[&gated], vec![]);
        }
        graph
    }

    #[test]
    fn a_factor_between_products_is_folded() {
        let mut graph = graph(None);
        graph.fold_gate_factors();
        let found: Vec<_> = graph.nodes.iter().map(|n| (n.op, n.inputs[0].as_str())).collect();
        assert_eq!(found, [("Gemm", "x"), ("Sigmoid", "Gemm_0"), ("Mul", "Gemm_0"), ("Gemm", "Mul_3")]);
        let factor = |name: &str| match &graph.initializer(name).unwrap().data {
            Data::Scaled { columns, .. } => columns.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(["first", "bias", "second"].map(factor), [[1.702], [1.702], [1.0 / 1.702]]);
        assert_eq!(graph.initializers.len(), 3);
    }

    #[test]
    fn a_gate_that_others_read_keeps_its_factor() {
        let before = graph(Some("Relu"));
        let mut after = before.clone();
        after.fold_gate_factors();
        assert_eq!(after.nodes, before.nodes);
        assert_eq!(after.initializers, before.initializers);
    }
}
