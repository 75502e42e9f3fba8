//! The machine, and the memory of this process.

use std::fs;

use serde::Serialize;

/// What to compare figures by.
#[derive(Serialize)]
pub struct Machine {
    pub cpu: String,
    /// Of the instructions that matter for matrix products, those that the processor has.
    pub features: Vec<&'static str>,
    /// Processors that the process may use.
    pub processors: usize,
}

/// What Linux calls them.
const FEATURES: [&str; 10] = [
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "amx_bf16",
    "amx_int8",
    "asimddp",
    "i8mm",
    "bf16",
];

impl Machine {
    pub fn of_this() -> Machine {
        let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let value = |names: &[&str]| {
            let mut lines = text.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(name, _)| names.contains(&name.trim())).map(|(_, value)| value.trim())
        };
        let cpu = value(&["model name", "Model"]).unwrap_or(std::env::consts::ARCH).to_owned();
        let flags: Vec<&str> = value(&["flags", "Features"]).unwrap_or_default().split(' ').collect();
        let features = FEATURES.into_iter().filter(|feature| flags.contains(feature)).collect();
        Machine { cpu, features, processors: std::thread::available_parallelism().map_or(1, usize::from) }
    }
}

/// The most memory that was resident of this process, bytes, where the system tells.
pub fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(1024 * line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_touched_counts() {
        let before = peak_memory().unwrap();
        let touched = std::hint::black_box(vec![1_u8; 64 << 20]);
        assert!(peak_memory().unwrap() >= before.max(64 << 20), "{}", touched.len());
    }
}
