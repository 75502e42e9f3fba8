//! PyTorch's files, made by hand.

use crate::models::Values;

/// A pickle in pieces.
#[derive(Default)]
pub struct Pickler(Vec<u8>);

impl Pickler {
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    pub fn text(self, text: &str) -> Self {
        self.raw(b"X").raw(&(text.len() as u32).to_le_bytes()).raw(text.as_bytes())
    }

    pub fn int(self, value: usize) -> Self {
        self.raw(b"J").raw(&(value as u32).to_le_bytes())
    }

    fn tuple(self, values: &[usize]) -> Self {
        values.iter().fold(self.raw(b"("), |p, &v| p.int(v)).raw(b"t")
    }

    /// A row-major float32 tensor, alone in its storage.
    pub fn tensor(self, storage: &str, shape: &[usize]) -> Self {
        let elements: usize = shape.iter().product();
        self.raw(b"ctorch._utils\n_rebuild_tensor_v2\n((")
            .text("storage")
            .raw(b"ctorch\nFloatStorage\n")
            .text(storage)
            .text("cpu")
            .int(elements)
            .raw(b"tQ")
            .int(0)
            .tuple(shape)
            .tuple(&row_major(shape))
            .raw(b"\x89ccollections\nOrderedDict\n)RtR")
    }

    /// A dictionary of all tensors, each in a storage called by its number.
    pub fn state_dict(self, prefix: &str, tensors: &[Values]) -> Self {
        let start = self.raw(b"ccollections\nOrderedDict\n)R(");
        let entries = tensors.iter().enumerate();
        entries
            .fold(start, |p, (i, t)| p.text(&format!("{prefix}{}", t.name)).tensor(&i.to_string(), &t.shape))
            .raw(b"u")
    }

    pub fn finish(self) -> Vec<u8> {
        [b"\x80\x02", &self.0[..], b"."].concat()
    }
}

fn bytes(values: &Values) -> Vec<u8> {
    values.data.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// What `torch.save` makes of a pickle and its storages; with `script`, what `torch.jit.save` does.
pub fn torch_archive(pickle: &[u8], tensors: &[Values], script: bool) -> Vec<u8> {
    let storages: Vec<(String, Vec<u8>)> =
        tensors.iter().enumerate().map(|(i, t)| (format!("m/data/{i}"), bytes(t))).collect();
    let mut files: Vec<(&str, &[u8])> = vec![("m/data.pkl", pickle), ("m/byteorder", b"little")];
    if script {
        files.push(("m/constants.pkl", b"\x80\x02)."));
        files.push(("m/code/__torch__.py", b"class Model(Module): ..."));
    }
    files.extend(storages.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])));
    zip_archive(&files, false)
}

/// The same in the layout before the zip archive.
pub fn torch_legacy(pickle: &[u8], tensors: &[Values]) -> Vec<u8> {
    let mut file = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.".to_vec();
    file.extend(b"\x80\x02}(X\x0d\x00\x00\x00little_endian\x88u.");
    file.extend(pickle);
    let keys = (0..tensors.len()).fold(Pickler::default().raw(b"]("), |p, i| p.text(&i.to_string()));
    file.extend(keys.raw(b"e").finish());
    for tensor in tensors {
        file.extend((tensor.data.len() as u64).to_le_bytes());
        file.extend(bytes(tensor));
    }
    file
}

/// A scripted model: objects in objects, whose attributes are the tensors.
pub fn scripted(tensors: &[Values]) -> Vec<u8> {
    #[derive(Default)]
    struct Module<'a> {
        tensors: Vec<(&'a str, usize)>,
        modules: std::collections::BTreeMap<&'a str, Module<'a>>,
    }
    let mut root = Module::default();
    for (i, tensor) in tensors.iter().enumerate() {
        let (path, last) = tensor.name.rsplit_once('.').unwrap_or(("", &tensor.name));
        let mut module = &mut root;
        for part in path.split('.').filter(|part| !part.is_empty()) {
            module = module.modules.entry(part).or_default();
        }
        module.tensors.push((last, i));
    }
    fn object(module: &Module<'_>, all: &[Values], p: Pickler) -> Pickler {
        let mut p = p.raw(b"c__torch__.clip.model\nModule\n)\x81}(").text("training").raw(b"\x89");
        for &(name, i) in &module.tensors {
            p = p.text(name).tensor(&i.to_string(), &all[i].shape);
        }
        for (name, module) in &module.modules {
            p = object(module, all, p.text(name));
        }
        p.raw(b"ub")
    }
    object(&root, tensors, Pickler::default()).finish()
}

/// Elements from one index of an axis to the next, where they lie in row-major order.
fn row_major(shape: &[usize]) -> Vec<usize> {
    (1..=shape.len()).map(|axis| shape[axis..].iter().product()).collect()
}

/// An archive of stored files; with `zip64`, all its sizes are in the 64-bit records.
pub fn zip_archive(files: &[(&str, &[u8])], zip64: bool) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let at = bytes.len() as u64;
        let (size, name_length) = (content.len() as u64, name.len() as u16);
        let sizes = |out: &mut Vec<u8>| {
            let short = if zip64 { u32::MAX } else { size as u32 };
            out.extend([short.to_le_bytes(), short.to_le_bytes()].concat());
        };
        bytes.extend(*b"PK\x03\x04");
        bytes.extend([0; 14]);
        sizes(&mut bytes);
        bytes.extend(name_length.to_le_bytes());
        bytes.extend(3u16.to_le_bytes()); // an extra field, as PyTorch's padding is one
        bytes.extend(name.as_bytes());
        bytes.extend([7; 3]);
        bytes.extend(*content);

        directory.extend(*b"PK\x01\x02");
        directory.extend([0; 16]);
        sizes(&mut directory);
        directory.extend(name_length.to_le_bytes());
        directory.extend(if zip64 { 28u16 } else { 0 }.to_le_bytes());
        directory.extend([0; 10]);
        directory.extend(if zip64 { u32::MAX } else { at as u32 }.to_le_bytes());
        directory.extend(name.as_bytes());
        if zip64 {
            directory.extend([1u16.to_le_bytes(), 24u16.to_le_bytes()].concat());
            directory.extend([size, size, at].map(u64::to_le_bytes).concat());
        }
    }
    let (start, length, count) = (bytes.len() as u64, directory.len() as u64, files.len() as u64);
    bytes.extend(directory);
    if zip64 {
        let record = bytes.len() as u64;
        bytes.extend(*b"PK\x06\x06");
        bytes.extend(44u64.to_le_bytes());
        bytes.extend([0; 12]);
        bytes.extend([count, count, length, start].map(u64::to_le_bytes).concat());
        bytes.extend(*b"PK\x06\x07");
        bytes.extend([0; 4]);
        bytes.extend(record.to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
    }
    bytes.extend(*b"PK\x05\x06");
    bytes.extend([0; 4]);
    bytes.extend([if zip64 { u16::MAX } else { count as u16 }.to_le_bytes(); 2].concat());
    bytes.extend(if zip64 { u32::MAX } else { length as u32 }.to_le_bytes());
    bytes.extend(if zip64 { u32::MAX } else { start as u32 }.to_le_bytes());
    bytes.extend([0; 2]);
    bytes
}
