//! Files that PyTorch wrote: `torch.save` (a zip archive, or the older run of pickles) and TorchScript archives.
//! Only their tensors are read, see [`pickle`].
//!
//! Source of the layouts: PyTorch's `torch/serialization.py` and `torch/csrc/jit/serialization`.

mod archive;
mod pickle;

use std::collections::HashMap;
use std::path::Path;

use crate::error::{Error, Result};
use crate::weights::{View, Weights, read_at};
use pickle::{Node, Pickle, Tensor};

pub(crate) use archive::MAGIC as ARCHIVE;

/// What the oldest of the three layouts begins with: a pickle of this number.
const LEGACY: i128 = 0x1950_a86a_20f9_469c_fc6c;

/// Modules in modules, at most.
const DEEPEST: usize = 64;

/// Attributes of all modules, at most; one that is met in two places counts twice, since modules may share others. The
/// largest of OpenAI's archives has some 7000.
const MOST_ATTRIBUTES: usize = 1 << 18;

/// Longest name of a tensor, bytes; those of published checkpoints have up to 100.
const LONGEST_NAME: usize = 1000;

/// Adds the tensors of file number `number`, under the names that PyTorch's `state_dict()` gives them; whether it is a
/// TorchScript archive.
///
/// # Errors
/// [`Error::Weights`] for a file that is damaged, or asks for something else than tensors and containers, by name.
pub(crate) fn add(weights: &mut Weights, number: usize, path: &Path) -> Result<bool> {
    let file = File { path, number };
    let size = weights.file_size(number)?;
    if size >= 4 && file.read(weights, 0, 4)? == ARCHIVE {
        file.add_archive(weights)
    } else {
        file.add_legacy(weights, size).map(|()| false)
    }
}

struct File<'a> {
    path: &'a Path,
    number: usize,
}

