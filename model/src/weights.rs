//! Named tensors that lie in files, and are read from there piece by piece.
//!
//! No file is read or mapped whole: a reader of a tensor holds a piece of a few megabytes, whatever the file's size.
//! A tensor may consist of parts that lie apart, and a part need not lie in row-major order, so that foreign layouts
//! (stacked, transposed, strided) cost no copy.

mod view;
mod write;

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use safetensors::SafeTensorError;
use safetensors::tensor::Metadata;

use crate::error::{Error, Result, TensorMismatch};
use crate::files;
use crate::memory;

pub use safetensors::Dtype;
use view::width;
pub(crate) use view::{View, read_at, row_major};
pub(crate) use write::{Entry, write_safetensors};

/// The tensors of one or several files.
#[derive(Debug, Default)]
pub struct Weights {
    files: Vec<(PathBuf, File)>,
    names: Vec<String>,
    tensors: HashMap<String, Stored>,
    notes: HashMap<String, String>,
}

/// A tensor: its parts one above the other along the outermost axis.
#[derive(Debug, Clone)]
struct Stored {
    shape: Vec<usize>,
    parts: Vec<View>,
}

/// How a tensor comes from tensors of other names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The same values under another name.
    Same(String),
    /// A matrix whose axes are exchanged.
    Transposed(String),
    /// The same values with so many axes of size one in front.
    Wrapped(String, usize),
    /// Several tensors, one above the other, and how many times the rows of the shortest each of them has.
    Stacked(Vec<(String, usize)>),
}

/// A tensor in a file.
#[derive(Debug, Clone, Copy)]
pub struct TensorRef<'a> {
    /// Number format.
    pub dtype: Dtype,
    /// Shape, outermost axis first.
    pub shape: &'a [usize],
    parts: &'a [View],
    files: &'a [(PathBuf, File)],
}

impl Weights {
    /// Opens a safetensors file and validates its header: lengths, offsets, overlaps, shapes against sizes.
    ///
    /// # Errors
    /// [`Error::Safetensors`] for a file that is truncated or lies about its lengths.
    pub fn open(path: &Path) -> Result<Weights> {
        let mut weights = Weights::default();
        let file = weights.add_file(path)?;
        weights.add_safetensors(file)?;
        Ok(weights)
    }

    /// Adds the tensors of file number `file`, a safetensors file.
    pub(crate) fn add_safetensors(&mut self, file: usize) -> Result<()> {
        let path = self.files[file].0.clone();
        let fail = |source| Error::Safetensors { path: path.clone(), source };
        let (metadata, data) = safetensors_header(&self.files[file])?;
        for name in metadata.offset_keys() {
            let Some(info) = metadata.info(&name) else { continue };
            if !info.dtype.bitsize().is_multiple_of(8) {
                return Err(fail(SafeTensorError::MisalignedSlice));
            }
            let start = data + info.data_offsets.0 as u64;
            let strides = row_major(&info.shape);
            let view = View { file, start, dtype: info.dtype, shape: info.shape.clone(), strides };
            self.add(name, view)?;
        }
        self.notes.extend(metadata.metadata().clone().unwrap_or_default());
        Ok(())
    }

    /// Opens a file, whose number [`View::file`] takes.
    pub(crate) fn add_file(&mut self, path: &Path) -> Result<usize> {
        let file = files::open(path)?;
        self.files.push((path.to_owned(), file));
        Ok(self.files.len() - 1)
    }

    /// A file by its number.
    pub(crate) fn file(&self, number: usize) -> &File {
        &self.files[number].1
    }

    /// Size of a file by its number, bytes.
    pub(crate) fn file_size(&self, number: usize) -> Result<u64> {
        let (path, file) = &self.files[number];
        Ok(file.metadata().map_err(|e| Error::io("read", path, e))?.len())
    }

    /// Adds a tensor.
    ///
    /// # Errors
    /// [`Error::Weights`] when its name is taken, or it reaches beyond its file or over far more of it than it holds.
    pub(crate) fn add(&mut self, name: String, view: View) -> Result<()> {
        let (path, file) = &self.files[view.file];
        let fail = |reason: String| Error::Weights { path: path.clone(), reason };
        let size = file.metadata().map_err(|e| Error::io("read", path, e))?.len();
        let span = view.span().filter(|&span| {
            let bytes = (span as u64).checked_mul(width(view.dtype) as u64);
            bytes.and_then(|bytes| view.start.checked_add(bytes)).is_some_and(|end| end <= size)
        });
        let Some(span) = span else {
            return Err(fail(format!("tensor {name} reaches beyond the end of the file")));
        };
        let elements: usize = view.shape.iter().product();
        if span < elements || span / 8 > elements {
            return Err(fail(format!(
                "tensor {name} is a view of {elements} values spread over {span}: save a contiguous copy"
            )));
        }
        if self.tensors.contains_key(&name) {
            return Err(fail(format!("there are two tensors {name}")));
        }
        self.names.push(name.clone());
        self.tensors.insert(name, Stored { shape: view.shape.clone(), parts: vec![view] });
        Ok(())
    }

