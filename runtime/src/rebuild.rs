//! Plans that are built on this machine of a model's graphs, and kept in the user's cache folder for the next time.
//!
//! A plan has the name of all that it depends on, as a hash, and beside it lies a file that says what it is. Both appear whole. One whose
//! hash is not what that file says is built anew. While a plan is being built, a lock keeps other processes from building it, too.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clip_model::manifest::{self, Encoder, Sizes};
use clip_model::{Manifest, files};
use clip_tensorrt::cuda;

use crate::cache;
use crate::device::{Device, EngineKind};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::options::Options;
use crate::plan::{PlanBuilder, PlanOptions, Progress};

/// How often a process that waits for another one looks whether it is done.
const LOOK: Duration = Duration::from_millis(100);

/// A plan that this machine can build.
pub(crate) struct Rebuild<'a> {
    model: &'a Path,
    manifest: &'a Manifest,
    encoder: &'a Encoder,
    engine: &'a dyn Engine,
    options: &'a Options,
    plan: PlanOptions,
    /// The folder that plans are kept in.
    folder: PathBuf,
    /// The name of this one.
    key: String,
}

impl<'a> Rebuild<'a> {
    /// The plan of an encoder of the model folder `model`, for the GPU of `engine`, which is of that kind.
    ///
    /// # Errors
    /// [`Error::Cache`] when there is no place to keep it; [`Error::TensorRt`] when there is no GPU.
    pub fn new(
        (model, manifest, encoder): (&'a Path, &'a Manifest, &'a Encoder),
        (kind, engine): (EngineKind, &'a dyn Engine),
        options: &'a Options,
    ) -> Result<Rebuild<'a>> {
        let info = engine.info();
        let device = if let Device::Cuda(index) = info.device { index } else { 0 };
        let sm = cuda::Device::open(device)?.sm();
        let of_old = encoder.plan();
        let rtx = kind == EngineKind::TensorRtRtx;
        let portable = of_old.is_some_and(|old| old.is_of_rtx() && old.compute_capabilities.is_empty());
        let usual = PlanOptions::default();
        let context = manifest.tokenizer.as_ref().map_or(usual.length.max, |t| t.context_length);
        // What the old plan says of memory was that of another machine.
        let plan = PlanOptions {
            rtx,
            batch: of_old.map_or(usual.batch, |old| old.batch),
            length: of_old.and_then(|old| old.length).unwrap_or(Sizes { max: context, ..usual.length }),
            targets: if rtx && !portable { vec![sm] } else { Vec::new() },
            level: of_old.and_then(|old| old.build.level),
            ..usual
        };
        let graph = encoder.graph();
        let hashes: Vec<&str> = graph.files().map(|(_, sha256)| sha256).collect();
        let PlanOptions { batch, length, targets, level, .. } = &plan;
        // A version's family follows from it.
        let depends_on = format!(
            "{} {} {sm} {} {batch:?} {length:?} {targets:?} {level:?} {hashes:?}",
            kind.name(),
            info.version,
            encoder.precision.name()
        );
        let key = hash(&depends_on).map_err(|e| no_cache(Path::new("libclip/plans"), e))?;
        let missing = || io::Error::new(io::ErrorKind::NotFound, "neither XDG_CACHE_HOME nor HOME is set");
        let folder = cache::folder().map(|folder| folder.join("plans"));
        let folder = folder.ok_or_else(|| no_cache(Path::new("~/.cache/libclip/plans"), missing()))?;
        let plan = PlanOptions { library: Some(info.library.clone()), device, ..plan };
        Ok(Rebuild { model, manifest, encoder, engine, options, plan, folder, key })
    }

    /// The folder that it is kept in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The encoder that runs it, where it was built before and is whole.
    pub fn kept(&self) -> Option<Encoder> {
        let kept = Encoder::read(&self.file("json")).ok()?;
        let plan = kept.plan().filter(|plan| self.engine.misfits(plan).is_empty())?;
        // Whatever the description says, no other file is taken.
        let name = format!("{}.plan", self.key);
        manifest::verified(&self.folder, &name, &kept.sha256).ok()?;
        let engine = manifest::Engine::TensorRt(Box::new(plan.clone()));
        Some(Encoder { file: name, sha256: kept.sha256, data: Vec::new(), engine, ..self.encoder.clone() })
    }

    /// The encoder that runs it, built now unless another process has done so meanwhile. `refused` is the hash of one that TensorRT did not
    /// take.
    ///
    /// # Errors
    /// [`Error::Cache`] when it cannot be kept; [`Error::Model`] for a graph that is not the manifest's; [`Error::TensorRt`] for what
    /// TensorRT refuses, and when the build is cancelled.
    pub fn build(&self, refused: Option<&str>) -> Result<Encoder> {
        let unusable = |e| no_cache(&self.folder, e);
        std::fs::create_dir_all(&self.folder).map_err(unusable)?;
        let lock = File::create(self.file("lock")).map_err(unusable)?;
        self.wait_for(&lock)?;
        if let Some(kept) = self.kept().filter(|kept| Some(kept.sha256.as_str()) != refused) {
            return Ok(kept);
        }
        let graph = self.encoder.graph();
        for (file, sha256) in graph.files() {
            manifest::verified(self.model, file, sha256)?;
        }
        let builder = PlanBuilder::new(self.plan.clone())?;
        let mut watch = |progress: Progress<'_>| self.tell(progress);
        let built = builder.build(self.model, self.manifest, self.encoder, &self.file("plan"), &mut watch)?;
        built.write(&self.file("json"))?;
        Ok(built)
    }

    /// Waits until no other process builds it. Where the system has no locks, none is waited for.
    fn wait_for(&self, lock: &File) -> Result<()> {
        while let Err(TryLockError::WouldBlock) = lock.try_lock() {
            let phase = "waiting for another process that builds it";
            if self.tell(Progress { phase, depth: 0, done: 0, steps: 0 }).is_break() {
                return Err(clip_tensorrt::Error::Cancelled.into());
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    fn tell(&self, progress: Progress<'_>) -> ControlFlow<()> {
        match &self.options.watch {
            Some(watch) => (watch.0)(&self.model.join(self.encoder.graph().file), progress),
            None => ControlFlow::Continue(()),
        }
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", self.key))
    }
}

/// SHA-256 of a text, lower-case hex.
fn hash(text: &str) -> io::Result<String> {
    let mut hashing = files::Hashing::new(io::sink());
    hashing.write_all(text.as_bytes())?;
    Ok(hashing.finish().1)
}

fn no_cache(folder: &Path, source: io::Error) -> Error {
    Error::Cache { folder: folder.to_owned(), source }
}
