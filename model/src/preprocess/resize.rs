//! Resizing and cropping, equal to Pillow's `Image.resize` after torchvision's arithmetic on sizes.
//!
//! Only the part that the crop keeps is computed, row by row, so a picture of 1 by 4000 pixels needs no strip of
//! 224 by 896,000.

use super::resample::{HALF, Windows, add_weighted, to_pixels};
use super::{Image, Interpolation, ResizeMode};
use crate::error::Result;
use crate::memory;

/// What memory is asked for here.
const WHAT: &str = "resizing a picture";

/// Where the output lies in the resized picture along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    /// Length of the resized axis, pixels.
    resized: usize,
    /// First pixel that is kept.
    start: usize,
}

/// Resizes `image` and cuts it to `size` squared.
pub(super) fn fit(image: &Image, size: usize, mode: ResizeMode, filter: Interpolation) -> Result<Image> {
    let (horizontal, vertical) = match mode {
        ResizeMode::Squash => (Span { resized: size, start: 0 }, Span { resized: size, start: 0 }),
        ResizeMode::Shortest => {
            let shorter = image.width().min(image.height());
            (kept(image.width(), shorter, size), kept(image.height(), shorter, size))
        }
    };
    let columns = Windows::new(image.width(), horizontal.resized, horizontal.start, size, filter)?;
    let rows = Windows::new(image.height(), vertical.resized, vertical.start, size, filter)?;
    // Pillow's order of the two passes since version 13; the 8 bits between them make it matter.
    let saved = |length: usize, resized: usize| length.saturating_sub(resized);
    let vertical_first =
        saved(image.height(), vertical.resized) > 2 * saved(image.width(), horizontal.resized);
    let rgb = if vertical_first {
        vertical_then_horizontal(image, &columns, &rows)?
    } else {
        horizontal_then_vertical(image, &columns, &rows)?
    };
    Ok(Image::from_parts(size, size, rgb))
}

/// Each source row becomes a line of the output's width, which is added to the output rows that it belongs to.
fn horizontal_then_vertical(image: &Image, columns: &Windows, rows: &Windows) -> Result<Vec<u8>> {
    let row_bytes = 3 * columns.len();
    let mut sums = memory::filled(WHAT, HALF, rows.len() * row_bytes)?;
    let mut line = memory::filled(WHAT, 0, row_bytes)?;
    // The windows of the output rows start and end in order, so those that hold a source row are neighbours.
    let mut active = 0..0;
    for y in rows.source() {
        while active.end < rows.len() && rows.start(active.end) <= y {
            active.end += 1;
        }
        while active.start < active.end && rows.end(active.start) <= y {
            active.start += 1;
        }
        columns.resample_line(image.row(y), &mut line);
        for row in active.clone() {
            add_weighted(
                &mut sums[row * row_bytes..][..row_bytes],
                &line,
                rows.weights(row)[y - rows.start(row)],
            );
        }
    }
    let mut rgb = memory::filled(WHAT, 0, sums.len())?;
    to_pixels(&sums, &mut rgb);
    Ok(rgb)
}

/// Each output row is made at the source's width, then resampled to a line of the output.
fn vertical_then_horizontal(image: &Image, columns: &Windows, rows: &Windows) -> Result<Vec<u8>> {
    let row_bytes = 3 * columns.len();
    let needed = 3 * columns.source().start..3 * columns.source().end;
    let mut sums = memory::filled(WHAT, HALF, 3 * image.width())?;
    let mut wide = memory::filled(WHAT, 0, 3 * image.width())?;
    let mut rgb = memory::filled(WHAT, 0, rows.len() * row_bytes)?;
    for (row, line) in rgb.chunks_exact_mut(row_bytes).enumerate() {
        let sums = &mut sums[needed.clone()];
        sums.fill(HALF);
        for (offset, &weight) in rows.weights(row).iter().enumerate() {
            add_weighted(sums, &image.row(rows.start(row) + offset)[needed.clone()], weight);
        }
        to_pixels(sums, &mut wide[needed.clone()]);
        columns.resample_line(&wide, line);
    }
    Ok(rgb)
}

/// torchvision's arithmetic: the shorter side becomes `size`, the longer `int(size * longer / shorter)`; the crop
/// starts at `int(round((resized - size) / 2))`, where Python rounds halves to even.
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

    #[test]
    fn one_colour_stays_that_colour() {
        for (width, height) in [(1, 1), (1, 4000), (4000, 1), (3, 5), (64, 48)] {
            let image = Image::new(width, height, [7, 130, 255].repeat(width * height)).unwrap();
            for mode in [ResizeMode::Shortest, ResizeMode::Squash] {
                for filter in [Interpolation::Bicubic, Interpolation::Bilinear] {
                    let out = fit(&image, 24, mode, filter).unwrap();
                    assert_eq!((out.width(), out.height()), (24, 24));
                    assert_eq!(out.rgb(), [7, 130, 255].repeat(24 * 24));
                }
            }
        }
    }

    #[test]
    fn the_same_size_changes_nothing() {
        let rgb: Vec<u8> = (0..30 * 30 * 3).map(|i| (i * 37 % 251) as u8).collect();
        let image = Image::new(30, 30, rgb).unwrap();
        assert_eq!(fit(&image, 30, ResizeMode::Shortest, Interpolation::Bicubic).unwrap(), image);
    }
}
