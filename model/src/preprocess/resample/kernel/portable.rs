//! The definition of what every set of instructions computes.

use super::{COLOUR_BITS, Colours, EXACT_BITS, FINE_BITS, LOW_BITS, Line, Rows};
use crate::preprocess::levels::Levels;

/// One half with the bits of an exact weight: cutting a sum that it is added to rounds.
pub(super) const HALF: i32 = 1 << (EXACT_BITS - 1);

/// Bits that a sum of bytes with fine weights has too many, and one half of the last that stays.
pub(super) fn surplus(bits: u32) -> (u32, i32) {
    // Rows of two or more pixels have weights of at least 14 bits.
    let shift = bits.saturating_sub(FINE_BITS);
    (shift, (1 << shift) >> 1)
}

pub(super) fn rows_exact(rows: &Rows, out: &mut [u8]) {
    rows_exact_from(rows, 0, out);
}

/// From a column on.
#[inline(always)]
pub(super) fn rows_exact_from(rows: &Rows, from: usize, out: &mut [u8]) {
    for (x, out) in out.iter_mut().enumerate().skip(from) {
        let (mut high, mut low) = (0i32, 0i32);
        for ((start, h), l) in rows.starts.iter().zip(rows.high).zip(rows.low) {
            let sample = i32::from(rows.plane[start + x]);
            high = high.wrapping_add(i32::from(*h) * sample);
            low = low.wrapping_add(i32::from(*l) * sample);
        }
        *out = byte(high, low);
    }
}

/// A byte of the sums of both halves of exact weights.
#[inline(always)]
fn byte(high: i32, low: i32) -> u8 {
    ((high << LOW_BITS).wrapping_add(low).wrapping_add(HALF) >> EXACT_BITS).clamp(0, 255) as u8
}

pub(super) fn rows_fine(rows: &Rows, out: &mut [i16]) {
    rows_fine_from(rows, 0, out);
}

/// From a column on.
#[inline(always)]
pub(super) fn rows_fine_from(rows: &Rows, from: usize, out: &mut [i16]) {
    let (shift, half) = surplus(rows.bits);
    for (x, out) in out.iter_mut().enumerate().skip(from) {
        let mut sum = half;
        for (start, weight) in rows.starts.iter().zip(rows.high) {
            sum = sum.wrapping_add(i32::from(*weight) * i32::from(rows.plane[start + x]));
        }
        *out = narrow(sum >> shift);
    }
}

#[inline(always)]
fn narrow(value: i32) -> i16 {
    value.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}

pub(super) fn line_exact(line: &Line, out: &mut [u8]) {
    line_exact_from(line, 0, out);
}

/// From an output on.
#[inline(always)]
pub(super) fn line_exact_from(line: &Line, from: usize, out: &mut [u8]) {
    let width = line.taps.width();
    for (output, out) in out.iter_mut().enumerate().skip(from) {
        let (start, length) = line.taps.windows()[output];
        let samples = &line.samples[start - line.first..][..length];
        let weights = |weights: &[i16]| {
            let products = weights[output * width..].iter().zip(samples);
            products.fold(0i32, |sum, (w, s)| sum.wrapping_add(i32::from(*w) * i32::from(*s)))
        };
        *out = byte(weights(line.taps.high()), weights(line.taps.low()));
    }
}

pub(super) fn line_fine(line: &Line, out: &mut [i16]) {
    line_fine_from(line, 0, out);
}

/// From an output on.
#[inline(always)]
pub(super) fn line_fine_from(line: &Line, from: usize, out: &mut [i16]) {
    let width = line.taps.width();
    let shift = line.taps.bits();
    for (output, out) in out.iter_mut().enumerate().skip(from) {
        let (start, length) = line.taps.windows()[output];
        let samples = &line.samples[start - line.first..][..length];
        let products = line.taps.high()[output * width..].iter().zip(samples);
        let half = (1 << shift) >> 1;
        let sum = products.fold(half, |sum: i32, (w, s)| sum.wrapping_add(i32::from(*w) * i32::from(*s)));
        *out = narrow(sum >> shift);
    }
}

#[inline(always)]
pub(super) fn widen(bytes: &[u8], step: usize, offset: usize, out: &mut [i16]) {
    let bytes = &bytes[offset..];
    match step {
        1 => out.iter_mut().zip(bytes).for_each(|(out, &byte)| *out = i16::from(byte)),
        2 => every::<2, _>(bytes, out, i16::from),
        3 => every::<3, _>(bytes, out, i16::from),
        _ => every::<4, _>(bytes, out, i16::from),
    }
}

#[inline(always)]
pub(super) fn pick(samples: &[i16], step: usize, offset: usize, out: &mut [i16]) {
    let samples = &samples[offset..];
    match step {
        1 => out.iter_mut().zip(samples).for_each(|(out, &sample)| *out = sample),
        2 => every::<2, _>(samples, out, i16::from),
        3 => every::<3, _>(samples, out, i16::from),
        _ => every::<4, _>(samples, out, i16::from),
    }
}

/// Takes the first of every `STEP`; the last of them need not be followed by others.
#[inline(always)]
fn every<const STEP: usize, T: Copy>(from: &[T], out: &mut [i16], convert: impl Fn(T) -> i16) {
    let (groups, rest) = from.as_chunks::<STEP>();
    for (out, group) in out.iter_mut().zip(groups) {
        *out = convert(group[0]);
    }
    if let (Some(out), Some(&last)) = (out.get_mut(groups.len()), rest.first()) {
        *out = convert(last);
    }
}

#[inline(always)]
pub(super) fn colours([y, u, v]: [&[i16]; 3], colours: &Colours, out: &mut [u8]) {
    let count = y.len().min(u.len()).min(v.len());
    let (y, u, v) = (&y[..count], &u[..count], &v[..count]);
    for (out, (row, bias)) in out.chunks_exact_mut(count).zip(colours.matrix.iter().zip(colours.bias)) {
        for x in 0..count {
            let sum = (row[0].wrapping_mul(i32::from(y[x])))
                .wrapping_add(row[1].wrapping_mul(i32::from(u[x])))
                .wrapping_add(row[2].wrapping_mul(i32::from(v[x])))
                .wrapping_add(bias);
            out[x] = (sum >> (COLOUR_BITS + FINE_BITS)).clamp(0, 255) as u8;
        }
    }
}

#[inline(always)]
pub(super) fn cut(levels: Levels, samples: &[u8], out: &mut [u8]) {
    for (out, sample) in out.iter_mut().zip(samples.as_chunks::<2>().0) {
        *out = levels.cut(u16::from_ne_bytes(*sample));
    }
}
