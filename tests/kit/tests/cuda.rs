//! The double of CUDA's driver serves the crate cudarc. A library of that name is found by the loader's path when a program starts,
//! so each test starts this program again, to run one of the ignored tests, which are no tests of their own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Command;
use std::sync::Arc;

use clip_testkit::doubles;
use cudarc::driver::sys::{self, CUgraphInstantiate_flags, CUresult, CUstreamCaptureMode};
use cudarc::driver::{CudaContext, CudaGraph, CudaStream, DriverError, result};

/// Runs the ignored test `name` with the doubles and these variables; false where there are none.
#[track_caller]
fn run(name: &str, variables: &[(&str, &str)]) {
    let Some(doubles) = doubles::build() else { return };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", name]).envs(variables.iter().copied());
    let output = doubles.environment(&mut command).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

const NO_FLAGS: CUgraphInstantiate_flags = CUgraphInstantiate_flags(0);

fn start() -> (Arc<CudaContext>, Arc<CudaStream>) {
    let context = CudaContext::new(0).unwrap();
    // As with one stream: events of pinned memory and slices would end a capture.
    unsafe { context.disable_event_tracking() };
    let stream = context.new_stream().unwrap();
    (context, stream)
}

fn code<T>(result: Result<T, DriverError>) -> CUresult {
    result.err().map_or(CUresult::CUDA_SUCCESS, |error| error.0)
}

#[test]
fn the_device_is_what_the_environment_says() {
    run(
        "device",
        &[("DOUBLE_CUDA_SM", "87"), ("DOUBLE_CUDA_MEMORY", "8000000000"), ("DOUBLE_CUDA_NAME", "Orin")],
    );
}

#[test]
#[ignore = "run by the test above"]
fn device() {
    let (context, stream) = start();
    assert_eq!(context.compute_capability().unwrap(), (8, 7));
    assert_eq!(context.name().unwrap(), "Orin");
    assert_eq!(context.mem_get_info().unwrap(), (8_000_000_000, 8_000_000_000));
    let slice = stream.alloc_zeros::<f32>(1000).unwrap();
    assert_eq!(context.mem_get_info().unwrap().0, 8_000_000_000 - 4000);
    drop(slice);
    stream.synchronize().unwrap();
    assert_eq!(context.mem_get_info().unwrap().0, 8_000_000_000);
    // More than is left.
    assert_eq!(code(stream.alloc_zeros::<u8>(8_000_000_001)), CUresult::CUDA_ERROR_OUT_OF_MEMORY);
    let mut version = 0;
    assert_eq!(unsafe { sys::cuDriverGetVersion(&mut version) }, CUresult::CUDA_SUCCESS);
    assert_eq!(version, 13000);
}

#[test]
fn no_device_and_a_driver_that_does_not_start_are_errors() {
    run("no_device", &[("DOUBLE_CUDA_DEVICES", "0"), ("EXPECTED", "100")]);
    run("no_device", &[("DOUBLE_CUDA_INIT", "803"), ("EXPECTED", "803")]);
}

#[test]
#[ignore = "run by the test above"]
fn no_device() {
    let expected: u32 = std::env::var("EXPECTED").unwrap().parse().unwrap();
    assert_eq!(code(CudaContext::new(0)) as u32, expected);
    assert_eq!(code(CudaContext::device_count()) as u32, expected);
}

#[test]
fn bytes_go_to_the_device_and_back() {
    for lazy in ["0", "1"] {
        run("copies", &[("DOUBLE_CUDA_LAZY", lazy)]);
    }
}

#[test]
#[ignore = "run by the test above"]
fn copies() {
    let (context, stream) = start();
    let numbers: Vec<f32> = (0..100).map(|i| i as f32).collect();
    let mut there = unsafe { stream.alloc::<f32>(100) }.unwrap();
    // What was never written is no number.
    assert!(stream.clone_dtoh(&there).unwrap().iter().all(|x| x.is_nan()));
    stream.memcpy_htod(&numbers, &mut there).unwrap();
    assert_eq!(stream.clone_dtoh(&there).unwrap(), numbers);
    let copy = stream.clone_dtod(&there).unwrap();
    let mut pinned = unsafe { context.alloc_pinned::<f32>(100) }.unwrap();
    let event = context.new_event(None).unwrap();
    stream.memcpy_dtoh(&copy, &mut pinned).unwrap();
    event.record(&stream).unwrap();
    // With a lazy device the bytes are old until somebody waits.
    let lazy = std::env::var("DOUBLE_CUDA_LAZY").unwrap() == "1";
    assert_eq!(event.try_is_complete().unwrap(), !lazy);
    event.synchronize().unwrap();
    assert_eq!(pinned.as_slice().unwrap(), numbers);
    stream.memset_zeros(&mut there).unwrap();
    let other = context.new_stream().unwrap();
    other.join(&stream).unwrap();
    assert_eq!(other.clone_dtoh(&there).unwrap(), vec![0.0; 100]);
}

#[test]
fn wrong_pointers_are_errors() {
    run("pointers", &[]);
}

#[test]
#[ignore = "run by the test above"]
fn pointers() {
    let (context, stream) = start();
    let raw = stream.cu_stream();
    let bytes = [0_u8; 16];
    let address = unsafe { result::malloc_sync(16) }.unwrap();
    let copy = |to, from: &[u8]| code(unsafe { result::memcpy_htod_async(to, from, raw) });
    assert_eq!(copy(address, &bytes), CUresult::CUDA_SUCCESS);
    assert_eq!(copy(address + 1, &bytes), CUresult::CUDA_ERROR_INVALID_VALUE);
    assert_eq!(copy(0x1000, &bytes), CUresult::CUDA_ERROR_INVALID_VALUE);
    unsafe { result::free_sync(address) }.unwrap();
    assert_eq!(copy(address, &bytes), CUresult::CUDA_ERROR_INVALID_VALUE);
    assert_eq!(code(unsafe { result::free_sync(address) }), CUresult::CUDA_ERROR_INVALID_VALUE);
    drop((stream, context));
    // The stream and the context are gone.
    assert_eq!(code(unsafe { result::stream::synchronize(raw) }), CUresult::CUDA_ERROR_CONTEXT_IS_DESTROYED);
    let error = unsafe { result::malloc_sync(16) }.unwrap_err();
    assert_eq!(error.error_string().unwrap().to_str().unwrap(), "context is destroyed");
}

#[test]
fn graphs_replay_what_was_captured() {
    for lazy in ["0", "1"] {
        run("graphs", &[("DOUBLE_CUDA_LAZY", lazy)]);
    }
}

fn capture(stream: &Arc<CudaStream>, work: impl FnOnce()) -> Result<Option<CudaGraph>, DriverError> {
    stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).unwrap();
    work();
    stream.end_capture(NO_FLAGS)
}

