//! The norm of many tensors on a CPU: each number is read once, whatever its format. (libtorch makes a copy in fp32 of what is in bf16.)

use clip_model::parallel;
use tch::Tensor;

use crate::number::{Number, Numbers};

/// Numbers that a thread takes at a time.
const PIECE: usize = 1 << 17;

/// Numbers whose squares are summed in fp32 before they go into the sum in fp64.
const RUN: usize = 256;

/// The root of the sum of all squares of `tensors`, which are contiguous and in main memory, in `threads` threads. The result does
/// not depend on their number.
pub(crate) fn norm(tensors: &[Tensor], threads: usize) -> f64 {
    let pieces = tensors.iter().flat_map(|tensor| {
        let count = tensor.numel();
        (0..count).step_by(PIECE).map(move |start| {
            // SAFETY: the numbers are there, and the tensor lives and is not changed as long as this function runs.
            unsafe { Numbers::of(tensor, start, PIECE.min(count - start)) }
        })
    });
    let pieces: Vec<Numbers<'_>> = pieces.collect();
    let sums = parallel::each(pieces.into_iter(), threads.saturating_sub(1), |piece| match piece {
        Numbers::Fp32(numbers) => squares(numbers),
        Numbers::Bf16(numbers) => squares(numbers),
        Numbers::Fp16(numbers) => squares(numbers),
    });
    sums.iter().sum::<f64>().sqrt()
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
    use tch::{Device, Kind};

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
