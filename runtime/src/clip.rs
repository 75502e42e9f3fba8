//! An open model folder.

use std::borrow::Borrow;
use std::path::Path;
use std::sync::Arc;

use clip_model::labels::Logits;
use clip_model::manifest::{Encoder, ModelId, Precision};
use clip_model::preprocess::Image;
use clip_model::{Manifest, files, memory};

use crate::checked;
use crate::device::{Device, EngineKind};
use crate::embeddings::Embeddings;
use crate::engine::{Engine, EngineInfo};
use crate::error::{Error, Part, Result};
use crate::frame_memory::{DeviceCamera, Mapper};
use crate::heap;
use crate::images::ImageTower;
use crate::labels::LabelSet;
use crate::options::{MAX_THREADS, Options};
use crate::scores::Match;
use crate::source::{Engines, Opening, Source};
use crate::texts::TextTower;
use crate::thread::{both, default_threads, usable_processors};

/// An open model: its towers, ready to run. A folder may hold only one of them; what needs the other is then refused
/// with [`Error::Missing`].
///
/// Share it between threads by reference or in an `Arc`. Images are preprocessed in parallel, and any number of calls run side by side,
/// each in its caller's thread with the help of the model's others. Memory for a run is taken for each of them. In TensorRT, as many
/// runs of a tower go side by side as the model has threads.
#[derive(Debug)]
pub struct Clip {
    manifest: Manifest,
    threads: usize,
    image: Option<ImageTower>,
    text: Option<TextTower>,
    labels: Option<LabelSet>,
    id: ModelId,
    camera: Option<DeviceCamera>,
    mapper: Mapper,
    fast_decode: bool,
}

impl Clip {
    /// Opens `folder` with the default [`Options`].
    ///
    /// # Errors
    /// As [`Clip::open_with`].
    pub fn open(folder: impl AsRef<Path>) -> Result<Clip> {
        Self::open_with(folder, &Options::new())
    }

    /// Opens `folder`: reads its manifest, checks the hash of every file that is used, starts the engines, opens the towers'
    /// files in them, and checks that they take and give what the manifest says. The text tower is run once on a text of the greatest
    /// length.
    ///
    /// ONNX Runtime maps large weights from the graphs' files. While the folder is open, a file of it may be replaced by another one
    /// (by renaming that), but not be written to.
    ///
    /// # Errors
    /// [`Error::Model`] when the manifest or a file is missing, malformed or changed; [`Error::Mismatch`] when a file does
    /// not fit the manifest; the `Library` variants, [`Error::TensorRt`] and [`Error::Device`] when an engine cannot be had, or not on
    /// that device; [`Error::Misfit`] when a plan was built for another machine; [`Error::Engine`] and [`Error::Plan`] when an engine
    /// refuses a file.
    pub fn open_with(folder: impl AsRef<Path>, options: &Options) -> Result<Clip> {
        Self::open_folder(folder.as_ref(), options)
    }

    fn open_folder(folder: &Path, options: &Options) -> Result<Clip> {
        let threads = match options.threads {
            Some(found) if !(1..=MAX_THREADS).contains(&found) => {
                return Err(Error::Threads { found, limit: MAX_THREADS });
            }
            Some(threads) => threads.min(usable_processors()),
            None => default_threads(),
        };
        let image_threads = options.image_threads.map_or(threads, |found| found.clamp(1, threads));
        let mut manifest = Manifest::read(folder)?;
        if let Some(limit) = options.max_pixels {
            manifest.preprocess.max_pixels = manifest.preprocess.max_pixels.min(limit);
        }
        let opening = Opening { folder, manifest: &manifest, options, threads, run_threads: threads };
        let mut engines = Engines::default();
        let mut choose = |encoder: &Option<Encoder>| {
            encoder.as_ref().map(|encoder| Source::choose(opening, encoder, &mut engines)).transpose()
        };
        let (image, text) = (choose(&manifest.image)?, choose(&manifest.text)?);
        let towers = image.iter().chain(&text).flat_map(Source::files);
        let tokenizer = manifest.tokenizer.iter().map(|t| (t.file.as_str(), t.sha256.as_str()));
        let labels = manifest.labels.iter().map(|l| (l.file.as_str(), l.sha256.as_str()));
        let files = towers.chain(tokenizer).chain(labels).collect();
        checked::check(folder, files, options.trust_unchanged, threads)?;
        let labels = LabelSet::stored(folder, &manifest)?;
        // Not while another thread takes memory: the reader of its file ends the process when it gets none.
        let tokenizer =
            manifest.tokenizer.as_ref().map(|file| TextTower::tokenizer(folder, file)).transpose()?;
        let mut ready = |source: Option<Source>| {
            let Some(source) = source else { return Ok(None) };
            let engine = engines.start(source.kind, options, None)?;
            let source = source.built(opening, &*engine)?;
            Ok::<_, Error>(Some((source, engine)))
        };
        let (image, text) = (ready(image)?, ready(text)?);
        for (what, bytes) in needed(opening, image.iter().chain(&text)) {
            memory::available(&what, bytes)?;
        }
        // Optimising large graphs takes seconds; the towers do not wait for each other.
        let open_image = || {
            let open = |(source, engine): (Source, Arc<dyn Engine>)| {
                let opening = Opening { run_threads: image_threads, ..opening };
                ImageTower::new(source.open(opening, &*engine)?, &manifest, image_threads)
            };
            image.map(open).transpose()
        };
        let open_text = || {
            let parts = text.zip(manifest.tokenizer.as_ref().zip(tokenizer));
            let open = |((source, engine), tokenizer): ((Source, Arc<dyn Engine>), _)| {
                TextTower::new(source.open(opening, &*engine)?, &manifest, tokenizer)
            };
            parts.map(open).transpose()
        };
        let (image, text) = both(open_image, open_text);
        let (image, text) = (image?, text?);
        // Where the tower itself runs on a GPU; elsewhere the processor resizes frames.
        let on_gpu =
            image.as_ref().is_some_and(|tower| matches!(tower.encoder().engine().device, Device::Cuda(_)));
        let camera = match on_gpu && options.engine != Some(EngineKind::Onnx) {
            true => DeviceCamera::open(folder, &manifest, options, threads)?,
            false => None,
        };
        let id = ModelId::of(&manifest);
        heap::release_free();
        let (fast_decode, mapper) = (options.fast_decode, Mapper::new());
        Ok(Clip { manifest, threads, image, text, labels, id, camera, mapper, fast_decode })
    }

