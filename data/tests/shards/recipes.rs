//! What a seed gives stays what it was: a run that goes on with a later build must see the samples that it would have seen.

use std::path::Path;

use clip_data::{Augment, LoaderOptions};
use clip_model::Preprocess;
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use sha2::{Digest, Sha256};

use crate::fixture::{batches, options, tar, write};

/// A shaded ellipse with a soft edge and a bar across it, on nothing, as emoji are.
fn drawing(n: usize) -> Vec<u8> {
    let (width, height) = (60 + 9 * (n % 4), 72 + 40 * (n % 3));
    let pixel = |at: usize| {
        let (x, y) = (at % width, at / width);
        let (u, v) = (x as f32 / width as f32 - 0.5, y as f32 / height as f32 - 0.5);
        let alpha = ((0.4 - (u * u + v * v).sqrt()) * 40.0).clamp(0.0, 1.0);
        let bar = (x + y + 5 * n) % 24 < 7;
        [
            (40 * n + x) as u8,
            if bar { 20 } else { (3 * y) as u8 },
            (250 - 30 * n) as u8,
            (alpha * 255.0) as u8,
        ]
    };
    let pixels: Vec<u8> = (0..width * height).flat_map(pixel).collect();
    let mut out = Vec::new();
    let size = (width as u32, height as u32);
    PngEncoder::new(&mut out).write_image(&pixels, size.0, size.1, ExtendedColorType::Rgba8).unwrap();
    out
}

fn shard(dir: &Path) -> std::path::PathBuf {
    let files: Vec<(String, Vec<u8>)> = (0..8)
        .flat_map(|n| {
            let captions = format!("drawing {n}\nround, striped, number {n}, shade, bar\n");
            [(format!("{n}.png"), drawing(n)), (format!("{n}.txt"), captions.into_bytes())]
        })
        .collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
    write(dir, "drawings.tar", &tar(&files))
}

/// The beginning of the hash of the pictures and the texts of three batches.
fn hash(augment: Augment) -> [String; 2] {
    let dir = tempfile::tempdir().unwrap();
    let preprocess = Preprocess { size: 32, ..Preprocess::default() };
    let options = LoaderOptions { batch: 8, seed: 3, preprocess: preprocess.clone(), augment, ..options() };
    let mut values = vec![0.0; 3 * 32 * 32];
    let (mut pictures, mut texts) = (Sha256::new(), Sha256::new());
    for batch in batches(&[shard(dir.path())], options, 3) {
        for rgb in batch.pictures.chunks_exact(values.len()) {
            preprocess.normalize_rgb(rgb, &mut values).unwrap();
            values.iter().for_each(|value| pictures.update(value.to_le_bytes()));
        }
        batch.ids.iter().for_each(|id| texts.update(id.to_le_bytes()));
    }
    [pictures, texts].map(|hash| hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The augmentation of a committed settings file.
fn of_file(name: &str) -> Augment {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    let settings: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    settings["data"]["augment"].clone().try_into().unwrap()
}

#[test]
fn a_seed_gives_the_recorded_samples() {
    let emoji = of_file("models/emoji-tiny/train.toml");
    let paper = of_file("trainer/configs/vit-b-32.toml");
    assert_eq!(paper, Augment { square_crop: true, ..Augment::default() });
    let parts = Augment { crop_scale: Some([0.9, 1.0]), ..Augment::default() };
    let square = Augment { crop_ratio: [1.0, 1.0], crop_scale: Some([0.5, 1.0]), ..Augment::default() };
    let both = Augment { crop_scale: parts.crop_scale, ..emoji.clone() };
    let painted =
        Augment { rotation: 0.0, zoom: [1.0, 1.0], stretch: 0.0, shear: 0.0, shift: 0.0, ..both.clone() };
    assert_eq!(of_file("models/emoji-vit-tiny/train.toml"), emoji);
    let found = [
        ("emoji", emoji),
        ("paper", paper),
        ("parts", parts),
        ("square", square),
        ("both", both),
        ("painted", painted),
    ]
    .map(|(name, augment)| format!("{name}: {}", hash(augment).join(" ")));
    let recorded = [
        "emoji: 0aed09ddce98eb57 7026f61cab9fd296",
        "paper: a7c53aef5fbe4690 d78fac1757a83301",
        "parts: 8faa639bf2a62f9b d78fac1757a83301",
        "square: ea2257366a169b03 d78fac1757a83301",
        "both: e7f7f138a8064e7b 7026f61cab9fd296",
        "painted: af40cf6ea8d50361 7026f61cab9fd296",
    ];
    assert_eq!(found, recorded);
}

#[test]
fn half_of_the_pictures_are_mirrored_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let files: [(&str, &[u8]); 2] = [("a.png", &drawing(1)), ("a.txt", b"one")];
    let shard = [write(dir.path(), "one.tar", &tar(&files))];
    let preprocess = Preprocess { size: 32, ..Preprocess::default() };
    let drawn_with = |flip: f32, count: usize| {
        let augment = Augment { flip, ..Augment::default() };
        batches(
            &shard,
            LoaderOptions { batch: 1, preprocess: preprocess.clone(), augment, ..options() },
            count,
        )
    };
    let plain = drawn_with(0.0, 1)[0].pictures.clone();
    let rows = plain.chunks_exact(3 * 32);
    let mirror: Vec<u8> = rows.flat_map(|row| row.chunks_exact(3).rev().flatten().copied()).collect();
    assert_ne!(plain, mirror);
    let drawn = drawn_with(0.5, 200);
    let count = |picture: &[u8]| drawn.iter().filter(|batch| batch.pictures == picture).count();
    assert_eq!(count(&mirror) + count(&plain), 200);
    // Six standard deviations of 200 draws.
    assert!((58..=142).contains(&count(&mirror)), "{}", count(&mirror));
}
