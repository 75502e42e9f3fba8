//! A tensor that lies in files, read from there piece by piece, or in memory.

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;

use clip_model::memory;
use safetensors::Dtype;

use super::view::{View, width};
use crate::error::{Error, Result};

/// A tensor in files or in memory.
#[derive(Debug, Clone, Copy)]
pub struct TensorRef<'a> {
    /// Number format.
    pub dtype: Dtype,
    /// Shape, outermost axis first.
    pub shape: &'a [usize],
    place: Place<'a>,
}

/// Where elements are.
#[derive(Debug, Clone, Copy)]
enum Place<'a> {
    /// In files, the parts one above the other along the outermost axis.
    Files(&'a [View], &'a [(PathBuf, File)]),
    /// In memory, little-endian, row-major.
    Memory(&'a [u8]),
}

impl<'a> TensorRef<'a> {
    /// One whose parts, one above the other along the outermost axis, are views of `files`.
    pub(super) fn in_files(
        dtype: Dtype,
        shape: &'a [usize],
        parts: &'a [View],
        files: &'a [(PathBuf, File)],
    ) -> TensorRef<'a> {
        TensorRef { dtype, shape, place: Place::Files(parts, files) }
    }

    /// One of these elements, little-endian, row-major.
    pub(crate) fn in_memory(dtype: Dtype, shape: &'a [usize], bytes: &'a [u8]) -> TensorRef<'a> {
        TensorRef { dtype, shape, place: Place::Memory(bytes) }
    }
}

impl TensorRef<'_> {
    /// Passes the elements of `rows` along the outermost axis (all of them by default) on as little-endian `f32`,
    /// row-major, in pieces of at most 16 MiB. Exact for F32, F16 and BF16; F64 is rounded to the nearest.
    ///
    /// # Errors
    /// [`Error::Config`] for other number formats, [`clip_model::Error::Size`] for rows that there are not, [`clip_model::Error::Io`] when the
    /// file cannot be read any more, and what `sink` returns.
    pub fn read_f32<E: From<Error>>(
        &self,
        rows: Option<Range<usize>>,
        sink: &mut dyn FnMut(&[u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let mut wide = Vec::new();
        let dtype = self.dtype;
        let widen: fn(u16) -> f32 = match dtype {
            Dtype::F32 => return self.read(rows, sink),
            Dtype::F64 => {
                return self.read(rows, &mut |bytes| {
                    wide.clear();
                    let doubles = bytes.as_chunks::<8>().0.iter().map(|&bytes| f64::from_le_bytes(bytes));
                    wide.extend(doubles.flat_map(|double| (double as f32).to_le_bytes()));
                    sink(&wide)
                });
            }
            Dtype::F16 => |bits| half::f16::from_bits(bits).to_f32(),
            Dtype::BF16 => |bits| half::bf16::from_bits(bits).to_f32(),
            other => {
                return Err(Error::Config(format!(
                    "weights of type {other:?} are not supported: use F32, F16, BF16 or F64"
                ))
                .into());
            }
        };
        self.read(rows, &mut |bytes| {
            wide.clear();
            let halves = bytes.as_chunks::<2>().0.iter().map(|&bytes| u16::from_le_bytes(bytes));
            wide.extend(halves.flat_map(|bits| widen(bits).to_le_bytes()));
            sink(&wide)
        })
    }

    /// All elements as `f32`, row-major; exact for F32, F16 and BF16, rounded to the nearest for F64.
    ///
    /// # Errors
    /// As [`Self::read_f32`]; [`clip_model::Error::Memory`] when they do not fit.
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        let mut values = memory::with_capacity("a tensor's values", self.shape.iter().product())?;
        self.read_f32(None, &mut |bytes| {
            values.extend(bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)));
            Ok::<(), Error>(())
        })?;
        Ok(values)
    }

    /// All elements as they are stored: little-endian, row-major.
    ///
    /// # Errors
    /// [`clip_model::Error::Io`] when the file cannot be read any more.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        self.read(None, &mut |bytes| {
            all.extend_from_slice(bytes);
            Ok::<(), Error>(())
        })?;
        Ok(all)
    }

    fn read<E: From<Error>>(
        &self,
        rows: Option<Range<usize>>,
        sink: &mut dyn FnMut(&[u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let count: usize = match self.place {
            Place::Files(parts, _) => parts.iter().map(View::rows).sum(),
            Place::Memory(_) => self.shape.first().copied().unwrap_or(1),
        };
        let rows = rows.unwrap_or(0..count);
        if rows.start > rows.end || rows.end > count {
            return Err(Error::from(clip_model::Error::Size(format!(
                "rows {rows:?} of a tensor that has {count}"
            )))
            .into());
        }
        let (parts, files) = match self.place {
            Place::Files(parts, files) => (parts, files),
            Place::Memory(bytes) => {
                let row = width(self.dtype) * self.shape.iter().skip(1).product::<usize>();
                return sink(&bytes[rows.start * row..rows.end * row]);
            }
        };
        let mut first = 0;
        for part in parts {
            if part.dtype != self.dtype {
                let (a, b) = (self.dtype, part.dtype);
                return Err(Error::Config(format!("parts of one tensor are of types {a:?} and {b:?}")).into());
            }
            let last = first + part.rows();
            let (start, end) = (rows.start.max(first), rows.end.min(last));
            if start < end {
                part.read(start - first..end - first, &files[part.file], sink)?;
            }
            first = last;
        }
        Ok(())
    }
}

/// Whether two shapes are the same; `[]` and `[1]` hold the same single value, and OpenCLIP writes either for the
/// logit scale.
pub(crate) fn same_shape(a: &[usize], b: &[usize]) -> bool {
    let one = |s: &[usize]| s.iter().product::<usize>() == 1 && s.len() <= 1;
    a == b || one(a) && one(b)
}
