//! ONNX Runtime, and how it is found.
//!
//! Looked for, in this order, and the first that can be used is taken:
//! 1. the file in the environment variable `ORT_DYLIB_PATH`, and nothing else where that is set;
//! 2. beside the shared library that this code is part of, and beside the program;
//! 3. in `../lib` of a program that is installed in a folder `bin`;
//! 4. in a program that was built in the source tree, the tree's own `.deps/onnxruntime/lib`, where `make .deps/onnxruntime`
//!    puts it: an absolute path, fixed when it is built by `CLIP_ONNXRUNTIME` of `.cargo/config.toml` (a package is built
//!    with that variable empty, or without the file, and has none);
//! 5. where the system looks for shared libraries.
//!
//! Microsoft's builds of ONNX Runtime send usage data from 1.31 on, also on Linux. This is switched off: unless
//! `ORT_DISABLE_TELEMETRY` is in the environment already, it is set to 1 before the library is opened, which
//! is the only way to keep it from writing a device id into the user's cache folder and from looking for its maker's server.
//! A C program whose other threads change the environment should open its first model before it starts them.

mod graph;
mod library;
mod provider;
mod search;
mod weights;

use std::path::Path;

use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::SessionBuilder;

use super::{Engine, EngineInfo};
use crate::device::{Device, EngineKind};
use crate::error::Result;
use crate::options::Options;
use graph::{Graph, refused};
use provider::Provider;

/// What a session takes besides weights, and a thread's stack where the system's limit is the usual 8 MB. Where ONNX Runtime
/// gets none for something small, or for a thread of its own, it may end the process.
const SESSION: usize = 24 << 20;
const THREAD: usize = 9 << 20;

/// How long threads that may spin do so, in microseconds: longer than it takes from one step of a run to the next, or from a run to one
/// that follows at once. Versions that do not know the setting spin for longer.
const SPIN_DURATION: (&str, &str) = ("session.intra_op.spin_duration_us", "50");

/// The setting that says where the weights of a graph in memory are, and the oldest version, by its second number, that is known to have it.
const WEIGHTS_FOLDER: &str = "session.model_external_initializers_file_folder_path";
const MAPS: u32 = 24;

#[derive(Debug)]
struct Onnx {
    info: EngineInfo,
    provider: Provider,
    environment: Environment,
    spinning: bool,
    /// Whether it can map the weights of a graph that is in memory.
    maps: bool,
}

/// Opens ONNX Runtime, or takes the one that this process has opened already.
pub(super) fn start(kind: EngineKind, options: &Options) -> Result<impl Engine + use<>> {
    let device = options.device.unwrap_or(Device::Cpu);
    let (library, environment) = library::load(options.library.as_deref())?;
    let (provider, device_name) = Provider::choose(kind, device, &library.path)?;
    let maps = provider == Provider::Processor && library.minor() >= MAPS;
    let (version, library) = (library.version, library.path);
    let info = EngineInfo { name: kind.full_name(), version, library, device, device_name };
    Ok(Onnx { info, provider, environment, spinning: options.spinning, maps })
}

impl Engine for Onnx {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn memory(&self, bytes: usize, threads: usize) -> usize {
        // The file as it is read or mapped, and the weights as they are kept; OpenVINO is given copies.
        let copies = if matches!(self.provider, Provider::OpenVino { .. }) { 5 } else { 2 };
        bytes.saturating_mul(copies).saturating_add(SESSION + threads * THREAD)
    }

    fn open(&self, file: &Path, threads: usize) -> Result<Box<dyn super::Session>> {
        let refused = |e: ort::Error| refused("open", file, self.provider.reason(&e));
        let session = self.session(file, threads).map_err(refused)?;
        Ok(Box::new(Graph::new(file, session)?))
    }
}

impl Onnx {
    fn session(&self, file: &Path, threads: usize) -> ort::Result<Session> {
        let builder = Session::builder(&self.environment)?;
        let mut builder = self
            .provider
            .register(builder, threads)?
            .with_intra_threads(threads)?
            .with_inter_threads(1)?
            .with_intra_op_spinning(self.spinning)?
            .with_config_entry(SPIN_DURATION.0, SPIN_DURATION.1)?
            // Batches and text lengths vary: plans for each of their shapes would only take memory.
            .with_memory_pattern(false)?;
        if self.maps
            && let Some(session) = mapped(&builder, file, weights::LARGE)
        {
            return Ok(session);
        }
        builder.commit_from_file(file)
    }
}

/// The graph in `file` with its weights mapped; none where it has no large ones, and where that does not work out: how the
/// graph is opened then says why.
fn mapped(builder: &SessionBuilder, file: &Path, large: u64) -> Option<Session> {
    let graph = weights::left_in_file(file, large).ok()??;
    let absolute = std::path::absolute(file).ok()?;
    let folder = absolute.parent()?.to_str()?;
    builder.clone().with_config_entry(WEIGHTS_FOLDER, folder).ok()?.commit_from_memory(&graph).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Tensor;

    /// Runs a graph of the tests' model folder as it is and with all of its weights mapped.
    fn compared(file: &str, input: (&str, Tensor)) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/colours").join(file);
        let (_, environment) = library::load(None).unwrap();
        let mut builder = Session::builder(&environment).unwrap();
        let mapped = mapped(&builder, &path, 1).expect("it has weights, and ONNX Runtime takes them");
        let whole = builder.commit_from_file(&path).unwrap();
        let [mapped, whole] = [mapped, whole].map(|session| {
            let graph: Box<dyn crate::engine::Session> = Box::new(Graph::new(&path, session).unwrap());
            (graph.inputs(), graph.outputs(), graph.run(&[(input.0, &input.1)]).unwrap())
        });
        assert_eq!(mapped, whole);
    }

    #[test]
    fn mapped_weights_are_the_same() {
        let pixels = (0..192).map(|n| n as f32 / 50.0 - 2.0).collect();
        compared("visual.onnx", ("image", Tensor::Float32(vec![1, 3, 8, 8], pixels)));
        compared("text.onnx", ("ids", Tensor::Int32(vec![1, 4], vec![1, 2, 3, 0])));
    }

    #[test]
    fn a_graph_that_is_damaged_is_not_mapped() {
        let folder = tempfile::tempdir().unwrap();
        let whole =
            std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/colours/visual.onnx")).unwrap();
        let path = folder.path().join("visual.onnx");
        let mut refused = 0;
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            refused += usize::from(weights::left_in_file(&path, 1).is_err());
        }
        // What ends between two fields of the model is whole as far as it goes.
        assert!(refused > whole.len() - 50, "{refused} of {}", whole.len());
        for damaged in [
            &b"\x3f"[..],
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        ] {
            std::fs::write(&path, damaged).unwrap();
            assert!(weights::left_in_file(&path, 1).is_err(), "{damaged:?}");
        }
        assert!(weights::left_in_file(&folder.path().join("none.onnx"), 1).is_err());
        std::fs::write(&path, &whole).unwrap();
        assert!(weights::left_in_file(&path, 1 << 20).unwrap().is_none());
    }
}
