//! NumPy's file format, version 1.0:
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use std::io::{self, Write};
use std::path::Path;

use clip_model::{Result, files};

/// Header and magic string together fill a multiple of this.
const ALIGNMENT: usize = 64;

/// Writes rows of `columns` numbers as a float32 matrix, atomically.
pub fn write(path: &Path, values: &[f32], columns: usize) -> Result<()> {
    files::write_atomically(path, |out| write_to(out, values, columns))
}

/// The same, to what is open already.
pub fn write_to(out: &mut impl Write, values: &[f32], columns: usize) -> io::Result<()> {
    out.write_all(&header(values.len() / columns.max(1), columns))?;
    values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))
}

/// Magic string, version, length of what follows (16 bits), then a Python dictionary padded with spaces.
fn header(rows: usize, columns: usize) -> Vec<u8> {
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let before = 6 + 2 + 2;
    let total = (before + text.len() + 1).next_multiple_of(ALIGNMENT);
    text.extend(std::iter::repeat_n(' ', total - before - text.len() - 1));
    text.push('\n');
    // Two numbers of at most 20 digits: the text has far less than 2^16 bytes.
    let length = (text.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00".as_slice(), &length, text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_aligned_whatever_the_shape() {
        for rows in [0, 1, 10, 999_999, usize::MAX] {
            let header = header(rows, 512);
            assert_eq!(header.len() % ALIGNMENT, 0);
            assert_eq!(usize::from(u16::from_le_bytes([header[8], header[9]])), header.len() - 10);
            assert!(header.starts_with(b"\x93NUMPY\x01\x00") && header.ends_with(b"\n"));
            let text = String::from_utf8_lossy(&header[10..]).into_owned();
            assert!(text.starts_with(&format!(
                "{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, 512), }}"
            )));
        }
    }
}
