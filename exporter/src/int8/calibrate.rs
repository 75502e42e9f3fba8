//! What a graph computes on real inputs, and its 8-bit form from that.

use std::collections::{HashMap, HashSet};

use super::histogram::{Histogram, Observed};
use super::plan::Plan;
use super::range::{Dialect, Int8, Method, Quantization};
use super::scratch::Scratch;
use super::{rewrite, smooth};
use crate::error::{Error, Result};
use crate::onnx::Graph;
use crate::run::Tensor;

/// A graph whose values are known well enough to be quantized.
#[derive(Debug)]
pub struct Calibrated {
    /// In float, after smoothing.
    graph: Graph,
    /// The quantization of every value that some plan may quantize.
    values: HashMap<String, Quantization>,
    dialect: Dialect,
}

impl Calibrated {
    /// Runs `graph`, which has one input, two or three times on all `inputs`. `progress` is told the share of the work that is
    /// done.
    ///
    /// # Errors
    /// [`Error::Calibration`] when the graph does not run, [`Error::NotFinite`] when it gives numbers that are not
    /// finite, [`Error::Write`] when the disk is full.
    pub fn new(
        mut graph: Graph,
        scratch: Scratch<'_>,
        inputs: &[Tensor],
        int8: &Int8,
        progress: &mut dyn FnMut(f32),
    ) -> Result<Calibrated> {
        let plan = Plan::new(&graph, &HashSet::new());
        let mut passes = Passes { inputs, plan: &plan, scratch, progress, done: 0 };
        let mut observed = passes.observe(&mut graph)?;
        if int8.smoothing > 0.0 {
            let smoothed = smooth::smooth(&mut graph, scratch.source, &plan, &observed, int8.smoothing);
            if smoothed.map_err(scratch.failed())? > 0 {
                observed = passes.observe(&mut graph)?;
            }
        }
        if let Method::Percentile(share) = int8.method {
            passes.narrow(&mut graph, &mut observed, share)?;
        }
        let of_range = |seen: Observed| Quantization::of_range(seen.low, seen.high, int8.dialect);
        let values = observed.into_iter().map(|(name, seen)| (name, of_range(seen))).collect();
        Ok(Calibrated { graph, values, dialect: int8.dialect })
    }

    /// The products that can be quantized: names of the nodes, in the order of computing.
    pub fn products(&self) -> Vec<String> {
        Plan::new(&self.graph, &HashSet::new()).products
    }

    /// Name of the weight of a product.
    pub fn weight(&self, product: &str) -> String {
        let node = self.graph.nodes.iter().find(|node| node.name == product);
        node.map_or_else(|| product.to_owned(), |node| node.inputs[1].clone())
    }

    /// The 8-bit form, with the products named in `float` left as they are.
    ///
    /// # Errors
    /// [`Error::Write`], with those of the weights' source.
    pub fn quantized(&self, scratch: Scratch<'_>, float: &HashSet<String>) -> Result<Graph> {
        let plan = Plan::new(&self.graph, float);
        rewrite::rewrite(self.graph.clone(), scratch.source, &plan, &self.values, self.dialect)
            .map_err(scratch.failed())
    }
}

/// Runs over all inputs.
struct Passes<'a> {
    inputs: &'a [Tensor],
    plan: &'a Plan,
    scratch: Scratch<'a>,
    progress: &'a mut dyn FnMut(f32),
    done: usize,
}

impl Passes<'_> {
    /// Passes that there are at most.
    const MOST: usize = 3;

    fn observe(&mut self, graph: &mut Graph) -> Result<HashMap<String, Observed>> {
        let mut observed: HashMap<String, Observed> = HashMap::new();
        self.run(graph, |name, numbers, channels| {
            observed.entry(name.to_owned()).or_insert_with(Observed::new).observe(numbers, channels);
        })?;
        // The first in the order of computing is the one to look at.
        match self.plan.values.iter().find(|name| observed.get(*name).is_some_and(|seen| !seen.finite)) {
            Some(value) => Err(Error::NotFinite { value: value.clone() }),
            None => Ok(observed),
        }
    }

    /// Leaves the outermost numbers out of the ranges; of each value, `share` of a hundred stay.
    fn narrow(
        &mut self,
        graph: &mut Graph,
        observed: &mut HashMap<String, Observed>,
        share: f32,
    ) -> Result<()> {
        let mut histograms: HashMap<String, Histogram> =
            observed.iter().map(|(name, seen)| (name.clone(), Histogram::new(seen.low, seen.high))).collect();
        self.run(graph, |name, numbers, _| {
            histograms.entry(name.to_owned()).and_modify(|histogram| histogram.count(numbers));
        })?;
        for (name, histogram) in histograms {
            observed.entry(name).and_modify(|seen| (seen.low, seen.high) = histogram.middle(share));
        }
        Ok(())
    }

    /// Calls `look` with each value of the plan for each input: its name, its numbers, and the size of its innermost
    /// axis.
    fn run(&mut self, graph: &mut Graph, mut look: impl FnMut(&str, &[f32], usize)) -> Result<()> {
        let given = graph.inputs.first().map_or_else(String::new, |input| input.name.clone());
        graph.taps = self.plan.values.iter().filter(|v| **v != given).cloned().collect();
        let session = self.scratch.open(graph);
        graph.taps.clear();
        let session = session?;
        for input in self.inputs {
            for output in session.run(&[(&given, input)]).map_err(Error::Calibration)? {
                if self.plan.values.contains(&output.name) {
                    look(&output.name, &output.values, output.shape.last().copied().unwrap_or(1));
                }
            }
            // A graph's own input cannot be tapped.
            if let Tensor::Float32(shape, numbers) = input
                && self.plan.values.contains(&given)
            {
                look(&given, numbers, shape.last().copied().unwrap_or(1));
            }
            self.done += 1;
            (self.progress)(self.done as f32 / (Self::MOST * self.inputs.len()) as f32);
        }
        Ok(())
    }
}
