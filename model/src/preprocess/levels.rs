//! Samples of 16 bits to 8, between two levels.

/// What becomes black and what white.
#[derive(Debug, Clone, Copy)]
pub(super) struct Levels {
    black: i32,
    /// Distance to white, of which the sign says whether the picture is inverted.
    distance: i32,
}

impl Levels {
    /// Of two that differ.
    pub(super) fn new((black, white): (u16, u16)) -> Levels {
        let distance = i32::from(white) - i32::from(black);
        Levels { black: i32::from(black), distance: if distance == 0 { 1 } else { distance } }
    }

    /// The level, cut to black and white, from 0 to 255; rounded to nearest, halves up.
    pub(super) fn cut(self, level: u16) -> u8 {
        let range = self.distance.abs();
        let above = ((i32::from(level) - self.black) * self.distance.signum()).clamp(0, range);
        // (above * 255 / range) rounded: twice both, so that the half is an integer.
        let (doubled, whole) = (510 * above + range, 2 * range);
        // A guess by single precision is at most one off, which is seen in integers.
        let guess = (above as f32 * (255.0 / range as f32) + 0.5) as i32;
        let rest = doubled - guess * whole;
        (guess + i32::from(rest >= whole) - i32::from(rest < 0)) as u8
    }

    /// [`Self::cut`] of a row of samples in this machine's byte order.
    pub(super) fn cut_row(self, samples: &[u8], out: &mut [u8]) {
        for (out, sample) in out.iter_mut().zip(samples.as_chunks::<2>().0) {
            *out = self.cut(u16::from_ne_bytes(*sample));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_is_rounded_exactly() {
        for levels in
            [(0, 65535), (0, 1), (1000, 3000), (3000, 1000), (65535, 0), (7, 65530), (0, 255), (0, 1023)]
        {
            let (black, white) = (i64::from(levels.0), i64::from(levels.1));
            for level in 0..=u16::MAX {
                let (above, range) =
                    ((i64::from(level) - black) * (white - black).signum(), (white - black).abs());
                let expected = (510 * above.clamp(0, range) + range) / (2 * range);
                assert_eq!(i64::from(Levels::new(levels).cut(level)), expected, "{levels:?} {level}");
            }
        }
    }
}
