//! From a TIFF's samples to grey or RGB, as Pillow and libtiff convert them.

/// What YCbCr means: TIFF's YCbCrCoefficients and ReferenceBlackWhite.
pub(super) struct YCbCr {
    luma: [i32; 256],
    red: [i32; 256],
    blue: [i32; 256],
    /// Fixed point, 16 bits.
    green_of_cr: [i32; 256],
    green_of_cb: [i32; 256],
}

impl YCbCr {
    /// libtiff's tables, `TIFFYCbCrToRGBInit` in tif_color.c.
    pub(super) fn new(coefficients: [f64; 3], reference: [f64; 6]) -> YCbCr {
        const HALF: i32 = 1 << 15;
        let [red, green, blue] = coefficients.map(|value| value as f32);
        let fixed = |value: f32| (f64::from(value) * 65536.0 + 0.5) as i32;
        let red_part = 2.0 - 2.0 * red;
        let blue_part = 2.0 - 2.0 * blue;
        let factors = (
            fixed(red_part),
            -fixed(red * red_part / green),
            fixed(blue_part),
            -fixed(blue * blue_part / green),
        );
        // A code between reference black and white, stretched to `range`.
        let value = |code: i32, black: f64, white: f64, range: f32| {
            let (black, width) = (black as i32, (white - black) as f32);
            let value = code.saturating_sub(black) as f32 * range / if width == 0.0 { 1.0 } else { width };
            value.clamp(-4096.0, 4096.0) as i32
        };
        let table = |of: &dyn Fn(i32) -> i32| std::array::from_fn(|code| of(code as i32));
        let chroma =
            |code: i32, n: usize| value(code - 128, reference[n] - 128.0, reference[n + 1] - 128.0, 127.0);
        let times = |factor: i32, value: i32| factor.wrapping_mul(value);
        YCbCr {
            luma: table(&|code| value(code, reference[0], reference[1], 255.0)),
            red: table(&|code| times(factors.0, chroma(code, 4)).wrapping_add(HALF) >> 16),
            blue: table(&|code| times(factors.2, chroma(code, 2)).wrapping_add(HALF) >> 16),
            green_of_cr: table(&|code| times(factors.1, chroma(code, 4))),
            green_of_cb: table(&|code| times(factors.3, chroma(code, 2)).wrapping_add(HALF)),
        }
    }

    /// One pixel.
    pub(super) fn rgb(&self, [y, cb, cr]: [u8; 3]) -> [u8; 3] {
        let (y, cb, cr) = (self.luma[usize::from(y)], usize::from(cb), usize::from(cr));
        let green = self.green_of_cb[cb].wrapping_add(self.green_of_cr[cr]) >> 16;
        [y + self.red[cr], y + green, y + self.blue[cb]].map(|value| value.clamp(0, 255) as u8)
    }
}

/// One pixel of JFIF's YCbCr, in the fixed point of 6 bits that Pillow has for it (`ImagingConvertYCbCr2RGB`).
pub(super) fn jfif_to_rgb([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let part = |code: u8, factor: f64| ((f64::from(code) - 128.0) * factor * 64.0 + 0.5) as i32;
    let parts = [part(cr, 1.402), part(cb, -0.34414) + part(cr, -0.71414), part(cb, 1.772)];
    parts.map(|part| (i32::from(y) + (part >> 6)).clamp(0, 255) as u8)
}

/// CIE L*a*b* with the white D50, a and b stored as signed numbers, to sRGB.
pub(super) fn lab_to_rgb([lightness, a, b]: [u8; 3]) -> [u8; 3] {
    // D50, and the matrix from XYZ of that white to linear sRGB (Bradford adaptation, IEC 61966-2-1 and ICC.1).
    const WHITE: [f64; 3] = [0.9642, 1.0, 0.8249];
    const TO_RGB: [[f64; 3]; 3] = [
        [3.134_187_4, -1.617_209_0, -0.490_694_1],
        [-0.978_749_9, 1.916_130_0, 0.033_433_6],
        [0.071_964_0, -0.228_993_8, 1.405_753_7],
    ];
    let fy = (f64::from(lightness) * 100.0 / 255.0 + 16.0) / 116.0;
    let inverse = |t: f64| if t > 24.0 / 116.0 { t * t * t } else { (108.0 / 841.0) * (t - 16.0 / 116.0) };
    let (a, b) = (f64::from(a as i8), f64::from(b as i8));
    let xyz = [inverse(fy + a / 500.0), inverse(fy), inverse(fy - b / 200.0)];
    TO_RGB.map(|row| {
        let linear: f64 = (0..3).map(|n| row[n] * xyz[n] * WHITE[n]).sum();
        let encoded =
            if linear <= 0.003_130_8 { 12.92 * linear } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 };
        (encoded * 255.0).round().clamp(0.0, 255.0) as u8
    })
}

/// Straight from premultiplied, as Pillow does it.
pub(super) fn unmultiplied(value: u8, alpha: u8) -> u8 {
    match alpha {
        0 => 0,
        255 => value,
        _ => (u32::from(value) * 255 / u32::from(alpha)).min(255) as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lab_is_what_colorimetry_says() {
        // L*a*b* of sRGB's white, black, mid grey and primaries under D50 (Bradford), rounded to whole numbers.
        for (lab, rgb) in [
            ([255, 0, 0], [255, 255, 255]),
            ([0, 0, 0], [0, 0, 0]),
            ([137, 0, 0], [128, 128, 128]),
            ([138, 81, 70], [255, 0, 0]),
            ([224, 177, 81], [0, 255, 0]),
            ([75, 68, 144], [0, 0, 255]),
        ] {
            for (found, expected) in lab_to_rgb(lab).into_iter().zip(rgb) {
                // At the edge of sRGB a rounded a* or b* is several levels of a dark channel.
                assert!(found.abs_diff(expected) <= 10, "{lab:?}: {found}, expected {expected}");
            }
        }
    }

    #[test]
    fn jfif_is_rounded_as_pillow_does() {
        // Image.frombytes("YCbCr", (1, 1), bytes(...)).convert("RGB") of Pillow 13.0.
        for (ycbcr, rgb) in [
            ([0, 0, 0], [0, 135, 0]),
            ([255, 255, 255], [255, 120, 255]),
            ([76, 85, 255], [254, 0, 0]),
            ([128, 128, 128], [128, 128, 128]),
            ([68, 32, 130], [70, 99, 0]),
            ([60, 253, 230], [203, 0, 255]),
            ([241, 194, 107], [211, 233, 255]),
            ([199, 221, 1], [20, 255, 255]),
            ([228, 136, 117], [212, 233, 242]),
            ([52, 162, 15], [0, 121, 112]),
        ] {
            assert_eq!(jfif_to_rgb(ycbcr), rgb, "{ycbcr:?}");
        }
    }

    #[test]
    fn ycbcr_of_jpegs_coefficients() {
        let table = YCbCr::new([0.299, 0.587, 0.114], [0.0, 255.0, 128.0, 255.0, 128.0, 255.0]);
        for (ycbcr, rgb) in
            [([255, 128, 128], [255; 3]), ([0, 128, 128], [0; 3]), ([76, 85, 255], [254, 0, 0])]
        {
            assert_eq!(table.rgb(ycbcr), rgb);
        }
        // Whatever a file says, no number overflows.
        for odd in [0.0, f64::MAX, f64::MIN, 1e-30] {
            let table = YCbCr::new([odd; 3], [odd, 0.0, odd, 1.0, -odd, odd]);
            table.rgb([255, 0, 255]);
        }
    }
}
