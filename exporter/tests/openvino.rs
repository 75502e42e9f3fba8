//! Graphs of ours in OpenVINO, as a part of ONNX Runtime: all of their nodes, the same numbers, from any number of threads. Needs
//! `make .deps/onnxruntime-openvino`, and is skipped without. A process holds one ONNX Runtime, so that this one has that for everything.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};

use clip_checkpoint::Checkpoint;
use clip_exporter::compare::{Samples, Thresholds};
use clip_exporter::{Dialect, Int8, Numbers, Options, export};
use clip_model::Preprocess;
use clip_model::config::{Activation, Config};
use clip_model::preprocess::Image;
use clip_runtime::{Clip, Device, EngineKind, Error};
use clip_testkit::{resnet, small_vit};

/// The library, where it is there; another one can be named in `CLIP_TEST_OPENVINO`.
fn library() -> Option<PathBuf> {
    let there =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../.deps/onnxruntime-openvino/lib/libonnxruntime.so");
    let path = std::env::var_os("CLIP_TEST_OPENVINO").map_or(there, PathBuf::from);
    if !path.exists() {
        println!("skipped: {} is not there; make .deps/onnxruntime-openvino brings it", path.display());
        return None;
    }
    Some(path)
}

fn pictures() -> Vec<Image> {
    let picture = |n: usize| Image::new(20, 31, (0..20 * 31 * 3).map(|i| (i * n % 251) as u8).collect());
    (1..8).map(|n| picture(n).unwrap()).collect()
}

fn texts() -> Vec<String> {
    (0..9).map(|n| format!("{}b", "a ".repeat(n))).collect()
}

fn int8(side: usize) -> Options {
    let preprocess = Preprocess { size: side, ..Preprocess::default() };
    let images = pictures().iter().map(|image| preprocess.fit(image).unwrap()).collect();
    let numbers = Numbers::Int8(Int8 { dialect: Dialect::Cpu, ..Int8::default() });
    let thresholds = Some(Thresholds { min_cosine: -1.0, mean_cosine: -1.0, top1: 0.0 });
    let samples = Some(Samples { images, texts: texts() });
    Options { numbers, samples, thresholds, ..Options::default() }
}

/// Embeddings of the pictures and of the texts.
fn embeddings(clip: &Clip) -> [Vec<f32>; 2] {
    [clip.encode_images(&pictures()).unwrap(), clip.encode_texts(&texts()).unwrap()]
        .map(|e| e.as_slice().to_vec())
}

/// The largest difference.
fn difference(a: &[Vec<f32>; 2], b: &[Vec<f32>; 2]) -> f32 {
    a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn open(folder: &Path, library: &Path, engine: EngineKind) -> Clip {
    Clip::open_with(folder, &clip_runtime::Options::new().engine(engine).library(library).threads(2)).unwrap()
}

fn compare(config: &Config, library: &Path, options: &Options, tolerance: f32) {
    let root = tempfile::tempdir().unwrap();
    let checkpoint = Checkpoint::open(clip_testkit::checkpoint(root.path(), config)).unwrap();
    let folder = root.path().join("folder");
    export(&checkpoint, &folder, options, &mut |_| {}).unwrap();
    let expected = embeddings(&open(&folder, library, EngineKind::Onnx));
    let clip = open(&folder, library, EngineKind::OpenVino);
    assert!(clip.engine().to_string().starts_with("ONNX Runtime with OpenVINO 1."), "{}", clip.engine());
    let found = embeddings(&clip);
    let worst = difference(&found, &expected);
    assert!(worst <= tolerance, "{worst}");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..5).for_each(|_| assert!(difference(&embeddings(&clip), &found) < 1e-6)));
        }
    });
    // Fewer digits, where the processor computes in bfloat16; else the same.
    let bf16 = open(&folder, library, EngineKind::OpenVinoBf16);
    let worst = difference(&embeddings(&bf16), &expected);
    println!("bfloat16 differs by {worst}");
    assert!(worst < 0.1, "{worst}");
}

#[test]
fn openvino_computes_what_onnx_runtime_does() {
    let Some(library) = library() else { return };
    // Before anything else opens another one, as an export does that compares in this process.
    let colours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/tests/colours");
    let options = clip_runtime::Options::new().library(&library);
    Clip::open_with(&colours, &options).unwrap();
    let error = Clip::open_with(&colours, &options.engine(EngineKind::OpenVino).device(Device::Cuda(0)));
    assert!(matches!(error, Err(Error::Device { .. })));
    for config in [small_vit(Activation::QuickGelu), resnet()] {
        compare(&config, &library, &Options::default(), 1e-4);
        compare(&config, &library, &Options { numbers: Numbers::Fp16, ..Options::default() }, 5e-3);
        compare(&config, &library, &int8(config.image.image_size()), 0.05);
    }
}
