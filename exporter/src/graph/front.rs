//! What comes before an image tower that takes normalised numbers: pictures as they are, normalised in the graph.

use clip_model::Preprocess;
use clip_model::manifest::Values;

use crate::onnx::Attribute::{Int, Ints};
use crate::onnx::{Axis, Data, Element, Graph};

/// An input of such `values`, for pictures of `side` x `side`.
pub fn input(values: Values, batch: Axis, side: usize) -> (Element, Vec<Axis>) {
    let [sides, channels] = [side, 3].map(Axis::Fixed);
    match values {
        Values::Bytes => (Element::UInt8, vec![batch, sides.clone(), sides, channels]),
        Values::Normalised | Values::Pixels => {
            (Element::Float32, vec![batch, channels, sides.clone(), sides])
        }
    }
}

/// The numbers 0 to 255 of `pixels`, laid out as their `values` say, as `(number / 255 - mean) / std`, `[batch, 3, S, S]`: one
/// factor and one summand a channel. What is normalised stays as it is.
pub fn normalised(graph: &mut Graph, preprocess: &Preprocess, values: Values, pixels: &str) -> String {
    let shape = match values {
        Values::Normalised => return pixels.to_owned(),
        Values::Bytes => vec![3],
        Values::Pixels => vec![3, 1, 1],
    };
    let channels = preprocess.mean.iter().zip(&preprocess.std);
    let factors = preprocess.std.iter().map(|std| (1.0 / (255.0 * f64::from(*std))) as f32).collect();
    let summands = channels.map(|(mean, std)| (-f64::from(*mean) / f64::from(*std)) as f32).collect();
    let [factors, summands] = [("pixel_factor", factors), ("pixel_summand", summands)]
        .map(|(name, numbers)| graph.constant(name.to_owned(), shape.clone(), Data::Float32(numbers)));
    let mut value = pixels.to_owned();
    if values == Values::Bytes {
        value = graph.node("Cast", &[&value], vec![("to", Int(Element::Float32 as i64))]);
    }
    value = graph.node("Mul", &[&value, &factors], vec![]);
    value = graph.node("Add", &[&value, &summands], vec![]);
    if values == Values::Bytes {
        value = graph.node("Transpose", &[&value], vec![("perm", Ints(vec![0, 3, 1, 2]))]);
    }
    value
}
