//! Elements of one tensor in one file, in whatever order they lie there.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use safetensors::Dtype;

use crate::error::{Error, Result};
use clip_model::memory;

/// Bytes that are read at once; a multiple of every number format's width.
const PIECE: usize = 1 << 22;

/// Where the elements of a tensor lie in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// Number of the file.
    pub file: usize,
    /// Byte of the first element.
    pub start: u64,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// Elements from one index of an axis to the next.
    pub strides: Vec<usize>,
}

impl View {
    /// Elements from the first to the last, both included, when that is a number.
    pub(crate) fn span(&self) -> Option<usize> {
        if self.shape.len() != self.strides.len() {
            return None;
        }
        // No product of some of the sizes can overflow from here on.
        self.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d.max(1)))?;
        if self.shape.contains(&0) {
            return Some(0);
        }
        let axes = self.shape.iter().zip(&self.strides);
        let last = axes.map(|(&n, &stride)| (n - 1).checked_mul(stride));
        last.into_iter().try_fold(1usize, |sum, axis| sum.checked_add(axis?))
    }

    fn is_row_major(&self) -> bool {
        let axes = self.shape.iter().zip(&self.strides).zip(row_major(&self.shape));
        axes.into_iter().all(|((&n, &stride), expected)| n <= 1 || stride == expected)
    }

    /// Rows along the outermost axis.
    pub(super) fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Passes the elements of `rows` on, row-major, in pieces.
    pub(super) fn read<E: From<Error>>(
        &self,
        rows: Range<usize>,
        (path, file): &(PathBuf, File),
        sink: &mut dyn FnMut(&[u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let width = width(self.dtype);
        let row: usize = self.shape.iter().skip(1).product();
        if self.is_row_major() {
            let mut at = self.start + (rows.start * row * width) as u64;
            let end = self.start + (rows.end * row * width) as u64;
            let mut buffer = vec![0; PIECE.min((end - at) as usize)];
            while at < end {
                let n = buffer.len().min((end - at) as usize);
                read_at(file, path, &mut buffer[..n], at)?;
                sink(&buffer[..n])?;
                at += n as u64;
            }
            return Ok(());
        }
        let span = memory::filled("a tensor's values", 0, self.span().unwrap_or(0) * width);
        let mut span = span.map_err(Error::from)?;
        read_at(file, path, &mut span, self.start)?;
        let mut piece = Vec::with_capacity(PIECE.min((rows.end - rows.start) * row * width));
        for element in rows.start * row..rows.end * row {
            let mut rest = element;
            let axes = self.shape.iter().zip(&self.strides).rev();
            let at: usize = axes
                .map(|(&n, &stride)| {
                    let index = rest % n;
                    rest /= n;
                    index * stride
                })
                .sum();
            piece.extend_from_slice(&span[at * width..(at + 1) * width]);
            if piece.len() == PIECE {
                sink(&piece)?;
                piece.clear();
            }
        }
        sink(&piece)
    }
}

/// Bytes of an element; only formats of whole bytes are ever added.
pub(super) fn width(dtype: Dtype) -> usize {
    dtype.bitsize() / 8
}

/// The strides of elements that lie in row-major order without gaps.
pub(crate) fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut stride = 1usize;
    let mut strides: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&n| {
            let this = stride;
            stride = stride.saturating_mul(n);
            this
        })
        .collect();
    strides.reverse();
    strides
}

/// Fills `buffer` from the byte `at` of a file on.
pub(crate) fn read_at(file: &File, path: &Path, buffer: &mut [u8], at: u64) -> Result<()> {
    #[cfg(unix)]
    let read = std::os::unix::fs::FileExt::read_exact_at(file, buffer, at);
    #[cfg(not(unix))]
    let read = {
        use std::io::{Read, Seek, SeekFrom};
        // One cursor for all readers of the file: opened anew, so that they do not meet.
        File::open(path).and_then(|mut own| {
            own.seek(SeekFrom::Start(at))?;
            own.read_exact(buffer)
        })
    };
    #[cfg(not(unix))]
    let _ = file;
    read.map_err(|e| Error::io("read", path, e))
}
