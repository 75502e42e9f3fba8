//! Elements of outputs, from bytes.

/// Single precision, in the host's byte order.
pub fn singles(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.chunks_exact(4).map(|b| f32::from_ne_bytes([b[0], b[1], b[2], b[3]]))
}

/// Half precision, in the host's byte order.
pub fn halves(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.chunks_exact(2).map(|b| single(u16::from_ne_bytes([b[0], b[1]])))
}

/// The number in single precision that has these bits in half precision.
fn single(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let (exponent, fraction) = (u32::from(bits >> 10 & 0x1f), u32::from(bits & 0x3ff));
    match exponent {
        // Below the normal numbers: multiples of 2^-24.
        0 => f32::from_bits(sign | (fraction as f32 / 16_777_216.0).to_bits()),
        0x1f => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        // The exponents' zeros are 15 and 127.
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_read() {
        let cases = [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65_504.0),
            (0x0001, 5.960_464_5e-8),
            (0x83ff, -6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (bits, number) in cases {
            assert_eq!(single(bits), number, "{bits:x}");
        }
        assert!(single(0x7e00).is_nan() && single(0x8000).is_sign_negative());
        let bytes: Vec<u8> = [0x3c00_u16, 0xc000].iter().flat_map(|n| n.to_ne_bytes()).collect();
        assert_eq!(halves(&bytes).collect::<Vec<_>>(), [1.0, -2.0]);
    }

    #[test]
    fn single_precision_is_read() {
        let numbers = [1.5f32, -0.25, f32::MAX];
        let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_ne_bytes()).collect();
        assert_eq!(singles(&bytes).collect::<Vec<_>>(), numbers);
    }
}
