//! 256 bits at a time, for processors since 2013 (Intel) and 2015 (AMD).

use std::arch::x86_64::*;

use super::portable::{self, HALF, surplus};
use super::{Colours, EXACT_BITS, LOW_BITS, Line, Rows};
use crate::preprocess::levels::Levels;

/// Bytes of a row that are taken at once.
const WIDE: usize = 32;
/// Samples of a line that are taken at once.
const STEP: usize = 16;

/// The weights of a pair of rows in every lane.
#[target_feature(enable = "avx2")]
fn pair(weights: &[i16], pair: usize) -> __m256i {
    let (first, second) = (weights[2 * pair], weights[2 * pair + 1]);
    _mm256_set1_epi32(i32::from(first) & 0xffff | i32::from(second) << 16)
}

/// Sums of 32 columns from `x` on, four by four of each half, as unpacking leaves them; `x + WIDE` is at most the rows' length.
#[target_feature(enable = "avx2")]
fn sum_rows<const EXACT: bool>(rows: &Rows, x: usize) -> [__m256i; 4] {
    debug_assert!(x + WIDE <= rows.length);
    let zero = _mm256_setzero_si256();
    let (mut high, mut low) = ([zero; 4], [zero; 4]);
    for p in 0..rows.pairs() {
        // SAFETY: `Rows::new` has seen that `length` bytes lie after every start, and `x + WIDE` is not more.
        let [a, b] = [0, 1].map(|i| unsafe {
            _mm256_loadu_si256(rows.plane.as_ptr().add(rows.starts[2 * p + i] + x).cast())
        });
        let (left, right) = (_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b));
        let samples = [
            _mm256_unpacklo_epi8(left, zero),
            _mm256_unpackhi_epi8(left, zero),
            _mm256_unpacklo_epi8(right, zero),
            _mm256_unpackhi_epi8(right, zero),
        ];
        let weights = pair(rows.high, p);
        for (sum, samples) in high.iter_mut().zip(samples) {
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(samples, weights));
        }
        if EXACT {
            let weights = pair(rows.low, p);
            for (sum, samples) in low.iter_mut().zip(samples) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(samples, weights));
            }
        }
    }
    if EXACT {
        let shift = _mm_cvtsi32_si128(LOW_BITS as i32);
        for (high, low) in high.iter_mut().zip(low) {
            *high = _mm256_add_epi32(_mm256_sll_epi32(*high, shift), low);
        }
    }
    high
}

/// Adds `half` and cuts `shift` bits, to 16 bits in unpacking's order.
#[target_feature(enable = "avx2")]
fn round(sums: [__m256i; 4], half: i32, shift: u32) -> [__m256i; 2] {
    let (half, shift) = (_mm256_set1_epi32(half), _mm_cvtsi32_si128(shift as i32));
    let [a, b, c, d] = sums.map(|sum| _mm256_sra_epi32(_mm256_add_epi32(sum, half), shift));
    [_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d)]
}

/// Where vectors begin that cover `length`, the last one so that it ends there; none where it is too short.
pub(super) fn starts(length: usize, wide: usize) -> impl Iterator<Item = usize> {
    (0..length / wide * wide)
        .step_by(wide)
        .chain((length >= wide && !length.is_multiple_of(wide)).then(|| length - wide))
}

#[target_feature(enable = "avx2")]
pub(super) fn rows_exact(rows: &Rows, out: &mut [u8]) {
    if rows.length < WIDE {
        return portable::rows_exact_from(rows, 0, out);
    }
    for x in starts(rows.length, WIDE) {
        let [a, b] = round(sum_rows::<true>(rows, x), HALF, EXACT_BITS);
        let out = &mut out[x..][..WIDE];
        // SAFETY: a vector fits `out`.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), _mm256_packus_epi16(a, b)) }
    }
}

#[target_feature(enable = "avx2")]
pub(super) fn rows_fine(rows: &Rows, out: &mut [i16]) {
    if rows.length < WIDE {
        return portable::rows_fine_from(rows, 0, out);
    }
    let (shift, half) = surplus(rows.bits);
    for x in starts(rows.length, WIDE) {
        let [a, b] = round(sum_rows::<false>(rows, x), half, shift);
        let out = &mut out[x..][..WIDE];
        let (first, second) = (_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31));
        // SAFETY: two vectors of 16 samples fit `out`.
        unsafe {
            _mm256_storeu_si256(out.as_mut_ptr().cast(), first);
            _mm256_storeu_si256(out.as_mut_ptr().add(16).cast(), second);
        }
    }
}

