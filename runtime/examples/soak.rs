//! A long run of streams, that finds what short ones do not: wrong results, a lost order, memory that grows.
//!
//!     cargo run --release -p clip-runtime --example soak -- MODEL_FOLDER [FRAMES]
//!
//! Eight threads push frames of 320x240 pixels (NV12) to four streams, whose labels are swapped every second. Every outcome is compared with
//! what the same frame came to alone. Ends with an error on the first difference; prints at the end how much memory came and went, as JSON.

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use clip_runtime::frame::{Frame, FrameLayout, PixelFormat};
use clip_runtime::stream::{Dispatcher, Outcome, State, Stream, StreamOptions, WhenFull};
use clip_runtime::{Clip, LabelSet};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const STREAMS: usize = 4;
const THREADS: usize = 8;

/// Different frames; a frame's tag says which it is.
const FRAMES: u64 = 64;

/// How far a probability may be from that of the frame alone: frames that run together are added up in another order.
const TOLERANCE: f32 = 1e-4;

struct Picture {
    luma: Vec<u8>,
    chroma: Vec<u8>,
}

/// Stripes and blobs, different for each number.
fn picture(layout: &FrameLayout, number: u64) -> Picture {
    let wave = |x: usize, y: usize, k: u64| {
        let phase = (x as f32 * (k % 7 + 1) as f32 + y as f32 * (k % 5) as f32) * 0.05 + k as f32;
        (128.0 + 100.0 * phase.sin()) as u8
    };
    let plane = |index: usize, shift: u64| {
        let stride = layout.strides[index];
        (0..layout.bytes(index)).map(|i| wave(i % stride, i / stride, number + shift)).collect()
    };
    Picture { luma: plane(0, 0), chroma: plane(1, 17) }
}

/// Best label and its probability of every picture with each label set, computed one by one.
fn alone(
    clip: &Clip,
    layout: FrameLayout,
    pictures: &[Picture],
    sets: &[LabelSet],
) -> Result<Vec<Vec<(usize, f32)>>> {
    let of_set = |set: &LabelSet| {
        let of = |picture: &Picture| {
            let frame = Frame::new(layout, &[&picture.luma, &picture.chroma])?;
            let best = clip.classify_frames(&[frame], set, 1)?[0][0];
            Ok((best.index, best.probability))
        };
        pictures.iter().map(of).collect::<Result<Vec<_>>>()
    };
    sets.iter().map(of_set).collect()
}

/// Resident memory, bytes.
fn resident() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages: f64 = text.split(' ').nth(1).unwrap_or_default().parse()?;
    Ok(pages * 4096.0)
}

/// The line through points, by least squares: what is added for each step.
fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let (x, y) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let (up, along) = points
        .iter()
        .fold((0.0, 0.0), |(up, along), p| (up + (p.0 - x) * (p.1 - y), along + (p.0 - x) * (p.0 - x)));
    up / along
}

/// What a stream's function looks at.
struct Watch {
    expected: Arc<Vec<Vec<(usize, f32)>>>,
    wrong: Arc<Mutex<Vec<String>>>,
    done: Arc<AtomicU64>,
    next: u64,
}

