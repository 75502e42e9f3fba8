//! PNM: PBM, PGM and PPM, plain (P1 to P3) and raw (P4 to P6), and grey PFM (Pf).

use super::raster::{Raster, check_pixels};
use crate::error::{Error, Result};
use crate::memory;

/// Longest number in a file, digits.
const DIGITS: usize = 10;

/// Whether these bytes start a PNM.
pub(super) fn recognized(encoded: &[u8]) -> bool {
    matches!(encoded, [b'P', b'1'..=b'6' | b'f', space, ..] if space.is_ascii_whitespace())
}

fn bad(what: impl std::fmt::Display) -> Error {
    Error::Image(format!("PNM: {what}"))
}

/// Decodes to grey or RGB.
pub(super) fn decode(encoded: &[u8], max_pixels: u64) -> Result<Raster> {
    let mut rest = &encoded[2..];
    let kind = encoded[1];
    let width = number(&mut rest)?;
    let height = number(&mut rest)?;
    check_pixels(width, height, max_pixels)?;
    let channels = if matches!(kind, b'3' | b'6') { 3 } else { 1 };
    let count = width as usize * height as usize * channels;
    let samples = match kind {
        b'1' => plain_bits(rest, count)?,
        b'4' => raw_bits(rest, width as usize, height as usize)?,
        b'f' => floats(rest, width as usize, height as usize)?,
        _ => {
            let largest = number(&mut rest)?;
            if !(1..1 << 16).contains(&largest) {
                return Err(bad(format!("the largest value is {largest}, expected 1 to 65535")));
            }
            let levels = levels(largest, channels == 1);
            if kind <= b'3' { plain(rest, count, &levels)? } else { raw(rest, count, &levels)? }
        }
    };
    Raster::new(width, height, channels, samples)
}

/// The 8-bit level of each value up to the largest. Grey of more than 8 bits is scaled to 16 bits, of which it gives
/// the high byte.
fn levels(largest: u32, grey: bool) -> Vec<u8> {
    let scaled = |value: u32, to: f64| (f64::from(value) / f64::from(largest) * to).round_ties_even() as u32;
    (0..=largest)
        .map(|value| match grey && largest > 255 {
            true => (scaled(value, 65535.0) >> 8) as u8,
            false => scaled(value, 255.0) as u8,
        })
        .collect()
}

/// The next word; comments go from `#` to the end of the line.
fn word<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    loop {
        let start = rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
        *rest = &rest[start..];
        if rest[0] != b'#' {
            break;
        }
        *rest = &rest[rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'))?..];
    }
    let end = rest.iter().position(|&byte| byte.is_ascii_whitespace() || byte == b'#').unwrap_or(rest.len());
    let (word, tail) = rest.split_at(end);
    // One white space ends a header; what follows may be pixels.
    *rest = if tail.first() == Some(&b'#') { tail } else { tail.get(1..).unwrap_or_default() };
    Some(word)
}

fn number(rest: &mut &[u8]) -> Result<u32> {
    let word = word(rest).ok_or_else(|| bad("the file ends early"))?;
    let text = std::str::from_utf8(&word[..word.len().min(DIGITS + 1)]).unwrap_or("?");
    text.parse().map_err(|_| bad(format!("{text:?} where a number is expected")))
}

fn plain(mut rest: &[u8], count: usize, levels: &[u8]) -> Result<Vec<u8>> {
    let mut samples = memory::with_capacity("a PNM picture", count)?;
    for _ in 0..count {
        let value = number(&mut rest)? as usize;
        let level = levels.get(value);
        samples
            .push(*level.ok_or_else(|| bad(format!("value {value}, at most {} allowed", levels.len() - 1)))?);
    }
    Ok(samples)
}

fn raw(rest: &[u8], count: usize, levels: &[u8]) -> Result<Vec<u8>> {
    let wide = levels.len() > 256;
    let bytes = if wide { 2 * count } else { count };
    let data = rest.get(..bytes).ok_or_else(|| bad("the pixels end early"))?;
    let level = |value: usize| levels[value.min(levels.len() - 1)];
    let mut samples = memory::with_capacity("a PNM picture", count)?;
    if levels.len() == 256 {
        samples.extend_from_slice(data);
    } else if wide {
        samples.extend(
            data.chunks_exact(2).map(|pair| level(usize::from(u16::from_be_bytes([pair[0], pair[1]])))),
        );
    } else {
        samples.extend(data.iter().map(|&value| level(usize::from(value))));
    }
    Ok(samples)
}

/// Digits with or without space between them; 1 is black.
fn plain_bits(mut rest: &[u8], count: usize) -> Result<Vec<u8>> {
    let mut samples = memory::with_capacity("a PNM picture", count)?;
    while samples.len() < count {
        let word = word(&mut rest).ok_or_else(|| bad("the pixels end early"))?;
        for &digit in &word[..word.len().min(count - samples.len())] {
            samples.push(match digit {
                b'0' => 255,
                b'1' => 0,
                other => return Err(bad(format!("{:?} where 0 or 1 is expected", char::from(other)))),
            });
        }
    }
    Ok(samples)
}

/// Rows padded to bytes; 1 is black.
fn raw_bits(rest: &[u8], width: usize, height: usize) -> Result<Vec<u8>> {
    let row_bytes = width.div_ceil(8);
    let data = rest.get(..row_bytes * height).ok_or_else(|| bad("the pixels end early"))?;
    let mut samples = memory::with_capacity("a PNM picture", width * height)?;
    for row in data.chunks_exact(row_bytes) {
        samples.extend((0..width).map(|x| if row[x / 8] >> (7 - x % 8) & 1 == 1 { 0 } else { 255 }));
    }
    Ok(samples)
}

/// Rows from the bottom up, after a number whose sign tells the byte order. As Pillow converts them, values below 0 and
/// above 255 are cut.
fn floats(mut rest: &[u8], width: usize, height: usize) -> Result<Vec<u8>> {
    let scale = word(&mut rest).and_then(|word| std::str::from_utf8(word).ok()?.parse::<f64>().ok());
    let scale = scale.filter(|scale| scale.is_finite() && *scale != 0.0).ok_or_else(|| bad("no scale"))?;
    let data = rest.get(..4 * width * height).ok_or_else(|| bad("the pixels end early"))?;
    let mut samples = memory::with_capacity("a PNM picture", width * height)?;
    for row in data.chunks_exact(4 * width).rev() {
        samples.extend(row.as_chunks::<4>().0.iter().map(|&bytes| {
            let value = if scale < 0.0 { f32::from_le_bytes(bytes) } else { f32::from_be_bytes(bytes) };
            value as u8
        }));
    }
    Ok(samples)
}
