//! 8-bit integer graphs: static quantization with ranges from calibration.
//!
//! Weights are symmetric with a scale per output channel; activations have one scale a value, chosen from what the
//! graph computes on real inputs. The steps: plan which products compute in integers (`plan`), run the float graph on
//! calibration inputs (`calibrate`), move outlier channels into weights (`smooth`), choose ranges (`range`),
//! rewrite the graph (`rewrite`), and leave products in float until its embeddings are good enough ([`search()`]).

mod calibrate;
mod histogram;
mod plan;
mod range;
mod rewrite;
mod scratch;
mod search;
mod smooth;
mod weight;

pub use range::{Dialect, Int8, Method};
pub use scratch::Scratch;
pub use search::{Sensitive, search};

#[cfg(test)]
mod tests;
