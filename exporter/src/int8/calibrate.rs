//! What a graph computes on real inputs, and its 8-bit form from that.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use clip_runtime::Options;
use clip_runtime::engine::{Session, Tensor};

use super::histogram::{Histogram, Observed};
use super::plan::Plan;
use super::range::{Method, Quantization};
use super::{Dialect, Settings, rewrite, smooth};
use crate::error::{Error, Result};
use crate::onnx::{Graph, LIMIT, Weights};

/// What goes into a graph.
pub type Input = Tensor<'static>;

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
    /// Runs `graph`, which has one input, two or three times on all `inputs`. Graphs that are run are written into
    /// `scratch` for as long. `progress` is told the share of the work that is done.
    ///
    /// # Errors
    /// [`Error::Calibration`] when the graph does not run, [`Error::NotFinite`] when it gives numbers that are not
    /// finite, [`Error::Write`] when the disk is full.
    pub fn new(
        mut graph: Graph,
        weights: &dyn Weights,
        inputs: &[Input],
        settings: &Settings,
        scratch: &Path,
        progress: &mut dyn FnMut(f32),
    ) -> Result<Calibrated> {
        let plan = Plan::new(&graph, &HashSet::new());
        let mut passes = Passes { weights, inputs, plan: &plan, scratch, progress, done: 0 };
        let mut observed = passes.observe(&mut graph)?;
        if settings.smoothing > 0.0 {
            let failed = |source| Error::Write { path: scratch.to_owned(), source };
            if smooth::smooth(&mut graph, weights, &plan, &observed, settings.smoothing).map_err(failed)? > 0
            {
                observed = passes.observe(&mut graph)?;
            }
        }
        let histograms = match settings.method {
            Method::MinMax => HashMap::new(),
            _ => passes.histograms(&mut graph, &observed)?,
        };
        let scheme = settings.dialect.scheme();
        let quantization = |(name, seen): (&String, &Observed)| {
            let chosen = match histograms.get(name) {
                Some(histogram) => {
                    Quantization::choose(settings.method, histogram, seen.low, seen.high, scheme)
                }
                None => Quantization::of_range(seen.low, seen.high, scheme),
            };
            (name.clone(), chosen)
        };
        let values = observed.iter().map(quantization).collect();
        Ok(Calibrated { graph, values, dialect: settings.dialect })
    }

    /// The products that can be quantized: names of the nodes, in the order of computing.
    pub fn products(&self) -> Vec<String> {
        Plan::new(&self.graph, &HashSet::new()).products
    }

    /// Name of the weight of a product.
    pub fn weight(&self, product: &str) -> String {
        let node = self.graph.nodes().iter().find(|node| node.name == product);
        node.map_or_else(|| product.to_owned(), |node| node.inputs[1].clone())
    }

    /// The 8-bit form, with the products named in `float` left as they are.
    ///
    /// # Errors
    /// Those of `weights`.
    pub fn quantized(&self, weights: &dyn Weights, float: &HashSet<String>) -> std::io::Result<Graph> {
        let plan = Plan::new(&self.graph, float);
        rewrite::rewrite(self.graph.clone(), weights, &plan, &self.values, self.dialect)
    }
}

/// Runs over all inputs.
struct Passes<'a> {
    weights: &'a dyn Weights,
    inputs: &'a [Input],
    plan: &'a Plan,
    scratch: &'a Path,
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

    fn histograms(
        &mut self,
        graph: &mut Graph,
        observed: &HashMap<String, Observed>,
    ) -> Result<HashMap<String, Histogram>> {
        let mut histograms: HashMap<String, Histogram> =
            observed.iter().map(|(name, seen)| (name.clone(), Histogram::new(seen.low, seen.high))).collect();
        self.run(graph, |name, numbers, _| {
            if let Some(histogram) = histograms.get_mut(name) {
                histogram.count(numbers);
            }
        })?;
        Ok(histograms)
    }

    /// Calls `look` with each value of the plan for each input: its name, its numbers, and the size of its innermost
    /// axis.
    fn run(&mut self, graph: &mut Graph, mut look: impl FnMut(&str, &[f32], usize)) -> Result<()> {
        let given = graph.inputs.first().map_or_else(String::new, |input| input.name.clone());
        graph.taps = self.plan.values.iter().filter(|v| **v != given).cloned().collect();
        let session = open(graph, self.weights, self.scratch);
        graph.taps.clear();
        let session = session?;
        for input in self.inputs {
            for output in session.run(&[(&given, input)]).map_err(Error::Calibration)? {
                if self.plan.values.contains(&output.name) {
                    look(&output.name, &output.values, output.shape.last().copied().unwrap_or(1));
                }
            }
            // A graph's own input cannot be tapped.
            if let Input::Float32(shape, numbers) = input
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

/// Opens a graph that lies in `scratch` only until it is open.
pub fn open(graph: &Graph, weights: &dyn Weights, scratch: &Path) -> Result<Box<dyn Session>> {
    const BESIDE: &str = "scratch.onnx.data";
    let (path, beside) = (scratch.join("scratch.onnx"), scratch.join(BESIDE));
    let create = |path: &Path| File::create(path).map(|file| BufWriter::with_capacity(1 << 20, file));
    let large = graph.file_size() > LIMIT;
    let write = || -> std::io::Result<()> {
        let mut out = create(&path)?;
        if large {
            let mut data = create(&beside)?;
            graph.write_beside(&mut out, &mut data, BESIDE, weights)?;
            data.flush()?;
        } else {
            graph.write(&mut out, weights)?;
        }
        out.flush()
    };
    let failed = |source| Error::Write { path: path.clone(), source };
    write().map_err(failed)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let session = Options::new().start_engine().and_then(|engine| engine.open(&path, threads));
    let session = session.map_err(Error::Calibration)?;
    std::fs::remove_file(&path).map_err(failed)?;
    if large {
        std::fs::remove_file(&beside).map_err(failed)?;
    }
    Ok(session)
}
