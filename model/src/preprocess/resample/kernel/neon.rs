//! 128 bits at a time, for every 64-bit ARM processor.

use std::arch::aarch64::*;

use super::portable::{self, HALF, surplus};
use super::{Colours, EXACT_BITS, LOW_BITS, Line, Rows};
use crate::preprocess::levels::Levels;

/// Bytes of a row that are taken at once.
const WIDE: usize = 16;
/// Samples of a line that are taken at once.
const STEP: usize = 8;

/// Adds eight samples times one weight.
#[target_feature(enable = "neon")]
fn add_product(sums: &mut [int32x4_t], samples: int16x8_t, weight: i16) {
    sums[0] = vmlal_n_s16(sums[0], vget_low_s16(samples), weight);
    sums[1] = vmlal_n_s16(sums[1], vget_high_s16(samples), weight);
}

/// Sums of 16 columns from `x` on; `x + WIDE` is at most the rows' length.
#[target_feature(enable = "neon")]
fn sum_rows<const EXACT: bool>(rows: &Rows, x: usize) -> [int32x4_t; 4] {
    debug_assert!(x + WIDE <= rows.length);
    let zero = vdupq_n_s32(0);
    let (mut high, mut low) = ([zero; 4], [zero; 4]);
    for (tap, start) in rows.starts.iter().enumerate() {
        // SAFETY: `Rows::new` has seen that `length` bytes lie after every start, and `x + WIDE` is not more.
        let bytes = unsafe { vld1q_u8(rows.plane.as_ptr().add(start + x)) };
        let left = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(bytes)));
        let right = vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(bytes)));
        add_product(&mut high[..2], left, rows.high[tap]);
        add_product(&mut high[2..], right, rows.high[tap]);
        if EXACT {
            add_product(&mut low[..2], left, rows.low[tap]);
            add_product(&mut low[2..], right, rows.low[tap]);
        }
    }
    if EXACT {
        for (high, low) in high.iter_mut().zip(low) {
            *high = vaddq_s32(vshlq_s32(*high, vdupq_n_s32(LOW_BITS as i32)), low);
        }
    }
    high
}

/// Adds `half` and cuts `shift` bits.
#[target_feature(enable = "neon")]
fn round(sums: [int32x4_t; 4], half: i32, shift: u32) -> [int16x8_t; 2] {
    let (half, shift) = (vdupq_n_s32(half), vdupq_n_s32(-(shift as i32)));
    let [a, b, c, d] = sums.map(|sum| vqmovn_s32(vshlq_s32(vaddq_s32(sum, half), shift)));
    [vcombine_s16(a, b), vcombine_s16(c, d)]
}

/// Where vectors begin that cover `length`, the last one so that it ends there; none where it is too short.
fn starts(length: usize) -> impl Iterator<Item = usize> {
    (0..length / WIDE * WIDE)
        .step_by(WIDE)
        .chain((length >= WIDE && !length.is_multiple_of(WIDE)).then(|| length - WIDE))
}

#[target_feature(enable = "neon")]
pub(super) fn rows_exact(rows: &Rows, out: &mut [u8]) {
    if rows.length < WIDE {
        return portable::rows_exact_from(rows, 0, out);
    }
    for x in starts(rows.length) {
        let [a, b] = round(sum_rows::<true>(rows, x), HALF, EXACT_BITS);
        let out = &mut out[x..][..WIDE];
        // SAFETY: a vector fits `out`.
        unsafe { vst1q_u8(out.as_mut_ptr(), vcombine_u8(vqmovun_s16(a), vqmovun_s16(b))) }
    }
}

#[target_feature(enable = "neon")]
pub(super) fn rows_fine(rows: &Rows, out: &mut [i16]) {
    if rows.length < WIDE {
        return portable::rows_fine_from(rows, 0, out);
    }
    let (shift, half) = surplus(rows.bits);
    for x in starts(rows.length) {
        let [a, b] = round(sum_rows::<false>(rows, x), half, shift);
        let out = &mut out[x..][..WIDE];
        // SAFETY: two vectors of 8 samples fit `out`.
        unsafe {
            vst1q_s16(out.as_mut_ptr(), a);
            vst1q_s16(out.as_mut_ptr().add(8), b);
        }
    }
}

/// The sum of samples times weights of window `output`.
#[target_feature(enable = "neon")]
fn sum_window<const EXACT: bool>(line: &Line, output: usize, length: usize) -> i32 {
    let at = output * line.taps.width();
    let first = line.taps.windows()[output].0 - line.first;
    let (mut high, mut low) = (vdupq_n_s32(0), vdupq_n_s32(0));
    for x in (0..length).step_by(STEP) {
        // SAFETY: `length` is at most the width of a window, so many weights lie from `at` on, and `Line::new` has seen that so many samples lie
        // from every window's first on.
        let load = |from: &[i16], at: usize| unsafe { vld1q_s16(from.as_ptr().add(at + x)) };
        let (samples, weights) = (load(line.samples, first), load(line.taps.high(), at));
        high = vmlal_s16(high, vget_low_s16(samples), vget_low_s16(weights));
        high = vmlal_high_s16(high, samples, weights);
        if EXACT {
            let weights = load(line.taps.low(), at);
            low = vmlal_s16(low, vget_low_s16(samples), vget_low_s16(weights));
            low = vmlal_high_s16(low, samples, weights);
        }
    }
    if EXACT {
        high = vaddq_s32(vshlq_s32(high, vdupq_n_s32(LOW_BITS as i32)), low);
    }
    vaddvq_s32(high)
}

#[target_feature(enable = "neon")]
pub(super) fn line_exact(line: &Line, out: &mut [u8]) {
    let length = line.taps.longest().next_multiple_of(STEP);
    for (output, out) in out.iter_mut().enumerate() {
        let sum = sum_window::<true>(line, output, length).wrapping_add(HALF);
        *out = (sum >> EXACT_BITS).clamp(0, 255) as u8;
    }
}

#[target_feature(enable = "neon")]
pub(super) fn line_fine(line: &Line, out: &mut [i16]) {
    let length = line.taps.longest().next_multiple_of(STEP);
    let half = (1 << line.taps.bits()) >> 1;
    for (output, out) in out.iter_mut().enumerate() {
        let sum = sum_window::<false>(line, output, length).wrapping_add(half);
        *out = (sum >> line.taps.bits()).clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
    }
}

// The compiler makes vectors of these by itself: it may use NEON everywhere.

#[target_feature(enable = "neon")]
pub(super) fn widen(bytes: &[u8], step: usize, offset: usize, out: &mut [i16]) {
    portable::widen(bytes, step, offset, out);
}

#[target_feature(enable = "neon")]
pub(super) fn pick(samples: &[i16], step: usize, offset: usize, out: &mut [i16]) {
    portable::pick(samples, step, offset, out);
}

#[target_feature(enable = "neon")]
pub(super) fn colours(yuv: [&[i16]; 3], colours: &Colours, out: &mut [u8]) {
    portable::colours(yuv, colours, out);
}

#[target_feature(enable = "neon")]
pub(super) fn cut(levels: Levels, samples: &[u8], out: &mut [u8]) {
    portable::cut(levels, samples, out);
}
