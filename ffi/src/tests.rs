//! Every function as a C program calls it, on the model of three colours in runtime/tests/. What a C compiler has to
//! say, and every wrong argument, is in tests/.

use std::ffi::{CStr, CString, c_char};
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};
use std::thread;

use crate::classify::{clip_classify, clip_classify_images, clip_match};
use crate::embed::{clip_embed_images, clip_embed_texts};
use crate::image::{clip_image, clip_image_decode, clip_image_free, clip_image_from_rgb, clip_image_open};
use crate::labels::{
    clip_labels, clip_labels_count, clip_labels_free, clip_labels_name, clip_labels_new, clip_labels_stored,
};
use crate::model::*;
use crate::status::*;
use crate::version::*;

const COLOURS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../runtime/tests/colours");

fn string(text: *const c_char) -> String {
    unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned()
}

fn pointers(texts: &[&CStr]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).collect()
}

#[track_caller]
fn ok(status: clip_status) {
    assert_eq!(status, CLIP_OK, "{}: {}", string(clip_status_name(status)), string(clip_last_error()));
}

/// Opens a folder: the handle, or the status and the message.
fn open(folder: &Path, options: *const clip_open_options) -> Result<*mut clip_model, (i32, String)> {
    let path = CString::new(folder.to_str().unwrap()).unwrap();
    let mut model = null_mut();
    match unsafe { clip_model_open(path.as_ptr(), options, &mut model) } {
        CLIP_OK => Ok(model),
        status => {
            assert!(model.is_null());
            Err((status, string(clip_last_error())))
        }
    }
}

/// Options of which only the size is set.
fn unset() -> clip_open_options {
    let struct_size = size_of::<clip_open_options>();
    clip_open_options {
        struct_size,
        threads: 0,
        onnxruntime: null(),
        max_pixels: 0,
        trust_unchanged: 0,
        engine: null(),
        device: null(),
        rebuild: 0,
        tensorrt: null(),
        spinning: 0,
        fast_decode: 0,
    }
}

fn colours() -> *mut clip_model {
    open(COLOURS.as_ref(), null()).unwrap()
}

fn labels(model: *const clip_model, names: &[&CStr], templates: &[&CStr]) -> *mut clip_labels {
    let (names, templates) = (pointers(names), pointers(templates));
    let mut labels = null_mut();
    let (n, m) = (names.len(), templates.len());
    ok(unsafe { clip_labels_new(model, names.as_ptr(), n, templates.as_ptr(), m, &mut labels) });
    labels
}

/// A picture of one colour, 3 x 2 pixels in rows of 16 bytes.
fn plain(colour: [u8; 3]) -> *mut clip_image {
    let mut row = colour.repeat(3);
    row.resize(16, 0x55);
    let pixels = row.repeat(2);
    let mut image = null_mut();
    ok(unsafe { clip_image_from_rgb(pixels.as_ptr(), 16 + 9, 3, 2, 16, &mut image) });
    image
}

/// A picture of one colour as a BMP file, 2 x 2 pixels.
fn bmp(colour: [u8; 3]) -> Vec<u8> {
    let [r, g, b] = colour;
    let rows = [b, g, r, b, g, r, 0, 0].repeat(2);
    let mut file = b"BM".to_vec();
    for field in [54 + rows.len() as u32, 0, 54, 40, 2, 2, 1 | 24 << 16, 0, rows.len() as u32, 0, 0, 0, 0] {
        file.extend(field.to_le_bytes());
    }
    file.extend(rows);
    file
}

/// A match that no call has written to.
const UNSET: clip_match = clip_match { index: 99, probability: -1.0, similarity: -1.0 };

fn plain_values(matches: &[clip_match]) -> Vec<(usize, f32, f32)> {
    matches.iter().map(|m| (m.index, m.probability, m.similarity)).collect()
}

/// A copy of the model folder, to be spoilt.
fn copy() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for file in ["clip.json", "visual.onnx", "text.onnx", "tokenizer.json"] {
        std::fs::copy(Path::new(COLOURS).join(file), folder.path().join(file)).unwrap();
    }
    let path = folder.path().to_owned();
    (folder, path)
}

