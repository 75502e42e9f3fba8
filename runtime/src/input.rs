//! Where the inputs of an image tower are made: memory that is taken for a call, and kept for the next one.

use std::slice::ChunksExactMut;

use clip_model::memory;

use crate::engine::Elements;
use crate::error::Result;
use crate::pool::Pool;

/// Where what an image tower takes of one image is written, all of it.
#[derive(Debug)]
pub(crate) enum ModelInput<'a> {
    /// Packed RGB, `[side, side, 3]`.
    Bytes(&'a mut [u8]),
    /// Normalised planes, `[3, side, side]`.
    Floats(&'a mut [f32]),
}

/// Memory for the run of a batch.
#[derive(Debug)]
pub(crate) struct Buffer {
    /// What goes in.
    pub input: Input,
    /// What comes out, where a run has rows that nobody asked for.
    pub output: Vec<f32>,
}

/// The input of a batch, one image after the other.
#[derive(Debug)]
pub(crate) enum Input {
    Bytes(Vec<u8>),
    Floats(Vec<f32>),
}

impl Input {
    /// Makes room for so many elements.
    pub fn grow(&mut self, elements: usize) -> Result<()> {
        match self {
            Input::Bytes(bytes) => grow("a batch of images", bytes, elements),
            Input::Floats(numbers) => grow("a batch of images", numbers, elements),
        }
    }

    /// Where the first `count` images of `size` elements are written.
    pub fn images(&mut self, count: usize, size: usize) -> Images<'_> {
        match self {
            Input::Bytes(bytes) => Images::Bytes(bytes[..count * size].chunks_exact_mut(size)),
            Input::Floats(numbers) => Images::Floats(numbers[..count * size].chunks_exact_mut(size)),
        }
    }

    /// Fills the elements from `start` to `end` with zeros.
    pub fn clear(&mut self, start: usize, end: usize) {
        match self {
            Input::Bytes(bytes) => bytes[start..end].fill(0),
            Input::Floats(numbers) => numbers[start..end].fill(0.0),
        }
    }

    /// The first so many elements.
    pub fn elements(&self, count: usize) -> Elements<'_> {
        match self {
            Input::Bytes(bytes) => Elements::UInt8(&bytes[..count]),
            Input::Floats(numbers) => Elements::Float32(&numbers[..count]),
        }
    }
}

/// The places of images in a batch.
#[derive(Debug)]
pub(crate) enum Images<'a> {
    Bytes(ChunksExactMut<'a, u8>),
    Floats(ChunksExactMut<'a, f32>),
}

impl<'a> Iterator for Images<'a> {
    type Item = ModelInput<'a>;

    fn next(&mut self) -> Option<ModelInput<'a>> {
        match self {
            Images::Bytes(images) => images.next().map(ModelInput::Bytes),
            Images::Floats(images) => images.next().map(ModelInput::Floats),
        }
    }
}

/// Makes `values`, which are for `what`, have at least so many elements.
pub(crate) fn grow<T: Clone + Default>(what: &str, values: &mut Vec<T>, elements: usize) -> Result<()> {
    if let Some(more @ 1..) = elements.checked_sub(values.len()) {
        memory::reserve(what, values, more)?;
        values.resize(elements, T::default());
    }
    Ok(())
}

/// Buffers that nobody uses, each as large as the largest batch that it was used for.
#[derive(Debug)]
pub(crate) struct Buffers {
    pool: Pool<Buffer>,
    bytes: bool,
}

impl Buffers {
    /// Of bytes, or of numbers.
    pub fn new(bytes: bool) -> Buffers {
        Buffers { pool: Pool::new(), bytes }
    }

    /// Does `work` with a buffer that nobody else has meanwhile.
    pub fn with<T>(&self, work: impl FnOnce(&mut Buffer) -> T) -> T {
        let empty = || {
            let input = if self.bytes { Input::Bytes(Vec::new()) } else { Input::Floats(Vec::new()) };
            Buffer { input, output: Vec::new() }
        };
        self.pool.with_or(empty, work)
    }
}
