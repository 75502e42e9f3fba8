//! Cold start: how long a process takes that has just begun.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clip_program::{Progress, print};
use clip_runtime::{Clip, Frame, FrameLayout, PixelFormat};
use serde::{Deserialize, Serialize};

use super::machine::peak_memory;
use super::measure::{PAUSE, median};

/// The option by which a process is told to be the fresh one.
pub const FRESH: &str = "--fresh";

/// What the fresh process says; seconds.
#[derive(Serialize, Deserialize)]
struct Said {
    open: f64,
    labels: Option<f64>,
    first: f64,
    peak_memory: Option<u64>,
}

/// What was measured of fresh processes: medians, seconds, and the greatest memory, bytes.
#[derive(Serialize)]
pub struct Start {
    /// Until the model is open.
    pub open: f64,
    /// Until three labels are encoded, where they are not stored.
    pub labels: Option<f64>,
    /// Of the first frame, or text where there is no image encoder.
    pub first: f64,
    /// From the start of the process to its first result.
    pub total: f64,
    pub peak_memory: Option<u64>,
    pub processes: usize,
}

/// In the fresh process: opens the model, makes its first result, and says how long that took.
pub fn be_fresh(open: impl FnOnce() -> Result<Clip>) -> Result<()> {
    let began = Instant::now();
    let clip = open()?;
    let open = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let (has_images, has_texts) = (clip.image_engine().is_some(), clip.text_engine().is_some());
    let encoded = match (clip.stored_labels(), has_images && has_texts) {
        (None, true) => Some(clip.label_set(&["a cat", "a dog", "a bicycle"], &[])?),
        _ => None,
    };
    let labels = encoded.as_ref().map(|_| began.elapsed().as_secs_f64());
    let began = Instant::now();
    let layout = FrameLayout::new(PixelFormat::Rgb, 640, 480)?;
    let pixels = vec![127; layout.bytes(0)];
    let frames = [Frame::new(layout, &[&pixels])?];
    match (has_images, encoded.as_ref().or(clip.stored_labels())) {
        (true, Some(labels)) => drop(clip.classify_frames(&frames, labels, 1)?),
        (true, None) => drop(clip.encode_frames(&frames)?),
        (false, _) => drop(clip.encode_texts(&["a photo of a cat."])?),
    }
    let said = Said { open, labels, first: began.elapsed().as_secs_f64(), peak_memory: peak_memory() };
    print(&serde_json::to_string(&said)?, "nothing is written")
}

/// Starts so many processes, one after the other, with this one's arguments.
pub fn measure(processes: usize) -> Result<Start> {
    let mut progress = Progress::new("processes started", processes);
    let mut said = Vec::new();
    let mut totals = Vec::new();
    for done in 0..processes {
        thread::sleep(PAUSE);
        let program = env::current_exe().context("cannot find this program, to start it anew")?;
        let began = Instant::now();
        let mut child = Command::new(program)
            .args(env::args_os().skip(1))
            .arg(FRESH)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a fresh process")?;
        let mut line = String::new();
        let read = child.stdout.take().map(|out| BufReader::new(out).read_line(&mut line));
        totals.push(began.elapsed().as_secs_f64());
        let status = child.wait().context("cannot wait for the fresh process")?;
        ensure!(status.success(), "the fresh process failed ({status})");
        read.transpose().context("cannot read what the fresh process says")?;
        said.push(serde_json::from_str::<Said>(&line).context("the fresh process said nothing sensible")?);
        progress.set(done + 1);
    }
    let middle = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        median(&values)
    };
    let labels: Vec<f64> = said.iter().filter_map(|said| said.labels).collect();
    Ok(Start {
        open: middle(said.iter().map(|said| said.open).collect()),
        labels: (!labels.is_empty()).then(|| middle(labels)),
        first: middle(said.iter().map(|said| said.first).collect()),
        total: middle(totals),
        peak_memory: said.iter().filter_map(|said| said.peak_memory).max(),
        processes,
    })
}