    /// All names, in file order.
    pub fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    /// A string of the files' metadata.
    pub fn note(&self, key: &str) -> Option<&str> {
        self.notes.get(key).map(String::as_str)
    }

    /// The tensor called `name`, when there is one.
    pub fn get(&self, name: &str) -> Option<TensorRef<'_>> {
        let Stored { shape, parts } = self.tensors.get(name)?;
        let dtype = parts.first()?.dtype;
        Some(TensorRef { dtype, shape, parts, files: &self.files })
    }

    /// Gives every tensor the name that `rename` makes of its own, or drops it.
    ///
    /// # Errors
    /// [`Error::Weights`] when two tensors would have one name.
    pub(crate) fn rename(&mut self, rename: impl Fn(&str) -> Option<String>) -> Result<()> {
        let mut tensors = HashMap::new();
        for name in std::mem::take(&mut self.names) {
            let Some((stored, new)) = self.tensors.remove(&name).zip(rename(&name)) else { continue };
            let file = stored.parts.first().map_or(0, |part| part.file);
            if tensors.insert(new.clone(), stored).is_some() {
                let reason = format!("{name} and another tensor both stand for {new}");
                return Err(Error::Weights { path: self.files[file].0.clone(), reason });
            }
            self.names.push(new);
        }
        self.tensors = tensors;
        Ok(())
    }

    /// Puts together the tensors called `name` and of this `shape` from those of their origins. What no origin names
    /// stays as it is.
    ///
    /// # Errors
    /// [`Error::Tensors`], in the names of the origins, for those that are missing or of another shape.
    pub(crate) fn compose(&mut self, plan: Vec<(String, Vec<usize>, Origin)>) -> Result<()> {
        let mut mismatch = TensorMismatch::default();
        let mut made = Vec::with_capacity(plan.len());
        for (name, shape, origin) in plan {
            let mut parts = Vec::new();
            for (source, expected) in origin.sources(&shape) {
                match self.tensors.get(source) {
                    None => mismatch.missing.push((source.to_owned(), expected)),
                    Some(found) if !same_shape(&found.shape, &expected) => {
                        mismatch.wrong.push((source.to_owned(), expected, found.shape.clone()));
                    }
                    Some(found) => parts.extend(found.parts.clone()),
                }
            }
            parts.iter_mut().for_each(|part| match origin {
                Origin::Transposed(_) => {
                    part.shape.reverse();
                    part.strides.reverse();
                }
                Origin::Wrapped(_, ones) => {
                    part.shape.drain(..ones.min(part.shape.len()));
                    part.strides.drain(..ones.min(part.strides.len()));
                }
                Origin::Same(_) | Origin::Stacked(_) => {}
            });
            made.push((name, Stored { shape, parts }, origin));
        }
        if !mismatch.is_empty() {
            return Err(Error::Tensors(mismatch));
        }
        for (_, stored, origin) in &made {
            for (source, _) in origin.sources(&stored.shape) {
                self.tensors.remove(source);
            }
        }
        self.names.retain(|name| self.tensors.contains_key(name));
        for (name, stored, _) in made {
            self.names.push(name.clone());
            self.tensors.insert(name, stored);
        }
        Ok(())
    }
}

/// The longest header of a safetensors file that the format's own library reads, bytes.
pub(crate) const LONGEST_HEADER: u64 = 100_000_000;

/// Reads a safetensors file's header; also the byte at which tensor data starts.
fn safetensors_header((path, file): &(PathBuf, File)) -> Result<(Metadata, u64)> {
    /// Length of the header's own length, in front of it.
    const LENGTH: usize = 8;
    let fail = |source| Error::Safetensors { path: path.clone(), source };
    let size = file.metadata().map_err(|e| Error::io("read", path, e))?.len();
    if size < LENGTH as u64 {
        return Err(fail(SafeTensorError::HeaderTooSmall));
    }
    let mut length = [0; LENGTH];
    read_at(file, path, &mut length, 0)?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST_HEADER {
        return Err(fail(SafeTensorError::HeaderTooLarge));
    }
    let data = LENGTH as u64 + length;
    if data > size {
        return Err(fail(SafeTensorError::InvalidHeaderLength));
    }
    let mut header = memory::filled("a safetensors header", 0, length as usize)?;
    read_at(file, path, &mut header, LENGTH as u64)?;
    let metadata: Metadata = serde_json::from_slice(&header)
        .map_err(|e| fail(SafeTensorError::InvalidHeaderDeserialization(e)))?;
    let names = metadata.offset_keys();
    let end = names.last().and_then(|name| metadata.info(name)).map_or(0, |info| info.data_offsets.1);
    if data.checked_add(end as u64) != Some(size) {
        return Err(fail(SafeTensorError::MetadataIncompleteBuffer));
    }
    Ok((metadata, data))
}

