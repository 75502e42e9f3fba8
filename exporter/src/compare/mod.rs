//! How close an exported model is to its checkpoint in single precision, and whether that is close enough.

mod camera;
mod closeness;
mod gate;
mod overflow;
mod ranking;
mod report;
mod samples;
mod thresholds;

pub use camera::camera;
pub use closeness::Closeness;
pub use gate::{against, precision};
pub use ranking::Ranking;
pub use report::{Report, Speed};
pub use samples::Samples;
pub use thresholds::Thresholds;
