//! TensorRT-RTX itself, where `make .deps/tensorrt` has put it: its parser and its builder need no GPU.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper fails its test")]

mod graph;

use std::ops::ControlFlow;
use std::path::Path;

use clip_tensorrt::{BuildOptions, Built, Error, Family, Kind, Library, Progress, Range};

/// `None`, with a message, where it is not there.
fn library() -> Option<Library> {
    match Library::open(Kind::Rtx, None) {
        Ok(library) => Some(library),
        Err(Error::NotFound { .. }) => {
            eprintln!("skipped: there is no TensorRT-RTX, `make .deps/tensorrt` brings it");
            None
        }
        Err(other) => panic!("{other}"),
    }
}

fn rows(min: i64, max: i64) -> BuildOptions {
    let shape = |n| vec![n, 4];
    let range = Range { min: shape(min), opt: shape(max), max: shape(max) };
    BuildOptions { ranges: vec![("x".to_owned(), range)], ..BuildOptions::default() }
}

fn build(library: &Library, path: &Path, options: &BuildOptions) -> Result<Built, Error> {
    library.build(path, options, &mut |_| ControlFlow::Continue(()))
}

fn said(result: Result<Built, Error>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn engines_are_built_without_a_gpu_for_those_that_are_named() {
    let Some(library) = library() else { return };
    assert_eq!((library.family(), library.version().to_string().as_str()), (Family::Rtx1_5, "1.7.1"));
    assert!(library.path().is_absolute());
    let folder = tempfile::tempdir().unwrap();
    let path = graph::write(folder.path());
    for targets in [vec![], vec![86], vec![86, 89, 120], vec![80, 121]] {
        let options = BuildOptions {
            targets,
            level: Some(2),
            workspace: Some(1 << 26),
            timing_cache: Some(vec![]),
            ..rows(1, 32)
        };
        let built = build(&library, &path, &options).unwrap();
        assert!(built.plan.len() > 1_000, "{:?}", options.targets);
        assert!(!built.timing_cache.unwrap().is_empty());
    }
    assert!(build(&library, &path, &rows(1, 32)).unwrap().timing_cache.is_none());
}

#[test]
fn a_build_tells_its_progress_and_can_be_cancelled() {
    let Some(library) = library() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = graph::write(folder.path());
    let mut seen = Vec::new();
    let mut note = |progress: Progress<'_>| {
        seen.push((progress.phase.to_owned(), progress.depth, progress.done, progress.steps));
        ControlFlow::Continue(())
    };
    library.build(&path, &rows(1, 4), &mut note).unwrap();
    assert!(seen.iter().any(|(phase, depth, ..)| phase == "Building engine" && *depth == 0), "{seen:?}");
    assert!(seen.iter().any(|(_, depth, ..)| *depth > 0), "{seen:?}");
    assert!(seen.iter().all(|(_, _, done, steps)| done <= steps), "{seen:?}");
    let mut told = 0;
    let cancelled = library.build(&path, &rows(1, 4), &mut |_| {
        told += 1;
        ControlFlow::Break(())
    });
    assert!(matches!(cancelled, Err(Error::Cancelled)), "{cancelled:?}");
    assert!(told > 0);
    let panicking = library.build(&path, &rows(1, 4), &mut |_| panic!("in the middle of a build"));
    assert!(matches!(panicking, Err(Error::Cancelled)), "{panicking:?}");
    // And it builds again afterwards.
    build(&library, &path, &rows(1, 4)).unwrap();
}

#[test]
fn graphs_that_are_none_are_refused_in_the_parsers_words() {
    let Some(library) = library() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = graph::write(folder.path());
    let whole = std::fs::read(&path).unwrap();
    for (bytes, words) in [(&whole[..whole.len() / 2], "arse"), (b"not a graph at all", "arse")] {
        std::fs::write(&path, bytes).unwrap();
        let error = build(&library, &path, &rows(1, 4)).unwrap_err();
        assert!(matches!(error, Error::Parse { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    std::fs::write(&path, b"").unwrap();
    assert!(build(&library, &path, &rows(1, 4)).is_err());
    let missing = said(build(&library, &folder.path().join("missing.onnx"), &rows(1, 4)));
    assert!(missing.contains("missing.onnx"), "{missing}");
}

#[test]
fn options_that_cannot_be_followed_are_refused_before_the_build() {
    let Some(library) = library() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = graph::write(folder.path());
    for sm in [75, 87, 90, 110, 0] {
        let error =
            build(&library, &path, &BuildOptions { targets: vec![86, sm], ..rows(1, 4) }).unwrap_err();
        assert!(matches!(error, Error::Target { sm: found, .. } if found == sm), "{error}");
        assert!(error.to_string().contains("it builds for 8.0, 8.6, 8.9, 12.0, 12.1;"), "{error}");
    }
    let with = |change: fn(&mut BuildOptions)| {
        let mut options = rows(1, 4);
        change(&mut options);
        said(build(&library, &path, &options))
    };
    assert!(with(|o| o.version_compatible = true).contains("TensorRT-RTX builds none"));
    assert!(with(|o| o.hardware_compatible = true).contains("compute capabilities"));
    assert!(with(|o| o.level = Some(6)).contains("levels go from 0 to 5"));
    assert!(with(|o| o.ranges.clear()).contains("\"x\" has sizes that are not fixed"));
    assert!(with(|o| o.ranges[0].1.max[1] = 5).contains("was to be built for"));
    assert!(with(|o| o.ranges[0].1.min[0] = 0).contains("was to be built for"));
    assert!(with(|o| o.ranges[0].1.min[0] = 9).contains("was to be built for"));
}
