//! What a frame costs after the first ones: no allocation of ours. Those of ONNX Runtime, which are C++'s, are not seen here.

#![allow(clippy::unwrap_used)]

mod colours;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clip_runtime::frame::Rect;
use clip_runtime::stream::{Dispatcher, Region, StreamOptions, WhenFull};
use clip_runtime::{Clip, Frame, FrameLayout, Image, LabelSlot, Options, PixelFormat, Rule};
use serde_json::json;

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all is done by the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Allocations of a hundred rounds, each of single images and of a batch.
fn of_hundred_rounds(clip: &Clip) -> usize {
    let picture = |n: u8| Image::new(8, 8, [200, n, 9].repeat(64)).unwrap();
    let pictures: Vec<Image> = (0..40).map(picture).collect();
    let (mut one, mut all) = (vec![0.0; clip.embed_dim()], vec![0.0; 40 * clip.embed_dim()]);
    let mut round = || {
        clip.encode_images_into(&pictures[..1], &mut one).unwrap();
        clip.encode_images_into(&pictures, &mut all).unwrap();
    };
    round();
    // What the threads take that were started for the batch, when they begin.
    std::thread::sleep(Duration::from_millis(300));
    (0..3).for_each(|_| round());
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    (0..100).for_each(|_| round());
    ALLOCATIONS.load(Ordering::SeqCst) - before
}

/// Allocations of a hundred comparisons of an embedding with a thousand labels.
fn of_hundred_comparisons() -> usize {
    let clip = Clip::open(colours::folder()).unwrap();
    let names: Vec<String> = (0..1000).map(|i| i.to_string()).collect();
    let rows: Vec<f32> = (0..4000).map(|i| (i as f32 * 0.7).sin()).collect();
    let labels = LabelSlot::new(clip.label_set_from_embeddings(&names, &rows).unwrap());
    let (image, mut found, rule) = ([0.5; 4], Vec::new(), Rule::new(0.001, 0.0).unwrap());
    let mut once = || {
        let labels = labels.load();
        clip.nearest_into(&image, &labels, 5, &mut found).unwrap();
        assert!(rule.decide(&labels, &found).is_some() && found.len() == 5);
    };
    once();
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    (0..100).for_each(|_| once());
    ALLOCATIONS.load(Ordering::SeqCst) - before
}

/// Allocations of a hundred frames, each classified by itself, pushed to a stream, and pushed in parts.
fn of_hundred_frames() -> usize {
    let clip = Arc::new(Clip::open(colours::folder()).unwrap());
    let labels = Arc::new(clip.label_set(&["red", "green", "blue"], &[]).unwrap());
    let layout = FrameLayout::new(PixelFormat::Nv12, 64, 48).unwrap();
    let (luma, chroma) = (vec![90; layout.bytes(0)], vec![200; layout.bytes(1)]);
    let frame = Frame::new(layout, &[&luma, &chroma]).unwrap();
    let half = |left, track| Region { rect: Rect { left, top: 0, width: 32, height: 48 }, track };
    let options = StreamOptions::new().when_full(WhenFull::Block).smoothing(0.5).refresh(2);
    let gate = Arc::new(Mutex::new(()));
    let told = Arc::clone(&gate);
    let dispatcher = Dispatcher::new(Arc::clone(&clip)).unwrap();
    let stream = dispatcher.stream_with(Arc::clone(&labels), options, move |outcome| {
        drop(told.lock().unwrap());
        assert!(!outcome.items().is_empty());
    });
    let stream = stream.unwrap();
    let round = |tag| {
        clip.classify_each_frame(&[frame], &labels, 2, |_, scores| assert_eq!(scores.len(), 2)).unwrap();
        stream.push(&frame, tag).unwrap();
        stream.push_regions(&frame, [half(0, 1), half(32, 2)], tag).unwrap();
        stream.flush().unwrap();
    };
    (0..20).for_each(round);
    // As many at the same time as there can be: one whose outcome is told, and two that wait for it and run together.
    let closed = gate.lock().unwrap();
    stream.push(&frame, 0).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    stream.push_regions(&frame, [half(0, 3), half(32, 4)], 0).unwrap();
    stream.push_regions(&frame, [half(0, 5), half(32, 6)], 0).unwrap();
    drop(closed);
    stream.flush().unwrap();
    (0..60).for_each(round);
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    (0..100).for_each(round);
    ALLOCATIONS.load(Ordering::SeqCst) - before
}

/// One test, since others would allocate at the same time.
#[test]
fn nothing_is_allocated_after_the_first_ones() {
    for threads in [1, 2] {
        let clip = Clip::open_with(colours::folder(), &Options::new().threads(threads)).unwrap();
        assert_eq!(of_hundred_rounds(&clip), 0, "{threads} threads");
    }
    // Room for rows that a fixed batch has and the images do not fill.
    let fixed = colours::changed(|_, manifest| manifest["image"]["batch"] = json!(3));
    assert_eq!(of_hundred_rounds(&Clip::open(fixed.path()).unwrap()), 0, "a fixed batch");
    assert_eq!(of_hundred_comparisons(), 0, "labels");
    assert_eq!(of_hundred_frames(), 0, "frames");
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    drop(std::hint::black_box(vec![0u8; 10]));
    assert_eq!(ALLOCATIONS.load(Ordering::SeqCst) - before, 1, "they are counted");
}
