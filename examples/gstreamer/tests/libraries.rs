//! Libraries that are opened at run time: with doubles of them, since neither Debian 12 nor a server has the real ones.
//!
//! What a test here needs is in a process's environment from its start, so that each runs once more in a process of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::ffi::c_void;
use std::path::Path;

use gstreamer::prelude::*;
use support::{apart, at_source, colours, is_apart, library, pipeline, repository, run, run_with};

/// A test with a double of GStreamer's library for analytics; gives what it was asked for.
fn with_analytics(test: &str, detects: bool) -> String {
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/analytics.c");
    library(&source, &folder.path().join("libgstanalytics-1.0.so.0"), &[]);
    let log = folder.path().join("log");
    let mut environment = vec![("LD_LIBRARY_PATH", folder.path()), ("CLIP_DOUBLE_LOG", &log)];
    if detects {
        environment.push(("CLIP_DOUBLE_DETECTS", Path::new("1")));
    }
    apart(test, &environment);
    std::fs::read_to_string(log).unwrap()
}

#[test]
fn pictures_get_classifications_and_tensors_of_gstreamer_1_26() {
    if is_apart() {
        let said = run(&format!(
            "videotestsrc pattern=blue num-buffers=1 ! video/x-raw,format=NV12,width=64,height=64 \
             ! clipclassify model={} labels=red,green,blue top-k=2 embedding=true ! fakesink",
            colours()
        ));
        assert_eq!(said.well().labels(), ["blue"]);
        return;
    }
    let log = with_analytics("pictures_get_classifications_and_tensors_of_gstreamer_1_26", false);
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[0], "add 1", "{log}");
    assert!(lines[1].starts_with("classes 1 blue=1.00 "), "{log}");
    assert_eq!(
        lines[2..],
        ["tensor clip-embedding 11 0 [1, 4] 16 bytes, length 1.000", "set 1 1 1"],
        "{log}"
    );
}

#[test]
fn detections_of_gstreamer_1_24_are_objects() {
    if is_apart() {
        let pipeline = pipeline(&format!(
            "videotestsrc name=source num-buffers=2 ! video/x-raw,format=RGB,width=64,height=32 \
             ! clipclassify model={} labels=red,blue mode=objects top-k=1 ! fakesink",
            colours()
        ));
        // The right half, where the detection is, is blue.
        at_source(&pipeline, "source", |buffer| {
            let mut map = buffer.make_mut().map_writable().unwrap();
            for (i, pixel) in map.chunks_exact_mut(3).enumerate() {
                pixel.copy_from_slice(if i % 64 < 32 { &[255, 0, 0] } else { &[0, 0, 255] });
            }
        });
        let said = run_with(&pipeline, |_| ()).well();
        assert_eq!(said.labels(), ["blue", "blue"]);
        assert_eq!(said.found[1].1.get::<u64>("track").unwrap(), 5);
        return;
    }
    let log = with_analytics("detections_of_gstreamer_1_24_are_objects", true);
    // Detection 17 relates to what was added, 41.
    assert_eq!(log, "classes 1 blue=1.00\nrelate 1 8 17 41\n".repeat(2));
}

/// The memory of an `NvBufSurface` in this process, as NVIDIA's elements give it in a buffer: mapping that gives the structure.
struct SurfaceMemory(usize);

/// At least as large as the structure that is read.
const SURFACE: usize = 64;

impl AsRef<[u8]> for SurfaceMemory {
    fn as_ref(&self) -> &[u8] {
        unsafe { std::slice::from_raw_parts(self.0 as *const u8, SURFACE) }
    }
}

/// A red picture of 64x64 in NV12, by the double.
fn red_surface(double: &libloading::Library) -> *mut c_void {
    type Create = unsafe extern "C" fn(u32, u32, u32, u32, *const u32, *const u32) -> *mut c_void;
    type Write = unsafe extern "C" fn(*mut c_void, u32, u32, *const u8);
    unsafe {
        let create = double.get::<Create>(b"double_surface_create\0").unwrap();
        let write = double.get::<Write>(b"double_surface_write\0").unwrap();
        let surface = create(1, 64, 64, 2, [64, 32].as_ptr(), [256, 256].as_ptr());
        write(surface, 0, 0, [81; 256 * 64].as_ptr());
        write(surface, 0, 1, [90, 240].repeat(128 * 32).as_ptr());
        surface
    }
}

fn surfaces() -> support::Said {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("double.so");
    library(&repository().join("tests/doubles/nvbufsurface.c"), &file, &["-Wno-unused-parameter"]);
    let double = unsafe { libloading::Library::new(&file) }.unwrap();
    let surface = red_surface(&double) as usize;
    std::mem::forget(double);
    let pipeline = pipeline(&format!(
        "appsrc name=source format=time \
         caps=\"video/x-raw(memory:NVMM),format=(string)NV12,width=64,height=64,framerate=30/1\" \
         ! clipclassify name=clip model={} labels=red,green,blue ! fakesink",
        colours()
    ));
    let source = pipeline.by_name("source").unwrap();
    for number in 0..2 {
        let mut buffer = gstreamer::Buffer::from_slice(SurfaceMemory(surface));
        buffer.make_mut().set_pts(gstreamer::ClockTime::from_mseconds(33 * number));
        let pushed: gstreamer::FlowReturn = source.emit_by_name("push-buffer", &[&buffer]);
        assert_eq!(pushed, gstreamer::FlowReturn::Ok);
    }
    let ended: gstreamer::FlowReturn = source.emit_by_name("end-of-stream", &[]);
    assert_eq!(ended, gstreamer::FlowReturn::Ok);
    run_with(&pipeline, |_| ())
}

#[test]
fn surfaces_are_read_where_nvidias_library_is() {
    if is_apart() {
        assert_eq!(surfaces().well().labels(), ["red", "red"]);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("libnvbufsurface.so");
    library(&repository().join("tests/doubles/nvbufsurface.c"), &file, &["-Wno-unused-parameter"]);
    apart("surfaces_are_read_where_nvidias_library_is", &[("LD_LIBRARY_PATH", folder.path())]);
}

#[test]
fn surfaces_are_refused_where_it_is_not() {
    if unsafe { libloading::Library::new("libnvbufsurface.so.1.0.0") }.is_ok() {
        eprintln!("skipped: this machine has libnvbufsurface");
        return;
    }
    let error = surfaces().error.expect("there is no libnvbufsurface");
    assert!(error.starts_with("clip: ") && error.contains("libnvbufsurface"), "{error}");
}
