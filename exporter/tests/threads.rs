//! Any number of threads run one open graph at the same time, and get what one thread alone gets, bit for bit.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use clip_checkpoint::Checkpoint;
use clip_exporter::{Options, export};
use clip_model::config::{Activation, Config};
use clip_model::preprocess::Image;
use clip_runtime::Clip;
use clip_runtime::engine::{Elements, View};
use clip_runtime::engine::{Session, Target};
use clip_testkit::{resnet, small_vit, uniform};

const THREADS: usize = 8;
const RUNS: usize = 150;

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// The image tower's graph by itself, on batches of one to four.
fn runs(session: &dyn Session, side: usize, dim: usize) {
    let input = |n: usize| {
        let rows = n % 4 + 1;
        let numbers = uniform(&format!("input {n}"), rows * 3 * side * side, -2.0, 2.0);
        ([rows, 3, side, side], numbers)
    };
    let run = |n: usize, into: &mut [f32]| {
        let (shape, numbers) = input(n);
        let view = View { shape: &shape, elements: Elements::Float32(&numbers) };
        let rows = shape[0];
        let target = Target { shape: &[rows, dim], values: &mut into[..rows * dim] };
        session.run_into(&[("image", view)], target).unwrap();
        bits(&into[..rows * dim])
    };
    let mut room = vec![0.0; 4 * dim];
    let expected: Vec<Vec<u32>> = (0..16).map(|n| run(n, &mut room)).collect();
    assert_ne!(expected[0], expected[4]);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (run, expected) = (&run, &expected);
            scope.spawn(move || {
                let mut room = vec![0.0; 4 * dim];
                for i in 0..RUNS {
                    let n = (i * 7 + thread) % expected.len();
                    assert_eq!(run(n, &mut room), expected[n], "thread {thread}, run {i}");
                }
            });
        }
    });
}

/// Images and texts through one open model folder.
fn calls(clip: &Clip) {
    let picture = |n: usize| Image::new(40, 31, (0..40 * 31 * 3).map(|i| (i * n % 251) as u8).collect());
    let pictures: Vec<Image> = (1..9).map(|n| picture(n).unwrap()).collect();
    let texts: Vec<String> = (0..9).map(|n| "a b ".repeat(n)).collect();
    let images = |n: usize| bits(clip.encode_images(&pictures[n % 4..n % 8 + 1]).unwrap().as_slice());
    let words = |n: usize| bits(clip.encode_texts(&texts[n % 4..n % 8 + 1]).unwrap().as_slice());
    let expected: Vec<_> = (0..8).map(|n| (images(n), words(n))).collect();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (images, words, expected) = (&images, &words, &expected);
            scope.spawn(move || {
                for i in 0..RUNS / 5 {
                    let n = (i + thread) % expected.len();
                    assert_eq!((images(n), words(n)), expected[n], "thread {thread}, call {i}");
                }
            });
        }
    });
}

fn exported(root: &Path, config: &Config) -> Clip {
    let checkpoint = Checkpoint::open(clip_testkit::checkpoint(root, config)).unwrap();
    let folder = root.join("folder");
    export(&checkpoint, &folder, &Options::default(), &mut |_| {}).unwrap();
    Clip::open_with(folder, &clip_runtime::Options::new().threads(2)).unwrap()
}

#[test]
fn several_threads_get_what_one_gets() {
    for config in [small_vit(Activation::QuickGelu), resnet()] {
        let root = tempfile::tempdir().unwrap();
        let clip = exported(root.path(), &config);
        let engine = clip_runtime::Options::new().start_engine().unwrap();
        for threads in [1, 3] {
            let session = engine.open(clip.image_file().unwrap(), threads).unwrap();
            runs(&*session, clip.manifest().preprocess.size, clip.embed_dim());
        }
        calls(&clip);
    }
}