#[test]
fn versions_agree() {
    let header = format!("{CLIP_VERSION_MAJOR}.{CLIP_VERSION_MINOR}.{CLIP_VERSION_PATCH}");
    assert_eq!(header, env!("CARGO_PKG_VERSION"));
    assert_eq!(string(clip_version()), header);
    assert_eq!(clip_version_number(), CLIP_VERSION_NUMBER);
    let digits = [CLIP_VERSION_MAJOR, CLIP_VERSION_MINOR, CLIP_VERSION_PATCH];
    assert_eq!(digits.map(|part| format!("{part:02}")).concat().parse(), Ok(CLIP_VERSION_NUMBER));
}

#[test]
fn a_model_tells_what_it_is() {
    let few = clip_open_options { threads: 1, ..unset() };
    let all = clip_open_options { engine: c"onnx".as_ptr(), device: c"cpu".as_ptr(), ..few };
    for options in [null(), &raw const few, &raw const all] {
        let model = open(COLOURS.as_ref(), options).unwrap();
        unsafe {
            assert_eq!(string(clip_model_name(model)), "colours");
            assert_eq!(string(clip_model_engine(model)), "ONNX Runtime");
            assert!(string(clip_model_engine_version(model)).starts_with("1."));
            assert_eq!(string(clip_model_device(model)), "cpu");
            let text = string(clip_model_text_engine(model));
            assert!(text.starts_with("ONNX Runtime 1.") && text.ends_with(", CPU"), "{text}");
            assert_eq!(clip_model_unverified(model), 0);
            assert_eq!(string(clip_model_image_precision(model)), "fp32");
            assert_eq!(string(clip_model_text_precision(model)), "fp32");
            assert_eq!(clip_model_embed_dim(model), 4);
            assert_eq!(clip_model_image_size(model), 8);
            assert_eq!(clip_model_context_length(model), 8);
            clip_model_free(model);
        }
    }
}

#[test]
fn a_folder_without_text_encoder_classifies_by_its_stored_labels() {
    let mut labels = null_mut();
    let model = colours();
    assert_eq!(unsafe { clip_labels_stored(model, &mut labels) }, CLIP_ERROR_MISSING);
    assert!(labels.is_null());
    let said = string(clip_last_error());
    assert!(said.contains("\"colours\" has no stored labels"), "{said}");
    unsafe { clip_model_free(model) };

    let (_keep, folder) = copy();
    let path = folder.join("labels.safetensors");
    let embeddings = vec![0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0];
    let stored = ::clip_model::labels::StoredLabels {
        labels: vec!["blue".into(), "red".into()],
        templates: vec![],
        embeddings,
        ..Default::default()
    };
    stored.write(&path, 4).unwrap();
    let mut manifest = ::clip_model::Manifest::read(&folder).unwrap();
    (manifest.text, manifest.tokenizer) = (None, None);
    let sha256 = ::clip_model::files::sha256(&path).unwrap();
    let file = "labels.safetensors".to_owned();
    manifest.labels = Some(::clip_model::manifest::LabelsFile { file, sha256, count: 2 });
    manifest.write(&folder).unwrap();

    let model = open(&folder, null()).unwrap();
    let image = plain([250, 9, 0]);
    let mut best = UNSET;
    let (mut count, mut row) = (0, [0.0; 4]);
    unsafe {
        assert_eq!(clip_model_context_length(model), 0);
        assert!(clip_model_text_precision(model).is_null());
        assert_eq!(string(clip_model_image_precision(model)), "fp32");
        assert_eq!(clip_model_image_size(model), 8);
        ok(clip_labels_stored(model, &mut labels));
        assert_eq!((clip_labels_count(labels), string(clip_labels_name(labels, 1))), (2, "red".to_owned()));
        ok(clip_classify(model, image, labels, &mut best, 1, &mut count));
        assert_eq!((best.index, count), (1, 1));
        let text = c"red".as_ptr();
        assert_eq!(clip_embed_texts(model, &text, 1, row.as_mut_ptr(), 4), CLIP_ERROR_MISSING);
        clip_labels_free(labels);
        clip_image_free(image);
        clip_model_free(model);
    }
    assert!(string(clip_last_error()).contains("no text encoder"));
}

