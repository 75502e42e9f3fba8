//! An open model folder.

use std::borrow::Borrow;
use std::path::{Path, PathBuf};
use std::thread;

use clip_model::manifest;
use clip_model::preprocess::Image;
use clip_model::templates::Template;
use clip_model::{Manifest, Tokenizer};
use ort::value::TensorElementType;

use crate::embeddings::{Embeddings, normalize};
use crate::encoder::{Encoder, Signature};
use crate::error::{Error, Result};
use crate::labels::{LabelSet, Match, ModelId};
use crate::library::{self, Library};
use crate::texts;

/// Images that run together. More gain nothing on a CPU and only take memory.
const IMAGES_PER_RUN: usize = 32;

/// Texts of a label set that are held at once; 80 templates for 1,000 labels are 80,000.
const TEXTS_AT_ONCE: usize = 8192;

/// The largest number of threads accepted.
const MAX_THREADS: usize = 1024;

/// How a model folder is opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Threads that one call computes with, at most 1,024; by default one for each physical core that the process
    /// may use.
    pub threads: Option<usize>,
    /// The file of ONNX Runtime; by default it is looked for, see [`library`](crate::library). It is opened once a
    /// process: asking for another one later is an error.
    pub library: Option<PathBuf>,
}

/// An open model: both towers, ready to run.
///
/// Share it between threads by reference or in an `Arc`. Images are preprocessed in parallel; runs of the same tower
/// take turns, since each uses all threads of the model, while an image and a text run can overlap. To serve
/// many small requests side by side instead, open the folder several times with `threads: Some(1)`.
#[derive(Debug)]
pub struct Clip {
    manifest: Manifest,
    library: Library,
    threads: usize,
    tokenizer: Tokenizer,
    image: Encoder,
    text: Encoder,
    id: ModelId,
}

impl Clip {
    /// Opens `folder` with the default [`Options`].
    ///
    /// # Errors
    /// As [`Clip::open_with`].
    pub fn open(folder: &Path) -> Result<Clip> {
        Self::open_with(folder, &Options::default())
    }

    /// Opens `folder`: reads its manifest, checks the hash of every file, opens both graphs, and checks that they
    /// take and give what the manifest says. The text tower is run once on a text of the full context length.
    ///
    /// # Errors
    /// [`Error::Model`] when the manifest or a file is missing, malformed or changed; [`Error::Mismatch`] when a graph does
    /// not fit the manifest; the `Library` variants when there is no ONNX Runtime to run them;
    /// [`Error::Engine`] when ONNX Runtime refuses a graph.
    pub fn open_with(folder: &Path, options: &Options) -> Result<Clip> {
        let threads = match options.threads {
            Some(found) if !(1..=MAX_THREADS).contains(&found) => {
                return Err(Error::Threads { found, limit: MAX_THREADS });
            }
            Some(threads) => threads,
            None => default_threads(),
        };
        let manifest = Manifest::read(folder)?;
        let tokenizer = manifest::verified(folder, &manifest.tokenizer.file, &manifest.tokenizer.sha256)?;
        let tokenizer = Tokenizer::open(&tokenizer)?;
        let loaded = library::load(options.library.as_deref())?;

        let size = i64::try_from(manifest.preprocess.size).unwrap_or(i64::MAX);
        let image_shape = [Signature::FREE, 3, size, size];
        let text_shape = [Signature::FREE; 2];
        let open = |encoder, input_type, input_shape| {
            let signature = Signature { encoder, input_type, input_shape, embed_dim: manifest.embed_dim };
            Encoder::open(&loaded, folder, &signature, threads)
        };
        // Hashing and optimising large graphs takes seconds; the towers do not wait for each other.
        let (image, text) = thread::scope(|scope| {
            let image = scope.spawn(|| open(&manifest.image, TensorElementType::Float32, &image_shape));
            let text = open(&manifest.text, TensorElementType::Int32, &text_shape);
            (join(image), text)
        });
        let (image, text) = (image?, text?);
        texts::probe(&text, &tokenizer, &manifest)?;

        let hashes =
            [&manifest.image.sha256, &manifest.text.sha256, &manifest.tokenizer.sha256].map(Clone::clone);
        let id = ModelId { name: manifest.model.clone(), hashes };
        Ok(Clip { manifest, library: loaded.library, threads, tokenizer, image, text, id })
    }

    /// What the folder says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Numbers in an embedding.
    pub fn embed_dim(&self) -> usize {
        self.manifest.embed_dim
    }

    /// The ONNX Runtime that runs the model.
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// Threads that one call computes with.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The embeddings of images, in their order.
    ///
    /// # Errors
    /// [`Error::Engine`] when ONNX Runtime fails, for lack of memory for example; [`Error::Embedding`] when the
    /// model gives what is no embedding.
    pub fn encode_images<I: Borrow<Image> + Sync>(&self, images: &[I]) -> Result<Embeddings> {
        let size = self.manifest.preprocess.size;
        let pixels = 3 * size * size;
        let mut values = Vec::with_capacity(images.len() * self.embed_dim());
        let mut input = vec![0.0; images.len().min(IMAGES_PER_RUN) * pixels];
        for (run, batch) in images.chunks(IMAGES_PER_RUN).enumerate() {
            let input = &mut input[..batch.len() * pixels];
            self.preprocess(batch, input)?;
            let rows = self.image.run(vec![batch.len(), 3, size, size], input)?;
            self.image.check_lengths(&rows, |i| run * IMAGES_PER_RUN + i)?;
            values.extend_from_slice(&rows);
        }
        Ok(Embeddings::new(values, self.embed_dim()))
    }

