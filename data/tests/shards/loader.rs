//! The loader: order, determinism, resuming, and samples that cannot be used.

use std::collections::BTreeSet;
use std::slice::from_ref;

use clip_data::{Augment, Error, Loader, LoaderOptions};
use clip_model::preprocess;

use crate::fixture::{SIZE, batches, failure, jpeg, numbers, options, pictures, png, tar, three, write};

fn strong() -> Augment {
    Augment {
        crop_scale: Some([0.5, 1.0]),
        rotation: 20.0,
        zoom: [0.8, 1.2],
        shift: 0.1,
        background: 0.5,
        color: 0.8,
        hue: 90.0,
        grayscale: 0.2,
        ink: 0.5,
        ink_only: 0.5,
        keywords: 2,
        ..Augment::default()
    }
}

#[test]
fn any_number_of_threads_gives_the_same_batches() {
    let dir = tempfile::tempdir().unwrap();
    let shards = three(dir.path());
    let with = |threads, cache_mb| {
        batches(&shards, LoaderOptions { threads, cache_mb, augment: strong(), ..options() }, 30)
    };
    let one = with(1, 0);
    assert_eq!(one, with(2, 0));
    assert_eq!(one, with(7, 0));
    assert_eq!(one, with(3, 1), "the cache changes nothing");
    assert_eq!(one[0].pictures.len(), 5 * 3 * 4 * 4);
    assert_eq!(one[0].ids.len(), 5 * one[0].length);
    assert!(one.iter().enumerate().all(|(n, batch)| batch.position == 5 * (n as u64 + 1) && batch.size == 5));
    let other = batches(&shards, LoaderOptions { seed: 2, augment: strong(), ..options() }, 30);
    assert_ne!(one, other);
}

#[test]
fn an_epoch_has_each_sample_once_in_an_order_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let shards = three(dir.path());
    for shuffle_buffer in [1, 16, 1000] {
        let epochs = batches(&shards, LoaderOptions { batch: 47, shuffle_buffer, ..options() }, 3);
        let orders: Vec<Vec<u8>> = epochs.iter().map(pictures).collect();
        for order in &orders {
            assert_eq!(order.iter().copied().collect::<BTreeSet<u8>>(), (0..47).collect());
        }
        assert!(orders[0] != orders[1] || shuffle_buffer == 1);
        if shuffle_buffer == 1 {
            let first = orders[0].iter().position(|&n| n == 0).unwrap();
            assert_eq!(orders[0][first..first + 20], (0..20).collect::<Vec<u8>>(), "a shard stays in order");
        }
    }
}

#[test]
fn resuming_gives_the_batches_of_the_run_that_was_not_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let mut shards = three(dir.path());
    // A picture that cannot be decoded, and a sample without caption.
    let bad = tar(&[
        ("x.jpg", b"no jpeg"),
        ("x.txt", b"broken"),
        ("y.png", &png(99)),
        ("z.png", &png(50)),
        ("z.txt", b"z"),
    ]);
    shards.push(write(dir.path(), "d.tar", &bad));
    let augment = Augment { background: 1.0, rotation: 10.0, ..Augment::default() };
    let options = || LoaderOptions { augment: augment.clone(), ..options() };
    let whole = batches(&shards, options(), 40);
    for stop in [1, 8, 9, 10, 19, 35] {
        let before = &whole[stop - 1];
        let mut rest = batches(&shards, LoaderOptions { start: before.position, ..options() }, 5);
        rest.iter_mut().for_each(|batch| batch.skipped += before.skipped);
        assert_eq!(rest, whole[stop..stop + 5], "after {stop} batches");
    }
    // 49 positions an epoch, one of them undecodable. The sample without caption is met when its shard is read, which is
    // earlier than it would be its turn.
    assert_eq!(whole[39].position, 204);
    assert!((8..=9).contains(&whole[39].skipped), "{}", whole[39].skipped);
}

#[test]
fn without_augmentation_the_pixels_are_those_of_preprocess() {
    let dir = tempfile::tempdir().unwrap();
    let shard = numbers(dir.path(), "one.tar", 7..8);
    let options = LoaderOptions { batch: 1, ..options() };
    let batch = &batches(&[shard], options.clone(), 1)[0];
    let picture = preprocess::decode(&png(7), true, 1000).unwrap().over([255; 3]).unwrap();
    let expected = options.preprocess.fit(&picture).unwrap();
    assert_eq!(batch.pictures, expected.rgb());
    let mut cropped = options;
    cropped.augment.crop_scale = Some([1.0, 1.0]);
    cropped.augment.crop_ratio = [1.0, 1.0];
    let batch = &batches(&[numbers(dir.path(), "one.tar", 7..8)], cropped, 1)[0];
    assert_eq!(batch.pictures, expected.rgb(), "a crop of everything");
}

#[test]
fn captions_are_drawn_and_padded_to_the_longest() {
    let dir = tempfile::tempdir().unwrap();
    let shards = [numbers(dir.path(), "one.tar", 7..8)];
    let options = options();
    let short = options.tokenizer.encode("number 7", 16);
    let long = options.tokenizer.encode("the picture 7 of the test", 16);
    let mut seen = [0, 0];
    for batch in batches(&shards, options, 40) {
        for row in batch.ids.chunks_exact(batch.length) {
            let row: Vec<i32> = row.iter().map(|&id| id as i32).collect();
            if row[..short.len()] == short[..] {
                assert!(row[short.len()..].iter().all(|&id| id == 0));
                seen[0] += 1;
            } else {
                assert_eq!(row, long);
                seen[1] += 1;
            }
        }
    }
    assert!(seen[0] > 70 && seen[1] > 70, "{seen:?} of 200");
}

