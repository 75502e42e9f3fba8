//! What an export tells while it is under way.

use clip_model::manifest::Build;

/// What an export is doing, or has found.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A file is being written.
    Write {
        /// Its name.
        file: &'static str,
        /// Bytes written so far; 0 the first time.
        done: u64,
        /// Bytes it will have.
        size: u64,
    },
    /// A graph is run to be quantized.
    Calibrate {
        /// Name of its file.
        file: &'static str,
        /// Share of the work that is done.
        done: f32,
    },
    /// The label set is encoded.
    Labels,
    /// The encoders are compared with those in single precision.
    Verify,
    /// The camera's graph is compared with the image encoder.
    Frames,
    /// The camera's graph gave what the image encoder does.
    FramesVerified {
        /// Frames compared.
        count: usize,
        /// The lowest cosine between the two.
        min_cosine: f32,
    },
    /// Engines are compared with the graphs that they were built of.
    VerifyPlans,
    /// The comparison rests on few pictures, each of which is a large share of them.
    FewPictures {
        /// How many.
        count: usize,
    },
    /// The exported image encoder is not faster here than single precision.
    NotFaster {
        /// Milliseconds an image, as exported.
        exported_ms: f64,
        /// The same in single precision.
        fp32_ms: f64,
    },
    /// All files are written, and the model is run once.
    Trial,
    /// Engines are built by this.
    Builder {
        /// The library, its version, and the GPU.
        described: String,
    },
    /// An engine is being built.
    Build {
        /// Name of its file.
        file: &'static str,
        /// What is being done, in TensorRT's words.
        phase: String,
        /// Steps of the whole that are done; 0 of 0 where only the phase is told.
        done: usize,
        /// Steps of the whole.
        steps: usize,
    },
    /// An engine is built.
    Built {
        /// Name of its file.
        file: &'static str,
        /// Its size.
        bytes: u64,
        /// How it was built, and what that took.
        build: Build,
    },
    /// An encoder stays a graph, since the GPU has little memory.
    LeftAsGraph {
        /// Name of its graph.
        file: &'static str,
        /// Bytes of the GPU's memory.
        memory: u64,
    },
    /// The engines gave what their graphs do.
    Verified {
        /// Median of the time for one image on the device, milliseconds; 0 without an image encoder.
        image_ms: f64,
    },
    /// How fast 8-bit integers are on the GPU beside half precision.
    BesideHalf {
        /// Milliseconds an image, as exported.
        int8_ms: f64,
        /// The same in half precision.
        fp16_ms: f64,
    },
    /// The engines were not compared with their graphs, since no GPU is here that runs them.
    Unverified,
}
