//! How much memory the process has.

/// Main memory that the process has at this moment, bytes; 0 where the system does not say.
pub fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.as_deref().and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * page_size()
}

fn page_size() -> u64 {
    // SAFETY: asks for a constant of the system.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(0)
}

/// Tells glibc's allocator to keep what is freed: every step allocates the same large tensors, and to get them from the
/// kernel anew means a page fault for each 4 KiB.
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: plain settings, before any other thread runs.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_taken_shows() {
        let before = super::resident();
        let taken = std::hint::black_box(vec![1u8; 256 << 20]);
        assert!(super::resident() > before + (128 << 20));
        drop(taken);
    }
}
