//! Preprocessing against what Pillow and torchvision made of small pictures (`images/make.py`), and its promises on
//! any bytes. `tests/parity/preprocess.py` compares many more pictures where Python is at hand.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper fails its test")]

use std::path::PathBuf;

use clip_model::preprocess::{Image, Interpolation, ResizeMode, decode};
use clip_model::{Error, Preprocess};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

/// Enough for every picture here, and little enough that a damaged header cannot ask for much.
const MAX_PIXELS: u64 = 1 << 16;

#[derive(serde::Deserialize)]
struct Golden {
    file: String,
    width: usize,
    height: usize,
    decoded: String,
    shortest: String,
    squash: String,
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/images"))
}

fn golden() -> Vec<Golden> {
    let lines = std::fs::read_to_string(folder().join("golden.jsonl")).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn encoded(file: &str) -> Vec<u8> {
    std::fs::read(folder().join(file)).unwrap()
}

fn small() -> Preprocess {
    Preprocess { size: 32, max_pixels: MAX_PIXELS, ..Preprocess::default() }
}

fn hash(image: &Image) -> String {
    format!("{:x}", Sha256::digest(image.rgb()))
}

#[test]
fn pixels_are_those_of_pillow_and_torchvision() {
    for golden in golden() {
        let image = small().open(&folder().join(&golden.file)).unwrap();
        assert_eq!((image.width(), image.height()), (golden.width, golden.height), "{}", golden.file);
        assert_eq!(hash(&image), golden.decoded, "{} decoded", golden.file);
        assert_eq!(
            hash(&small().fit(&image).unwrap()),
            golden.shortest,
            "{} resized and cropped",
            golden.file
        );
        let squash =
            Preprocess { resize_mode: ResizeMode::Squash, interpolation: Interpolation::Bilinear, ..small() };
        assert_eq!(hash(&squash.fit(&image).unwrap()), golden.squash, "{} squashed", golden.file);
    }
}

#[derive(serde::Deserialize)]
struct Odd {
    file: String,
    width: usize,
    height: usize,
    decoded: String,
}

/// Pictures of `images/odd/make.py`, of kinds that are seldom written.
fn odd() -> Vec<Odd> {
    let lines = std::fs::read_to_string(folder().join("odd/golden.jsonl")).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn odd_kinds_are_those_of_pillow() {
    for Odd { file, width, height, decoded } in odd() {
        let image = small().open(&folder().join("odd").join(&file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert_eq!((image.width(), image.height()), (width, height), "{file}");
        assert_eq!(hash(&image), decoded, "{file}");
        let error = decode(&encoded(&format!("odd/{file}")), true, (width * height) as u64 - 1).unwrap_err();
        assert!(matches!(error, Error::ImageTooLarge { .. }), "{file}: {error}");
    }
}

/// A TIFF of one grey pixel with these tags of type SHORT besides its size.
fn tiff(tags: &[(u16, u16)]) -> Vec<u8> {
    let mut all = vec![(256, 1), (257, 1), (273, 0)];
    all.extend(tags);
    let mut file = b"II*\0\x08\0\0\0".to_vec();
    file.extend((all.len() as u16).to_le_bytes());
    for (tag, value) in all {
        file.extend([tag, 3, 1, 0, value, 0].map(u16::to_le_bytes).concat());
    }
    file
}

#[test]
fn what_is_not_decoded_is_refused_in_words() {
    for (picture, words) in [
        (tiff(&[(259, 34925)]), "compression 34925 (LZMA) is not supported"),
        (tiff(&[(262, 32803)]), "photometric interpretation 32803 is not supported"),
        (tiff(&[(258, 24)]), "samples of [24] bits are not supported"),
        (tiff(&[(258, 16), (317, 4)]), "predictor 4 with 16 bits is not supported"),
        (tiff(&[(258, 64), (339, 3)]), "samples of [64] bits are not supported"),
        (tiff(&[(262, 3), (258, 8)]), "a palette without its colours"),
        (b"BM\0\0\0\0\0\0\0\0\x1a\0\0\0\x10\0\0\0".to_vec(), "a header of 16 bytes is not supported"),
        (b"P5 1 1 70000 \0".to_vec(), "the largest value is 70000, expected 1 to 65535"),
        (b"P2 1 1 9 10".to_vec(), "value 10, at most 9 allowed"),
        (b"P6 2 2 255 abc".to_vec(), "the pixels end early"),
    ] {
        let error = small().decode(&picture).unwrap_err();
        assert!(matches!(&error, Error::Image(message) if message.contains(words)), "{words}: {error}");
    }
}

#[test]
fn a_tiffs_lies_about_its_size_ask_for_no_memory() {
    // Tiles of 65535x65535 pixels for a picture of one.
    let mut tiled = tiff(&[(258, 8), (322, 65535), (323, 65535), (324, 8)]);
    // Without strips it is tiled.
    let at = tiled.windows(2).position(|tag| tag == 273u16.to_le_bytes()).unwrap();
    tiled[at..at + 2].copy_from_slice(&60000u16.to_le_bytes());
    let error = small().decode(&tiled).unwrap_err();
    assert!(error.to_string().contains("more than the limit"), "{error}");
}

#[test]
fn orientation_is_ignored_on_request() {
    let ignoring = Preprocess { apply_exif_orientation: false, ..small() };
    let image = ignoring.decode(&encoded("rotated.jpg")).unwrap();
    assert_eq!((image.width(), image.height()), (45, 31));
    let image = small().decode(&encoded("rotated.jpg")).unwrap();
    assert_eq!((image.width(), image.height()), (31, 45));
    // In TIFF it is no EXIF data but the picture's own tag, which Pillow always obeys.
    let image = ignoring.decode(&encoded("rotated.tiff")).unwrap();
    assert_eq!((image.width(), image.height()), (31, 45));
}

#[test]
fn transparent_pixels_show_the_background() {
    let rgba = decode(&encoded("rgba.png"), true, MAX_PIXELS).unwrap();
    for background in [[255; 3], [0, 40, 200]] {
        let image = Preprocess { background, ..small() }.decode(&encoded("rgba.png")).unwrap();
        assert_eq!(image, rgba.over(background).unwrap());
        for (pixel, rgba) in image.rgb().chunks_exact(3).zip(rgba.rgba().chunks_exact(4)) {
            for channel in 0..3 {
                let alpha = f64::from(rgba[3]) / 255.0;
                let exact = f64::from(rgba[channel]) * alpha + f64::from(background[channel]) * (1.0 - alpha);
                assert!((f64::from(pixel[channel]) - exact).abs() <= 0.5 + 1e-9);
            }
        }
    }
    let opaque = decode(&encoded("colour.jpg"), true, MAX_PIXELS).unwrap();
    assert!(opaque.rgba().chunks_exact(4).all(|pixel| pixel[3] == 255));
}

#[test]
fn one_pixel_and_a_strip_become_inputs() {
    for (file, colour) in [("one-pixel.png", None), ("1x4000.png", Some([250, 20, 60]))] {
        let preprocess = Preprocess { max_pixels: MAX_PIXELS, ..Preprocess::default() };
        let image = preprocess.open(&folder().join(file)).unwrap();
        let fitted = preprocess.fit(&image).unwrap();
        assert_eq!((fitted.width(), fitted.height()), (224, 224));
        if let Some(colour) = colour {
            assert!(fitted.rgb().chunks_exact(3).all(|pixel| pixel == colour), "the middle of the strip");
        }
        let mut out = vec![f32::NAN; 3 * 224 * 224];
        preprocess.apply(&image, &mut out).unwrap();
        assert!(out.iter().all(|value| value.is_finite()));
        let expected = (f32::from(fitted.rgb()[1]) / 255.0 - preprocess.mean[1]) / preprocess.std[1];
        assert_eq!(out[224 * 224], expected);
    }
}

#[test]
fn sizes_are_checked() {
    let size = |result: Result<_, Error>| matches!(result, Err(Error::Size(_)));
    assert!(size(Image::new(2, 2, vec![0; 11]).map(drop)));
    assert!(size(Image::new(0, 2, vec![]).map(drop)));
    assert!(size(Image::new(usize::MAX, usize::MAX, vec![]).map(drop)));
    assert!(size(Image::from_strided(2, 2, 5, &[0; 100]).map(drop)));
    assert!(size(Image::from_strided(2, 2, 8, &[0; 13]).map(drop)));
    assert!(size(Image::from_strided(1, 3, usize::MAX / 2, &[0; 100]).map(drop)));
    let strided = Image::from_strided(2, 2, 8, &[1, 2, 3, 4, 5, 6, 0, 0, 7, 8, 9, 10, 11, 12]).unwrap();
    assert_eq!(strided.rgb(), (1..13).collect::<Vec<u8>>());

    let image = Image::new(31, 32, vec![0; 31 * 32 * 3]).unwrap();
    let mut out = vec![0.0; 3 * 32 * 32];
    let message = small().normalize(&image, &mut out).unwrap_err().to_string();
    assert!(message.contains("31x32") && message.contains("32x32"), "{message}");
    assert!(size(small().apply(&image, &mut out[1..])));
    small().apply(&image, &mut out).unwrap();
}

#[test]
fn a_bomb_is_refused_by_its_header() {
    // A PNG of 60,000 x 50,000 pixels whose data is not even there.
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    png.extend([60_000u32.to_be_bytes(), 50_000u32.to_be_bytes()].concat());
    png.extend([8, 2, 0, 0, 0, 0xb3, 0x5b, 0x4e, 0x0d]);
    let checksum = crc32(&png[12..29]);
    png.truncate(29);
    png.extend(checksum.to_be_bytes());
    png.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    let error = Preprocess::default().decode(&png).unwrap_err();
    assert!(
        matches!(error, Error::ImageTooLarge { width: 60_000, height: 50_000, limit: 178_956_970 }),
        "{error}"
    );

    for Golden { file, width, height, .. } in golden() {
        let pixels = (width * height) as u64;
        assert!(decode(&encoded(&file), true, pixels).is_ok(), "{file}");
        let error = decode(&encoded(&file), true, pixels - 1).unwrap_err();
        assert!(
            matches!(error, Error::ImageTooLarge { limit, .. } if limit == pixels - 1),
            "{file}: {error}"
        );
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 },
        )
    })
}

#[test]
fn what_is_no_picture_is_an_error() {
    for bytes in [&b""[..], b"\xff", b"GIF89a", b"BM", b"hello, world", b"\xff\xd8\xff\xd9", b"<svg/>"] {
        assert!(matches!(small().decode(bytes), Err(Error::Image(_))), "{bytes:?}");
    }
    let error = small().open(&folder().join("absent.png")).unwrap_err();
    assert!(matches!(error, Error::Io { action: "open", .. }), "{error}");
}

#[test]
fn truncated_pictures_are_errors() {
    for Golden { file, .. } in golden() {
        let whole = encoded(&file);
        for length in (0..whole.len()).step_by(13) {
            let result = small().decode(&whole[..length]);
            // Past the pixels there may be something that is not needed (a trailer, more frames).
            if length < whole.len() / 4 {
                assert!(result.is_err(), "{file} cut to {length} of {} bytes", whole.len());
            }
        }
    }
    let whole = encoded("colour.jpg");
    assert!(small().decode(&whole[..whole.len() - 40]).is_err(), "a JPEG without its last blocks");
}

/// Every JPEG here, at sizes that leave it whole and that have it decoded at a half or less; turned, CMYK and grey ones among them.
#[test]
fn jpegs_at_a_part_of_their_size_are_nearly_pillows() {
    let mut reduced = 0;
    let files: Vec<_> = golden().into_iter().filter(|golden| golden.file.ends_with(".jpg")).collect();
    assert!(!files.is_empty());
    for Golden { file, width, height, .. } in files {
        for size in [1, 3, 5, 8, 64] {
            let preprocess = Preprocess { size, max_pixels: MAX_PIXELS, ..Preprocess::default() };
            let exact = preprocess.fit(&preprocess.open(&folder().join(&file)).unwrap()).unwrap();
            let fast = preprocess.decode_fitted(&encoded(&file)).unwrap();
            assert_eq!((fast.width(), fast.height()), (size, size));
            let differences = exact.rgb().iter().zip(fast.rgb()).map(|(a, b)| u64::from(a.abs_diff(*b)));
            let mean = differences.sum::<u64>() as f64 / exact.rgb().len() as f64;
            if width.min(height) < 4 * size {
                assert_eq!(fast, exact, "{file} {size}");
            } else {
                reduced += 1;
                assert!(mean < 6.0, "{file} {size}: {mean} levels");
            }
        }
    }
    assert!(reduced > 3, "{reduced} were decoded at a part of their size");
    // Other formats are as ever, and limits are those of the whole picture.
    let png = small().fit(&small().open(&folder().join("rgba.png")).unwrap()).unwrap();
    assert_eq!(small().decode_fitted(&encoded("rgba.png")).unwrap(), png);
    let tight = Preprocess { max_pixels: 100, ..small() };
    assert!(matches!(tight.decode_fitted(&encoded("colour.jpg")), Err(Error::ImageTooLarge { .. })));
    let whole = encoded("colour.jpg");
    assert!(matches!(small().decode_fitted(&whole[..whole.len() / 2]), Err(Error::Image(_))));
}

#[test]
fn values_that_make_no_sense_are_refused() {
    let default = Preprocess::default;
    default().validate().unwrap();
    for wrong in [
        Preprocess { size: 0, ..default() },
        Preprocess { size: 1 << 20, ..default() },
        Preprocess { mean: [f32::NAN, 0.0, 0.0], ..default() },
        Preprocess { std: [1.0, 0.0, 1.0], ..default() },
        Preprocess { max_pixels: 0, ..default() },
    ] {
        assert!(matches!(wrong.validate(), Err(Error::Config(_))), "{wrong:?}");
    }
    let json = serde_json::to_string(&default()).unwrap();
    assert!(json.contains(r#""resize_mode":"shortest","interpolation":"bicubic""#), "{json}");
    assert_eq!(serde_json::from_str::<Preprocess>(&json).unwrap(), default());
    assert!(serde_json::from_str::<Preprocess>(&json.replace("\"size\"", "\"side\"")).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damaged_pictures_never_panic(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        length in any::<prop::sample::Index>(),
        cut in prop::bool::weighted(0.2),
    ) {
        let mut all: Vec<String> = golden().into_iter().map(|golden| golden.file).collect();
        all.extend(odd().into_iter().map(|odd| format!("odd/{}", odd.file)));
        let mut bytes = encoded(&all[which.index(all.len())]);
        for (at, value) in changes {
            // Half of the changes go where the headers are.
            let range = if value % 2 == 0 { bytes.len().min(200) } else { bytes.len() };
            let at = at.index(range);
            bytes[at] = value;
        }
        if cut {
            bytes.truncate(length.index(bytes.len()));
        }
        if let Ok(image) = small().decode(&bytes) {
            prop_assert!(image.width() * image.height() <= MAX_PIXELS as usize);
            let mut out = vec![0.0; 3 * 32 * 32];
            small().apply(&image, &mut out).unwrap();
        }
    }

    #[test]
    fn any_bytes_never_panic(kind in 0..9usize, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let starts: [&[u8]; 9] = [
            b"\xff\xd8\xff",
            b"\x89PNG\r\n\x1a\n",
            b"GIF89a",
            b"BM",
            b"II*\0",
            b"RIFF\x20\0\0\0WEBPVP8 ",
            b"P2 7 7 ",
            b"MM\0+\0\x08\0\0",
            b"\x28\0\0\0\x05\0\0\0\x05\0\0\0\x01\0\x08\0",
        ];
        let _ = small().decode(&[starts[kind], &bytes].concat());
    }

    #[test]
    fn any_shape_becomes_an_input(
        width in 1usize..400,
        height in 1usize..400,
        size in 1usize..64,
        squash in any::<bool>(),
        bilinear in any::<bool>(),
    ) {
        let rgb = (0..width * height * 3).map(|i| (i * 131 % 256) as u8).collect();
        let preprocess = Preprocess {
            size,
            resize_mode: if squash { ResizeMode::Squash } else { ResizeMode::Shortest },
            interpolation: if bilinear { Interpolation::Bilinear } else { Interpolation::Bicubic },
            ..Preprocess::default()
        };
        let image = Image::new(width, height, rgb).unwrap();
        let mut out = vec![0.0; 3 * size * size];
        preprocess.apply(&image, &mut out).unwrap();
    }
}
