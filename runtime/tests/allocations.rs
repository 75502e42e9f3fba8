//! Comparing an embedding with labels allocates nothing once its buffer is as long as the label set. Alone in this program, since the
//! allocator counts for all threads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod colours;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use clip_runtime::{Clip, LabelSlot, Rule};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all of it is the system's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_nearest_labels_are_found_without_allocations() {
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
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    (0..100).for_each(|_| once());
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed), before);
}
