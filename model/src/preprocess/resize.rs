//! Resizing and cropping, equal to Pillow's `Image.resize` after torchvision's arithmetic on sizes.
//!
//! Only the part that the crop keeps is computed, row by row, so a picture of 1 by 4000 pixels needs no strip of
//! 224 by 896,000.

use super::resample::{HALF, Windows, add_weighted, to_pixels};
use super::weights::vertical_first;
use super::{Image, Preprocess};
use crate::error::Result;
use crate::memory;

/// What memory is asked for here.
const WHAT: &str = "resizing a picture";

/// Resizes `image` and cuts it to the size of the input.
pub(super) fn fit(image: &Image, preprocess: &Preprocess) -> Result<Image> {
    let (size, axes) = (preprocess.size, preprocess.resampling(image.width(), image.height()));
    let (columns, rows) = (Windows::new(axes[0])?, Windows::new(axes[1])?);
    let rgb = if vertical_first(axes) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preprocess::{Interpolation, ResizeMode};

    fn to(size: usize, resize_mode: ResizeMode, interpolation: Interpolation) -> Preprocess {
        Preprocess { size, resize_mode, interpolation, ..Preprocess::default() }
    }

    #[test]
    fn one_colour_stays_that_colour() {
        for (width, height) in [(1, 1), (1, 4000), (4000, 1), (3, 5), (64, 48)] {
            let image = Image::new(width, height, [7, 130, 255].repeat(width * height)).unwrap();
            for mode in [ResizeMode::Shortest, ResizeMode::Squash] {
                for filter in [Interpolation::Bicubic, Interpolation::Bilinear] {
                    let out = fit(&image, &to(24, mode, filter)).unwrap();
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
        assert_eq!(fit(&image, &to(30, ResizeMode::Shortest, Interpolation::Bicubic)).unwrap(), image);
    }
}
