//! Times the checkpoints of a training run and says how much memory they take.
//!
//!     time_checkpoint SETTINGS.toml [MEGABYTES]
//!
//! Starts a run with these settings in a temporary folder and saves it three times. Each line says how many seconds training
//! waited for a save, how many it took until it was on the disk, and by how many megabytes it raised the process's peak.
//! With MEGABYTES, so many are left of the memory that the process may have before the first of them.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clip_data::{DataSet, Location};
use clip_trainer::Job;
use clip_trainer::settings::Settings;
use clip_trainer::state::start;
use tch::Device;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (settings, more) = match arguments.as_slice() {
        [settings] => (settings, None),
        [settings, megabytes] => (settings, Some(megabytes.parse()?)),
        _ => bail!("usage: time_checkpoint SETTINGS.toml [MEGABYTES]"),
    };
    let mut settings = Settings::parse(&std::fs::read_to_string(settings)?)?;
    // There is no data to train one from.
    settings.data.tokenizer = "openai".to_owned();
    let root = std::env::temp_dir().join(format!("time_checkpoint-{}", std::process::id()));
    let result = saves(&root, settings, more);
    // Telling what went wrong takes memory.
    limit(None)?;
    std::fs::remove_dir_all(&root)?;
    result
}

fn saves(folder: &Path, settings: Settings, more: Option<usize>) -> Result<()> {
    let job = Job {
        settings,
        data: DataSet::of::<Location>(&[]),
        val: Vec::new(),
        out: folder.to_owned(),
        device: Device::Cpu,
        resume: false,
        resume_with: Vec::new(),
        init: None,
        teacher: None,
        decode_threads: 1,
        warn: |_| {},
        stop: || false,
    };
    let mut run = start(&job)?;
    run.finish_save()?;
    let _held = more.map(leave).transpose()?;
    for _ in 0..3 {
        // Sets the peak to what is held now (man 5 proc).
        std::fs::write("/proc/self/clear_refs", "5")?;
        let (before, started) = (peak()?, Instant::now());
        run.step += 1;
        run.save()?;
        let waited = started.elapsed().as_secs_f64();
        run.finish_save()?;
        let (whole, raised) = (started.elapsed().as_secs_f64(), peak()?.saturating_sub(before) >> 10);
        println!("{waited:.2} s, on the disk after {whole:.2} s, {raised} MB");
    }
    Ok(())
}

/// The most memory that this process has held, kilobytes.
fn peak() -> Result<u64> {
    field("VmHWM:")
}

fn field(name: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.with_context(|| format!("/proc/self/status has no {name}"))?.parse()?)
}

/// Takes all memory but so many megabytes.
fn leave(megabytes: usize) -> Result<Vec<Vec<u8>>> {
    limit(Some((field("VmSize:")? << 10) + (64 << 20)))?;
    let mut held = Vec::with_capacity(1 << 12);
    while held.len() < held.capacity() {
        let mut megabyte: Vec<u8> = Vec::new();
        if megabyte.try_reserve_exact(1 << 20).is_err() {
            break;
        }
        held.push(megabyte);
    }
    held.truncate(held.len().saturating_sub(megabytes));
    Ok(held)
}

/// Lets this process have so many bytes of addresses; `None`: as many as there are.
fn limit(bytes: Option<u64>) -> Result<()> {
    let limit =
        libc::rlimit { rlim_cur: bytes.unwrap_or(libc::RLIM_INFINITY), rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `limit` is a valid `rlimit`, which is read.
    match unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error().into()),
    }
}