impl Watch {
    fn see(&mut self, outcome: &Outcome) {
        if let Err(wrong) = self.check(outcome)
            && let Ok(mut all) = self.wrong.lock()
        {
            all.push(wrong);
        }
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    fn check(&mut self, outcome: &Outcome) -> std::result::Result<(), String> {
        let Outcome { sequence, tag, state, labels, .. } = outcome;
        if *sequence != self.next {
            return Err(format!("frame {sequence} came where {} was due", self.next));
        }
        self.next += 1;
        let (State::Done, [item], Some(labels)) = (state, outcome.items(), labels) else {
            return Err(format!("frame {sequence} came to {state:?}"));
        };
        let found = outcome.scores(item).first().map(|score| (score.index, score.probability));
        let (index, probability) = self.expected[labels.len() - 2][(tag % FRAMES) as usize];
        match found {
            Some((i, p)) if i == index && (p - probability).abs() < TOLERANCE => Ok(()),
            other => Err(format!("frame {sequence}: {other:?}, alone {index} with {probability}")),
        }
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, frames) = match &arguments[..] {
        [folder] => (folder, 200_000),
        [folder, frames] => (folder, frames.parse()?),
        _ => return Err("usage: soak MODEL_FOLDER [FRAMES]".into()),
    };
    let clip = Arc::new(Clip::open(folder)?);
    let layout = FrameLayout::new(PixelFormat::Nv12, 320, 240)?;
    let pictures: Vec<Picture> = (0..FRAMES).map(|number| picture(&layout, number)).collect();
    // Told apart by how many labels they have.
    let sets = [&["striped", "round"][..], &["red", "green", "dark"][..]];
    let sets =
        sets.map(|names| clip.label_set(names, &[])).into_iter().collect::<clip_runtime::Result<Vec<_>>>()?;
    let expected = Arc::new(alone(&clip, layout, &pictures, &sets)?);
    let (wrong, done) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU64::new(0)));
    let dispatcher = Dispatcher::new(Arc::clone(&clip))?;
    let options = StreamOptions::new().when_full(WhenFull::Block).capacity(8).top(1);
    let open = |_| {
        let (expected, wrong, done) = (Arc::clone(&expected), Arc::clone(&wrong), Arc::clone(&done));
        let mut watch = Watch { expected, wrong, done, next: 0 };
        dispatcher.stream_with(sets[0].clone(), options, move |outcome| watch.see(outcome))
    };
    let streams = (0..STREAMS).map(open).collect::<clip_runtime::Result<Vec<Stream>>>()?;

    let (start, next, stop) = (Instant::now(), AtomicU64::new(0), AtomicBool::new(false));
    let mut memory = Vec::new();
    let push = |thread: usize| {
        let stream = &streams[thread % STREAMS];
        while !stop.load(Ordering::Relaxed) {
            let tag = next.fetch_add(1, Ordering::Relaxed);
            if tag >= frames {
                break;
            }
            let picture = &pictures[(tag % FRAMES) as usize];
            let frame = Frame::new(layout, &[&picture.luma, &picture.chroma])?;
            stream.push(&frame, tag)?;
        }
        Ok::<_, clip_runtime::Error>(())
    };
    thread::scope(|scope| {
        let push = &push;
        let pushing: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || push(thread))).collect();
        while pushing.iter().any(|thread| !thread.is_finished()) {
            thread::sleep(Duration::from_secs(1));
            memory.push((done.load(Ordering::Relaxed) as f64, resident()?));
            for stream in &streams {
                stream.set_labels(sets[memory.len() % 2].clone())?;
            }
            if wrong.lock().is_ok_and(|wrong| !wrong.is_empty()) {
                stop.store(true, Ordering::Relaxed);
            }
        }
        pushing
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?.map_err(Into::into))
    })
    .map_err(|e: Box<dyn Error>| e)?;
    streams.iter().try_for_each(Stream::flush)?;
    let seconds = start.elapsed().as_secs_f64();
    let wrong = wrong.lock().map_err(|_| "a stream's function panicked")?;
    if let Some(first) = wrong.first() {
        return Err(format!("{} outcomes are wrong, the first: {first}", wrong.len()).into());
    }
    // The first fifth is warm-up.
    let settled = &memory[memory.len() / 5..];
    let (first, last) = (settled.first().map_or(0.0, |m| m.1), settled.last().map_or(0.0, |m| m.1));
    println!(
        "{}",
        serde_json::json!({
            "frames": done.load(Ordering::Relaxed), "seconds": seconds, "frames_per_second": frames as f64 / seconds,
            "label_swaps": memory.len() * STREAMS, "resident_settled": first, "resident_end": last,
            "bytes_per_frame": if settled.len() > 2 { slope(settled) } else { 0.0 },
        })
    );
    Ok(())
}
