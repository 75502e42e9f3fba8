//! What the tests of formats share: a small model, and PyTorch's files made by hand.

use std::path::{Path, PathBuf};

use super::zip::tests::archive;
use crate::cases::parameter;
use crate::checkpoint::{Checkpoint, Values, write};
use crate::config::{Activation, Config, ImageTower, ResNet};
use crate::openclip::OpenClip;
use crate::preprocess::Preprocess;
use crate::shapes::summarize;
use crate::tokenizer::Tokenizer;

/// Two blocks in each tower, of the smallest published widths.
pub(super) fn vit(activation: Activation) -> Config {
    crate::cases::vit(16, [32, 16, 384, 2, 64], [8, 49408, 256, 4, 2], 0.5, activation)
}

/// The same with a small ResNet.
pub(super) fn resnet() -> Config {
    let image = ImageTower::ResNet(ResNet { image_size: 32, layers: [1, 1, 1, 1], width: 4, head_width: 64 });
    Config { image, ..vit(Activation::QuickGelu) }
}

pub(super) fn tensors(config: &Config) -> Vec<Values> {
    summarize(config).tensors.into_iter().map(parameter).collect()
}

/// A checkpoint folder of ours with these weights.
pub(super) fn checkpoint(root: &Path, config: &Config) -> PathBuf {
    let preprocess = Preprocess { size: config.image.image_size(), ..Preprocess::default() };
    let openclip = OpenClip { config: config.clone(), preprocess, own_tokenizer: false };
    let folder = root.join("checkpoint");
    write(&folder, &openclip, &Tokenizer::openai(), &tensors(config), 7).unwrap();
    folder
}

/// Fails unless `opened` is this network with exactly these weights.
pub(super) fn assert_same(opened: &Checkpoint, config: &Config) {
    assert_eq!(opened.config, *config);
    for Values { name, data, .. } in tensors(config) {
        assert!(opened.tensor(&name).unwrap().to_f32().unwrap() == data, "{name}");
    }
}

/// A pickle in pieces.
#[derive(Default)]
pub(super) struct Pickler(Vec<u8>);

impl Pickler {
    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    pub(super) fn text(self, text: &str) -> Self {
        self.raw(b"X").raw(&(text.len() as u32).to_le_bytes()).raw(text.as_bytes())
    }

    pub(super) fn int(self, value: usize) -> Self {
        self.raw(b"J").raw(&(value as u32).to_le_bytes())
    }

    fn tuple(self, values: &[usize]) -> Self {
        values.iter().fold(self.raw(b"("), |p, &v| p.int(v)).raw(b"t")
    }

    /// A row-major float32 tensor, alone in its storage.
    pub(super) fn tensor(self, storage: &str, shape: &[usize]) -> Self {
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
            .tuple(&crate::weights::row_major(shape))
            .raw(b"\x89ccollections\nOrderedDict\n)RtR")
    }

    /// A dictionary of all tensors, each in a storage called by its number.
    pub(super) fn state_dict(self, prefix: &str, tensors: &[Values]) -> Self {
        let start = self.raw(b"ccollections\nOrderedDict\n)R(");
        let entries = tensors.iter().enumerate();
        entries
            .fold(start, |p, (i, t)| p.text(&format!("{prefix}{}", t.name)).tensor(&i.to_string(), &t.shape))
            .raw(b"u")
    }

    pub(super) fn finish(self) -> Vec<u8> {
        [b"\x80\x02", &self.0[..], b"."].concat()
    }
}

fn bytes(values: &Values) -> Vec<u8> {
    values.data.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// What `torch.save` makes of a pickle and its storages; with `script`, what `torch.jit.save` does.
pub(super) fn torch_archive(pickle: &[u8], tensors: &[Values], script: bool) -> Vec<u8> {
    let storages: Vec<(String, Vec<u8>)> =
        tensors.iter().enumerate().map(|(i, t)| (format!("m/data/{i}"), bytes(t))).collect();
    let mut files: Vec<(&str, &[u8])> = vec![("m/data.pkl", pickle), ("m/byteorder", b"little")];
    if script {
        files.push(("m/constants.pkl", b"\x80\x02)."));
        files.push(("m/code/__torch__.py", b"class Model(Module): ..."));
    }
    files.extend(storages.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])));
    archive(&files, false)
}

/// The same in the layout before the zip archive.
pub(super) fn torch_legacy(pickle: &[u8], tensors: &[Values]) -> Vec<u8> {
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
pub(super) fn scripted(tensors: &[Values]) -> Vec<u8> {
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