#[test]
#[ignore = "run by the test above"]
fn graphs() {
    let (context, stream) = start();
    let raw = stream.cu_stream();
    let (from, to) = unsafe { (result::malloc_sync(4), result::malloc_sync(4)) };
    let (from, to) = (from.unwrap(), to.unwrap());
    let mut pinned = unsafe { context.alloc_pinned::<u8>(4) }.unwrap();
    let host = pinned.as_mut_ptr().unwrap();
    let bytes = || unsafe { std::slice::from_raw_parts_mut(host, 4) };
    let graph = capture(&stream, || unsafe {
        result::memcpy_htod_async(from, bytes(), raw).unwrap();
        result::memcpy_dtod_async(to, from, 4, raw).unwrap();
        result::memset_d8_async(to, 9, 1, raw).unwrap();
        result::memcpy_dtoh_async(bytes(), to, raw).unwrap();
    });
    let graph = graph.unwrap().unwrap();
    bytes().copy_from_slice(&[1, 2, 3, 4]);
    stream.synchronize().unwrap();
    assert_eq!(bytes(), [1, 2, 3, 4], "a capture runs nothing");
    for numbers in [[1, 2, 3, 4], [5, 6, 7, 8]] {
        bytes().copy_from_slice(&numbers);
        graph.launch().unwrap();
        stream.synchronize().unwrap();
        assert_eq!(bytes()[..], [&[9], &numbers[1..]].concat());
    }

    // What ends a capture: waiting, allocating, and depending on what lies outside.
    let event = stream.record_event(None).unwrap();
    let ended = |work: &dyn Fn() -> CUresult, expected| {
        assert_eq!(
            code(capture(&stream, || assert_eq!(work(), expected))),
            CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED
        );
    };
    ended(&|| code(stream.synchronize()), CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    ended(&|| code(unsafe { result::malloc_sync(4) }), CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    ended(&|| code(stream.wait(&event)), CUresult::CUDA_ERROR_STREAM_CAPTURE_ISOLATION);

    // A graph whose memory is gone.
    unsafe { result::free_sync(to) }.unwrap();
    let launched = graph.launch().and_then(|()| stream.synchronize());
    assert_eq!(code(launched), CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
}
