//! Shapes of tensors, and the ranges that engines are built for.

use std::fmt;

/// The most axes that a tensor may have.
const MAX_AXES: usize = 8;

/// A tensor's sizes, outermost axis first. A size that is not fixed is -1.
pub type Shape = Vec<i64>;

/// TensorRT's `Dims64`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Dims {
    count: i32,
    sizes: [i64; MAX_AXES],
}

impl Dims {
    /// `None` for more axes than there may be.
    pub fn new(shape: &[i64]) -> Option<Dims> {
        let mut sizes = [0; MAX_AXES];
        sizes.get_mut(..shape.len())?.copy_from_slice(shape);
        Some(Dims { count: i32::try_from(shape.len()).ok()?, sizes })
    }

    /// `None` where TensorRT has no answer: the count is negative then.
    pub fn shape(&self) -> Option<Shape> {
        Some(self.sizes.get(..usize::try_from(self.count).ok()?)?.to_vec())
    }
}

/// The shapes that an engine is built for: any from the least to the greatest, and fastest at the usual one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The least size of each axis.
    pub min: Shape,
    /// The sizes that the engine is optimised for.
    pub opt: Shape,
    /// The greatest size of each axis.
    pub max: Shape,
}

impl Range {
    /// Whether it holds `shape`.
    pub fn contains(&self, shape: &[i64]) -> bool {
        let inside = |((&n, &min), &max): ((&i64, &i64), &i64)| (min..=max).contains(&n);
        shape.len() == self.min.len() && shape.iter().zip(&self.min).zip(&self.max).all(inside)
    }
}

/// `[1, 3, 224, 224] to [32, 3, 224, 224]`
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} to {:?}", self.min, self.max)
    }
}
