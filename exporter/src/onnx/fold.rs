//! Batch norms become part of the convolutions before them.

use std::collections::{HashMap, HashSet};

use super::graph::{Data, Graph};

impl Graph {
    /// Folds every batch norm that alone follows a convolution into that convolution's weight and bias. Exact up to
    /// rounding.
    pub fn fold_batch_norms(&mut self) {
        let mut readers: HashMap<&str, usize> = HashMap::new();
        for name in self.nodes.iter().flat_map(|n| &n.inputs) {
            *readers.entry(name).or_default() += 1;
        }
        let only_read_once = |name: &String| readers.get(name.as_str()) == Some(&1);
        let norms: Vec<usize> =
            (0..self.nodes.len()).filter(|&i| self.nodes[i].op == "BatchNormalization").collect();
        let mut folded = HashSet::new();
        let mut pairs = Vec::new();
        for i in norms {
            let input = &self.nodes[i].inputs[0];
            let conv = self
                .nodes
                .iter()
                .position(|n| n.op == "Conv" && n.inputs.len() == 2 && n.outputs[0] == *input);
            if let Some(conv) = conv.filter(|_| only_read_once(input)) {
                pairs.push((i, conv));
            }
        }
        for (i, conv) in pairs {
            let (gain, result) = (self.nodes[i].inputs[1].clone(), self.nodes[i].outputs[0].clone());
            let norm = gain.trim_end_matches(".weight").to_owned();
            let weight = self.initializer(&self.nodes[conv].inputs[1]);
            let Some((Data::Weight(rows), shape)) = weight.map(|w| (w.data.clone(), w.shape.clone())) else {
                continue;
            };
            let (name, bias) = (format!("{}*{norm}", rows.tensor), format!("{norm}.folded_bias"));
            let channels = vec![shape[0]];
            let name = self.constant(name, shape, Data::Folded { weight: rows, norm: norm.clone() });
            let bias = self.constant(bias, channels, Data::FoldedBias(norm));
            self.nodes[conv].inputs[1] = name;
            self.nodes[conv].inputs.push(bias);
            self.nodes[conv].outputs[0] = result;
            folded.insert(i);
        }
        self.retain_nodes(|i| !folded.contains(&i));
        self.drop_unused();
    }
}
