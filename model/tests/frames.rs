//! Frames against the slow way that is plain to see: full-size RGB, turned, then `Preprocess::fit`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper fails its test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use clip_model::Preprocess;
use clip_model::frame::{Color, ColorMatrix, ColorRange, Frame, FrameLayout, PixelFormat, Rect, View};
use clip_model::orientation::Orientation;
use clip_model::preprocess::{Interpolation, ResizeMode, Scratch};
use proptest::prelude::*;

/// Counts what this thread asks for.
struct Counting;

thread_local! {
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.with(|asked| asked.set(asked.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// A smooth picture with edges and a little noise: planes of `layout`, whose padding is 255.
fn planes(layout: &FrameLayout, seed: u64) -> Vec<Vec<u8>> {
    let mut state = seed | 1;
    let mut noise = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..layout.format.planes())
        .map(|plane| {
            let (row, rows) = layout.format.plane(plane, layout.width, layout.height).unwrap();
            let mut bytes = vec![255; layout.bytes(plane)];
            let slope = f64::from(noise()) / 40.0 + 0.2;
            for y in 0..rows {
                for x in 0..row {
                    let wave = ((x as f64 * slope / 9.0).sin() + (y as f64 * slope / 7.0).cos()) * 12.0;
                    let edge = if (x / 4 + y) % 37 < 18 { 30.0 } else { -10.0 };
                    let value = (120.0 + wave + edge) as u8 + noise() % 16;
                    // Colours that RGB has: cutting others to it at full size is not linear.
                    let value = if is_chroma(layout.format, plane, x) { 100 + value / 5 } else { value };
                    bytes[y * layout.strides[plane] + x] = value;
                }
            }
            bytes
        })
        .collect()
}

fn is_chroma(format: PixelFormat, plane: usize, x: usize) -> bool {
    match format {
        PixelFormat::Nv12 | PixelFormat::Nv21 | PixelFormat::I420 => plane > 0,
        PixelFormat::Yuyv => x % 2 == 1,
        PixelFormat::Uyvy => x.is_multiple_of(2),
        _ => false,
    }
}

fn with_frame<T>(layout: FrameLayout, planes: &[Vec<u8>], view: View, then: impl FnOnce(Frame) -> T) -> T {
    let borrowed: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
    then(Frame::new(layout, &borrowed).unwrap().seen(view).unwrap())
}

fn fit(preprocess: &Preprocess, frame: &Frame, scratch: &mut Scratch) -> Vec<u8> {
    let mut out = vec![0; 3 * preprocess.size * preprocess.size];
    preprocess.fit_frame(frame, scratch, &mut out).unwrap();
    out
}

/// The largest difference, and the share of samples that differ by more than 1.
fn differences(found: &[u8], expected: &[u8]) -> (u8, f64) {
    let each = || found.iter().zip(expected).map(|(a, b)| a.abs_diff(*b));
    (each().max().unwrap(), each().filter(|&d| d > 1).count() as f64 / found.len() as f64)
}

fn orientations() -> impl Iterator<Item = Orientation> {
    (1..=8).map(|value| Orientation::from_exif(value).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn frames_are_what_their_pictures_are(
        format in prop::sample::select(PixelFormat::all().collect::<Vec<_>>()),
        (width, height) in (1usize..150, 1usize..150),
        (pad, levels) in (0usize..9, any::<(u16, u16)>()),
        (left, top, right, bottom) in (0usize..60, 0usize..60, 0usize..60, 0usize..60),
        (turn, matrix, full) in (1u64..9, 0usize..3, any::<bool>()),
        (size, squash, bilinear) in (1usize..70, any::<bool>(), any::<bool>()),
        seed in any::<u64>(),
    ) {
        let mut layout = FrameLayout::new(format, width, height).unwrap();
        layout.strides.iter_mut().for_each(|stride| *stride += pad);
        layout.color = Color {
            matrix: [ColorMatrix::Bt601, ColorMatrix::Bt709, ColorMatrix::Bt2020][matrix],
            range: if full { ColorRange::Full } else { ColorRange::Limited },
        };
        if levels.0 != levels.1 {
            layout.levels = levels;
        }
        let crop = (left + right < width && top + bottom < height).then(|| Rect {
            left,
            top,
            width: width - left - right,
            height: height - top - bottom,
        });
        let view = View { crop, orientation: Orientation::from_exif(turn).unwrap() };
        let preprocess = Preprocess {
            size,
            resize_mode: if squash { ResizeMode::Squash } else { ResizeMode::Shortest },
            interpolation: if bilinear { Interpolation::Bilinear } else { Interpolation::Bicubic },
            ..Preprocess::default()
        };
        with_frame(layout, &planes(&layout, seed), view, |frame| {
            let expected = preprocess.fit(&frame.to_image().unwrap()).unwrap();
            let mut scratch = Scratch::default();
            let found = fit(&preprocess, &frame, &mut scratch);
            if format.is_yuv() {
                let (most, share) = differences(&found, expected.rgb());
                prop_assert!(most <= 2, "{} levels, {} of the samples by more than one", most, share);
            } else {
                prop_assert!(found == expected.rgb(), "{:?}", differences(&found, expected.rgb()));
            }
            let mut normalized = vec![0.0; found.len()];
            preprocess.apply_frame(&frame, &mut scratch, &mut normalized).unwrap();
            let image = clip_model::preprocess::Image::new(size, size, found).unwrap();
            let mut expected = vec![0.0; normalized.len()];
            preprocess.normalize(&image, &mut expected).unwrap();
            prop_assert!(normalized == expected);
            Ok(())
        })?;
    }
}

#[test]
fn no_memory_is_asked_for_after_the_first_frame() {
    for format in PixelFormat::all() {
        let layout = FrameLayout::new(format, 321, 243).unwrap();
        let planes = planes(&layout, 7);
        for orientation in orientations() {
            let crop = Some(Rect { left: 3, top: 5, width: 301, height: 177 });
            with_frame(layout, &planes, View { crop, orientation }, |frame| {
                let preprocess = Preprocess { size: 32, ..Preprocess::default() };
                let mut scratch = Scratch::default();
                let (mut bytes, mut floats) = (vec![0; 3 * 32 * 32], vec![0.0; 3 * 32 * 32]);
                preprocess.apply_frame(&frame, &mut scratch, &mut floats).unwrap();
                let before = ASKED.with(Cell::get);
                for _ in 0..3 {
                    preprocess.fit_frame(&frame, &mut scratch, &mut bytes).unwrap();
                    preprocess.apply_frame(&frame, &mut scratch, &mut floats).unwrap();
                }
                assert_eq!(ASKED.with(Cell::get) - before, 0, "{format} {orientation:?}");
            });
        }
    }
}

#[test]
fn scratch_serves_frames_of_any_kind_in_turns() {
    let preprocess = Preprocess { size: 24, ..Preprocess::default() };
    let mut scratch = Scratch::default();
    for (width, height) in [(64, 48), (3, 200), (150, 149), (1, 1)] {
        for format in PixelFormat::all() {
            let layout = FrameLayout::new(format, width, height).unwrap();
            with_frame(layout, &planes(&layout, 3), View::default(), |frame| {
                let kept = fit(&preprocess, &frame, &mut scratch);
                assert_eq!(kept, fit(&preprocess, &frame, &mut Scratch::default()), "{format}");
            });
        }
    }
}

#[test]
fn buffers_of_another_length_are_refused() {
    let layout = FrameLayout::new(PixelFormat::Gray8, 9, 9).unwrap();
    with_frame(layout, &planes(&layout, 1), View::default(), |frame| {
        let preprocess = Preprocess { size: 4, ..Preprocess::default() };
        let mut scratch = Scratch::default();
        let error = preprocess.fit_frame(&frame, &mut scratch, &mut [0; 47]).unwrap_err();
        assert_eq!(error.to_string(), "the buffer holds 47 bytes, 48 are needed");
        let error = preprocess.apply_frame(&frame, &mut scratch, &mut [0.0; 49]).unwrap_err();
        assert_eq!(error.to_string(), "the buffer holds 49 floats, 48 are needed");
    });
}

#[test]
fn one_colour_stays_that_colour_in_any_shape() {
    for (width, height) in [(1, 1), (1, 4000), (4000, 1), (3, 5), (64, 48)] {
        for format in [PixelFormat::Nv12, PixelFormat::Yuyv, PixelFormat::I420] {
            let layout = FrameLayout::new(format, width, height).unwrap();
            let white: Vec<Vec<u8>> = match format {
                PixelFormat::Yuyv => vec![[235, 128].repeat(layout.bytes(0) / 2)],
                _ => (0..format.planes())
                    .map(|p| vec![if p == 0 { 235 } else { 128 }; layout.bytes(p)])
                    .collect(),
            };
            with_frame(layout, &white, View::default(), |frame| {
                for resize_mode in [ResizeMode::Shortest, ResizeMode::Squash] {
                    let preprocess = Preprocess { size: 24, resize_mode, ..Preprocess::default() };
                    let out = fit(&preprocess, &frame, &mut Scratch::default());
                    assert!(out.iter().all(|&v| v == 255), "{format} {width}x{height} {resize_mode:?}");
                }
            });
        }
    }
}

#[test]
fn the_fuzzers_seeds_are_frames() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/seeds/frame");
    let seeds: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
    assert_eq!(seeds.len(), 12);
    for seed in seeds {
        clip_testkit::fuzzing::frame(&std::fs::read(seed.unwrap().path()).unwrap());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_frame_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        clip_testkit::fuzzing::frame(&bytes);
    }
}