/// The sum of samples times weights of window `output`, in parts.
#[target_feature(enable = "avx2")]
fn sum_window<const EXACT: bool>(line: &Line, output: usize, length: usize) -> __m256i {
    let at = output * line.taps.width();
    let first = line.taps.windows()[output].0 - line.first;
    let (mut high, mut low) = (_mm256_setzero_si256(), _mm256_setzero_si256());
    for x in (0..length).step_by(STEP) {
        // SAFETY: `length` is at most the width of a window, so many weights lie from `at` on, and `Line::new` has seen that so many samples lie
        // from every window's first on.
        let load = |from: &[i16], at: usize| unsafe { _mm256_loadu_si256(from.as_ptr().add(at + x).cast()) };
        let samples = load(line.samples, first);
        high = _mm256_add_epi32(high, _mm256_madd_epi16(samples, load(line.taps.high(), at)));
        if EXACT {
            low = _mm256_add_epi32(low, _mm256_madd_epi16(samples, load(line.taps.low(), at)));
        }
    }
    if EXACT {
        high = _mm256_add_epi32(_mm256_sll_epi32(high, _mm_cvtsi32_si128(LOW_BITS as i32)), low);
    }
    high
}

/// The sums of four vectors, `half` added and `shift` bits cut, in the lower half of 16 bits each.
#[target_feature(enable = "avx2")]
pub(super) fn add_up([a, b, c, d]: [__m256i; 4], half: i32, shift: u32) -> __m128i {
    let pairs = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    let sums = _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
    let rounded = _mm_sra_epi32(_mm_add_epi32(sums, _mm_set1_epi32(half)), _mm_cvtsi32_si128(shift as i32));
    _mm_packs_epi32(rounded, rounded)
}

#[target_feature(enable = "avx2")]
pub(super) fn line_exact(line: &Line, out: &mut [u8]) {
    let length = line.taps.longest().next_multiple_of(STEP);
    let (fours, _) = out.as_chunks_mut::<4>();
    for (number, out) in fours.iter_mut().enumerate() {
        let sums = [0, 1, 2, 3].map(|i| sum_window::<true>(line, 4 * number + i, length));
        let four = add_up(sums, HALF, EXACT_BITS);
        *out = _mm_cvtsi128_si32(_mm_packus_epi16(four, four)).to_ne_bytes();
    }
    portable::line_exact_from(line, out.len() / 4 * 4, out);
}

#[target_feature(enable = "avx2")]
pub(super) fn line_fine(line: &Line, out: &mut [i16]) {
    let length = line.taps.longest().next_multiple_of(STEP);
    let half = (1 << line.taps.bits()) >> 1;
    let (fours, _) = out.as_chunks_mut::<4>();
    for (number, out) in fours.iter_mut().enumerate() {
        let sums = [0, 1, 2, 3].map(|i| sum_window::<false>(line, 4 * number + i, length));
        let four = add_up(sums, half, line.taps.bits());
        // SAFETY: four samples fit `out`.
        unsafe { _mm_storel_epi64(out.as_mut_ptr().cast(), four) }
    }
    portable::line_fine_from(line, out.len() / 4 * 4, out);
}

// The compiler makes vectors of these by itself once it may.

#[target_feature(enable = "avx2")]
pub(super) fn widen(bytes: &[u8], step: usize, offset: usize, out: &mut [i16]) {
    portable::widen(bytes, step, offset, out);
}

#[target_feature(enable = "avx2")]
pub(super) fn pick(samples: &[i16], step: usize, offset: usize, out: &mut [i16]) {
    portable::pick(samples, step, offset, out);
}

#[target_feature(enable = "avx2")]
pub(super) fn colours(yuv: [&[i16]; 3], colours: &Colours, out: &mut [u8]) {
    portable::colours(yuv, colours, out);
}

#[target_feature(enable = "avx2")]
pub(super) fn cut(levels: Levels, samples: &[u8], out: &mut [u8]) {
    portable::cut(levels, samples, out);
}
