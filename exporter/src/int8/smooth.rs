//! Outlier channels move from activations into weights.
//!
//! A layer norm's result is divided by a factor per channel, and the weights that read the channel are multiplied by it:
//! the same product, with less between the channels' ranges (Xiao et al. 2023, SmoothQuant, equation 4). The division
//! goes into the layer norm's own gain and bias.

use std::collections::HashMap;

use super::histogram::Observed;
use super::plan::Plan;
use crate::onnx::{Graph, TensorSource, numbers};

/// Smallest factor and its reciprocal the largest: channels that are almost never used stay what they are.
const LEAST: f32 = 1e-4;

/// Smooths every layer norm of `graph` that only quantized products read. `strength`, 0 to 1, says how much of the
/// activations' range goes over; the paper's value is 0.5. Returns how many layer norms that were.
pub fn smooth(
    graph: &mut Graph,
    source: &dyn TensorSource,
    plan: &Plan,
    observed: &HashMap<String, Observed>,
    strength: f32,
) -> std::io::Result<usize> {
    let readers = graph.readers();
    let (mut count, mut changes) = (0, Vec::new());
    for node in graph.nodes.iter().filter(|n| n.op == "LayerNormalization") {
        let value = &node.outputs[0];
        let products: Vec<_> =
            readers.get(value.as_str()).into_iter().flatten().map(|&i| &graph.nodes[i]).collect();
        let Some(seen) = observed.get(value) else { continue };
        if products.is_empty() || !products.iter().all(|p| plan.products.contains(&p.name)) {
            continue;
        }
        let mut highest = vec![0f32; seen.channels.len()];
        for product in &products {
            let Some(weight) = graph.initializer(&product.inputs[1]) else { continue };
            for row in numbers(&weight.data, source)?.chunks_exact(highest.len()) {
                highest.iter_mut().zip(row).for_each(|(h, w)| *h = h.max(w.abs()));
            }
        }
        let factor = |(&activation, &weight): (&f32, &f32)| {
            let factor = activation.powf(strength) / weight.powf(1.0 - strength);
            if factor.is_finite() && factor > 0.0 { factor.clamp(LEAST, LEAST.recip()) } else { 1.0 }
        };
        let factors: Vec<f32> = seen.channels.iter().zip(&highest).map(factor).collect();
        let inverse: Vec<f32> = factors.iter().map(|f| f.recip()).collect();
        count += 1;
        changes.extend(node.inputs[1..].iter().map(|name| (name.clone(), inverse.clone())));
        changes.extend(products.iter().map(|p| (p.inputs[1].clone(), factors.clone())));
    }
    for (name, columns) in changes {
        graph.scale(&name, &columns);
    }
    Ok(count)
}
