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

/// Decodes to rows of packed bits, black set; what follows the mark of the picture's end stays white. None where the data
/// is damaged or ends early.
pub(super) fn decode(scheme: Scheme, data: &[u8], width: usize, rows: &mut [u8]) -> Option<()> {
    let bytes = data.iter().copied().chain([0; PADDING]).map(Ok::<u8, Infallible>);
    let mut reader = Reader(ByteReader::new(bytes).ok()?);
    let row_bytes = width.div_ceil(8);
    // Where the colour changes: to black, to white, and so on.
    let (mut before, mut changes): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
    for row in rows.chunks_exact_mut(row_bytes) {
        changes.clear();
        match scheme {
            Scheme::Huffman => {
                reader.runs(width, &mut changes)?;
                let padding = reader.0.bits_to_byte_boundary();
                reader.0.consume(padding).ok()?;
            }
            Scheme::Group3 { two_dimensional } => {
                reader.skip_line_end();
                if reader.at_line_end() {
                    break;
                }
                if two_dimensional && reader.bits(1)? == 0 {
                    reader.differences(width, &before, &mut changes)?;
                } else {
                    reader.runs(width, &mut changes)?;
                }
            }
            Scheme::Group4 if reader.at_line_end() => break,
            Scheme::Group4 => reader.differences(width, &before, &mut changes)?,
        }
        for run in changes.chunks(2) {
            for x in run[0].min(width)..run.get(1).map_or(width, |&end| end.min(width)) {
                row[x / 8] |= 0x80 >> (x % 8);
            }
        }
        std::mem::swap(&mut before, &mut changes);
    }
    Some(())
}

impl<I: Iterator<Item = Result<u8, Infallible>>> Reader<I> {
    fn bits(&mut self, count: u8) -> Option<u16> {
        let bits = self.0.peek(count)?;
        self.0.consume(count).ok()?;
        Some(bits)
    }

    /// The mark of a line's end; where a line should begin, two or more of them end the picture.
    fn at_line_end(&self) -> bool {
        self.0.peek(12) == Some(1)
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

    /// A row of runs, white first.
    fn runs(&mut self, width: usize, changes: &mut Vec<usize>) -> Option<()> {
        let (mut at, mut colour) = (0, Color::White);
        while at < width {
            at += self.run(colour)?;
            changes.push(at.min(width));
            if changes.len() > most_changes(width) {
                return None;
            }
            colour = !colour;
        }
        Some(())
    }

    /// A row of differences from the row before.
    fn differences(&mut self, width: usize, before: &[usize], changes: &mut Vec<usize>) -> Option<()> {
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
                Mode::EOF | Mode::Extension => return None,
            }
            if changes.len() > most_changes(width) {
                return None;
            }
        }
        Some(())
    }
}
