//! How every command opens the model folder.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use clap::builder::RangedU64ValueParser;
use clip_program::{Progress, note};
use clip_runtime::plan;
use clip_runtime::{Clip, Device, EngineKind, MAX_THREADS, Options, Result};

/// Options of every command.
#[derive(clap::Args)]
pub struct ModelOptions {
    /// What runs the model: onnx, openvino, openvino-bf16 (faster on processors with bfloat16, and less exact), tensorrt or rtx. For a
    /// folder with engines of TensorRT, the first three run the graphs beside them [default: what each file was made for]
    #[arg(long, value_name = "ENGINE")]
    engine: Option<EngineKind>,
    /// What is computed on: cpu, or cuda:0 for the first GPU; one that cannot be had is an error [default: cuda:0 for
    /// tensorrt and rtx, else cpu]
    #[arg(long, value_name = "DEVICE")]
    device: Option<Device>,
    /// Build an engine of TensorRT that does not fit this machine, or is damaged, anew of its graph, or with --engine tensorrt or rtx one of
    /// an encoder that is a graph; it is kept in the user's cache folder
    #[arg(long)]
    rebuild: bool,
    /// The library of TensorRT, or the folder that it is in [default: the one that the system finds]
    #[arg(long, value_name = "PATH")]
    trt_library: Option<PathBuf>,
    /// Threads to compute with [default: one for each physical core]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=MAX_THREADS as u64))]
    threads: Option<usize>,
    /// Pixels of the largest image to decode, where that is fewer than the model folder allows
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    max_pixels: Option<u64>,
    /// Hash only files of the folder that changed since they were last found whole with this option; what was found is
    /// kept in the folder, or in the user's cache folder
    #[arg(long)]
    trust_unchanged: bool,
    /// Decode JPEGs at a half, a quarter or an eighth of their size where twice the model's remains: of 12 megapixels in a third of the time;
    /// pixels are then up to 1 level off in the mean, and embeddings of photos had a cosine of 0.9998 in the median and 0.997 at worst with those
    /// without it
    #[arg(long)]
    fast_decode: bool,
}

impl ModelOptions {
    /// Opens `folder` as they say.
    pub fn open(&self, folder: &Path) -> Result<Clip> {
        Clip::open_with(folder, &self.options())
    }

    /// The same, and a note on standard error for each engine that nobody has compared with its graph.
    pub fn open_noting(&self, folder: &Path) -> Result<Clip> {
        noting(self.open(folder)?, folder)
    }

    /// The same for so many images, which [`crate::images`] encodes: each thread some for itself, where that leaves few without any.
    pub fn open_for_images(&self, folder: &Path, images: usize) -> Result<Clip> {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let alone = (2 * images > self.threads.unwrap_or(processors).min(processors)).then_some(1);
        noting(Clip::open_with(folder, &self.options().image_threads(alone))?, folder)
    }

    /// What the options say.
    pub fn options(&self) -> Options {
        let building = Mutex::new(Building::default());
        Options::new()
            .engine(self.engine)
            .device(self.device)
            .rebuild(self.rebuild)
            .tensorrt(self.trt_library.clone())
            .threads(self.threads)
            .max_pixels(self.max_pixels)
            .trust_unchanged(self.trust_unchanged)
            .fast_decode(self.fast_decode)
            // A program that waits for nothing but its own work.
            .spinning(true)
            // A signal ends the process, so that nothing has to be cancelled here.
            .watch_rebuild(move |graph, progress| {
                building.lock().unwrap_or_else(PoisonError::into_inner).show(graph, progress);
                ControlFlow::Continue(())
            })
    }
}

fn noting(clip: Clip, folder: &Path) -> Result<Clip> {
    for plan in clip.unverified() {
        note(&format!("{} is unverified{}", plan.display(), remedy(plan, folder)));
    }
    Ok(clip)
}

/// How an engine becomes a verified one. One of the cache is of this machine, and there is no command for it.
pub fn remedy(plan: &Path, folder: &Path) -> String {
    match plan.starts_with(folder) {
        true => format!(": run clip-export verify {} on this device", folder.display()),
        false => ": it was built here".to_owned(),
    }
}

/// Shows how far engines are that are being built, one after the other.
#[derive(Default)]
struct Building {
    graph: PathBuf,
    /// The number of steps, and the bar for it.
    bar: Option<(usize, Progress)>,
}

impl Building {
    fn show(&mut self, graph: &Path, progress: plan::Progress<'_>) {
        if self.graph != graph {
            self.bar = None;
            note(&format!("building an engine of {}, to be kept for the next time", graph.display()));
            self.graph = graph.to_owned();
        }
        // Those inside of others go by quickly, and have counts of their own.
        if progress.depth > 0 || progress.steps == 0 {
            return;
        }
        let bar = match &mut self.bar {
            Some((steps, bar)) if *steps == progress.steps => bar,
            bar => &mut bar.insert((progress.steps, Progress::new("steps of the engine", progress.steps))).1,
        };
        bar.set(progress.done);
        if progress.done >= progress.steps {
            self.bar = None;
        }
    }
}
