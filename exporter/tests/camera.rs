//! `clip-export --camera`: a graph from a camera's frames to embeddings, compared with the image encoder, described and built.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod checkpoint;

use std::path::Path;
use std::process::{Command, Output};

use checkpoint::entries;
use clip_checkpoint::WeightFormat;
use clip_model::Manifest;
use clip_model::frame::PixelFormat;
use clip_model::manifest::{Element, FILE, Layout, Precision, Sizes};
use clip_model::orientation::Orientation;

const EMOJI: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/emoji-tiny");
const PICTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/images");
const TEXTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/emoji-tiny/everyday-100.txt");
const LENIENT: [&str; 6] = ["--min-cosine", "-1", "--min-mean-cosine", "-1", "--min-top1", "0"];

fn clip_export(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_clip-export")).args(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Exports, which must succeed; gives what the manifest says, and what was said.
fn exported(checkpoint: &Path, folder: &Path, arguments: &[&str]) -> (Manifest, String) {
    let own = [checkpoint.to_str().unwrap(), "-o", folder.to_str().unwrap(), "--force"];
    let output = clip_export(&[&own[..], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    (Manifest::read(folder).unwrap(), stderr(&output))
}

#[test]
fn every_format_is_described_and_gives_the_encoders_embeddings() {
    let root = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint::tiny(root.path(), WeightFormat::Fp32, |_| ());
    let folder = root.path().join("out");
    for format in PixelFormat::all() {
        let camera = format!("{format}:75x53:320");
        let (manifest, said) = exported(&checkpoint, &folder, &["--camera", &camera, "--only", "visual"]);
        assert!(said.contains("camera.onnx gives what visual.onnx does: of 8 frames"), "{said}");
        let camera = manifest.camera.unwrap();
        assert_eq!((camera.layout.format, camera.inputs.len()), (format, format.planes()));
        assert_eq!(camera.encoder.input.name, camera.inputs[0]);
        assert_eq!(
            (camera.encoder.input.layout, camera.encoder.input.element),
            (Layout::Planes, Element::Uint8)
        );
        assert_eq!(entries(&folder), ["camera.onnx", "clip.json", "visual.onnx"]);
    }
}

#[test]
fn every_precision_and_form_has_one() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("out");
    let view = ["--camera", "nv12:641x361:704", "--camera-turn", "right", "--camera-crop", "40,11,500x350"];
    let int8 = ["--precision", "int8", "--calibration-images", PICTURES, "--calibration-texts", TEXTS];
    let trt = [&int8[..], &["--dialect", "trt", "--min-top1", "0.5", "--min-cosine", "0.9"]].concat();
    let cases: [(&[&str], Precision); 6] = [
        (&["--precision", "fp32"], Precision::Fp32),
        (&["--precision", "fp16"], Precision::Fp16),
        (&int8, Precision::Int8),
        (&trt, Precision::Int8),
        (&["--uint8-input", "--batch", "2", "--opset", "21"], Precision::Fp32),
        (&["--uint8-input", "--precision", "fp16", "--external-data"], Precision::Fp16),
    ];
    for (arguments, precision) in cases {
        let arguments = [&view[..], arguments, &["--only", "visual"]].concat();
        let (manifest, said) = exported(EMOJI.as_ref(), &folder, &arguments);
        let camera = manifest.camera.unwrap();
        assert_eq!(camera.encoder.precision, precision, "{said}");
        assert_eq!(camera.view.orientation, Orientation::TurnedRight);
        assert_eq!(camera.view.crop.unwrap().width, 500);
        assert_eq!(camera.encoder.batch, manifest.image.unwrap().batch);
        let beside = entries(&folder).contains(&"camera.onnx.data".to_owned());
        assert_eq!(beside, arguments.contains(&"--external-data"));
    }
    let output = clip_export(&["inspect", folder.to_str().unwrap()]);
    let said = String::from_utf8(output.stdout).unwrap();
    let camera =
        "takes nv12 of 641x361 pixels, 704, 704 bytes from row to row, of which 500x350 at (40, 11) count";
    assert!(said.contains(camera), "{said}");

    // Frames that are seen otherwise than the graph sees them are not close.
    let verify = || clip_export(&["verify", folder.to_str().unwrap()]);
    let output = verify();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("8 frames  cosine of the camera's graph"), "{said}");
    let text = std::fs::read_to_string(folder.join(FILE)).unwrap();
    std::fs::write(folder.join(FILE), text.replace("turned_right", "turned_left")).unwrap();
    let output = verify();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("the lowest cosine of 8 frames to the image encoder's is 0."),
        "{output:?}"
    );
    // Nor is a graph that was changed the one that is described.
    std::fs::write(folder.join(FILE), text).unwrap();
    let graph = std::fs::read(folder.join("camera.onnx")).unwrap();
    std::fs::write(folder.join("camera.onnx"), [&graph[..], b"x"].concat()).unwrap();
    assert!(stderr(&verify()).contains("camera.onnx"));
}

