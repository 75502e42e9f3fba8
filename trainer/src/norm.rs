//! The norm of many tensors on a CPU: each number is read once, whatever its format. (libtorch makes a copy in fp32 of what is in bf16.)

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use half::{bf16, f16};
use tch::{Kind, Tensor};

use crate::number::Number;

/// Numbers that a thread takes at a time.
const PIECE: usize = 1 << 17;

/// Numbers whose squares are summed in fp32 before they go into the sum in fp64.
const RUN: usize = 256;

/// Numbers that are read.
#[derive(Clone, Copy)]
enum Piece<'a> {
    Fp32(&'a [f32]),
    Bf16(&'a [bf16]),
    Fp16(&'a [f16]),
}

/// The root of the sum of all squares of `tensors`, which are in main memory, in `threads` threads. The result does not depend on
/// their number.
pub(crate) fn norm(tensors: &[Tensor], threads: usize) -> f64 {
    let pieces: Vec<Piece<'_>> = tensors.iter().flat_map(pieces).collect();
    let sums = Mutex::new(vec![0.0; pieces.len()]);
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(piece) = pieces.get(number) else { break };
            let sum = match piece {
                Piece::Fp32(numbers) => squares(numbers),
                Piece::Bf16(numbers) => squares(numbers),
                Piece::Fp16(numbers) => squares(numbers),
            };
            sums.lock().unwrap_or_else(PoisonError::into_inner)[number] = sum;
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(pieces.len()) {
            scope.spawn(work);
        }
        work();
    });
    sums.into_inner().unwrap_or_else(PoisonError::into_inner).iter().sum::<f64>().sqrt()
}

/// A tensor's numbers, cut into pieces. It must be contiguous, on the CPU, in fp32, bf16 or fp16.
fn pieces(tensor: &Tensor) -> impl Iterator<Item = Piece<'_>> {
    let (count, kind) = (tensor.numel(), tensor.kind());
    let starts = (0..count).step_by(PIECE);
    starts.map(move |start| {
        let length = PIECE.min(count - start);
        // SAFETY: the range lies within the tensor's numbers, which are of this kind and live as long as it.
        unsafe {
            match kind {
                Kind::BFloat16 => Piece::Bf16(std::slice::from_raw_parts(
                    tensor.data_ptr().cast::<bf16>().add(start),
                    length,
                )),
                Kind::Half => Piece::Fp16(std::slice::from_raw_parts(
                    tensor.data_ptr().cast::<f16>().add(start),
                    length,
                )),
                _ => Piece::Fp32(std::slice::from_raw_parts(
                    tensor.data_ptr().cast::<f32>().add(start),
                    length,
                )),
            }
        }
    })
}

/// The sum of squares, with the widest vectors that the processor has.
fn squares<N: Number>(numbers: &[N]) -> f64 {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn with_avx2<N: Number>(numbers: &[N]) -> f64 {
            squares_here(numbers)
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has it.
            return unsafe { with_avx2(numbers) };
        }
    }
    squares_here(numbers)
}

#[inline(always)]
fn squares_here<N: Number>(numbers: &[N]) -> f64 {
    let of_run = |run: &[N]| {
        // Independent sums, which fit into vectors.
        let mut sums = [0f32; 32];
        let rows = run.chunks_exact(32);
        let rest: f32 = rows.remainder().iter().map(|number| number.load() * number.load()).sum();
        for row in rows {
            for (sum, number) in sums.iter_mut().zip(row) {
                *sum += number.load() * number.load();
            }
        }
        f64::from(rest) + sums.iter().map(|&sum| f64::from(sum)).sum::<f64>()
    };
    numbers.chunks(RUN).map(of_run).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn every_number_of_every_format_counts_once() {
        let sizes = [3i64, (1 << 17) + 77, 1000];
        let kinds = [Kind::Float, Kind::BFloat16, Kind::Half];
        let tensors =
            [0, 1, 2].map(|n| Tensor::randn([sizes[n]], (Kind::Float, Device::Cpu)).to_kind(kinds[n]));
        let exact = tensors
            .iter()
            .map(|tensor| tensor.to_kind(Kind::Double).square().sum(Kind::Double).double_value(&[]));
        let exact = exact.sum::<f64>().sqrt();
        let found = [1, 3].map(|threads| norm(&tensors, threads));
        assert_eq!(found[0], found[1]);
        assert!((found[0] / exact - 1.0).abs() < 1e-6, "{found:?} {exact}");
        assert!(norm(&[Tensor::from_slice(&[1f32, f32::NAN])], 1).is_nan());
        assert_eq!(norm(&[Tensor::from_slice(&[1f32, f32::INFINITY])], 1), f64::INFINITY);
        assert_eq!(norm(&[], 2), 0.0);
    }
}
