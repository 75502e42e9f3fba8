//! Products stay in float until the embeddings are good enough, those first that do the most harm.

use std::collections::HashSet;
use std::path::Path;

use serde::Serialize;

use super::Settings;
use super::calibrate::{Calibrated, Input, open};
use crate::error::{Error, Result};
use crate::onnx::{Graph, Weights};

/// Inputs that products are tried on alone.
const TRIALS: usize = 8;

/// Share of the products beyond which a graph is hardly an integer one any more.
const MOST_FLOAT: usize = 2;

/// An 8-bit graph and what was left out of it.
#[derive(Debug)]
pub struct Found {
    /// The graph.
    pub graph: Graph,
    /// Products that could have been quantized.
    pub products: usize,
    /// Those of them that were left in float, the most harmful first.
    pub float: Vec<Sensitive>,
    /// Mean cosine to the float graph's embeddings on inputs that were not calibrated on.
    pub cosine: f32,
}

/// A product left in float.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sensitive {
    /// Name of its weight.
    pub weight: String,
    /// Mean cosine to the float graph's embeddings when it alone is quantized.
    pub cosine: f32,
}

/// Quantizes `graph`, calibrated on the first of `inputs`, until on the second the mean cosine to its own embeddings is
/// at least `least`. When that takes more than half of the products the last graph tried is given back as it is.
///
/// # Errors
/// As [`Calibrated::new`].
pub fn search(
    graph: Graph,
    weights: &dyn Weights,
    (calibration, held_out): (&[Input], &[Input]),
    settings: &Settings,
    least: f32,
    scratch: &Path,
    progress: &mut dyn FnMut(f32),
) -> Result<Found> {
    let run = |graph: &Graph, inputs: &[Input]| embeddings(graph, weights, inputs, scratch);
    let exact = run(&graph, held_out)?;
    let calibrated = Calibrated::new(graph, weights, calibration, settings, scratch, progress)?;
    let products = calibrated.products();
    let failed = |source| Error::Write { path: scratch.to_owned(), source };
    let quantized = |float: &HashSet<String>| calibrated.quantized(weights, float).map_err(failed);
    let all = quantized(&HashSet::new())?;
    let cosine = mean_cosine(&run(&all, held_out)?, &exact);
    let mut found = Found { graph: all, products: products.len(), float: vec![], cosine };
    if cosine >= least {
        return Ok(found);
    }
    let trials = &held_out[..held_out.len().min(TRIALS)];
    let mut harm = Vec::new();
    for (i, product) in products.iter().enumerate() {
        let others = products.iter().filter(|p| *p != product).cloned().collect();
        let cosine = mean_cosine(&run(&quantized(&others)?, trials)?, &exact[..trials.len()]);
        harm.push((cosine, product));
        progress((i + 1) as f32 / products.len() as f32);
    }
    harm.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut count = 1;
    while found.cosine < least && count <= products.len() / MOST_FLOAT {
        let worst = &harm[..count];
        found.graph = quantized(&worst.iter().map(|(_, product)| (*product).clone()).collect())?;
        found.cosine = mean_cosine(&run(&found.graph, held_out)?, &exact);
        let sensitive = |(cosine, product): &(f32, &String)| Sensitive {
            weight: calibrated.weight(product),
            cosine: *cosine,
        };
        found.float = worst.iter().map(sensitive).collect();
        count = (count * 2).min(products.len() / MOST_FLOAT).max(count + 1);
    }
    Ok(found)
}

/// What a graph gives for each input.
fn embeddings(
    graph: &Graph,
    weights: &dyn Weights,
    inputs: &[Input],
    scratch: &Path,
) -> Result<Vec<Vec<f32>>> {
    let session = open(graph, weights, scratch)?;
    let name = graph.inputs.first().map_or("", |input| &input.name);
    let run = |input: &Input| {
        let outputs = session.run(&[(name, input)]).map_err(Error::Calibration)?;
        Ok(outputs.into_iter().next().map_or_else(Vec::new, |output| output.values))
    };
    inputs.iter().map(run).collect()
}

/// Mean over all inputs of the cosine of two embeddings of length one.
fn mean_cosine(found: &[Vec<f32>], exact: &[Vec<f32>]) -> f32 {
    let cosine = |(a, b): (&Vec<f32>, &Vec<f32>)| {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    found.iter().zip(exact).map(cosine).sum::<f32>() / exact.len().max(1) as f32
}