    /// What the folder says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Numbers in an embedding.
    pub fn embed_dim(&self) -> usize {
        self.manifest.embed_dim
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.manifest.model
    }

    /// What runs the image tower, its version, and the device; of the text tower, where the folder has no other.
    pub fn engine(&self) -> &EngineInfo {
        match (self.image_engine(), self.text_engine()) {
            (Some(engine), _) | (None, Some(engine)) => engine,
            (None, None) => unreachable!("a manifest without any encoder is refused"),
        }
    }

    /// What runs the image tower, if there is one.
    pub fn image_engine(&self) -> Option<&EngineInfo> {
        self.image.as_ref().map(|tower| tower.encoder().engine())
    }

    /// What runs the text tower, if there is one.
    pub fn text_engine(&self) -> Option<&EngineInfo> {
        self.text.as_ref().map(|tower| tower.encoder().engine())
    }

    /// The file that the image tower runs, if there is one: in the model folder, or a plan of the user's cache folder.
    pub fn image_file(&self) -> Option<&Path> {
        self.image.as_ref().map(|tower| tower.encoder().file())
    }

    /// The file that the text tower runs, if there is one.
    pub fn text_file(&self) -> Option<&Path> {
        self.text.as_ref().map(|tower| tower.encoder().file())
    }

    /// The plans that are run and that nobody has compared with the graphs that they were built of.
    pub fn unverified(&self) -> Vec<&Path> {
        let image = self.image.as_ref().map(ImageTower::encoder);
        let encoders = image.into_iter().chain(self.text.as_ref().map(TextTower::encoder));
        let towers = encoders.filter(|encoder| encoder.is_unverified()).map(|encoder| encoder.file());
        let camera = self.camera.iter().filter(|camera| camera.is_unverified()).map(DeviceCamera::file);
        towers.chain(camera).collect()
    }

    /// Number format of the image encoder, if there is one.
    pub fn image_precision(&self) -> Option<Precision> {
        self.manifest.image.as_ref().map(|encoder| encoder.precision)
    }

    /// Number format of the text encoder, if there is one.
    pub fn text_precision(&self) -> Option<Precision> {
        self.manifest.text.as_ref().map(|encoder| encoder.precision)
    }

    /// Threads that one call computes with.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// How the model's similarities become probabilities, unless a label set has its own.
    pub fn logits(&self) -> Logits {
        Logits { scale: self.manifest.logit_scale, bias: self.manifest.logit_bias }
    }

    /// What tells this model from others.
    pub fn id(&self) -> &ModelId {
        &self.id
    }

    /// What reads a camera's frames where they lie on the GPU: of a folder that was exported for them (`clip-export --camera --trt`), and whose
    /// image tower runs on a GPU.
    pub fn camera(&self) -> Option<&DeviceCamera> {
        self.camera.as_ref()
    }

    /// What brings frames of all memory to the processor's.
    pub fn mapper(&self) -> &Mapper {
        &self.mapper
    }

    /// The label set that was encoded when the folder was written, if it was given one.
    pub fn stored_labels(&self) -> Option<&LabelSet> {
        self.labels.as_ref()
    }

