//! How both axes of a picture are resampled, and in which order.

use super::super::weights::{Target, vertical_first};
use super::axis::Axis;
use crate::frame::Rect;
use crate::orientation::Orientation;

/// How both axes are resampled. Axes are those of the memory; output pixels are counted as they are looked at, so that what remains to be done is to let rows
/// and columns change places.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) columns: Axis,
    pub(super) rows: Axis,
    /// Whether columns of pixels become shorter before rows do.
    pub(super) rows_first: bool,
}

impl Plan {
    /// For a part of a picture that is turned before it is fitted.
    pub(super) fn new(part: Rect, orientation: Orientation, target: Target) -> Plan {
        let swapped = orientation.swaps_sides();
        let (width, height) = if swapped { (part.height, part.width) } else { (part.width, part.height) };
        let axes = target.resampling(width, height);
        let [of_columns, of_rows] = if swapped { [axes[1], axes[0]] } else { axes };
        let (backwards, upwards) = orientation.mirrors();
        let columns = Axis::new(part.left, of_columns, backwards);
        let rows = Axis::new(part.top, of_rows, upwards);
        let vertical_first = vertical_first(axes);
        Plan { columns, rows, rows_first: vertical_first != swapped }
    }
}
