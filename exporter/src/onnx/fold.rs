//! Batch norms become part of the convolutions before them.

use std::collections::HashSet;

use super::data::Data;
use super::graph::Graph;
use super::node::Node;

impl Graph {
    /// Folds every batch norm that alone follows a convolution into that convolution's weight and bias. Exact up to
    /// rounding.
    pub fn fold_batch_norms(&mut self) {
        let (readers, makers) = (self.readers(), self.makers());
        let pair = |(i, node): (usize, &Node)| {
            let input = node.inputs.first().filter(|_| node.op == "BatchNormalization")?;
            let conv = *makers.get(input.as_str()).filter(|_| readers[input.as_str()].len() == 1)?;
            let folds = self.nodes[conv].op == "Conv" && self.nodes[conv].inputs.len() == 2;
            folds.then_some((i, conv))
        };
        let pairs: Vec<(usize, usize)> = self.nodes.iter().enumerate().filter_map(pair).collect();
        let folded = pairs.into_iter().filter(|&(norm, conv)| self.fold(norm, conv));
        let folded: HashSet<usize> = folded.map(|(norm, _)| norm).collect();
        self.retain_nodes(|i| !folded.contains(&i));
        self.drop_unused();
    }

    /// Folds the batch norm at a position into the convolution at another, if its weight is the checkpoint's.
    fn fold(&mut self, norm: usize, conv: usize) -> bool {
        let (gain, result) = (self.nodes[norm].inputs[1].clone(), self.nodes[norm].outputs[0].clone());
        let norm = gain.trim_end_matches(".weight").to_owned();
        let weight = self.initializer(&self.nodes[conv].inputs[1]);
        let Some((Data::Weight(rows), shape)) = weight.map(|w| (w.data.clone(), w.shape.clone())) else {
            return false;
        };
        let (name, bias) = (format!("{}*{norm}", rows.tensor), format!("{norm}.folded_bias"));
        let channels = vec![shape[0]];
        let name = self.constant(name, shape, Data::Folded { weight: rows, norm: norm.clone() });
        let bias = self.constant(bias, channels, Data::FoldedBias(norm));
        let conv = &mut self.nodes[conv];
        conv.inputs[1] = name;
        conv.inputs.push(bias);
        conv.outputs[0] = result;
        true
    }
}
