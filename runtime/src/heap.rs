//! The C library's heap.

/// Gives back to the system what is free of it. Opening a model takes much that is freed again, in pieces between which something
/// stays, and glibc keeps all of it: a quarter of what a process with a small model has, and more where weights are converted.
pub(crate) fn release_free() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: any thread may ask for it at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}
