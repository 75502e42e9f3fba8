//! Products stay in float until the embeddings are good enough, those first that do the most harm.

use std::collections::HashSet;

use serde::Serialize;

use super::calibrate::Calibrated;
use super::range::Int8;
use super::scratch::Scratch;
use crate::error::Result;
use crate::onnx::Graph;
use crate::run::Tensor;

/// Inputs that products are tried on alone.
const TRIALS: usize = 8;

/// Share of the products beyond which a graph is hardly an integer one any more.
const MOST_FLOAT: usize = 2;

/// An 8-bit graph and what was left out of it.
#[derive(Debug)]
pub struct Found {
    /// The graph.
    pub graph: Graph,
    /// The products that were left in float, the most harmful first.
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
    scratch: Scratch<'_>,
    [calibration, held_out]: [&[Tensor]; 2],
    int8: &Int8,
    least: f32,
    progress: &mut dyn FnMut(f32),
) -> Result<Found> {
    let exact = scratch.run(&graph, held_out)?;
    let calibrated = Calibrated::new(graph, scratch, calibration, int8, progress)?;
    let products = calibrated.products();
    let all = calibrated.quantized(scratch, &HashSet::new())?;
    let cosine = mean_cosine(&scratch.run(&all, held_out)?, &exact);
    let mut found = Found { graph: all, float: vec![], cosine };
    if cosine >= least {
        return Ok(found);
    }
    let trials = &held_out[..held_out.len().min(TRIALS)];
    let mut harm = Vec::new();
    for (i, product) in products.iter().enumerate() {
        let others = products.iter().filter(|p| *p != product).cloned().collect();
        let graph = calibrated.quantized(scratch, &others)?;
        let cosine = mean_cosine(&scratch.run(&graph, trials)?, &exact[..trials.len()]);
        harm.push((cosine, product));
        progress((i + 1) as f32 / products.len() as f32);
    }
    harm.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut count = 1;
    while found.cosine < least && count <= products.len() / MOST_FLOAT {
        let worst = &harm[..count];
        let float = worst.iter().map(|(_, product)| (*product).clone()).collect();
        found.graph = calibrated.quantized(scratch, &float)?;
        found.cosine = mean_cosine(&scratch.run(&found.graph, held_out)?, &exact);
        let sensitive = |(cosine, product): &(f32, &String)| Sensitive {
            weight: calibrated.weight(product),
            cosine: *cosine,
        };
        found.float = worst.iter().map(sensitive).collect();
        count = (count * 2).min(products.len() / MOST_FLOAT).max(count + 1);
    }
    Ok(found)
}

/// Mean over all inputs of the cosine of two embeddings of length one.
fn mean_cosine(found: &[Vec<f32>], exact: &[Vec<f32>]) -> f32 {
    let cosine = |(a, b): (&Vec<f32>, &Vec<f32>)| {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    found.iter().zip(exact).map(cosine).sum::<f32>() / exact.len().max(1) as f32
}
