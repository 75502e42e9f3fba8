//! Samples of 16 bits to 8, between two levels.

/// What becomes black and what white.
#[derive(Debug, Clone, Copy)]
pub(super) struct Levels {
    black: i32,
    /// 1, or -1 where the picture is inverted.
    sign: i32,
    /// Distance between the two.
    range: i32,
}

impl Levels {
    /// Of two that differ.
    pub(super) fn new((black, white): (u16, u16)) -> Levels {
        let distance = i32::from(white) - i32::from(black);
        let sign = if distance < 0 { -1 } else { 1 };
        Levels { black: i32::from(black), sign, range: distance.abs().max(1) }
    }

    /// The level, cut to black and white, from 0 to 255; rounded to nearest, halves up.
    // Nothing here overflows; to say so is what lets the compiler make vectors of a row of them.
    #[inline(always)]
    pub(super) fn cut(self, level: u16) -> u8 {
        let above = i32::from(level).wrapping_sub(self.black).wrapping_mul(self.sign);
        let above = above.max(0).min(self.range);
        // (above * 255 / range) rounded: twice both, so that the half is an integer.
        let doubled = above.wrapping_mul(510).wrapping_add(self.range);
        let whole = self.range.wrapping_mul(2);
        // A guess by single precision is at most one off, which is seen in integers.
        let guess = (above as f32 * (255.0 / self.range as f32) + 0.5) as i32;
        let rest = doubled.wrapping_sub(guess.wrapping_mul(whole));
        guess.wrapping_add(i32::from(rest >= whole)).wrapping_sub(i32::from(rest < 0)) as u8
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
