//! TensorRT's version numbers.

use std::fmt;

/// A version of TensorRT or of TensorRT-RTX.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
    /// The third number.
    pub patch: u32,
}

impl Version {
    /// Of what `getInferLibVersion` gives: `major * 10000 + minor * 100 + patch`, and before TensorRT 10
    /// `major * 1000 + minor * 100 + patch`.
    pub(crate) fn of(number: i32) -> Version {
        let number = number.unsigned_abs();
        let unit = if number < 10_000 { 1_000 } else { 10_000 };
        Version { major: number / unit, minor: number % unit / 100, patch: number % 100 }
    }
}

/// `11.4.0`
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_the_library_counts_them() {
        for (number, version) in
            [(110_400, "11.4.0"), (101_303, "10.13.3"), (10_701, "1.7.1"), (8_601, "8.6.1"), (0, "0.0.0")]
        {
            assert_eq!(Version::of(number).to_string(), version);
        }
    }
}