#[test]
fn long_texts_end_at_the_context_length() {
    let dir = tempfile::tempdir().unwrap();
    let text = "word ".repeat(10_000);
    let shard = write(dir.path(), "s.tar", &tar(&[("a.png", &png(1)), ("a.txt", text.as_bytes())]));
    let batch = &batches(&[shard], options(), 1)[0];
    assert_eq!(batch.length, 16);
    assert_eq!(batch.ids[15], 49_407);
}

#[test]
fn a_corrupt_jpeg_is_skipped_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let good = jpeg(120);
    let mut cut = good.clone();
    cut.truncate(30);
    let files: [(&str, &[u8]); 6] = [
        ("a.jpg", &good),
        ("a.txt", b"a"),
        ("b.jpg", &cut),
        ("b.txt", b"b"),
        ("c.jpeg", &good),
        ("c.txt", b"c"),
    ];
    let shard = write(dir.path(), "s.tar", &tar(&files));
    let batches = batches(&[shard], LoaderOptions { batch: 2, ..options() }, 3);
    let broken = options().tokenizer.encode("b", 16)[1];
    for batch in &batches {
        assert_eq!(batch.size, 2);
        assert!(!batch.ids.contains(&i64::from(broken)));
    }
    assert!((2..=3).contains(&batches[2].skipped), "{}", batches[2].skipped);
    assert_eq!(batches[2].position, 6 + batches[2].skipped);
}

#[test]
fn odd_pictures_are_no_trouble() {
    let dir = tempfile::tempdir().unwrap();
    let encode = |width: u32, height: u32| {
        let mut out = Vec::new();
        let pixels = vec![90; (width * height * 3) as usize];
        image::ImageEncoder::write_image(
            image::codecs::png::PngEncoder::new(&mut out),
            &pixels,
            width,
            height,
            image::ExtendedColorType::Rgb8,
        )
        .unwrap();
        out
    };
    let pictures = [encode(1, 1), encode(1, 400), encode(700, 2), encode(300, 301)];
    let names = ["a", "b", "c", "d"].map(|key| (format!("{key}.png"), format!("{key}.txt")));
    let files: Vec<(&str, &[u8])> = names
        .iter()
        .zip(&pictures)
        .flat_map(|((png, txt), picture)| [(png.as_str(), &picture[..]), (txt.as_str(), b"odd".as_slice())])
        .collect();
    let shard = write(dir.path(), "odd.tar", &tar(&files));
    for augment in
        [Augment::default(), Augment { crop_scale: Some([0.2, 1.0]), ..Augment::default() }, strong()]
    {
        for batch in batches(from_ref(&shard), LoaderOptions { augment, ..options() }, 12) {
            assert_eq!(batch.skipped, 0);
            assert_eq!(batch.pictures.len(), 3 * SIZE * SIZE * batch.size);
        }
    }
}

#[test]
fn when_no_picture_can_be_decoded_the_loader_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let files: [(&str, &[u8]); 4] = [("a.jpg", b"x"), ("a.txt", b"a"), ("b.jpg", b"y"), ("b.txt", b"b")];
    let shard = write(dir.path(), "s.tar", &tar(&files));
    let error = failure(&[shard], options());
    assert!(matches!(error, Error::Undecodable { count: 2, .. }), "{error}");
}

#[test]
fn options_that_make_no_sense_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let shards = three(dir.path());
    let message = |options| Loader::new(&shards, options).err().unwrap().to_string();
    assert!(message(LoaderOptions { batch: 0, ..options() }).contains("batch is 0"));
    assert!(message(LoaderOptions { threads: 0, ..options() }).contains("threads is 0"));
    let augment = Augment { ink: 1.5, ..Augment::default() };
    assert!(message(LoaderOptions { augment, ..options() }).contains("augment.ink is 1.5"));
    let augment = Augment { zoom: [1.2, 0.8], ..Augment::default() };
    assert!(message(LoaderOptions { augment, ..options() }).contains("augment.zoom"));
    let augment = Augment { crop_scale: Some([0.5, f32::NAN]), ..Augment::default() };
    assert!(message(LoaderOptions { augment, ..options() }).contains("augment.crop_scale"));
    let mut bad = options();
    bad.preprocess.size = 0;
    assert!(message(bad).contains("size is 0"));
    assert!(matches!(Loader::new(&[] as &[std::path::PathBuf], options()).err().unwrap(), Error::NoShards));
}

#[test]
fn unknown_augmentations_are_errors() {
    let error = serde_json::from_str::<Augment>(r#"{"flop": 0.5}"#).unwrap_err().to_string();
    assert!(error.contains("flop"), "{error}");
    assert_eq!(serde_json::from_str::<Augment>("{}").unwrap(), Augment::default());
}

#[test]
fn dropping_a_busy_loader_ends_its_threads() {
    let dir = tempfile::tempdir().unwrap();
    let shards = three(dir.path());
    for taken in 0..20 {
        let mut loader = Loader::new(&shards, LoaderOptions { threads: 3, ..options() }).unwrap();
        loader.by_ref().take(taken % 4).for_each(|batch| drop(batch.unwrap()));
        drop(loader);
    }
}
