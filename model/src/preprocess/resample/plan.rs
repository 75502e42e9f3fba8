//! How both axes of a picture are resampled, and in which order.

use super::super::{Interpolation, ResizeMode};
use super::axis::Axis;
use super::span::spans;
use crate::frame::Rect;
use crate::orientation::Orientation;

/// What a picture becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Target {
    /// Side of the square, pixels.
    pub(in super::super) size: usize,
    /// What happens to pictures that are not square.
    pub(in super::super) mode: ResizeMode,
    /// The filter.
    pub(in super::super) filter: Interpolation,
}

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
        let Target { size, mode, filter } = target;
        let swapped = orientation.swaps_sides();
        let (across, down) = match swapped {
            true => spans(part.height, part.width, size, mode),
            false => spans(part.width, part.height, size, mode),
        };
        let (of_columns, of_rows) = if swapped { (down, across) } else { (across, down) };
        let (backwards, upwards) = orientation.mirrors();
        let columns = Axis::new(part.left, part.width, of_columns, size, filter, backwards);
        let rows = Axis::new(part.top, part.height, of_rows, size, filter, upwards);
        // Pillow's order of the two passes since version 13; the 8 bits between them make it matter.
        let (horizontal, vertical) = if swapped { (rows, columns) } else { (columns, rows) };
        let vertical_first = vertical.saved() > 2 * horizontal.saved();
        Plan { columns, rows, rows_first: vertical_first != swapped }
    }
}
