//! Named tensors that lie in files, and are read from there piece by piece.
//!
//! No file is read or mapped whole: a reader of a tensor holds a piece of a few megabytes, whatever the file's size.
//! A tensor may consist of parts that lie apart, and a part need not lie in row-major order, so that foreign layouts
//! (stacked, transposed, strided) cost no copy.

mod origin;
mod safetensors;
mod tensor;
mod view;

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use clip_model::files;

use crate::error::{Error, Result, TensorMismatch};
use view::width;

pub(crate) use origin::Origin;
pub(crate) use safetensors::{End, Entry, LONGEST_HEADER, write as write_safetensors};
pub use tensor::TensorRef;
pub(crate) use tensor::same_shape;
pub(crate) use view::{View, read_at};

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

impl Weights {
    /// Adds the tensors of file number `file`, a safetensors file.
    ///
    /// # Errors
    /// [`Error::Safetensors`] for a file that is truncated or lies about its lengths, offsets or shapes.
    pub(crate) fn add_safetensors(&mut self, file: usize) -> Result<()> {
        let safetensors::Header { views, notes } = safetensors::read(file, &self.files[file])?;
        self.notes.extend(notes);
        views.into_iter().try_for_each(|(name, view)| self.add(name, view))
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
        Some(TensorRef::in_files(dtype, shape, parts, &self.files))
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

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use ::safetensors::Dtype;

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
        assert!(matches!(beyond, Err(Error::Model(clip_model::Error::Size(_)))), "{beyond:?}");
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
