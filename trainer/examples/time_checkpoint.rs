//! Times the checkpoints of a training run and says how much memory they take.
//!
//!     time_checkpoint SETTINGS.toml
//!
//! Starts a run with these settings in a temporary folder and saves it three times. Each line says how many seconds a
//! save took, and by how many megabytes it raised the process's peak.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clip_model::Tokenizer;
use clip_trainer::Job;
use clip_trainer::settings::Settings;
use clip_trainer::state::start;
use tch::Device;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [settings] = arguments.as_slice() else { bail!("usage: time_checkpoint SETTINGS.toml") };
    let settings = Settings::parse(&std::fs::read_to_string(settings)?)?;
    let root = std::env::temp_dir().join(format!("time_checkpoint-{}", std::process::id()));
    let result = saves(&root, settings);
    std::fs::remove_dir_all(&root)?;
    result
}

fn saves(folder: &Path, settings: Settings) -> Result<()> {
    let job = Job {
        settings,
        data: Vec::new(),
        val: Vec::new(),
        out: folder.to_owned(),
        device: Device::Cpu,
        resume: false,
        init: None,
        decode_threads: 1,
        warn: |_| {},
    };
    let run = start(&job, || Ok(Tokenizer::openai()))?;
    for _ in 0..3 {
        // Sets the peak to what is held now (man 5 proc).
        std::fs::write("/proc/self/clear_refs", "5")?;
        let (before, started) = (peak()?, Instant::now());
        run.save()?;
        println!("{:.2} s, {} MB", started.elapsed().as_secs_f64(), (peak()? - before) >> 10);
    }
    Ok(())
}

/// The most memory that this process has held, kilobytes.
fn peak() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.context("/proc/self/status has no VmHWM")?.parse()?)
}
