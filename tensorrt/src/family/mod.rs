//! The families of versions, within each of which all virtual tables are the same.

mod rtx_1_3;
mod rtx_1_5;
mod table;
mod v10;
mod v11;

use std::fmt;

pub(crate) use table::Table;

/// A family of versions whose binary interface is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// TensorRT 10.
    TensorRt10,
    /// TensorRT 11.
    TensorRt11,
    /// TensorRT-RTX 1.3 and 1.4.
    Rtx1_3,
    /// TensorRT-RTX 1.5 to 1.7.
    Rtx1_5,
}

/// Where methods that only TensorRT-RTX has stand in the table of `VBuilderConfig`.
pub(crate) struct RtxTable {
    pub config_set_targets: usize,
    pub config_set_target: usize,
}

/// In both of RTX's families.
const RTX: RtxTable = RtxTable { config_set_targets: 55, config_set_target: 57 };

/// The compute capabilities that TensorRT-RTX 1.3 to 1.7 build engines for. (They say that they know 7.5, too, and then have
/// no single-precision products for it; Orin has 8.7, the H100 9.0, Thor 11.0, and there TensorRT itself is to be used.)
pub(crate) const RTX_TARGETS: [u32; 5] = [80, 86, 89, 120, 121];

/// What is known, in words.
pub(crate) const KNOWN: &str = "TensorRT 10 and 11, and TensorRT-RTX 1.3 to 1.7";

impl Family {
    /// All that are known.
    pub const ALL: [Family; 4] = [Family::TensorRt10, Family::TensorRt11, Family::Rtx1_3, Family::Rtx1_5];

    /// The family of a library, by what `getInferLibVersion` gives. Within a major version TensorRT's tables only grow at their ends; those of
    /// RTX have changed between 1.4 and 1.5, so that a later one than is known is not taken for one of them.
    pub(crate) fn of(number: i32) -> Option<Family> {
        match number {
            100_000..110_000 => Some(Family::TensorRt10),
            110_000..120_000 => Some(Family::TensorRt11),
            10_300..10_500 => Some(Family::Rtx1_3),
            10_500..10_800 => Some(Family::Rtx1_5),
            _ => None,
        }
    }

    /// As manifests call it.
    pub fn name(self) -> &'static str {
        match self {
            Family::TensorRt10 => "10",
            Family::TensorRt11 => "11",
            Family::Rtx1_3 => "rtx-1.3-1.4",
            Family::Rtx1_5 => "rtx-1.5-1.7",
        }
    }

    /// Whether it is TensorRT-RTX.
    pub fn is_rtx(self) -> bool {
        matches!(self, Family::Rtx1_3 | Family::Rtx1_5)
    }

    /// The compute capabilities that libraries of this family build engines for without such a GPU; none of TensorRT itself, which
    /// builds for the GPU that it is on.
    pub fn targets(self) -> &'static [u32] {
        if self.is_rtx() { &RTX_TARGETS } else { &[] }
    }

    pub(crate) fn table(self) -> &'static Table {
        match self {
            Family::TensorRt10 => &v10::TABLE,
            Family::TensorRt11 => &v11::TABLE,
            Family::Rtx1_3 => &rtx_1_3::TABLE,
            Family::Rtx1_5 => &rtx_1_5::TABLE,
        }
    }

    pub(crate) fn rtx(self) -> Option<&'static RtxTable> {
        self.is_rtx().then_some(&RTX)
    }

    /// The slot of each method that is called, and the value of each enumerator that is used, by their names in C++: to be held
    /// against a compiler's view of the headers.
    pub fn slots(self) -> Vec<(&'static str, usize)> {
        let mut slots = self.table().entries();
        if let Some(rtx) = self.rtx() {
            slots.push(("VBuilderConfig::setNbComputeCapabilities", rtx.config_set_targets));
            slots.push(("VBuilderConfig::setComputeCapability", rtx.config_set_target));
        }
        slots
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_nobody_has_looked_at_have_no_family() {
        for number in [0, 1, 8_601, 10_200, 10_800, 20_000, 99_999, 120_000, -1, i32::MAX] {
            assert_eq!(Family::of(number), None, "{number}");
        }
        for (number, family) in [
            (100_000, Family::TensorRt10),
            (101_600, Family::TensorRt10),
            (110_400, Family::TensorRt11),
            (10_400, Family::Rtx1_3),
            (10_701, Family::Rtx1_5),
        ] {
            assert_eq!(Family::of(number), Some(family), "{number}");
        }
    }
}
