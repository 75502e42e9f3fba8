//! Constants of a graph: shape and number format, and where their values come from.

use std::io::Result;
use std::ops::Range;

/// Number formats, with ONNX's `TensorProto.DataType` numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    /// IEEE single precision.
    Float32 = 1,
    /// 8-bit unsigned integer.
    UInt8 = 2,
    /// 8-bit signed integer.
    Int8 = 3,
    /// 32-bit signed integer.
    Int32 = 6,
    /// 64-bit signed integer.
    Int64 = 7,
    /// IEEE half precision.
    Float16 = 10,
}

impl Element {
    /// Bytes of one element.
    pub fn size(self) -> u64 {
        match self {
            Element::UInt8 | Element::Int8 => 1,
            Element::Float16 => 2,
            Element::Float32 | Element::Int32 => 4,
            Element::Int64 => 8,
        }
    }
}

/// Consecutive rows (along the outermost axis) of a checkpoint's tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// State-dict name.
    pub tensor: String,
    /// Which rows; None for the whole tensor.
    pub rows: Option<Range<usize>>,
}

/// Takes little-endian bytes, whole elements at a time.
pub type Sink<'a> = &'a mut dyn FnMut(&[u8]) -> Result<()>;

/// Gives the little-endian float32 bytes of a checkpoint's tensors.
pub trait TensorSource {
    /// Calls `sink` with the bytes of `rows`, in order, in one or more pieces.
    ///
    /// # Errors
    /// Those of `sink`, and any of its own.
    fn read(&self, rows: &Rows, sink: Sink<'_>) -> Result<()>;
}

/// A constant of the graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Initializer {
    /// Unique name.
    pub name: String,
    /// Shape, outermost axis first.
    pub shape: Vec<usize>,
    /// Its values.
    pub data: Data,
}

/// The values of a constant.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Integers written out here.
    Int64(Vec<i64>),
    /// Biases of quantized products.
    Int32(Vec<i32>),
    /// Quantized weights, and zero points of signed numbers.
    Int8(Vec<i8>),
    /// Zero points of unsigned numbers.
    UInt8(Vec<u8>),
    /// Numbers written out here.
    Float32(Vec<f32>),
    /// A checkpoint's tensor, or some of its rows; float32 in the file.
    Weight(Rows),
    /// The weight of a convolution with a batch norm folded into it; float32 in the file.
    Folded {
        /// The convolution's own weight, output channels first.
        weight: Rows,
        /// Name of the batch norm.
        norm: String,
    },
    /// The bias that the batch norm of this name leaves when it is folded into a convolution; float32 in the file.
    FoldedBias(String),
    /// Numbers of one of the float32 kinds, those of each column (along the innermost axis) times a factor.
    Scaled {
        /// The numbers.
        data: Box<Data>,
        /// A factor per column.
        columns: Vec<f32>,
    },
    /// Numbers of one of the float32 kinds, rounded to float16 in the file.
    Half(Box<Data>),
}

impl Data {
    /// The number format in the file.
    pub fn element(&self) -> Element {
        match self {
            Data::Int64(_) => Element::Int64,
            Data::Int32(_) => Element::Int32,
            Data::Int8(_) => Element::Int8,
            Data::UInt8(_) => Element::UInt8,
            Data::Half(_) => Element::Float16,
            _ => Element::Float32,
        }
    }
}

impl Initializer {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes of the values in the file.
    pub fn size(&self) -> u64 {
        self.data.element().size() * self.elements() as u64
    }

    /// Multiplies each column by its factor; a single factor is every column's.
    pub fn scale(&mut self, columns: Vec<f32>) {
        self.replace(|data| Data::Scaled { data, columns });
    }

    /// Rounds the numbers to float16.
    pub fn halve(&mut self) {
        self.replace(Data::Half);
    }

    fn replace(&mut self, with: impl FnOnce(Box<Data>) -> Data) {
        let data = std::mem::replace(&mut self.data, Data::UInt8(Vec::new()));
        self.data = with(Box::new(data));
    }
}