#[test]
fn folders_that_are_refused_say_why() {
    let replace = |file: &str, from: &str, to: &str| {
        let (keep, folder) = copy();
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        std::fs::write(folder.join(file), text.replace(from, to)).unwrap();
        let error = open(&folder, null()).unwrap_err();
        drop(keep);
        error
    };
    let cases = [
        (open("/no/such/folder".as_ref(), null()).unwrap_err(), CLIP_ERROR_FILE, "/no/such/folder/clip.json"),
        (replace("clip.json", "\"schema\": 2", "\"schema\": 5"), CLIP_ERROR_SCHEMA, "schema version 5"),
        (replace("clip.json", "\"model\"", "\"Model\""), CLIP_ERROR_MODEL, "clip.json"),
        (replace("clip.json", "\"embed_dim\": 4", "\"embed_dim\": 5"), CLIP_ERROR_MODEL, "visual.onnx"),
        (replace("tokenizer.json", "green", "grean"), CLIP_ERROR_HASH, "tokenizer.json"),
    ];
    for ((found, message), expected, part) in cases {
        assert_eq!(found, expected, "{message}");
        assert!(message.contains(part), "{message}");
    }

    let (_keep, folder) = copy();
    let graph = folder.join("visual.onnx");
    let mut bytes = std::fs::read(&graph).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&graph, bytes).unwrap();
    let (status, message) = open(&folder, null()).unwrap_err();
    assert_eq!(status, CLIP_ERROR_HASH, "{message}");
    assert!(message.contains("visual.onnx"), "{message}");
}

#[test]
fn classification_finds_the_colour() {
    let model = colours();
    let names = [c"red", c"green", c"blue"];
    let labels = labels(model, &names, &[c"a photo of a {}.", c"{}"]);
    let path = tempfile::NamedTempFile::new().unwrap();
    for (expected, colour) in [[250, 10, 10], [10, 250, 10], [10, 10, 250]].into_iter().enumerate() {
        let file = bmp(colour);
        std::fs::write(path.path(), &file).unwrap();
        let name = CString::new(path.path().to_str().unwrap()).unwrap();
        let (mut opened, mut decoded) = (null_mut(), null_mut());
        ok(unsafe { clip_image_open(model, name.as_ptr(), &mut opened) });
        ok(unsafe { clip_image_decode(model, file.as_ptr(), file.len(), &mut decoded) });

        let mut all = Vec::new();
        for image in [opened, decoded, plain(colour)] {
            let mut matches = [UNSET; 4];
            let mut count = 0;
            ok(unsafe { clip_classify(model, image, labels, matches.as_mut_ptr(), 4, &mut count) });
            assert_eq!((count, matches[3].index), (3, 99));
            assert_eq!(matches[0].index, expected);
            assert_eq!(
                string(unsafe { clip_labels_name(labels, matches[0].index) }),
                names[expected].to_str().unwrap()
            );
            assert!(matches[0].probability > 0.9 && matches[0].similarity > 0.9);
            assert!(matches[0].probability > matches[1].probability);
            let total: f32 = matches[..3].iter().map(|m| m.probability).sum();
            assert!((total - 1.0).abs() < 1e-6, "{total}");
            all.push(plain_values(&matches));

            let mut best = [UNSET; 2];
            ok(unsafe { clip_classify(model, image, labels, best.as_mut_ptr(), 1, &mut count) });
            assert_eq!((count, best[0].index, best[1].index), (1, expected, 99));
            unsafe { clip_image_free(image) };
        }
        assert_eq!(all[0], all[1]);
        assert_eq!(all[0], all[2], "a plain picture has the same colour at any size");
    }
    unsafe {
        clip_labels_free(labels);
        clip_model_free(model);
    }
}

