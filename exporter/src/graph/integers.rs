//! What is spelled otherwise for a CPU's integer kernels.
//!
//! Between integer products the moving of numbers shows. Tokens come before samples, `[length, batch, channels]`: ONNX
//! Runtime's products take heads of such a matrix as they lie there (`transBatchA` and `transBatchB` of its FusedMatMul),
//! where it would first copy those of `[batch, length, channels]`.

use std::array;

use clip_model::ops::Projections;

use super::interpreter::{Interpreter, Value, operands};
use crate::onnx::Attribute::Int;
use crate::onnx::Data;

impl Interpreter {
    /// [`Ops::in_projection`](clip_model::ops::Ops::in_projection) by a `Gemm` each: their numbers need not be taken apart.
    ///
    /// A key's bias adds the same to all scores of a query, which the softmax takes away: keys go without, since ONNX
    /// Runtime writes a bias, row by row on one core, before it multiplies.
    pub fn separate_projections(&self, x: &Value, name: &str) -> [Value; 3] {
        let (length, channels) = (x.shape[0], x.shape[1]);
        let (maps, rows) = (Projections::Stacked(name), self.flat(x));
        array::from_fn(|part| {
            let weight = self.map(maps, "weight", part, &[channels, channels]);
            let bias = (part != 1).then(|| self.map(maps, "bias", part, &[channels]));
            let product = self.node("Gemm", &operands(&rows, &weight, &bias), vec![("transB", Int(1))]);
            Self::matrix(product, length, channels)
        })
    }

    /// The weight of the convolution, channel by channel, that is the mean over `size` x `size` pixels: ONNX Runtime's integer
    /// kernels are made for convolutions. Each pool has a weight of its own.
    pub fn mean_weight(&self, x: &Value, size: usize) -> String {
        let (channels, pixels) = (x.shape[0], size * size);
        let values = Data::Float32(vec![1.0 / pixels as f32; channels * pixels]);
        let name = format!("mean_of_{}", x.name);
        self.constant(name, vec![channels, 1, size, size], values)
    }
}
