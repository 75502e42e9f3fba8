//! PNG, by the crate `png`.

use std::io::Cursor;

use super::formats::unreadable;
use super::raster::{Raster, check_pixels};
use crate::error::{Error, Result};
use crate::memory;

/// What the decoder may allocate besides a few rows: texts and colour profiles.
const LIMIT: usize = 64 << 20;

/// Decodes to 8 bits: palettes and transparent values expanded, samples of 16 bits by their high byte.
pub(super) fn decode(encoded: &[u8], max_pixels: u64) -> Result<Raster> {
    let failed = |error: png::DecodingError| unreadable("PNG", error);
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(encoded), png::Limits { bytes: LIMIT });
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(failed)?;
    let (width, height) = (header.width, header.height);
    check_pixels(width, height, max_pixels)?;
    // The decoder keeps two rows and two windows of zlib's; rows have up to 8 bytes a pixel.
    drop(memory::with_capacity::<u8>("decoding a PNG picture", 32 * width as usize + (1 << 18))?);
    let mut reader = decoder.read_info().map_err(failed)?;
    let (colour, _) = reader.output_color_type();
    let bytes = reader
        .output_buffer_size()
        .ok_or_else(|| Error::Image(format!("PNG: {width}x{height} pixels do not fit into memory")))?;
    let mut samples = memory::filled("a PNG picture", 0, bytes)?;
    // Row by row, so that what follows the last row is not needed: some programs leave the end out.
    if reader.info().interlaced {
        let row_bytes = width as usize * colour.samples();
        let bits = 8 * colour.samples() as u8;
        for _ in 0..interlaced_rows(width, height) {
            let Some(row) = reader.next_interlaced_row().map_err(failed)? else { break };
            if let png::InterlaceInfo::Adam7(place) = row.interlace() {
                png::expand_interlaced_row(&mut samples, row_bytes, row.data(), place, bits);
            }
        }
    } else {
        for row in samples.chunks_exact_mut(width as usize * colour.samples()) {
            reader.read_row(row).map_err(failed)?;
        }
    }
    Raster::new(width, height, colour.samples(), samples)
}

/// Rows of all seven passes of a picture whose pixels are stored in the order of Adam7.
fn interlaced_rows(width: u32, height: u32) -> u32 {
    // First column, first row and distance of the rows of each pass.
    const PASSES: [(u32, u32, u32); 7] =
        [(0, 0, 8), (4, 0, 8), (0, 4, 8), (2, 0, 4), (0, 2, 4), (1, 0, 2), (0, 1, 2)];
    let rows = PASSES.iter().filter(|(left, top, _)| *left < width && *top < height);
    rows.map(|(_, top, step)| (height - top).div_ceil(*step)).sum()
}