/// As thermal cameras have them: what the processor rounds to one of few levels, the graph does, too.
#[test]
fn narrow_levels_of_gray16_are_rounded_as_the_processor_rounds_them() {
    let root = tempfile::tempdir().unwrap();
    for levels in ["0:100", "10000:10100", "600:500"] {
        let camera = ["--camera", "gray16:640x480", "--camera-levels", levels, "--only", "visual"];
        let (manifest, _) = exported(EMOJI.as_ref(), &root.path().join("out"), &camera);
        assert_eq!(manifest.camera.unwrap().layout.format, PixelFormat::Gray16);
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint::tiny(root.path(), WeightFormat::Fp32, |_| ());
    let out = root.path().join("out");
    let own = [checkpoint.to_str().unwrap(), "-o", out.to_str().unwrap()];
    for (arguments, status, words) in [
        (&["--camera", "nv12:1920"][..], 2, "is no size, as 1920x1080"),
        (&["--camera", "yuv9:4x4"], 2, "expected one of rgb"),
        (&["--camera", "nv12:64x64:32"], 2, "the stride of plane 0 is 32 bytes"),
        (&["--camera-turn", "left"], 2, "--camera"),
        (&["--camera", "rgb:64x64", "--camera-color", "bt709-full"], 2, "leave it out"),
        (&["--camera", "gray8:64x64", "--camera-levels", "0:9"], 2, "--camera-levels is about gray16"),
        (&["--camera", "gray16:64x64", "--camera-levels", "9:9"], 1, "black and white are both 9"),
        (&["--camera", "rgb:64x64", "--camera-crop", "0,1,64x64"], 1, "does not lie in a frame of 64x64"),
        (&["--camera", "rgb:64x64", "--only", "text"], 2, "leave one of --camera and --only text out"),
        (&["--camera", "rgb:64x64", "--layout", "immich"], 2, "--layout"),
    ] {
        let output = clip_export(&[&own[..], arguments].concat());
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{arguments:?}: {}", stderr(&output));
        assert!(!out.exists());
    }
}

#[test]
#[cfg(target_os = "linux")]
fn tensorrt_for_rtx_builds_it_for_every_card() {
    let library =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../.deps/tensorrt/tensorrt_rtx_libs/libtensorrt_rtx.so.1");
    if !Path::new(library).exists() {
        eprintln!("skipped: there is no TensorRT-RTX, `make .deps/tensorrt` brings it");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("out");
    let int8 = [&["--calibration-images", PICTURES, "--calibration-texts", TEXTS], &LENIENT[..]].concat();
    for (format, camera, cards, more) in [
        ("fp16", "nv12:1920x1080:2048", "86,89,120", &[][..]),
        ("fp32", "bgra:640x480", "", &[]),
        ("fp16", "gray16:640x512", "89", &[]),
        ("int8", "uyvy:1280x720", "86", &int8),
    ] {
        let cards = if cards.is_empty() { vec![] } else { vec!["--sm", cards] };
        let trt = ["--rtx", "--trt", format, "--camera", camera, "--only", "visual", "--trt-batch", "1:1:4"];
        let (manifest, said) = exported(EMOJI.as_ref(), &folder, &[&trt[..], &cards, more].concat());
        assert!(said.contains("camera.plan: "), "{said}");
        let camera = manifest.camera.unwrap();
        let plan = camera.encoder.plan().unwrap();
        assert_eq!((camera.encoder.file.as_str(), plan.graph.file.as_str()), ("camera.plan", "camera.onnx"));
        assert_eq!(plan.batch, Sizes { min: 1, opt: 1, max: 4 });
        assert!(folder.join("camera.plan").metadata().unwrap().len() > 1 << 16);
    }
    // A folder that has it already gets its engine, too.
    let (manifest, _) = exported(EMOJI.as_ref(), &folder, &["--camera", "i420:320x240", "--only", "visual"]);
    assert!(manifest.camera.unwrap().encoder.plan().is_none());
    let output = clip_export(&["engines", folder.to_str().unwrap(), "--rtx", "--sm", "89"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(Manifest::read(&folder).unwrap().camera.unwrap().encoder.plan().is_some());
}

/// What the process does that has the doubles: frames from memory of the GPU, by the engine and by way of the processor.
#[cfg(target_os = "linux")]
fn with_a_gpu(folder: &Path) {
    use clip_model::frame::{Frame, FrameLayout, View};
    use clip_model::preprocess::{Image, Scratch};
    use clip_runtime::frame_memory::{CameraFrame, CudaFrame, DeviceCamera, FrameMemory, Mapper};
    use clip_runtime::{Clip, Options};
    use cudarc::driver::{result, sys};

    let anew = std::env::var_os("CLIP_TEST_REBUILD").is_some();
    let options = Options::new().rebuild(anew);
    let clip = Clip::open_with(folder, &options).unwrap();
    let camera = DeviceCamera::open(folder, clip.manifest(), &options, 2).unwrap().unwrap();
    assert_eq!(camera.engine().name, "TensorRT");
    // What was built here, the tower's plan and the camera's, nobody has compared.
    assert_eq!(clip.unverified().len(), if anew { 2 } else { 0 });
    assert_eq!(camera.file().starts_with(folder), !anew);
    let described = clip.manifest().camera.as_ref().unwrap();
    let (layout, view) = (described.layout, described.view);
    let fit = |frame: &Frame<'_>| -> clip_runtime::Result<Vec<u8>> {
        let preprocess = &clip.manifest().preprocess;
        let mut rgb = vec![0; 3 * preprocess.size * preprocess.size];
        preprocess.fit_frame(frame, &mut Scratch::default(), &mut rgb)?;
        Ok(rgb)
    };
    let (mapper, mut frames, mut expected) = (Mapper::new(), Vec::new(), Vec::new());
    for seed in 1..6 {
        let planes: Vec<Vec<u8>> = described
            .planes()
            .into_iter()
            .map(|[rows, stride]| {
                let level = |i: usize| {
                    120.0
                        + 90.0 * ((i % stride) as f32 * 0.01 * seed as f32 + (i / stride) as f32 * 0.05).sin()
                };
                (0..rows * stride).map(|i| level(i) as u8).collect()
            })
            .collect();
        let slices: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
        let seen = mapper.with_host(&FrameMemory::Host(&slices), layout, view, fit).unwrap();
        let mut addresses = [0; 3];
        for (address, plane) in addresses.iter_mut().zip(&planes) {
            *address = unsafe { result::malloc_sync(plane.len()) }.unwrap();
            unsafe { result::memcpy_htod_sync(*address, plane) }.unwrap();
        }
        let frame = unsafe { CudaFrame::new(0, addresses, std::ptr::null_mut()) };
        // By way of the processor, bit for bit; a second time in the memory that is kept.
        for _ in 0..2 {
            let copied = mapper.with_host(&FrameMemory::Cuda(frame), layout, view, fit).unwrap();
            assert_eq!(copied, seen);
        }
        let side = clip.manifest().preprocess.size;
        expected.extend(
            clip.encode_images(&[Image::new(side, side, seen).unwrap()]).unwrap().as_slice().to_vec(),
        );
        frames.push(
            camera.takes(&CameraFrame { memory: FrameMemory::Cuda(frame), layout, view }).expect("it fits"),
        );
    }
    let width = clip.manifest().embed_dim;
    // One, some, and more than go into a run.
    for count in [1, 2, 5] {
        let found = camera.encode(&frames[..count]).unwrap();
        assert_eq!(found.len(), count * width);
        for (a, b) in found.chunks(width).zip(expected.chunks(width)) {
            let cosine: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
            assert!(cosine > 0.999, "{cosine}");
        }
    }
    assert!(expected[..width] != expected[width..2 * width]);
    // What it does not take, others have to.
    let memory = FrameMemory::Cuda(frames[0]);
    let other = FrameLayout { strides: [256, 128, 128], ..layout };
    assert!(camera.takes(&CameraFrame { memory, layout: other, view }).is_none());
    let turned = View { orientation: Orientation::UpsideDown, ..view };
    assert!(camera.takes(&CameraFrame { memory, layout, view: turned }).is_none());
    assert!(camera.takes(&CameraFrame { memory: FrameMemory::Host(&[]), layout, view }).is_none());
    let elsewhere = FrameMemory::Cuda(unsafe { CudaFrame::new(1, [256; 3], std::ptr::null_mut()) });
    assert!(camera.takes(&CameraFrame { memory: elsewhere, layout, view }).is_none());
    let said = mapper.with_host(&elsewhere, layout, view, fit).unwrap_err().to_string();
    assert!(said.contains('1'), "{said}");
    let none = unsafe { CudaFrame::new(0, [0; 3], std::ptr::null_mut()) };
    assert!(camera.encode(&[none]).unwrap_err().to_string().contains("plane 0 has no address"));
    assert_eq!(unsafe { sys::cuCtxSynchronize() }, sys::CUresult::CUDA_SUCCESS);
}

#[test]
#[cfg(target_os = "linux")]
fn engines_that_run_here_are_compared() {
    if let Some(folder) = std::env::var_os("CLIP_TEST_CAMERA") {
        return with_a_gpu(folder.as_ref());
    }
    let Some(doubles) = clip_testkit::doubles::build() else { return };
    let root = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint::tiny(root.path(), WeightFormat::Fp32, |_| ());
    let folder = root.path().join("out");
    let mut command = Command::new(env!("CARGO_BIN_EXE_clip-export"));
    command.arg(&checkpoint).arg("-o").arg(&folder).args(["--trt", "fp32", "--camera", "i420:99x55:128"]);
    command.args(["--trt-batch", "2:2:4"]);
    let output = doubles.environment(&mut command).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let plan = Manifest::read(&folder).unwrap().camera.unwrap().encoder;
    assert!(plan.plan().unwrap().verified, "{}", stderr(&output));
    let mut command = Command::new(env!("CARGO_BIN_EXE_clip-export"));
    command.args(["verify", folder.to_str().unwrap(), "--json"]);
    let output = doubles.environment(&mut command).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["camera"]["count"], 8, "{json}");
    let run = |variables: &[(&str, &str)]| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "engines_that_run_here_are_compared", "--nocapture"]);
        doubles.environment(&mut command).env("CLIP_TEST_CAMERA", &folder).envs(variables.iter().copied());
        command.env("XDG_CACHE_HOME", root.path()).output().unwrap()
    };
    let said = |output: &std::process::Output| {
        format!("{}{}", String::from_utf8_lossy(&output.stdout), stderr(output))
    };
    let output = run(&[]);
    assert!(output.status.success(), "{}", said(&output));
    // On another GPU both plans are refused, or built anew.
    let other = ("DOUBLE_CUDA_SM", "87");
    let output = run(&[other]);
    assert!(!output.status.success() && said(&output).contains("Misfit"), "{}", said(&output));
    for _ in 0..2 {
        let output = run(&[other, ("CLIP_TEST_REBUILD", "1")]);
        assert!(output.status.success(), "{}", said(&output));
    }
    let kept = std::fs::read_dir(root.path().join("libclip/plans")).unwrap();
    let plans = kept.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|e| e == "plan"));
    assert_eq!(plans.count(), 2);
}
