//! Measures what a server or a camera sees of a model folder: how fast it opens, what it keeps in memory, what it costs while images come
//! now and then, and how many it encodes for several callers.
//!
//!     serve DIR open [OPTION...]
//!     serve DIR stream FPS SECONDS [OPTION...]
//!     serve DIR callers CALLERS HANDLES SECONDS [OPTION...]
//!
//! An option is `threads=N`, `spinning`, `trust`, `engine=NAME` or `batch=N` (images of a call). What is found is one line, `name=value` each.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clip_runtime::{Clip, EngineKind, Image, Options};

const USAGE: &str =
    "usage: serve DIR open | stream FPS SECONDS | callers CALLERS HANDLES SECONDS [OPTION...]";

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().context(USAGE);
    let (folder, what) = (next()?, next()?);
    let mut numbers = Vec::new();
    let count = match what.as_str() {
        "open" => 0,
        "stream" => 2,
        "callers" => 3,
        _ => bail!(USAGE),
    };
    for _ in 0..count {
        numbers.push(next()?.parse::<usize>()?);
    }
    let (mut options, mut batch) = (Options::new(), 1);
    for option in arguments {
        options = match option.split_once('=').unwrap_or((&option, "")) {
            ("threads", n) => options.threads(n.parse::<usize>()?),
            ("spinning", _) => options.spinning(true),
            ("trust", _) => options.trust_unchanged(true),
            ("engine", name) => options.engine(name.parse::<EngineKind>()?),
            ("batch", n) => {
                batch = n.parse()?;
                options
            }
            _ => bail!("{option:?}: {USAGE}"),
        };
    }
    let started = Instant::now();
    let clip = Clip::open_with(&folder, &options)?;
    let opened = started.elapsed();
    let images = images(&clip, batch)?;
    match numbers[..] {
        [fps, seconds] => stream(&clip, &images, fps, seconds),
        [callers, handles, seconds] => {
            let mut clips = vec![clip];
            for _ in 1..handles {
                clips.push(Clip::open_with(&folder, &options)?);
            }
            self::callers(&clips, &images, callers, seconds)
        }
        _ => {
            let (resident, anonymous) = (status("VmRSS"), status("RssAnon"));
            if let Some(labels) = clip.stored_labels() {
                clip.classify_batch(&images, labels, 1)?;
            } else if clip.text_engine().is_some() {
                let labels = clip.label_set(&["a cat", "a dog"], &[])?;
                clip.classify_batch(&images, &labels, 1)?;
            }
            let labelled = started.elapsed();
            println!(
                "open_ms={:.1} first_label_ms={:.1} resident_mb={resident:.1} anonymous_mb={anonymous:.1} used_mb={:.1} peak_mb={:.1}",
                milliseconds(opened),
                milliseconds(labelled),
                status("VmRSS"),
                status("VmHWM"),
            );
            Ok(())
        }
    }
}

/// Pictures of the model's size, so that preparing them takes least.
fn images(clip: &Clip, count: usize) -> Result<Vec<Image>> {
    let side = clip.manifest().preprocess.size;
    let pixels = |n: usize| (0..side * side * 3).map(|i| (i * 31 + n * 97) as u8).collect();
    Ok((0..count).map(|n| Image::new(side, side, pixels(n))).collect::<Result<_, _>>()?)
}

/// One call for each frame of a camera, and the share of a core that the process took meanwhile.
fn stream(clip: &Clip, images: &[Image], fps: usize, seconds: usize) -> Result<()> {
    let mut embeddings = vec![0.0; images.len() * clip.embed_dim()];
    for _ in 0..fps {
        clip.encode_images_into(images, &mut embeddings)?;
    }
    let (started, used) = (Instant::now(), processor_seconds());
    let mut times = Vec::new();
    for frame in 1..=fps * seconds {
        let call = Instant::now();
        clip.encode_images_into(images, &mut embeddings)?;
        times.push(milliseconds(call.elapsed()));
        let next = Duration::from_secs_f64(frame as f64 / fps as f64);
        thread::sleep(next.saturating_sub(started.elapsed()));
    }
    let share = 100.0 * (processor_seconds() - used) / started.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    println!("core_percent={share:.1} median_ms={:.2}", times[times.len() / 2]);
    Ok(())
}

/// Calls one after the other from each of several threads.
fn callers(clips: &[Clip], images: &[Image], callers: usize, seconds: usize) -> Result<()> {
    let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let call = |caller: usize| -> Result<()> {
        let clip = &clips[caller % clips.len()];
        let mut embeddings = vec![0.0; images.len() * clip.embed_dim()];
        while !stop.load(Ordering::Relaxed) {
            clip.encode_images_into(images, &mut embeddings)?;
            done.fetch_add(images.len(), Ordering::Relaxed);
        }
        Ok(())
    };
    let rate = thread::scope(|scope| {
        let threads: Vec<_> = (0..callers).map(|caller| scope.spawn(move || call(caller))).collect();
        thread::sleep(Duration::from_millis(500));
        let (started, before) = (Instant::now(), done.load(Ordering::Relaxed));
        thread::sleep(Duration::from_secs(seconds as u64));
        let rate = (done.load(Ordering::Relaxed) - before) as f64 / started.elapsed().as_secs_f64();
        stop.store(true, Ordering::Relaxed);
        for thread in threads {
            thread.join().map_err(|_| anyhow::anyhow!("a caller panicked"))??;
        }
        Ok::<_, anyhow::Error>(rate)
    })?;
    println!("images_per_second={rate:.0} resident_mb={:.1}", status("VmRSS"));
    Ok(())
}

fn milliseconds(time: Duration) -> f64 {
    1000.0 * time.as_secs_f64()
}

/// Seconds of the processor that this process has taken.
fn processor_seconds() -> f64 {
    // SAFETY: the structure is plain numbers, and is filled before it is read.
    unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }
}

/// A field of `/proc/self/status` in megabytes; 0 where there is none.
fn status(field: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) * 1024.0 / 1e6
}
