//! The inner loops of resampling, in the widest instructions that this processor has. All of them compute with integers in the same way, so that
//! results do not depend on the processor; sums wrap around, as Pillow's do.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

use super::taps::{EXACT_BITS, LOW_BITS, Taps};
use crate::preprocess::levels::Levels;

/// Bits behind the point of a sample between two passes and before it becomes a colour.
pub(super) const FINE_BITS: u32 = 6;

/// Bits behind the point of a colour matrix.
const COLOUR_BITS: u32 = 13;

/// A set of instructions that this processor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kernel(Set);

/// Private, so that no other than [`Kernel::all`] says what the processor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

/// Rows of a plane that an output row is made of, and their weights.
pub(super) struct Rows<'a> {
    plane: &'a [u8],
    starts: &'a [usize],
    high: &'a [i16],
    low: &'a [i16],
    bits: u32,
    length: usize,
}

impl<'a> Rows<'a> {
    /// `length` bytes from each of `starts` on, an even number of them; with the weights of output `output` of `taps`, of which those beyond a window are 0.
    pub(super) fn new(
        plane: &'a [u8],
        starts: &'a [usize],
        taps: &'a Taps,
        output: usize,
        length: usize,
    ) -> Rows<'a> {
        let at = output * taps.width();
        let high = &taps.high()[at..][..starts.len()];
        let low = if taps.low().is_empty() { &[][..] } else { &taps.low()[at..][..starts.len()] };
        // The loops below read without asking again.
        assert!(starts.len().is_multiple_of(2), "rows come in pairs");
        for &start in starts {
            assert!(start <= plane.len() && length <= plane.len() - start, "rows lie in their plane");
        }
        Rows { plane, starts, high, low, bits: taps.bits(), length }
    }

    /// Pairs of rows.
    #[cfg(target_arch = "x86_64")]
    fn pairs(&self) -> usize {
        self.starts.len() / 2
    }
}

/// Samples of a row with the windows that are to be made of them.
struct Line<'a> {
    samples: &'a [i16],
    taps: &'a Taps,
    /// The sample of the plane that `samples` starts with.
    first: usize,
}

impl<'a> Line<'a> {
    fn new(samples: &'a [i16], taps: &'a Taps) -> Line<'a> {
        // The loops below read whole vectors, weighted with 0 beyond a window.
        assert!(samples.len() >= taps.needed().len() + taps.width(), "a line is padded");
        Line { samples, taps, first: taps.needed().start }
    }
}

/// A linear map from Y, U, V with [`FINE_BITS`] to red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Colours {
    /// Rows for red, green, blue; columns for Y, U, V; with [`COLOUR_BITS`].
    matrix: [[i32; 3]; 3],
    /// Added at the end, with all bits; rounds.
    bias: [i32; 3],
}

impl Colours {
    /// In fixed point.
    pub(super) fn new(map: &crate::frame::ToRgb) -> Colours {
        let one = f64::from(1 << COLOUR_BITS);
        let matrix = map.matrix.map(|row| row.map(|weight| (weight * one).round() as i32));
        let bias = std::array::from_fn(|colour| {
            let weights = map.matrix[colour].iter().zip(map.offset);
            let black: f64 = weights.map(|(weight, offset)| weight * offset).sum();
            ((0.5 - black) * one * f64::from(1 << FINE_BITS)).round() as i32
        });
        Colours { matrix, bias }
    }
}

/// Calls the function of that name of the set in use.
macro_rules! dispatch {
    ($set:expr, $name:ident($($argument:expr),*)) => {
        match $set {
            Set::Portable => portable::$name($($argument),*),
            // SAFETY of all: `Kernel::all` gives a set only where the processor has it.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { avx2::$name($($argument),*) },
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { avx512::$name($($argument),*) },
            #[cfg(target_arch = "aarch64")]
            Set::Neon => unsafe { neon::$name($($argument),*) },
        }
    };
}

impl Kernel {
    /// All that this processor has, the best last.
    pub(super) fn all() -> impl Iterator<Item = Kernel> {
        [
            Some(Set::Portable),
            #[cfg(target_arch = "x86_64")]
            std::arch::is_x86_feature_detected!("avx2").then_some(Set::Avx2),
            #[cfg(target_arch = "x86_64")]
            (std::arch::is_x86_feature_detected!("avx512f")
                && std::arch::is_x86_feature_detected!("avx512bw")
                && std::arch::is_x86_feature_detected!("avx512vnni")
                && std::arch::is_x86_feature_detected!("avx2"))
            .then_some(Set::Avx512),
            #[cfg(target_arch = "aarch64")]
            std::arch::is_aarch64_feature_detected!("neon").then_some(Set::Neon),
        ]
        .into_iter()
        .flatten()
        .map(Kernel)
    }

    /// The best.
    pub(super) fn best() -> Kernel {
        Kernel::all().last().unwrap_or(Kernel(Set::Portable))
    }

    /// Adds up rows with exact weights, cut to bytes; `out` has the rows' length.
    pub(super) fn rows_exact(self, rows: &Rows, out: &mut [u8]) {
        assert_eq!((out.len(), rows.low.len()), (rows.length, rows.high.len()), "exact rows");
        dispatch!(self.0, rows_exact(rows, out));
    }

    /// Adds up rows with fine weights to samples with [`FINE_BITS`]; `out` has the rows' length.
    pub(super) fn rows_fine(self, rows: &Rows, out: &mut [i16]) {
        assert_eq!(out.len(), rows.length, "fine rows");
        dispatch!(self.0, rows_fine(rows, out));
    }

