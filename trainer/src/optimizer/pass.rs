//! One update on a CPU: every vector makes its way through memory once, in threads.

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use half::{bf16, f16};
use tch::{Kind, Tensor};

use super::Rates;
use crate::number::{Number, scatter};

/// Numbers that a thread takes at a time.
const PIECE: usize = 1 << 16;

/// A part of a group's vectors with the gradient that belongs to it.
pub(super) struct Piece<'a> {
    weights: Writable<'a>,
    gradient: Readable<'a>,
    moments: Moments<'a>,
    /// Its place in the group.
    start: usize,
}

/// Numbers that are changed.
enum Writable<'a> {
    Fp32(&'a mut [f32]),
    Bf16(&'a mut [bf16]),
}

/// The running means of gradients and of their squares.
enum Moments<'a> {
    Fp32(&'a mut [f32], &'a mut [f32]),
    Bf16(&'a mut [bf16], &'a mut [bf16]),
}

/// Numbers that are read.
enum Readable<'a> {
    Fp32(&'a [f32]),
    Bf16(&'a [bf16]),
    Fp16(&'a [f16]),
}

/// The vectors of a group, cut into pieces: `gradients` are those of its tensors, in order, contiguous and on the CPU.
///
/// # Safety
/// Nothing else may use the vectors as long as the pieces live. `weights`, `first` and `second` must be contiguous, on the
/// CPU, in fp32 or bf16, `first` and `second` in the same, and as long as the gradients are together.
pub(super) unsafe fn pieces<'a>(
    [weights, first, second]: [&'a Tensor; 3],
    gradients: &'a [Tensor],
) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for gradient in gradients {
        let count = gradient.numel();
        let mut done = 0;
        while done < count {
            let length = PIECE.min(count - done);
            // SAFETY: as promised by the caller; no two pieces overlap.
            pieces.push(unsafe {
                let (at, length) = (start + done, length);
                Piece {
                    weights: match weights.kind() {
                        Kind::BFloat16 => Writable::Bf16(slice_mut(weights.data_ptr(), at, length)),
                        _ => Writable::Fp32(slice_mut(weights.data_ptr(), at, length)),
                    },
                    gradient: match gradient.kind() {
                        Kind::BFloat16 => Readable::Bf16(slice_mut(gradient.data_ptr(), done, length)),
                        Kind::Half => Readable::Fp16(slice_mut(gradient.data_ptr(), done, length)),
                        _ => Readable::Fp32(slice_mut(gradient.data_ptr(), done, length)),
                    },
                    moments: match first.kind() {
                        Kind::BFloat16 => Moments::Bf16(
                            slice_mut(first.data_ptr(), at, length),
                            slice_mut(second.data_ptr(), at, length),
                        ),
                        _ => Moments::Fp32(
                            slice_mut(first.data_ptr(), at, length),
                            slice_mut(second.data_ptr(), at, length),
                        ),
                    },
                    start: at,
                }
            });
            done += length;
        }
        start += count;
    }
    pieces
}

/// A part of a tensor's memory.
///
/// # Safety
/// As [`pieces`]; the tensor's numbers must be `T`, and the range must lie within it.
unsafe fn slice_mut<'a, T>(memory: *mut c_void, start: usize, length: usize) -> &'a mut [T] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(memory.cast::<T>().add(start), length) }
}

/// Updates all pieces in `threads` threads. The result does not depend on their number.
pub(super) fn update(pieces: Vec<Piece<'_>>, rates: &Rates, key: u32, threads: usize) {
    let pieces: Vec<Mutex<Option<Piece<'_>>>> =
        pieces.into_iter().map(|piece| Mutex::new(Some(piece))).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(slot) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Some(piece) = slot.lock().unwrap_or_else(PoisonError::into_inner).take() {
                piece.update(rates, key);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(pieces.len()) {
            scope.spawn(work);
        }
        work();
    });
}

impl Piece<'_> {
    fn update(self, rates: &Rates, key: u32) {
        let Piece { weights, gradient, moments, start } = self;
        match gradient {
            Readable::Fp32(gradient) => with_gradient(rates, key, start, weights, gradient, moments),
            Readable::Bf16(gradient) => with_gradient(rates, key, start, weights, gradient, moments),
            Readable::Fp16(gradient) => with_gradient(rates, key, start, weights, gradient, moments),
        }
    }
}

fn with_gradient<G: Number>(
    rates: &Rates,
    key: u32,
    start: usize,
    weights: Writable<'_>,
    gradient: &[G],
    moments: Moments<'_>,
) {
    match (weights, moments) {
        (Writable::Fp32(w), Moments::Fp32(m, v)) => apply(rates, key, start, w, gradient, m, v),
        (Writable::Fp32(w), Moments::Bf16(m, v)) => apply(rates, key, start, w, gradient, m, v),
        (Writable::Bf16(w), Moments::Fp32(m, v)) => apply(rates, key, start, w, gradient, m, v),
        (Writable::Bf16(w), Moments::Bf16(m, v)) => apply(rates, key, start, w, gradient, m, v),
    }
}

/// Runs [`apply_here`] with the widest vectors that the processor has.
fn apply<W: Number, G: Number, M: Number>(
    rates: &Rates,
    key: u32,
    start: usize,
    weights: &mut [W],
    gradient: &[G],
    first: &mut [M],
    second: &mut [M],
) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn with_avx2<W: Number, G: Number, M: Number>(
            rates: &Rates,
            key: u32,
            start: usize,
            weights: &mut [W],
            gradient: &[G],
            first: &mut [M],
            second: &mut [M],
        ) {
            apply_here(rates, key, start, weights, gradient, first, second);
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has it.
            unsafe { with_avx2(rates, key, start, weights, gradient, first, second) };
            return;
        }
    }
    apply_here(rates, key, start, weights, gradient, first, second);
}

#[inline(always)]
fn apply_here<W: Number, G: Number, M: Number>(
    rates: &Rates,
    key: u32,
    start: usize,
    weights: &mut [W],
    gradient: &[G],
    first: &mut [M],
    second: &mut [M],
) {
    let (rate1, rate2, keep2) = (rates.first as f32, rates.second as f32, (1.0 - rates.second) as f32);
    let (root, eps, step, keep) = (rates.root as f32, rates.eps as f32, rates.step as f32, rates.keep as f32);
    let factor = rates.factor as f32;
    let moments = first.iter_mut().zip(second);
    for (i, ((weight, gradient), (first, second))) in
        weights.iter_mut().zip(gradient).zip(moments).enumerate()
    {
        let random = scatter(key, (start + i) as u32);
        let gradient = gradient.load() * factor;
        let mean = first.load() + (gradient - first.load()) * rate1;
        let square = second.load() * keep2 + gradient * gradient * rate2;
        *first = M::store(mean, random as u16);
        *second = M::store(square, (random >> 16) as u16);
        let updated = weight.load() * keep - step * (mean / (square.sqrt() * root + eps));
        *weight = W::store(updated, scatter(!key, random) as u16);
    }
}