impl File<'_> {
    fn refuse(&self, reason: impl Into<String>) -> Error {
        Error::Weights { path: self.path.to_owned(), reason: reason.into() }
    }

    fn read(&self, weights: &Weights, start: u64, length: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length as usize];
        read_at(weights.file(self.number), self.path, &mut bytes, start)?;
        Ok(bytes)
    }

    fn add_archive(&self, weights: &mut Weights) -> Result<bool> {
        let entries = archive::entries(self.path, weights.file(self.number))?;
        let entries: HashMap<&str, &archive::Entry> = entries.iter().map(|e| (e.name.as_str(), e)).collect();
        let find = |name: &str| match entries.get(name) {
            Some(entry) if !entry.stored => Err(self.refuse(format!(
                "{name} is compressed or encrypted in it; PyTorch stores tensors as they are"
            ))),
            Some(&&archive::Entry { start, size, .. }) => Ok(Some((start, size))),
            None => Ok(None),
        };
        // All files lie in one folder, whose name does not matter.
        let roots = entries.keys().filter_map(|name| name.strip_suffix("/data.pkl"));
        let root = roots.min_by_key(|root| root.len()).ok_or_else(|| {
            self.refuse("a zip archive without data.pkl: not written by torch.save or torch.jit.save")
        })?;
        let script = entries.contains_key(format!("{root}/constants.pkl").as_str());
        if let Some((start, size)) = find(&format!("{root}/byteorder"))? {
            let order = self.read(weights, start, size.min(16))?;
            if order != b"little" {
                return Err(self.refuse("its numbers are not little-endian: save it on another machine"));
            }
        }
        let (start, size) = find(&format!("{root}/data.pkl"))?.unwrap_or_default();
        if size > pickle::LARGEST as u64 {
            return Err(
                self.refuse(format!("its pickle has {size} bytes; at most {} are read", pickle::LARGEST))
            );
        }
        let bytes = self.read(weights, start, size)?;
        let pickle = Pickle::read(&bytes, script).map_err(|reason| self.refuse(reason))?;
        for (name, tensor) in self.tensors(&pickle)? {
            let entry = find(&format!("{root}/data/{}", tensor.storage.key))?;
            let (start, size) = entry
                .ok_or_else(|| self.refuse(format!("tensor {name} lies in a storage that is missing")))?;
            self.add_view(weights, name, &tensor, start, size)?;
        }
        Ok(script)
    }

    /// Pickles one after another: a magic number, a protocol version, the system's sizes, the object, the keys of all
    /// storages; then each storage's number of elements and the elements.
    fn add_legacy(&self, weights: &mut Weights, size: u64) -> Result<()> {
        let bytes = self.read(weights, 0, size.min(pickle::LARGEST as u64))?;
        let mut at = 0;
        let mut next = || {
            let pickle = Pickle::read(bytes.get(at..).unwrap_or_default(), false)?;
            at += pickle.length;
            Ok::<_, String>((pickle, at))
        };
        let refuse = |reason| self.refuse(reason);
        let (magic, _) = next().map_err(refuse)?;
        if *magic.root() != Node::Int(LEGACY) {
            return Err(
                self.refuse("a pickle that torch.save did not write: only PyTorch's own files are read")
            );
        }
        let (version, _) = next().map_err(refuse)?;
        if *version.root() != Node::Int(1001) {
            return Err(self.refuse("an unknown version of torch.save's older layout: save it anew"));
        }
        let (system, _) = next().map_err(refuse)?;
        if let Node::Dict(system_sizes) = system.root()
            && system.entry(system_sizes, "little_endian") == Some(&Node::Bool(false))
        {
            return Err(self.refuse("its numbers are not little-endian: save it on another machine"));
        }
        let (object, _) = next().map_err(refuse)?;
        let tensors = self.tensors(&object)?;
        let (keys, end) = next().map_err(refuse)?;
        let Node::List(key_ids) = keys.root() else {
            return Err(self.refuse("its list of storages is missing"));
        };
        let widths: HashMap<&str, u64> =
            tensors.iter().map(|(_, t)| (t.storage.key, (t.storage.dtype.bitsize() / 8) as u64)).collect();
        let (mut start, mut storages) = (end as u64, HashMap::new());
        for &id in key_ids {
            let &Node::Text(key) = keys.get(id) else {
                return Err(self.refuse("its list of storages is damaged"));
            };
            let Some(&width) = widths.get(key) else {
                return Err(self.refuse(format!(
                    "it holds storage {key:.100}, which no tensor of its state_dict uses, in torch.save's older layout: \
                     save the state_dict alone"
                )));
            };
            let cut = || self.refuse("it is cut off");
            if start.checked_add(8).is_none_or(|end| end > size) {
                return Err(cut());
            }
            let count = self.read(weights, start, 8)?;
            let count = count.iter().rev().fold(0u64, |n, &byte| n << 8 | u64::from(byte));
            let length = count.checked_mul(width).ok_or_else(cut)?;
            if storages.insert(key, (start + 8, length)).is_some() {
                return Err(self.refuse(format!("its list of storages holds {key:.100} twice")));
            }
            start = (start + 8).checked_add(length).filter(|&end| end <= size).ok_or_else(cut)?;
        }
        for (name, tensor) in &tensors {
            let &(start, size) = storages
                .get(tensor.storage.key)
                .ok_or_else(|| self.refuse(format!("tensor {name} lies in a storage that is missing")))?;
            self.add_view(weights, name.clone(), tensor, start, size)?;
        }
        Ok(())
    }

    /// Adds a view of a storage of `size` bytes.
    fn add_view(
        &self,
        weights: &mut Weights,
        name: String,
        t: &Tensor<'_>,
        start: u64,
        size: u64,
    ) -> Result<()> {
        let width = (t.storage.dtype.bitsize() / 8) as u64;
        if (t.storage.elements as u64).checked_mul(width).is_none_or(|bytes| bytes > size) {
            return Err(self.refuse(format!(
                "the storage of tensor {name} has {size} bytes, not {} of {width}",
                t.storage.elements
            )));
        }
        let view = View {
            file: self.number,
            start: start.saturating_add((t.offset as u64).saturating_mul(width)),
            dtype: t.storage.dtype,
            shape: t.shape.clone(),
            strides: t.strides.clone(),
        };
        let reach = view.span().and_then(|span| span.checked_add(t.offset));
        if reach.is_none_or(|end| end > t.storage.elements) {
            return Err(self.refuse(format!("tensor {name} reaches beyond its storage")));
        }
        weights.add(name, view)
    }

    /// The tensors of the state dict in a pickle, which may lie in a dictionary under `state_dict`, or be the attributes
    /// of a TorchScript object and of the objects in it.
    fn tensors<'a>(&self, pickle: &Pickle<'a>) -> Result<Vec<(String, Tensor<'a>)>> {
        let mut tensors = Vec::new();
        match pickle.root() {
            Node::Dict(dict) => {
                let dict = match pickle.entry(dict, "state_dict") {
                    Some(Node::Dict(inner)) => inner,
                    _ => dict,
                };
                for &(key, value) in dict {
                    if let (&Node::Text(name), Node::Tensor(tensor)) = (pickle.get(key), pickle.get(value)) {
                        tensors.push((name.to_owned(), tensor.clone()));
                    }
                }
                if tensors.is_empty() {
                    let keys = dict.iter().filter_map(|&(key, _)| match pickle.get(key) {
                        &Node::Text(key) => Some(format!("{:.40}", key.escape_debug())),
                        _ => None,
                    });
                    let keys: Vec<String> = keys.take(10).collect();
                    return Err(self.refuse(format!(
                        "no state_dict: its dictionary holds no tensors, but [{}]",
                        keys.join(", ")
                    )));
                }
            }
            Node::Object(Some(attributes)) => {
                let mut walk = Walk { file: self, pickle, seen: 0, tensors };
                walk.attributes(*attributes, "", DEEPEST)?;
                tensors = walk.tensors;
            }
            _ => return Err(self.refuse("no state_dict: its pickle is no dictionary")),
        }
        Ok(tensors)
    }
}

/// A way through the objects of a TorchScript archive.
struct Walk<'a, 'b> {
    file: &'b File<'b>,
    pickle: &'b Pickle<'a>,
    /// Attributes so far.
    seen: usize,
    tensors: Vec<(String, Tensor<'a>)>,
}

impl Walk<'_, '_> {
    /// Adds the tensors among the attributes of an object and of those in it, at most `deeper` levels further down.
    fn attributes(&mut self, attributes: pickle::Id, prefix: &str, deeper: usize) -> Result<()> {
        let pickle = self.pickle;
        let Node::Dict(attributes) = pickle.get(attributes) else { return Ok(()) };
        for &(key, value) in attributes {
            self.seen += 1;
            if self.seen > MOST_ATTRIBUTES {
                return Err(self
                    .file
                    .refuse(format!("its modules have more than {MOST_ATTRIBUTES} attributes")));
            }
            let &Node::Text(key) = pickle.get(key) else { continue };
            if prefix.len() + key.len() > LONGEST_NAME {
                return Err(self.file.refuse(format!("it has a name of more than {LONGEST_NAME} bytes")));
            }
            match pickle.get(value) {
                Node::Tensor(tensor) => self.tensors.push((format!("{prefix}{key}"), tensor.clone())),
                Node::Object(Some(inner)) => {
                    let deeper = deeper.checked_sub(1).ok_or_else(|| {
                        self.file.refuse(format!("its modules are nested more than {DEEPEST} deep"))
                    })?;
                    self.attributes(*inner, &format!("{prefix}{key}."), deeper)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}
