//! The safetensors format: where its tensors lie, and how they are written piece by piece. The header says where everything is
//! or will be; nothing but a piece of a tensor is in memory.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clip_model::{files, memory};
use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensorError};

use super::view::{View, read_at, row_major, width};
use crate::error::{Error, Result};

/// The longest header of a safetensors file that the format's own library reads, bytes.
pub(crate) const LONGEST_HEADER: u64 = 100_000_000;

/// What a header says.
pub(super) struct Header {
    /// Names and places of the tensors.
    pub views: Vec<(String, View)>,
    /// The strings besides.
    pub notes: HashMap<String, String>,
}

/// The header of file number `number`.
///
/// # Errors
/// [`Error::Safetensors`] for a file that is truncated or lies about its lengths, offsets or shapes.
pub(super) fn read(number: usize, file: &(PathBuf, File)) -> Result<Header> {
    let (metadata, data) = header(file)?;
    let view = |name: String| {
        let info = metadata.info(&name)?;
        let (start, shape) = (data + info.data_offsets.0 as u64, info.shape.clone());
        let strides = row_major(&shape);
        Some((name, View { file: number, start, dtype: info.dtype, shape, strides }))
    };
    let views: Vec<_> = metadata.offset_keys().into_iter().filter_map(view).collect();
    if views.iter().any(|(_, view)| !view.dtype.bitsize().is_multiple_of(8)) {
        return Err(Error::Safetensors { path: file.0.clone(), source: SafeTensorError::MisalignedSlice });
    }
    Ok(Header { views, notes: metadata.metadata().clone().unwrap_or_default() })
}

/// Reads a safetensors file's header; also the byte at which tensor data starts.
fn header((path, file): &(PathBuf, File)) -> Result<(Metadata, u64)> {
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
/// What the header says of a tensor.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
}

/// How a file is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Synced, and only then named.
    Named,
    /// Neither: it is in a folder that has no name yet, and is synced with it.
    Unsynced,
}

/// Writes `path`: `tensors` in the order of the format's own library (wide numbers first, then by name), the bytes
/// of each by `write`, and `notes` in the header.
///
/// # Errors
/// [`Error::Io`] when the disk is full, `write` fails, or writes another number of bytes than the header says.
pub(crate) fn write<T>(
    path: &Path,
    end_as: End,
    mut tensors: Vec<(Entry, T)>,
    mut notes: HashMap<String, String>,
    write: impl Fn(&T, &mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let fail = |source| Error::Safetensors { path: path.to_owned(), source };
    notes.entry("format".to_owned()).or_insert_with(|| "pt".to_owned());
    tensors.sort_by(|(a, _), (b, _)| b.dtype.cmp(&a.dtype).then_with(|| a.name.cmp(&b.name)));
    let mut end = 0;
    let infos = tensors.iter().map(|(entry, _)| {
        let start = end;
        end += entry.shape.iter().product::<usize>() * width(entry.dtype);
        let info = TensorInfo { dtype: entry.dtype, shape: entry.shape.clone(), data_offsets: (start, end) };
        (entry.name.clone(), info)
    });
    let metadata = Metadata::new(Some(notes), infos.collect()).map_err(fail)?;
    let mut header = serde_json::to_vec(&metadata).map_err(|source| Error::json(path, source))?;
    // Tensors begin at a multiple of eight bytes.
    header.resize(header.len().next_multiple_of(8), b' ');
    let fill = |out: &mut dyn Write| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        for (entry, tensor) in &tensors {
            let mut counting = Counting { out: &mut *out, bytes: 0 };
            write(tensor, &mut counting)?;
            let expected = entry.shape.iter().product::<usize>() * width(entry.dtype);
            if counting.bytes != expected {
                let (name, found) = (&entry.name, counting.bytes);
                return Err(io::Error::other(format!(
                    "tensor {name} has {found} bytes, expected {expected}"
                )));
            }
        }
        Ok(())
    };
    match end_as {
        End::Named => files::write_atomically(path, |out| fill(out))?,
        End::Unsynced => files::write_unsynced(path, |out| fill(out))?,
    }
    Ok(())
}

/// Counts what goes through it.
struct Counting<'a> {
    out: &'a mut dyn Write,
    bytes: usize,
}

impl Write for Counting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.bytes += n;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::TensorView;

    fn entry(name: &str, dtype: Dtype, shape: &[usize]) -> Entry {
        Entry { name: name.to_owned(), dtype, shape: shape.to_vec() }
    }

    #[test]
    fn files_are_those_of_the_formats_own_library() {
        let path = tempfile::tempdir().unwrap().keep().join("x");
        let tensors = [
            ("b", Dtype::F32, vec![2, 1], vec![1u8; 8]),
            ("c", Dtype::F16, vec![3], vec![2; 6]),
            ("a", Dtype::F32, vec![0], vec![]),
            ("d", Dtype::I64, vec![], vec![3; 8]),
        ];
        let ours = tensors.iter().map(|(name, dtype, shape, data)| (entry(name, *dtype, shape), data));
        write(&path, End::Named, ours.collect(), HashMap::new(), |data, out| out.write_all(data)).unwrap();
        let views = tensors
            .iter()
            .map(|(name, dtype, shape, data)| (*name, TensorView::new(*dtype, shape.clone(), data).unwrap()));
        let notes = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        assert_eq!(std::fs::read(&path).unwrap(), safetensors::serialize(views, Some(notes)).unwrap());
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn what_is_not_as_long_as_it_says_gets_no_name() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x");
        for n in [3, 5] {
            let tensors = vec![(entry("w", Dtype::F32, &[1]), vec![0u8; n])];
            let refused = write(&path, End::Named, tensors, HashMap::new(), |data, out| out.write_all(data));
            let Err(Error::Model(clip_model::Error::Io { source, .. })) = refused else {
                panic!("{refused:?}")
            };
            assert_eq!(source.to_string(), format!("tensor w has {n} bytes, expected 4"));
            assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
        }
    }
}