/// Pictures of three colours, two of them from a frame that is wider than they are, as they would be found one by one.
#[test]
fn images_are_classified_together_as_one_by_one() {
    let model = colours();
    let labels = labels(model, &[c"red", c"green", c"blue"], &[c"a photo of a {}."]);
    let images = [[10, 250, 10], [250, 10, 10], [90, 80, 200], [10, 250, 10]].map(plain);
    let together = |top, capacity| {
        let (mut matches, mut count) = ([UNSET; 20], 99);
        let (images, matches_of) = (images.as_ptr().cast(), matches.as_mut_ptr());
        ok(unsafe { clip_classify_images(model, images, 4, labels, top, matches_of, capacity, &mut count) });
        (matches, count)
    };
    // Fewer than there are labels, as many, and more, of which the last places of each row stay as they were.
    for top in [1, 2, 3, 5] {
        let (matches, count) = together(top, 4 * top);
        assert_eq!(count, top.min(3));
        for (image, found) in images.iter().zip(matches.chunks_exact(top)) {
            let (mut alone, mut n) = ([UNSET; 5], 0);
            ok(unsafe { clip_classify(model, *image, labels, alone.as_mut_ptr(), top, &mut n) });
            assert_eq!((n, plain_values(found)), (count, plain_values(&alone[..top])));
        }
        assert!(matches[4 * top..].iter().all(|m| m.index == UNSET.index));
    }
    let (matches, _) = together(2, 20);
    let best: Vec<_> = matches[..8].iter().step_by(2).map(|m| m.index).collect();
    assert_eq!(best, [1, 0, 2, 1]);

    let mut count = 99;
    ok(unsafe { clip_classify_images(model, null(), 0, labels, 2, null_mut(), 0, &mut count) });
    assert_eq!(count, 2);
    unsafe {
        images.into_iter().for_each(|image| clip_image_free(image));
        clip_labels_free(labels);
        clip_model_free(model);
    }
}

#[test]
fn label_sets_keep_names_and_outlive_their_model() {
    let model = colours();
    let set = labels(model, &[c"red", c"gr\u{fc}n", c"red"], &[]);
    unsafe { clip_model_free(model) };
    unsafe {
        assert_eq!(clip_labels_count(set), 3);
        assert_eq!(string(clip_labels_name(set, 1)), "gr\u{fc}n");
        assert_eq!(string(clip_labels_name(set, 2)), "red");
        assert!(clip_labels_name(set, 3).is_null());
    }
    // The same folder, opened again, is the same model.
    let again = colours();
    let image = plain([255, 0, 0]);
    let mut best = UNSET;
    let mut count = 0;
    ok(unsafe { clip_classify(again, image, set, &mut best, 1, &mut count) });
    assert_eq!(best.index, 0);
    unsafe {
        clip_image_free(image);
        clip_labels_free(set);
        clip_model_free(again);
    }
}

#[test]
fn labels_of_another_model_are_refused() {
    // The same model with another tokenizer file.
    let (_keep, folder) = copy();
    let tokenizer = folder.join("tokenizer.json");
    let hash = |path: &Path| ::clip_model::files::sha256(path).unwrap();
    let before = hash(&tokenizer);
    std::fs::write(&tokenizer, std::fs::read_to_string(&tokenizer).unwrap() + "\n").unwrap();
    let manifest = std::fs::read_to_string(folder.join("clip.json")).unwrap();
    std::fs::write(folder.join("clip.json"), manifest.replace(&before, &hash(&tokenizer))).unwrap();

    let (model, other) = (colours(), open(&folder, null()).unwrap());
    let set = labels(other, &[c"red"], &[]);
    let image = plain([255, 0, 0]);
    for together in [false, true] {
        let (mut best, mut count) = (UNSET, 9);
        let status = match together {
            true => unsafe {
                let image = &image.cast_const();
                clip_classify_images(model, image, 1, set, 1, &mut best, 1, &mut count)
            },
            false => unsafe { clip_classify(model, image, set, &mut best, 1, &mut count) },
        };
        assert_eq!((status, count, best.index), (CLIP_ERROR_ARGUMENT, 0, 99));
        assert!(string(clip_last_error()).contains("encode the labels again"));
    }
    unsafe {
        clip_image_free(image);
        clip_labels_free(set);
        clip_model_free(model);
        clip_model_free(other);
    }
}

