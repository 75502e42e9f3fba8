//! The library's allocator: the system's, with a reserve for small pieces when the system has no more.
//!
//! What is large, and what there is much of, is asked for so that it may be refused. The small pieces in between, of this
//! library and of what it is built from, are not: where there is no memory for one, Rust ends the process. They come from
//! the reserve then, and the call that runs fails with CLIP_ERROR_MEMORY, gives back what it took, and so fills the reserve
//! again. docs/decisions/009-memory.md says why.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use linked_list_allocator::LockedHeap;

/// Bytes of the reserve: many times what a call takes between two places where it makes sure of more.
const SIZE: usize = 2 << 20;

/// The largest piece that comes from it: a larger one is of those that may be refused.
const LARGEST: usize = 64 << 10;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// Zeros that take no memory until they are used.
static MEMORY: Memory = Memory(UnsafeCell::new([0; SIZE]));
static HEAP: LockedHeap = LockedHeap::empty();
static SERVED: AtomicUsize = AtomicUsize::new(0);

#[repr(align(64))]
struct Memory(UnsafeCell<[u8; SIZE]>);

// SAFETY: only the heap, which has a lock, hands out parts of it.
unsafe impl Sync for Memory {}

/// How often the reserve was used so far. When it was used during a call, there is too little memory for that call.
pub(crate) fn served() -> usize {
    SERVED.load(Ordering::Relaxed)
}

fn is_reserve(pointer: *mut u8) -> bool {
    let start = MEMORY.0.get() as usize;
    (start..start + SIZE).contains(&(pointer as usize))
}

/// A piece of the reserve instead of one that the system refused; null when it is too large, or nothing is left.
fn take(layout: Layout) -> *mut u8 {
    if layout.size() > LARGEST {
        return ptr::null_mut();
    }
    SERVED.fetch_add(1, Ordering::Relaxed);
    piece(layout)
}

fn piece(layout: Layout) -> *mut u8 {
    {
        let mut heap = HEAP.lock();
        if heap.bottom().is_null() {
            // SAFETY: once, with memory that is used for nothing else and stays for ever.
            unsafe { heap.init(MEMORY.0.get().cast(), SIZE) };
        }
    }
    // SAFETY: the layout is the caller's, who keeps the rules of `GlobalAlloc`.
    unsafe { HEAP.alloc(layout) }
}

struct Allocator;

// SAFETY: every piece comes from the system or from the reserve, whose addresses tell them apart, and goes back there.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match unsafe { System.alloc(layout) } {
            none if none.is_null() => take(layout),
            some => some,
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let found = unsafe { System.alloc_zeroed(layout) };
        if !found.is_null() {
            return found;
        }
        let found = take(layout);
        if !found.is_null() {
            unsafe { ptr::write_bytes(found, 0, layout.size()) };
        }
        found
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        match is_reserve(pointer) {
            true => unsafe { HEAP.dealloc(pointer, layout) },
            false => unsafe { System.dealloc(pointer, layout) },
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        let found = match is_reserve(pointer) {
            true => unsafe { self.alloc(new) },
            false => match unsafe { System.realloc(pointer, layout, size) } {
                none if none.is_null() => take(new),
                moved => return moved,
            },
        };
        if !found.is_null() {
            unsafe {
                ptr::copy_nonoverlapping(pointer, found, size.min(layout.size()));
                self.dealloc(pointer, layout);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_gives_small_pieces_and_gets_them_back() {
        let layout = Layout::from_size_align(1000, 64).unwrap();
        let mut pieces = Vec::new();
        loop {
            let piece = piece(layout);
            if piece.is_null() {
                break;
            }
            assert!(is_reserve(piece) && (piece as usize).is_multiple_of(64));
            unsafe { ptr::write_bytes(piece, 7, 1000) };
            pieces.push(piece);
        }
        assert!(pieces.len() > SIZE / 1100);
        // A piece that grows moves to the system, with what is in it.
        let moved = unsafe { ALLOCATOR.realloc(pieces.pop().unwrap(), layout, 100_000) };
        assert!(!is_reserve(moved));
        assert_eq!(unsafe { std::slice::from_raw_parts(moved, 1000) }, [7; 1000]);
        unsafe { ALLOCATOR.dealloc(moved, Layout::from_size_align(100_000, 64).unwrap()) };
        pieces.into_iter().for_each(|piece| unsafe { ALLOCATOR.dealloc(piece, layout) });
        let largest = Layout::from_size_align(LARGEST, 8).unwrap();
        let piece = piece(largest);
        assert!(is_reserve(piece), "what was given back is one piece again");
        unsafe { ALLOCATOR.dealloc(piece, largest) };
        assert!(take(Layout::from_size_align(LARGEST + 1, 8).unwrap()).is_null());
    }

    #[test]
    fn what_is_large_may_be_refused() {
        let layout = std::hint::black_box(Layout::from_size_align(isize::MAX as usize / 2, 8).unwrap());
        assert!(std::hint::black_box(unsafe { ALLOCATOR.alloc(layout) }).is_null());
        assert!(std::hint::black_box(unsafe { ALLOCATOR.alloc_zeroed(layout) }).is_null());
        let mut bytes: Vec<u8> = vec![1, 2, 3];
        assert!(bytes.try_reserve(isize::MAX as usize / 2).is_err());
        assert_eq!(bytes, [1, 2, 3]);
    }
}
