//! 512 bits at a time with products that are added at once (AVX-512 BW and VNNI), for servers since Intel's Cascade Lake and AMD's Zen 4.

use std::arch::x86_64::*;

use super::avx2::{self, add_up, starts};
use super::portable::{HALF, surplus};
use super::{Colours, EXACT_BITS, LOW_BITS, Line, Rows};
use crate::preprocess::levels::Levels;

/// Bytes of a row that are taken at once.
const WIDE: usize = 64;
/// Samples of a line that are taken at once.
const STEP: usize = 32;

/// The weights of a pair of rows in every lane.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
fn pair(weights: &[i16], pair: usize) -> __m512i {
    let (first, second) = (weights[2 * pair], weights[2 * pair + 1]);
    _mm512_set1_epi32(i32::from(first) & 0xffff | i32::from(second) << 16)
}

/// Sums of 64 columns from `x` on, four by four of each quarter, as unpacking leaves them; `x + WIDE` is at most the rows' length.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
fn sum_rows<const EXACT: bool>(rows: &Rows, x: usize) -> [__m512i; 4] {
    debug_assert!(x + WIDE <= rows.length);
    let zero = _mm512_setzero_si512();
    let (mut high, mut low) = ([zero; 4], [zero; 4]);
    for p in 0..rows.pairs() {
        // SAFETY: `Rows::new` has seen that `length` bytes lie after every start, and `x + WIDE` is not more.
        let [a, b] = [0, 1].map(|i| unsafe {
            _mm512_loadu_si512(rows.plane.as_ptr().add(rows.starts[2 * p + i] + x).cast())
        });
        let (left, right) = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
        let samples = [
            _mm512_unpacklo_epi8(left, zero),
            _mm512_unpackhi_epi8(left, zero),
            _mm512_unpacklo_epi8(right, zero),
            _mm512_unpackhi_epi8(right, zero),
        ];
        let weights = pair(rows.high, p);
        for (sum, samples) in high.iter_mut().zip(samples) {
            *sum = _mm512_dpwssd_epi32(*sum, samples, weights);
        }
        if EXACT {
            let weights = pair(rows.low, p);
            for (sum, samples) in low.iter_mut().zip(samples) {
                *sum = _mm512_dpwssd_epi32(*sum, samples, weights);
            }
        }
    }
    if EXACT {
        for (high, low) in high.iter_mut().zip(low) {
            *high = _mm512_add_epi32(_mm512_slli_epi32(*high, LOW_BITS), low);
        }
    }
    high
}

/// Adds `half` and cuts `shift` bits, to 16 bits in unpacking's order.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
fn round(sums: [__m512i; 4], half: i32, shift: u32) -> [__m512i; 2] {
    let (half, shift) = (_mm512_set1_epi32(half), _mm_cvtsi32_si128(shift as i32));
    let [a, b, c, d] = sums.map(|sum| _mm512_sra_epi32(_mm512_add_epi32(sum, half), shift));
    [_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d)]
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
pub(super) fn rows_exact(rows: &Rows, out: &mut [u8]) {
    if rows.length < WIDE {
        return avx2::rows_exact(rows, out);
    }
    for x in starts(rows.length, WIDE) {
        let [a, b] = round(sum_rows::<true>(rows, x), HALF, EXACT_BITS);
        let out = &mut out[x..][..WIDE];
        // SAFETY: a vector fits `out`.
        unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), _mm512_packus_epi16(a, b)) }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
pub(super) fn rows_fine(rows: &Rows, out: &mut [i16]) {
    if rows.length < WIDE {
        return avx2::rows_fine(rows, out);
    }
    // Quarters of the one and the other in turns.
    let first = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
    let second = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
    let (shift, half) = surplus(rows.bits);
    for x in starts(rows.length, WIDE) {
        let [a, b] = round(sum_rows::<false>(rows, x), half, shift);
        let out = &mut out[x..][..WIDE];
        // SAFETY: two vectors of 32 samples fit `out`.
        unsafe {
            _mm512_storeu_si512(out.as_mut_ptr().cast(), _mm512_permutex2var_epi64(a, first, b));
            _mm512_storeu_si512(out.as_mut_ptr().add(32).cast(), _mm512_permutex2var_epi64(a, second, b));
        }
    }
}

/// The sum of samples times weights of window `output`, in parts.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
fn sum_window<const EXACT: bool>(line: &Line, output: usize, length: usize) -> __m256i {
    let at = output * line.taps.width();
    let first = line.taps.windows()[output].0 - line.first;
    let (mut high, mut low) = (_mm512_setzero_si512(), _mm512_setzero_si512());
    for x in (0..length).step_by(STEP) {
        // SAFETY: `length` is at most the width of a window, so many weights lie from `at` on, and `Line::new` has seen that so many samples lie
        // from every window's first on.
        let load = |from: &[i16], at: usize| unsafe { _mm512_loadu_si512(from.as_ptr().add(at + x).cast()) };
        let samples = load(line.samples, first);
        high = _mm512_dpwssd_epi32(high, samples, load(line.taps.high(), at));
        if EXACT {
            low = _mm512_dpwssd_epi32(low, samples, load(line.taps.low(), at));
        }
    }
    if EXACT {
        high = _mm512_add_epi32(_mm512_slli_epi32(high, LOW_BITS), low);
    }
    _mm256_add_epi32(_mm512_castsi512_si256(high), _mm512_extracti64x4_epi64(high, 1))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
pub(super) fn line_exact(line: &Line, out: &mut [u8]) {
    // Half a vector is enough.
    if line.taps.longest() <= STEP / 2 {
        return avx2::line_exact(line, out);
    }
    let length = line.taps.longest().next_multiple_of(STEP);
    let (fours, _) = out.as_chunks_mut::<4>();
    for (number, out) in fours.iter_mut().enumerate() {
        let sums = [0, 1, 2, 3].map(|i| sum_window::<true>(line, 4 * number + i, length));
        let four = add_up(sums, HALF, EXACT_BITS);
        *out = _mm_cvtsi128_si32(_mm_packus_epi16(four, four)).to_ne_bytes();
    }
    super::portable::line_exact_from(line, out.len() / 4 * 4, out);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
pub(super) fn line_fine(line: &Line, out: &mut [i16]) {
    if line.taps.longest() <= STEP / 2 {
        return avx2::line_fine(line, out);
    }
    let length = line.taps.longest().next_multiple_of(STEP);
    let half = (1 << line.taps.bits()) >> 1;
    let (fours, _) = out.as_chunks_mut::<4>();
    for (number, out) in fours.iter_mut().enumerate() {
        let sums = [0, 1, 2, 3].map(|i| sum_window::<false>(line, 4 * number + i, length));
        let four = add_up(sums, half, line.taps.bits());
        // SAFETY: four samples fit `out`.
        unsafe { _mm_storel_epi64(out.as_mut_ptr().cast(), four) }
    }
    super::portable::line_fine_from(line, out.len() / 4 * 4, out);
}

// The compiler makes vectors of these by itself once it may.

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
pub(super) fn widen(bytes: &[u8], step: usize, offset: usize, out: &mut [i16]) {
    super::portable::widen(bytes, step, offset, out);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
pub(super) fn pick(samples: &[i16], step: usize, offset: usize, out: &mut [i16]) {
    super::portable::pick(samples, step, offset, out);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
pub(super) fn colours(yuv: [&[i16]; 3], colours: &Colours, out: &mut [u8]) {
    super::portable::colours(yuv, colours, out);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
pub(super) fn cut(levels: Levels, samples: &[u8], out: &mut [u8]) {
    super::portable::cut(levels, samples, out);
}