    /// Reads an image file: JPEG, PNG, WebP, GIF (first frame), BMP, TIFF or PNM. The folder says how transparency and EXIF
    /// orientation are treated, and with [`Options::max_pixels`] how many pixels are allowed.
    ///
    /// # Errors
    /// [`Error::Model`] when it cannot be read or decoded, or is too large.
    pub fn open_image(&self, path: impl AsRef<Path>) -> Result<Image> {
        self.decode_image(&files::read(path.as_ref(), files::IMAGE_LIMIT)?)
    }

    /// [`Clip::open_image`] from the bytes of an image file in memory. Packed 8-bit RGB becomes an image by [`Image::new`].
    ///
    /// # Errors
    /// As [`Clip::open_image`].
    pub fn decode_image(&self, encoded: &[u8]) -> Result<Image> {
        let preprocess = &self.manifest.preprocess;
        Ok(if self.fast_decode { preprocess.decode_fitted(encoded)? } else { preprocess.decode(encoded)? })
    }

    /// The embeddings of images, in their order.
    ///
    /// # Errors
    /// [`Error::Missing`] when the folder has no image encoder; [`Error::Engine`] when the engine fails, for lack of
    /// memory for example; [`Error::Model`] when this library has too little; [`Error::Embedding`] when the model gives what is no
    /// embedding; [`Error::Forked`] in a fork of the process that opened the model.
    pub fn encode_images<I: Borrow<Image> + Sync>(&self, images: &[I]) -> Result<Embeddings> {
        self.images()?;
        let numbers = images.len().saturating_mul(self.embed_dim());
        let mut values = memory::filled("embeddings", 0.0, numbers)?;
        self.encode_images_into(images, &mut values)?;
        Ok(Embeddings::new(values, self.embed_dim()))
    }

    /// [`Clip::encode_images`] into memory of the caller's, `[images, embed_dim]`: what there is of it must be as much as that.
    ///
    /// Once as many images were encoded by as many callers at the same time, nothing is allocated here, but for images that have to be
    /// resized, and by the engine.
    ///
    /// # Errors
    /// [`Error::Room`]; else as [`Clip::encode_images`]. What `embeddings` holds then is not known.
    pub fn encode_images_into<I: Borrow<Image> + Sync>(
        &self,
        images: &[I],
        embeddings: &mut [f32],
    ) -> Result<()> {
        self.images()?.encode(images, embeddings)
    }

    pub(crate) fn images(&self) -> Result<&ImageTower> {
        self.image.as_ref().ok_or_else(|| self.missing(Part::ImageEncoder))
    }

    /// The embeddings of texts, in their order. A text longer than the model's context is cut, as CLIP does.
    ///
    /// Texts of similar length run together, so that short ones cost no more than they need.
    ///
    /// # Errors
    /// As [`Clip::encode_images`], of the text encoder.
    pub fn encode_texts(&self, texts: &[impl AsRef<str>]) -> Result<Embeddings> {
        let tower = self.text.as_ref().ok_or_else(|| self.missing(Part::TextEncoder))?;
        Ok(Embeddings::new(tower.encode(texts)?, self.embed_dim()))
    }

    /// What the folder lacks, and what it has instead.
    fn missing(&self, what: Part) -> Error {
        Error::Missing { model: self.manifest.model.clone(), what }
    }

    /// The `top` labels nearest to an image, best first; all of them when `top` is larger than the set.
    ///
    /// # Errors
    /// [`Error::ForeignLabels`] when another model encoded the labels; else as [`Clip::encode_images`].
    pub fn classify<'a>(&self, image: &Image, labels: &'a LabelSet, top: usize) -> Result<Vec<Match<'a>>> {
        let mut matches = self.classify_batch(std::slice::from_ref(image), labels, top)?;
        Ok(matches.pop().unwrap_or_default())
    }

    /// [`Clip::classify`] for many images, in their order.
    ///
    /// # Errors
    /// As [`Clip::classify`].
    pub fn classify_batch<'a, I: Borrow<Image> + Sync>(
        &self,
        images: &[I],
        labels: &'a LabelSet,
        top: usize,
    ) -> Result<Vec<Vec<Match<'a>>>> {
        labels.check_model(&self.id)?;
        labels.matches(&self.encode_images(images)?, self.logits(), top)
    }
}

/// Bytes that opening the towers takes at least, for each engine together.
fn needed<'a>(
    opening: Opening<'_>,
    towers: impl Iterator<Item = &'a (Source, Arc<dyn Engine>)>,
) -> Vec<(String, usize)> {
    let mut needed: Vec<(String, usize)> = Vec::new();
    for (source, engine) in towers {
        let bytes = source.paths(opening.folder).iter().map(files::size).fold(0, usize::saturating_add);
        let (what, bytes) =
            (format!("the model in {}", engine.info().name), engine.memory(bytes, opening.threads));
        match needed.iter_mut().find(|(known, _)| *known == what) {
            Some((_, sum)) => *sum = sum.saturating_add(bytes),
            None => needed.push((what, bytes)),
        }
    }
    needed
}
