//! What goes into a graph, and what comes out.

/// A tensor that goes into a graph, borrowed: its shape, outermost axis first, and its elements, row by row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View<'a> {
    /// Sizes, outermost axis first.
    pub shape: &'a [usize],
    /// As many elements as the sizes' product.
    pub elements: Elements<'a>,
}

/// The elements of a [`View`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Elements<'a> {
    /// Numbers, such as normalised pixels.
    Float32(&'a [f32]),
    /// Bytes, such as packed pixels.
    UInt8(&'a [u8]),
    /// Integers, such as token ids.
    Int32(&'a [i32]),
    /// The same in the width that programs in Python feed. No graph of a model folder takes it.
    Int64(&'a [i64]),
}

impl<'a> Elements<'a> {
    /// How many there are.
    pub fn len(self) -> usize {
        match self {
            Elements::Float32(values) => values.len(),
            Elements::UInt8(values) => values.len(),
            Elements::Int32(values) => values.len(),
            Elements::Int64(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// As they lie in memory.
    pub fn bytes(self) -> &'a [u8] {
        fn of<T>(values: &[T]) -> &[u8] {
            // SAFETY: numbers have no padding, any byte is a `u8`, and the bytes live as long as the numbers.
            unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
        }
        match self {
            Elements::Float32(values) => of(values),
            Elements::UInt8(values) => values,
            Elements::Int32(values) => of(values),
            Elements::Int64(values) => of(values),
        }
    }
}

/// A tensor that goes into a graph, with a shape and elements of its own: for tools, which may allocate for every run.
#[derive(Debug, Clone, PartialEq)]
pub enum Tensor {
    /// See [`Elements::Float32`].
    Float32(Vec<usize>, Vec<f32>),
    /// See [`Elements::UInt8`].
    UInt8(Vec<usize>, Vec<u8>),
    /// See [`Elements::Int32`].
    Int32(Vec<usize>, Vec<i32>),
    /// See [`Elements::Int64`].
    Int64(Vec<usize>, Vec<i64>),
}

impl Tensor {
    /// The same, borrowed.
    pub fn view(&self) -> View<'_> {
        match self {
            Tensor::Float32(shape, values) => View { shape, elements: Elements::Float32(values) },
            Tensor::UInt8(shape, values) => View { shape, elements: Elements::UInt8(values) },
            Tensor::Int32(shape, values) => View { shape, elements: Elements::Int32(values) },
            Tensor::Int64(shape, values) => View { shape, elements: Elements::Int64(values) },
        }
    }
}

/// Where a graph writes its one output.
#[derive(Debug, PartialEq)]
pub struct Target<'a> {
    /// The shape that it must have, outermost axis first.
    pub shape: &'a [usize],
    /// As many elements as the sizes' product.
    pub values: &'a mut [f32],
}

/// A tensor that came out of a graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Its name in the graph.
    pub name: String,
    /// Its shape, outermost axis first.
    pub shape: Vec<usize>,
    /// Its elements.
    pub values: Vec<f32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_counted_and_are_bytes() {
        let tensor = Tensor::Int32(vec![1, 2], vec![-2, 3]);
        let view = tensor.view();
        assert_eq!((view.shape, view.elements.len()), (&[1, 2][..], 2));
        assert_eq!(view.elements.bytes(), [(-2i32).to_ne_bytes(), 3i32.to_ne_bytes()].concat());
        assert_eq!(Tensor::Int64(vec![1], vec![-2]).view().elements.bytes(), (-2i64).to_ne_bytes());
        assert_eq!(Tensor::UInt8(vec![2], vec![7, 9]).view().elements.bytes(), [7, 9]);
        assert_eq!(Tensor::Float32(vec![1], vec![0.5]).view().elements.bytes(), 0.5f32.to_ne_bytes());
        assert!(Tensor::UInt8(vec![0], vec![]).view().elements.is_empty());
    }
}
