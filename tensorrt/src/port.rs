//! Inputs and outputs of an engine, and where they lie.

use std::ffi::CString;

use crate::context::Context;
use crate::cuda::{DeviceBuffer, PinnedBuffer};
use crate::engine::{Element, Io};
use crate::error::{Error, Result};
use crate::shape::Shape;

/// What came out of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Name of the output.
    pub name: String,
    /// What its elements are.
    pub element: Element,
    /// Its shape.
    pub shape: Shape,
    /// Its elements.
    pub bytes: Vec<u8>,
}

/// An input or output, and where it lies.
#[derive(Debug)]
pub struct Port {
    pub io: Io,
    pub name: CString,
    pub device: DeviceBuffer,
    pub host: PinnedBuffer,
}

impl Port {
    /// What is wrong with an input.
    pub fn bad(&self, reason: String) -> Error {
        Error::Input { input: self.io.name.clone(), reason }
    }

    /// The bytes of an input of this shape, which the engine must take.
    pub fn checked(&self, shape: &[i64]) -> Result<usize> {
        match &self.io.range {
            Some(range) if !range.contains(shape) => {
                return Err(Error::OutsideProfile {
                    input: self.io.name.clone(),
                    found: shape.to_vec(),
                    range: range.clone(),
                });
            }
            None if shape != self.io.shape => {
                return Err(
                    self.bad(format!("has shape {shape:?}, and the engine takes {:?}", self.io.shape))
                );
            }
            _ => {}
        }
        let bytes = bytes(shape, self.io.element).filter(|&bytes| bytes <= self.host.len());
        bytes.ok_or_else(|| self.bad(format!("has shape {shape:?}, for which there is no room")))
    }

    /// What lies on the host after a run of `context`.
    pub fn output(&self, context: &Context) -> Result<Output> {
        let shape = context.shape(&self.name).unwrap_or_default();
        let bytes =
            bytes(&shape, self.io.element).and_then(|n| self.host.get(..n)).ok_or_else(|| Error::Run {
                action: "give its output",
                reason: format!("{:?} has shape {shape:?}", self.io.name),
            })?;
        Ok(Output { name: self.io.name.clone(), element: self.io.element, shape, bytes: bytes.to_vec() })
    }
}

/// Bytes of a tensor; `None` when its sizes are not fixed, or too large to count.
pub fn bytes(shape: &[i64], element: Element) -> Option<usize> {
    let sizes = shape.iter().map(|&n| usize::try_from(n).ok());
    sizes.chain([Some(element.bytes())]).try_fold(1, |product: usize, n| product.checked_mul(n?))
}

/// Bytes of a tensor in a context's shapes.
pub fn size(context: &Context, port: &Port) -> usize {
    context.shape(&port.name).and_then(|shape| bytes(&shape, port.io.element)).unwrap_or(usize::MAX)
}

/// Refuses names that no input has.
pub fn known<'a>(ports: &[Port], names: impl Iterator<Item = &'a str>) -> Result<()> {
    let known = |name: &str| ports.iter().any(|port| port.io.is_input && port.io.name == name);
    match names.into_iter().find(|name| !known(name)) {
        Some(name) => Err(Error::Input { input: name.to_owned(), reason: "does not exist".to_owned() }),
        None => Ok(()),
    }
}