    /// Images to the image tower's input, `[images, 3, size, size]`, in parallel.
    fn preprocess<I: Borrow<Image> + Sync>(&self, images: &[I], input: &mut [f32]) -> Result<()> {
        let pixels = input.len() / images.len().max(1);
        let share = images.len().div_ceil(self.threads).max(1);
        let work = |images: &[I], input: &mut [f32]| -> Result<()> {
            for (image, out) in images.iter().zip(input.chunks_exact_mut(pixels)) {
                self.manifest.preprocess.apply(image.borrow(), out)?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let mut shares = images.chunks(share).zip(input.chunks_mut(share * pixels));
            let own = shares.next();
            let others: Vec<_> =
                shares.map(|(images, input)| scope.spawn(move || work(images, input))).collect();
            let own = own.map_or(Ok(()), |(images, input)| work(images, input));
            let others = others.into_iter().map(join);
            std::iter::once(own).chain(others).collect()
        })
    }

    /// The embeddings of texts, in their order. A text longer than the model's context is cut, as CLIP does.
    ///
    /// Texts of similar length run together, so that short ones cost no more than they need.
    ///
    /// # Errors
    /// As [`Clip::encode_images`].
    pub fn encode_texts(&self, texts: &[impl AsRef<str>]) -> Result<Embeddings> {
        let values = texts::encode(&self.text, &self.tokenizer, &self.manifest, texts)?;
        Ok(Embeddings::new(values, self.embed_dim()))
    }

    /// Encodes labels, to be compared with images: each label in every template (`{}` alone when there is none),
    /// the mean of the normalised embeddings, normalised again.
    ///
    /// A label that occurs twice is kept twice, each with its share of the probability.
    ///
    /// # Errors
    /// [`Error::NoLabels`] when there is no label; [`Error::LabelWithoutDirection`]; else as [`Clip::encode_texts`].
    pub fn label_set(&self, labels: &[impl AsRef<str>], templates: &[Template]) -> Result<LabelSet> {
        if labels.is_empty() {
            return Err(Error::NoLabels);
        }
        let labels: Vec<String> = labels.iter().map(|label| label.as_ref().to_owned()).collect();
        let fill = |label: &String| match templates {
            [] => vec![label.clone()],
            templates => templates.iter().map(|template| template.fill(label)).collect(),
        };
        let each = templates.len().max(1);
        let dim = self.embed_dim();
        let mut values = Vec::with_capacity(labels.len() * dim);
        for labels in labels.chunks((TEXTS_AT_ONCE / each).max(1)) {
            let texts: Vec<String> = labels.iter().flat_map(fill).collect();
            let rows = self.encode_texts(&texts)?;
            for (label, rows) in labels.iter().zip(rows.as_slice().chunks_exact(each * dim)) {
                let mut mean = vec![0.0; dim];
                for row in rows.chunks_exact(dim) {
                    mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += x / each as f32);
                }
                normalize(&mut mean).ok_or_else(|| Error::LabelWithoutDirection { label: label.clone() })?;
                values.extend_from_slice(&mean);
            }
        }
        Ok(LabelSet { labels, embeddings: Embeddings::new(values, dim), model: self.id.clone() })
    }

    /// The `top` labels nearest to an image, best first; all of them when `top` is larger than the set.
    ///
    /// # Errors
    /// [`Error::ForeignLabels`] when another model encoded the labels; else as [`Clip::encode_images`].
    pub fn classify(&self, image: &Image, labels: &LabelSet, top: usize) -> Result<Vec<Match>> {
        let mut matches = self.classify_batch(std::slice::from_ref(image), labels, top)?;
        Ok(matches.pop().unwrap_or_default())
    }

    /// [`Clip::classify`] for many images, in their order.
    ///
    /// # Errors
    /// As [`Clip::classify`].
    pub fn classify_batch(&self, images: &[Image], labels: &LabelSet, top: usize) -> Result<Vec<Vec<Match>>> {
        if labels.model != self.id {
            return Err(Error::ForeignLabels {
                set_model: labels.model.name.clone(),
                set_dim: labels.embeddings.dim(),
                model: self.id.name.clone(),
                dim: self.embed_dim(),
            });
        }
        let images = self.encode_images(images)?;
        let scale = self.manifest.logit_scale;
        Ok(images.rows().map(|image| labels.nearest(image, scale, top)).collect())
    }
}

/// What a thread returned; its panic goes on here.
fn join<T>(thread: thread::ScopedJoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// One thread for each physical core, as far as the process may use them: a second thread on a core slows matrix
/// products down.
fn default_threads() -> usize {
    let usable = thread::available_parallelism().map_or(1, usize::from);
    num_cpus::get_physical().clamp(1, usable)
}