#[test]
fn embeddings_fill_rows_in_order() {
    let model = colours();
    let images = [plain([255, 0, 0]), plain([0, 0, 255])];
    let mut rows = [9.0; 9];
    ok(unsafe { clip_embed_images(model, images.as_ptr().cast(), 2, rows.as_mut_ptr(), 9) });
    for (found, expected) in rows.iter().zip([1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 9.0]) {
        assert!((found - expected).abs() < 1e-6, "{rows:?}");
    }

    let texts = pointers(&[c"blue", c"red", c"blue blue blue blue blue blue blue blue blue blue"]);
    let mut rows = [0.0; 12];
    ok(unsafe { clip_embed_texts(model, texts.as_ptr(), 3, rows.as_mut_ptr(), 12) });
    assert!(rows[2] > 0.99 && rows[4] > 0.99 && rows[10] > 0.99, "{rows:?}");
    for row in rows.chunks_exact(4) {
        let length: f32 = row.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
    unsafe {
        images.into_iter().for_each(|image| clip_image_free(image));
        clip_model_free(model);
    }
}

#[test]
fn images_over_the_limit_are_refused() {
    let (_keep, folder) = copy();
    let manifest = std::fs::read_to_string(folder.join("clip.json")).unwrap();
    std::fs::write(
        folder.join("clip.json"),
        manifest.replace("\"max_pixels\": 1000000", "\"max_pixels\": 3"),
    )
    .unwrap();
    let model = open(&folder, null()).unwrap();
    let file = bmp([1, 2, 3]);
    let mut image = null_mut();
    let status = unsafe { clip_image_decode(model, file.as_ptr(), file.len(), &mut image) };
    assert_eq!(status, CLIP_ERROR_IMAGE_SIZE);
    assert!(string(clip_last_error()).contains("2x2 pixels, over the limit of 3"));
    unsafe { clip_model_free(model) };
}

#[test]
fn handles_are_shared_between_threads() {
    struct Shared(*const clip_model, *const clip_labels);
    // What clip.h promises.
    unsafe impl Sync for Shared {}
    let model = colours();
    let shared = Shared(model, labels(model, &[c"red", c"green", c"blue"], &[]));
    thread::scope(|scope| {
        for worker in 0..8 {
            let shared = &shared;
            scope.spawn(move || {
                for round in 0..20 {
                    let expected = (worker + round) % 3;
                    let mut colour = [0; 3];
                    colour[expected] = 255;
                    let image = plain(colour);
                    let mut best = UNSET;
                    let mut count = 0;
                    ok(unsafe { clip_classify(shared.0, image, shared.1, &mut best, 1, &mut count) });
                    assert_eq!(best.index, expected);
                    // Each thread reads its own error.
                    let path = CString::new(format!("/no/file/{worker}")).unwrap();
                    let mut none = null_mut();
                    let status = unsafe { clip_image_open(shared.0, path.as_ptr(), &mut none) };
                    assert_eq!(status, CLIP_ERROR_FILE);
                    assert!(string(clip_last_error()).contains(path.to_str().unwrap()));
                    unsafe { clip_image_free(image) };
                }
            });
        }
    });
    unsafe {
        clip_labels_free(shared.1.cast_mut());
        clip_model_free(model);
    }
}

/// The border needs no lock because these may be used and dropped anywhere.
#[test]
fn handles_are_send_and_sync() {
    fn check<T: Send + Sync>() {}
    check::<clip_model>();
    check::<clip_labels>();
    check::<clip_image>();
}
