//! What a frame costs after the first ones: no allocation of ours. Those of ONNX Runtime, which are C++'s, are not seen here.

#![allow(clippy::unwrap_used)]

mod colours;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clip_runtime::{Clip, Image, Options};
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

/// One test, since others would allocate at the same time.
#[test]
fn images_are_encoded_without_allocations() {
    for threads in [1, 2] {
        let clip = Clip::open_with(colours::folder(), &Options::new().threads(threads)).unwrap();
        assert_eq!(of_hundred_rounds(&clip), 0, "{threads} threads");
    }
    // Room for rows that a fixed batch has and the images do not fill.
    let fixed = colours::changed(|_, manifest| manifest["image"]["batch"] = json!(3));
    assert_eq!(of_hundred_rounds(&Clip::open(fixed.path()).unwrap()), 0, "a fixed batch");
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    drop(std::hint::black_box(vec![0u8; 10]));
    assert_eq!(ALLOCATIONS.load(Ordering::SeqCst) - before, 1, "they are counted");
}
