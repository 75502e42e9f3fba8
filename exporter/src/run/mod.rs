//! Running what was exported: whole folders, in this process or [`apart`] from it, and single graphs.

pub mod apart;
mod classified;
pub(crate) mod frame;
mod framed;
mod inputs;
mod outcome;
mod peaks;
mod runner;
mod session;

pub use classified::Classified;
pub use framed::Framed;
pub use inputs::{Inputs, Labels};
pub use outcome::Outcome;
pub use peaks::Overflow;
pub use runner::Runner;
pub use session::{Session, Tensor, ids, open, pixels};