impl Origin {
    /// Tensors of equally many rows, one above the other.
    pub(crate) fn stacked(names: impl IntoIterator<Item = String>) -> Origin {
        Origin::Stacked(names.into_iter().map(|name| (name, 1)).collect())
    }

    /// The tensors it is made of when the result has `shape`, each with its own shape.
    pub(crate) fn sources(&self, shape: &[usize]) -> Vec<(&str, Vec<usize>)> {
        match self {
            Origin::Same(name) => vec![(name, shape.to_vec())],
            Origin::Transposed(name) => vec![(name, shape.iter().rev().copied().collect())],
            Origin::Wrapped(name, ones) => vec![(name, [&vec![1; *ones], shape].concat())],
            Origin::Stacked(parts) => {
                let shares: usize = parts.iter().map(|(_, share)| share).sum();
                let rows = shape.first().copied().unwrap_or(1) / shares.max(1);
                let columns = shape.get(1..).unwrap_or_default();
                parts.iter().map(|(name, share)| (&**name, [&[rows * share], columns].concat())).collect()
            }
        }
    }
}

impl TensorRef<'_> {
    /// Passes the elements of `rows` along the outermost axis (all of them by default) on as little-endian `f32`,
    /// row-major, in pieces of at most 16 MiB. Exact for F32, F16 and BF16; F64 is rounded to the nearest.
    ///
    /// # Errors
    /// [`Error::Config`] for other number formats, [`Error::Size`] for rows that there are not, [`Error::Io`] when the
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
    /// As [`Self::read_f32`]; [`Error::Memory`] when they do not fit.
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
    /// [`Error::Io`] when the file cannot be read any more.
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
        let count: usize = self.parts.iter().map(View::rows).sum();
        let rows = rows.unwrap_or(0..count);
        if rows.start > rows.end || rows.end > count {
            return Err(Error::Size(format!("rows {rows:?} of a tensor that has {count}")).into());
        }
        let mut first = 0;
        for part in self.parts {
            if part.dtype != self.dtype {
                let (a, b) = (self.dtype, part.dtype);
                return Err(Error::Config(format!("parts of one tensor are of types {a:?} and {b:?}")).into());
            }
            let last = first + part.rows();
            let (start, end) = (rows.start.max(first), rows.end.min(last));
            if start < end {
                part.read(start - first..end - first, &self.files[part.file], sink)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of the numbers 0, 1, 2, ... in single precision, with tensors lying in it.
    fn weights(folder: &Path, views: &[(&str, u64, &[usize], &[usize])]) -> Result<Weights> {
        let path = folder.join("numbers");
        let bytes: Vec<u8> = (0..24).flat_map(|i| (i as f32).to_le_bytes()).collect();
        std::fs::write(&path, bytes).unwrap();
        let mut weights = Weights::default();
        let file = weights.add_file(&path)?;
        for (name, start, shape, strides) in views {
            let (shape, strides) = (shape.to_vec(), strides.to_vec());
            let view = View { file, start: start * 4, dtype: Dtype::F32, shape, strides };
            weights.add((*name).to_owned(), view)?;
        }
        Ok(weights)
    }

    fn rows(tensor: TensorRef<'_>, rows: Range<usize>) -> Vec<f32> {
        let mut values = Vec::new();
        let mut sink = |bytes: &[u8]| {
            values.extend(bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)));
            Ok::<(), Error>(())
        };
        tensor.read_f32(Some(rows), &mut sink).unwrap();
        values
    }

    #[test]
    fn strided_views_are_read_in_row_major_order() {
        let root = tempfile::tempdir().unwrap();
        let found = weights(root.path(), &[("columns", 4, &[2, 3], &[1, 2]), ("gaps", 0, &[2, 2], &[5, 2])]);
        let found = found.unwrap();
        assert_eq!(found.get("columns").unwrap().to_f32().unwrap(), [4., 6., 8., 5., 7., 9.]);
        assert_eq!(found.get("gaps").unwrap().to_f32().unwrap(), [0., 2., 5., 7.]);
        assert_eq!(rows(found.get("columns").unwrap(), 1..2), [5., 7., 9.]);
    }

    #[test]
    fn tensors_are_stacked_and_transposed_without_a_copy() {
        let root = tempfile::tempdir().unwrap();
        let views: [(&str, u64, &[usize], &[usize]); 3] =
            [("q", 0, &[2, 2], &[2, 1]), ("k", 10, &[2, 2], &[1, 2]), ("p", 4, &[2, 3], &[3, 1])];
        let mut found = weights(root.path(), &views).unwrap();
        let stacked = Origin::stacked(["q".into(), "k".into()]);
        let plan = vec![
            ("in".to_owned(), vec![4, 2], stacked),
            ("proj".to_owned(), vec![3, 2], Origin::Transposed("p".into())),
        ];
        found.compose(plan).unwrap();
        assert_eq!(found.names(), ["in", "proj"]);
        assert_eq!(found.get("in").unwrap().to_f32().unwrap(), [0., 1., 2., 3., 10., 12., 11., 13.]);
        assert_eq!(rows(found.get("in").unwrap(), 1..3), [2., 3., 10., 12.]);
        assert_eq!(found.get("proj").unwrap().to_f32().unwrap(), [4., 7., 5., 8., 6., 9.]);
        let uneven = Origin::Stacked(vec![("proj".into(), 1), ("in".into(), 2)]);
        assert_eq!(uneven.sources(&[9, 4]), [("proj", vec![3, 4]), ("in", vec![6, 4])]);
        let beyond = found.get("in").unwrap().read_f32(Some(3..5), &mut |_| Ok::<(), Error>(()));
        assert!(matches!(beyond, Err(Error::Size(_))), "{beyond:?}");
    }

    #[test]
    fn double_precision_is_rounded_to_single() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("doubles");
        let doubles = [1.0, -0.1, 1e-50, std::f64::consts::PI];
        std::fs::write(&path, doubles.map(f64::to_le_bytes).concat()).unwrap();
        let mut found = Weights::default();
        let file = found.add_file(&path).unwrap();
        let view = View { file, start: 0, dtype: Dtype::F64, shape: vec![2, 2], strides: vec![2, 1] };
        found.add("x".to_owned(), view).unwrap();
        assert_eq!(found.get("x").unwrap().to_f32().unwrap(), doubles.map(|v| v as f32));
        assert_eq!(rows(found.get("x").unwrap(), 1..2), [0.0, std::f32::consts::PI]);
    }

    #[test]
    fn axes_of_size_one_are_taken_off() {
        let root = tempfile::tempdir().unwrap();
        let mut found = weights(root.path(), &[("table", 2, &[1, 3, 2], &[6, 1, 3])]).unwrap();
        found.compose(vec![("t".to_owned(), vec![3, 2], Origin::Wrapped("table".into(), 1))]).unwrap();
        assert_eq!(found.get("t").unwrap().to_f32().unwrap(), [2., 5., 3., 6., 4., 7.]);
        assert_eq!(rows(found.get("t").unwrap(), 1..2), [3., 6.]);
        let plan = vec![("u".to_owned(), vec![3, 2], Origin::Wrapped("t".into(), 1))];
        let message = found.compose(plan).unwrap_err().to_string();
        assert!(message.contains("t (expected [1, 3, 2], found [3, 2])"), "{message}");
    }

    #[test]
    fn origins_that_are_missing_or_of_another_shape_are_named() {
        let root = tempfile::tempdir().unwrap();
        let mut found = weights(root.path(), &[("q", 0, &[2, 2], &[2, 1])]).unwrap();
        let plan = vec![("in".to_owned(), vec![6, 2], Origin::stacked(["q".into(), "k".into()]))];
        let message = found.compose(plan).unwrap_err().to_string();
        assert!(message.contains("missing: k [3, 2]"), "{message}");
        assert!(message.contains("q (expected [3, 2], found [2, 2])"), "{message}");
    }

    #[test]
    fn views_that_lie_about_their_size_are_refused() {
        let root = tempfile::tempdir().unwrap();
        for (shape, strides, start) in [
            (&[25usize][..], &[1usize][..], 0),
            (&[2], &[24], 0),
            (&[1], &[1], 24),
            (&[1], &[1], u64::MAX / 4),
            (&[usize::MAX, 3], &[usize::MAX, 1], 0),
            (&[1000, 1000], &[0, 0], 0),
            (&[2, 2], &[1], 0),
        ] {
            let refused = weights(root.path(), &[("x", start, shape, strides)]);
            let message = refused.unwrap_err().to_string();
            assert!(message.contains("tensor x"), "{message}");
        }
        let twice: [(&str, u64, &[usize], &[usize]); 2] = [("x", 0, &[1], &[1]), ("x", 1, &[1], &[1])];
        assert!(weights(root.path(), &twice).unwrap_err().to_string().contains("two tensors x"));
    }
}