    /// Makes of bytes that are 16 bits wide a byte for each window of exact `taps`.
    pub(super) fn line_exact(self, samples: &[i16], taps: &Taps, out: &mut [u8]) {
        let line = Line::new(samples, taps);
        assert_eq!((out.len(), taps.low().len()), (taps.len(), taps.high().len()), "an exact line");
        dispatch!(self.0, line_exact(&line, out));
    }

    /// Makes of samples with [`FINE_BITS`] one such for each window of fine `taps`.
    pub(super) fn line_fine(self, samples: &[i16], taps: &Taps, out: &mut [i16]) {
        let line = Line::new(samples, taps);
        assert_eq!(out.len(), taps.len(), "a fine line");
        dispatch!(self.0, line_fine(&line, out));
    }

    /// Takes every `step`th of `bytes` (1, 2, 3 or 4) from `offset` on, until `out` is full.
    pub(super) fn widen(self, bytes: &[u8], step: usize, offset: usize, out: &mut [i16]) {
        dispatch!(self.0, widen(bytes, step, offset, out));
    }

    /// Takes every `step`th sample (1, 2, 3 or 4) from `offset` on, until `out` is full.
    pub(super) fn pick(self, samples: &[i16], step: usize, offset: usize, out: &mut [i16]) {
        dispatch!(self.0, pick(samples, step, offset, out));
    }

    /// Cuts samples of 16 bits, in this machine's byte order, to bytes, until `out` is full.
    pub(super) fn cut(self, levels: Levels, samples: &[u8], out: &mut [u8]) {
        dispatch!(self.0, cut(levels, samples, out));
    }

    /// Makes red, green and blue of Y, U, V with [`FINE_BITS`]: three rows after each other, of as many samples each.
    pub(super) fn colours(self, yuv: [&[i16]; 3], colours: &Colours, out: &mut [u8]) {
        dispatch!(self.0, colours(yuv, colours, out));
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Interpolation;
    use super::super::super::weights::Resampling;
    use super::super::axis::Axis;
    use super::super::taps::Precision;
    use super::*;
    use proptest::prelude::*;

    fn noise(length: usize, seed: u64) -> impl Iterator<Item = u64> {
        let mut state = seed | 1;
        (0..length).map(move |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state >> 16
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn all_sets_of_instructions_agree(
            (rows, length) in (1usize..50, 1usize..200),
            count in 1usize..40,
            seed in any::<u64>(),
            (exact, extreme, mirrored) in (any::<bool>(), any::<bool>(), any::<bool>()),
            (step, offset) in (1usize..5, 0usize..4),
        ) {
            let level = |value: u64| if extreme { 255 * (value as u8 & 1) } else { value as u8 };
            let plane: Vec<u8> = noise(rows * length, seed).map(level).collect();
            let precision = if exact { Precision::Exact } else { Precision::Fine };
            let axis = |length| {
                let filter = Interpolation::Bicubic;
                let of = Resampling { source: length, resized: count, start: 0, kept: count, filter };
                Axis::new(0, of, mirrored)
            };
            let (mut down, mut across) = (Taps::default(), Taps::default());
            down.prepare(axis(rows), precision).unwrap();
            across.prepare(axis(length), precision).unwrap();
            let range = if exact { 0..256 } else { -20000..20000 };
            let span = (range.end - range.start) as u64;
            let samples: Vec<i16> = noise(length + across.width(), seed ^ 99)
                .map(|value| (range.start + (value % span) as i32) as i16)
                .collect();
            let long: Vec<i16> = noise(step * length + 4, seed ^ 7).map(|value| value as i16).collect();
            let colours = Colours::new(&crate::frame::Color::assumed(1080).to_rgb());
            let results: Vec<_> = Kernel::all().map(|kernel| {
                let output = seed as usize % count;
                let window = down.window(output);
                let mut starts: Vec<usize> = window.clone().map(|row| row * length).collect();
                if starts.len() % 2 == 1 {
                    starts.push(starts[0]);
                }
                let rows = Rows::new(&plane, &starts, &down, output, length);
                let (mut bytes, mut fine) = (vec![0; length], vec![0; length]);
                let (mut line_bytes, mut line_fine) = (vec![0; count], vec![0; count]);
                if exact {
                    kernel.rows_exact(&rows, &mut bytes);
                    kernel.line_exact(&samples, &across, &mut line_bytes);
                } else {
                    kernel.rows_fine(&rows, &mut fine);
                    kernel.line_fine(&samples, &across, &mut line_fine);
                }
                let few = plane.len() / step;
                let (mut wide, mut picked) = (vec![0; few.saturating_sub(1)], vec![0; length]);
                kernel.widen(&plane, step, offset % step, &mut wide);
                kernel.pick(&long, step, offset % step, &mut picked);
                let mut rgb = vec![0; 3 * length];
                let mut cut = vec![0; few.saturating_sub(1) / 2];
                kernel.cut(Levels::new((900, seed as u16)), &plane, &mut cut);
                kernel.colours([&samples[..length], &long[..length], &long[2..][..length]], &colours, &mut rgb);
                (bytes, fine, line_bytes, line_fine, wide, picked, cut, rgb)
            }).collect();
            for result in &results[1..] {
                prop_assert_eq!(result, &results[0]);
            }
        }
    }
}
