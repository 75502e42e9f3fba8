//! Which part of a resized axis is kept: torchvision's arithmetic.

use super::super::ResizeMode;

/// Where the output lies in the resized picture along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// Length of the resized axis, pixels.
    pub(super) resized: usize,
    /// First pixel that is kept.
    pub(super) start: usize,
}

/// The spans of both axes of a picture of `width` by `height` that becomes `size` squared.
pub(super) fn spans(width: usize, height: usize, size: usize, mode: ResizeMode) -> (Span, Span) {
    match mode {
        ResizeMode::Squash => (Span { resized: size, start: 0 }, Span { resized: size, start: 0 }),
        ResizeMode::Shortest => {
            let shorter = width.min(height);
            (kept(width, shorter, size), kept(height, shorter, size))
        }
    }
}

/// The shorter side becomes `size`, the longer `int(size * longer / shorter)`; the crop starts at
/// `int(round((resized - size) / 2))`, where Python rounds halves to even.
fn kept(length: usize, shorter: usize, size: usize) -> Span {
    let resized =
        if length == shorter { size } else { (size as f64 * length as f64 / shorter as f64) as usize };
    let margin = resized - size;
    let half = margin / 2;
    Span { resized, start: half + usize::from(margin % 2 == 1 && half % 2 == 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_margins_are_those_of_torchvision() {
        // python: r = int(size * long / short); c = int(round((r - size) / 2.0))
        for (length, shorter, size, resized, start) in [
            (640, 480, 224, 298, 37),
            (500, 375, 224, 298, 37),
            (227, 224, 224, 227, 2),
            (225, 224, 224, 225, 0),
            (224, 224, 224, 224, 0),
            (4000, 1, 224, 896_000, 447_888),
            (333, 100, 32, 106, 37),
            (101, 100, 32, 32, 0),
        ] {
            assert_eq!(kept(length, shorter, size), Span { resized, start }, "{length} {shorter} {size}");
        }
    }
}
