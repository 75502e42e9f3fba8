//! Libraries that are missing, damaged or others, and machines without a GPU.

#![allow(clippy::unwrap_used, reason = "a failing helper fails its test")]

use std::path::Path;

use clip_tensorrt::cuda::Device;
use clip_tensorrt::{BuildOptions, Error, Kind, Library};

fn refused(kind: Kind, path: &Path) -> Error {
    Library::open(kind, Some(path)).unwrap_err()
}

#[test]
fn what_is_no_tensorrt_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("libnvinfer.so.10");
    std::fs::write(&text, "not a library").unwrap();
    for (path, reason) in [
        (text.as_path(), "file too short"),
        (Path::new("/no/such/libnvinfer.so.10"), "No such file"),
        (Path::new("libc.so.6"), "it is not TensorRT: it has no function getInferLibVersion"),
    ] {
        let error = refused(Kind::TensorRt, path);
        assert!(matches!(error, Error::Unusable { .. }), "{error}");
        let said = error.to_string();
        assert!(said.contains(reason) && said.contains(path.to_str().unwrap()), "{said}");
    }
    // In a folder, each name that was looked for is told.
    let error = refused(Kind::TensorRt, folder.path()).to_string();
    for part in
        ["TensorRT was not found", "libnvinfer.so.11 (cannot open", "libnvinfer.so.10 (file too short"]
    {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn tensorrt_for_rtx_is_not_taken_for_tensorrt() {
    let Ok(rtx) = Library::open(Kind::Rtx, None) else {
        eprintln!("skipped: there is no TensorRT-RTX, `make .deps/tensorrt` brings it");
        return;
    };
    let error = refused(Kind::TensorRt, rtx.path());
    assert!(matches!(error, Error::OtherKind { .. }), "{error}");
    assert!(error.to_string().ends_with("is TensorRT-RTX, and not TensorRT"), "{error}");
}

#[test]
fn without_a_driver_there_is_no_gpu() {
    match Device::open(0) {
        Ok(device) => eprintln!("skipped: there is a GPU, {}", device.name()),
        Err(error) => {
            assert!(matches!(error, Error::NoDriver | Error::NoDevice { .. }), "{error}");
            assert_eq!(Device::count().is_err(), matches!(error, Error::NoDriver), "{error}");
        }
    }
}

/// The lean runtime is a real library of TensorRT 11.4: it runs engines and builds none.
#[test]
fn a_library_that_only_runs_engines_builds_none() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../.deps/tensorrt-lean/tensorrt_lean_libs");
    let path = Path::new(folder).join("libnvinfer_lean.so.11");
    if !path.exists() {
        eprintln!("skipped: there is no lean TensorRT, `make .deps/tensorrt-lean` brings it");
        return;
    }
    let lean = Library::open(Kind::TensorRt, Some(&path)).unwrap();
    assert_eq!((lean.version().major, lean.family().name()), (11, "11"));
    let error = lean.build(Path::new("any.onnx"), &BuildOptions::default(), &mut |_| panic!()).unwrap_err();
    assert!(matches!(error, Error::NoBuilder { .. }), "{error}");
    assert!(error.to_string().contains("only run engines"), "{error}");
}
