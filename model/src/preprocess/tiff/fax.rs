//! CCITT's compressions of black and white: modified Huffman (TIFF 6.0, section 10), Group 3 (T.4) and Group 4 (T.6).
//! The code tables are the crate `fax`'s.

use std::convert::Infallible;

use fax::maps::{Mode, black, mode, white};
use fax::{BitReader, ByteReader, Color};

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// Runs; each row starts at a byte.
    Huffman,
    /// Runs, or with the option differences from the row before, between marks of ends of lines.
    Group3 { two_dimensional: bool },
    /// Differences from the row before.
    Group4,
}

/// Zeros that a code may need to look ahead beyond the data's end.
const PADDING: usize = 4;

/// A row changes its colour at most at every pixel; empty runs may come between.
fn most_changes(width: usize) -> usize {
    2 * width + 2
}

struct Reader<I: Iterator<Item = Result<u8, Infallible>>>(ByteReader<I>);

/// Decodes to rows of packed bits, black set, as far as the data goes; how many rows those are.
pub(super) fn decode(scheme: Scheme, data: &[u8], width: usize, rows: &mut [u8]) -> Option<usize> {
    let bytes = data.iter().copied().chain([0; PADDING]).map(Ok::<u8, Infallible>);
    let mut reader = Reader(ByteReader::new(bytes).ok()?);
    let row_bytes = width.div_ceil(8);
    // Where the colour changes: to black, to white, and so on.
    let (mut before, mut changes): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
    let mut decoded = 0;
    for row in rows.chunks_exact_mut(row_bytes) {
        changes.clear();
        let complete = match scheme {
            Scheme::Huffman => {
                let complete = reader.runs(width, &mut changes);
                let padding = reader.0.bits_to_byte_boundary();
                complete && reader.0.consume(padding).is_ok()
            }
            Scheme::Group3 { two_dimensional } => {
                reader.skip_line_end();
                if two_dimensional && reader.bits(1)? == 0 {
                    reader.differences(width, &before, &mut changes)?
                } else {
                    reader.runs(width, &mut changes)
                }
            }
            Scheme::Group4 => reader.differences(width, &before, &mut changes)?,
        };
        if !complete {
            break;
        }
        for run in changes.chunks(2) {
            for x in run[0].min(width)..run.get(1).map_or(width, |&end| end.min(width)) {
                row[x / 8] |= 0x80 >> (x % 8);
            }
        }
        decoded += 1;
        std::mem::swap(&mut before, &mut changes);
    }
    Some(decoded)
}

impl<I: Iterator<Item = Result<u8, Infallible>>> Reader<I> {
    fn bits(&mut self, count: u8) -> Option<u16> {
        let bits = self.0.peek(count)?;
        self.0.consume(count).ok()?;
        Some(bits)
    }

    /// Eleven zeros or more, and a one.
    fn skip_line_end(&mut self) {
        if self.0.peek(11) == Some(0) {
            while self.bits(1) == Some(0) {}
        }
    }

    /// The length of a run: any number of make-up codes and a terminating one.
    fn run(&mut self, colour: Color) -> Option<usize> {
        let mut total = 0;
        loop {
            let code = match colour {
                Color::White => white::decode(&mut self.0)?,
                Color::Black => black::decode(&mut self.0)?,
            };
            total += usize::from(code);
            if code < 64 {
                return Some(total);
            }
        }
    }

    /// A row of runs, white first; false where the data ends or has no such code.
    fn runs(&mut self, width: usize, changes: &mut Vec<usize>) -> bool {
        let (mut at, mut colour) = (0, Color::White);
        while at < width {
            let Some(run) = self.run(colour) else { return false };
            at += run;
            changes.push(at.min(width));
            if changes.len() > most_changes(width) {
                return false;
            }
            colour = !colour;
        }
        true
    }

    /// A row of differences from the row before: Some(false) at the end of the picture, None for what is no code.
    fn differences(&mut self, width: usize, before: &[usize], changes: &mut Vec<usize>) -> Option<bool> {
        let (mut at, mut colour) = (None, Color::White);
        let mut from = 0;
        while at.unwrap_or(0) < width {
            // The first change of the row before to the other colour, right of here.
            while from > 0 && before.get(from - 1).is_some_and(|&change| at.is_none_or(|at| change > at)) {
                from -= 1;
            }
            let wanted = usize::from(matches!(colour, Color::Black));
            while before
                .get(from)
                .is_some_and(|&change| from % 2 != wanted || at.is_some_and(|at| change <= at))
            {
                from += 1;
            }
            let change = before.get(from).copied().unwrap_or(width);
            match mode::decode(&mut self.0)? {
                Mode::Pass => at = Some(before.get(from + 1).copied().unwrap_or(width)),
                Mode::Horizontal => {
                    let mut end = at.unwrap_or(0);
                    for colour in [colour, !colour] {
                        end += self.run(colour)?;
                        changes.push(end.min(width));
                    }
                    at = Some(end);
                }
                Mode::Vertical(offset) => {
                    let end = change
                        .checked_add_signed(isize::from(offset))
                        .filter(|&end| end >= at.unwrap_or(0))?;
                    changes.push(end.min(width));
                    at = Some(end);
                    colour = !colour;
                }
                Mode::EOF => return Some(false),
                Mode::Extension => return None,
            }
            if changes.len() > most_changes(width) {
                return None;
            }
        }
        Some(true)
    }
}
