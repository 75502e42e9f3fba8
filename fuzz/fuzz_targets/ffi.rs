//! Bytes as what a C program passes to libclip: an image file, pixels, labels and templates, options, a file of labels, numbers, or a camera's frame. The model is
//! the one of three colours in runtime/tests. Needs libonnxruntime.so, see runtime/src/engine/onnx.rs.
#![no_main]

use std::ffi::{CStr, CString, c_char};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

use clip::classify::{clip_classify, clip_classify_images, clip_match};
use clip::decide::{clip_decide, clip_rule};
use clip::embed::{clip_embed_images, clip_embed_texts};
use clip::frame::{clip_classify_frame, clip_embed_frames, clip_frame, CLIP_MEMORY_HOST};
use clip::image::{clip_image, clip_image_decode, clip_image_free, clip_image_from_rgb, clip_image_open};
use clip::label_sets::{
    clip_classify_embeddings, clip_labels_background, clip_labels_embeddings, clip_labels_from_embeddings, clip_labels_from_images,
    clip_labels_logit_scale, clip_labels_with_background, clip_labels_with_logits,
};
use clip::labels::{
    clip_labels, clip_labels_count, clip_labels_free, clip_labels_load, clip_labels_name, clip_labels_new, clip_labels_save,
};
use clip::model::{clip_model, clip_model_free, clip_model_open, clip_open_options};
use clip::stream::{clip_region, clip_stream, clip_stream_open, clip_stream_poll, clip_stream_push, clip_stream_push_regions};
use clip::status::{CLIP_DROPPED, CLIP_ERROR_INTERNAL, CLIP_ERROR_MEMORY, CLIP_OK, CLIP_TIMEOUT, clip_last_error, clip_status};

const COLOURS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../runtime/tests/colours");

/// A handle that threads share.
struct Shared<T>(*mut T);

unsafe impl<T> Send for Shared<T> {}
unsafe impl<T> Sync for Shared<T> {}

/// Whether a call did what it was called for. What it said is a short line, and no bug.
fn works(status: clip_status) -> bool {
    assert_ne!(status, CLIP_ERROR_INTERNAL, "{:?}", unsafe { CStr::from_ptr(clip_last_error()) });
    assert_ne!(status, CLIP_ERROR_MEMORY, "{:?}", unsafe { CStr::from_ptr(clip_last_error()) });
    if ![CLIP_OK, CLIP_DROPPED, CLIP_TIMEOUT].contains(&status) {
        let said = unsafe { CStr::from_ptr(clip_last_error()) }.to_str().unwrap();
        assert!(!said.is_empty() && said.len() < 5000 && !said.contains('\n'), "{said}");
    }
    status == CLIP_OK
}

fn model() -> *const clip_model {
    static MODEL: OnceLock<Shared<clip_model>> = OnceLock::new();
    let open = || {
        let (folder, mut model) = (CString::new(COLOURS).unwrap(), null_mut());
        assert!(works(unsafe { clip_model_open(folder.as_ptr(), null(), &mut model) }));
        Shared(model)
    };
    MODEL.get_or_init(open).0
}

/// Three labels.
fn colours() -> *const clip_labels {
    static LABELS: OnceLock<Shared<clip_labels>> = OnceLock::new();
    let make = || {
        let (names, mut labels) = ([c"red", c"green", c"blue"].map(CStr::as_ptr), null_mut());
        assert!(works(unsafe { clip_labels_new(model(), names.as_ptr(), 3, null(), 0, &mut labels) }));
        Shared(labels)
    };
    LABELS.get_or_init(make).0
}

unsafe fn use_image(image: *mut clip_image) {
    let mut matches = [const { clip_match { index: 9, probability: 0.0, similarity: 0.0 } }; 4];
    let (mut count, mut row) = (9, [0.0; 4]);
    if works(unsafe { clip_classify(model(), image, colours(), matches.as_mut_ptr(), 2, &mut count) }) {
        assert!(count == 2 && matches[0].index < 3);
    }
    let twice = [image.cast_const(); 2];
    let (rows, n) = (matches.as_mut_ptr(), &mut count);
    if works(unsafe { clip_classify_images(model(), twice.as_ptr(), 2, colours(), 2, rows, 4, n) }) {
        assert!(count == 2 && matches[0].index == matches[2].index && matches[1].index == matches[3].index);
    }
    works(unsafe { clip_embed_images(model(), [image.cast_const()].as_ptr(), 1, row.as_mut_ptr(), 4) });
    let (names, mut set) = ([c"this", c"this"].map(CStr::as_ptr), null_mut());
    if works(unsafe { clip_labels_from_images(model(), names.as_ptr(), twice.as_ptr(), 2, &mut set) }) {
        assert_eq!(unsafe { clip_labels_count(set) }, 1);
    }
    unsafe { clip_labels_free(set) };
    unsafe { clip_image_free(image) };
}

/// A word of the bytes; zeros behind their end.
fn word(bytes: &[u8], at: usize) -> usize {
    let mut word = [0; size_of::<usize>()];
    let start = (at * word.len()).min(bytes.len());
    let end = (start + word.len()).min(bytes.len());
    word[..end - start].copy_from_slice(&bytes[start..end]);
    usize::from_le_bytes(word)
}

unsafe fn pixels(bytes: &[u8]) {
    let (numbers, pixels) = bytes.split_at(bytes.len().min(12));
    let number = |i: usize| numbers.get(4 * i..4 * i + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let [width, height, stride] = [0, 1, 2].map(|i| number(i) as usize);
    let mut image = null_mut();
    if works(unsafe { clip_image_from_rgb(pixels.as_ptr(), pixels.len(), width, height, stride, &mut image) }) {
        unsafe { use_image(image) };
    }
}

/// Strings that end with a zero; those with a `{}` are templates too.
unsafe fn labels(bytes: &[u8]) {
    let strings: Vec<CString> = bytes.split(|&b| b == 0).take(50).map(|s| CString::new(s).unwrap()).collect();
    let pointers: Vec<*const c_char> = strings.iter().map(|s| s.as_ptr()).collect();
    let has_place = |s: &&CString| s.as_bytes().windows(2).any(|w| w == b"{}");
    let templates: Vec<*const c_char> = strings.iter().filter(has_place).map(|s| s.as_ptr()).collect();
    let (n, m, mut set) = (pointers.len(), templates.len(), null_mut());
    unsafe {
        if works(clip_labels_new(model(), pointers.as_ptr(), n, templates.as_ptr(), m, &mut set)) {
            assert_eq!(clip_labels_count(set), n);
            assert!((0..n).all(|i| CStr::from_ptr(clip_labels_name(set, i)) == strings[i].as_c_str()));
            assert!(clip_labels_name(set, n).is_null());
            clip_labels_free(set);
        }
        let mut rows = vec![0.0; 4 * n];
        works(clip_embed_texts(model(), pointers.as_ptr(), n, rows.as_mut_ptr(), rows.len()));
        let mut image = null_mut();
        assert!(!works(clip_image_open(model(), pointers[0], &mut image)) || !image.is_null());
        clip_image_free(image);
    }
}

/// A file of labels; one that is read is written, and read again.
unsafe fn label_file(bytes: &[u8]) {
    let Ok(folder) = tempfile::tempdir() else { return };
    let path = folder.path().join("labels.safetensors");
    let name = CString::new(path.to_str().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let (mut set, mut again) = (null_mut(), null_mut());
    unsafe {
        if works(clip_labels_load(model(), name.as_ptr(), &mut set)) {
            assert!(clip_labels_count(set) > clip_labels_background(set));
            assert!(works(clip_labels_save(set, name.as_ptr())));
            assert!(works(clip_labels_load(model(), name.as_ptr(), &mut again)));
            assert_eq!(clip_labels_count(set), clip_labels_count(again));
        }
        clip_labels_free(set);
        clip_labels_free(again);
    }
}

/// Numbers as embeddings of labels and of images, as logits and thresholds.
unsafe fn numbers(bytes: &[u8]) {
    let numbers: Vec<f32> = bytes.as_chunks().0.iter().map(|&number| f32::from_le_bytes(number)).collect();
    let (logits, rows) = numbers.split_at(numbers.len().min(4));
    let logit = |i: usize| logits.get(i).copied().unwrap_or(f32::NAN);
    let n = rows.len() / 4;
    let (names, mut set, mut own, mut both) = (vec![c"a".as_ptr(); n], null_mut(), null_mut(), null_mut());
    let rule = clip_rule { struct_size: size_of::<clip_rule>(), min_probability: logit(2), min_similarity: logit(3) };
    let mut matches = [const { clip_match { index: 9, probability: 0.0, similarity: 0.0 } }; 4];
    let (mut count, mut index) = (0, 0);
    unsafe {
        if works(clip_labels_from_embeddings(model(), names.as_ptr(), n, rows.as_ptr(), rows.len(), &mut set))
            && works(clip_labels_with_background(set, colours(), &mut both))
            && works(clip_labels_with_logits(both, logit(0), logit(1), &mut own))
        {
            assert!(clip_labels_logit_scale(own) > 0.0);
            let mut kept = vec![0.0; 4 * (n + 3)];
            assert!(works(clip_labels_embeddings(own, kept.as_mut_ptr(), kept.len())));
            assert!(kept.iter().all(|x| x.abs() < 1.001));
            let room = matches.as_mut_ptr();
            assert!(works(clip_classify_embeddings(model(), rows.as_ptr(), 4, 1, own, 4, room, 4, &mut count)));
            assert!(matches.iter().take(count).all(|m| m.index < n + 3 && (0.0..=1.0).contains(&m.probability)));
            if works(clip_decide(own, room, count, &rule, &mut index)) {
                assert!(index < n || index == usize::MAX);
            }
        }
        clip_labels_free(set);
        clip_labels_free(both);
        clip_labels_free(own);
    }
}

fn stream() -> *const clip_stream {
    static STREAM: OnceLock<Shared<clip_stream>> = OnceLock::new();
    let open = || {
        let mut stream = null_mut();
        assert!(works(unsafe { clip_stream_open(model(), colours(), null(), &mut stream) }));
        Shared(stream)
    };
    STREAM.get_or_init(open).0
}

/// A frame's description, whose planes have as many bytes as it may say, and regions of it.
unsafe fn frame(bytes: &[u8]) {
    const SIDE: usize = 64;
    const STRIDE: usize = 512;
    let (description, rest) = bytes.split_at(bytes.len().min(size_of::<clip_frame>()));
    let mut words = [0u8; size_of::<clip_frame>()];
    words[..description.len()].copy_from_slice(description);
    // SAFETY: numbers and pointers, which are set below.
    let mut frame: clip_frame = unsafe { std::mem::transmute(words) };
    let mut plane = vec![128; SIDE * STRIDE];
    plane.iter_mut().zip(rest.iter().cycle()).for_each(|(to, from)| *to = *from);
    // What a caller promises: memory for the planes. The rest may be anything.
    frame.struct_size = size_of::<clip_frame>();
    frame.memory = CLIP_MEMORY_HOST;
    frame.width = if frame.width > SIDE && frame.width < 1 << 17 { frame.width % SIDE } else { frame.width };
    frame.height = if frame.height > SIDE && frame.height < 1 << 17 { frame.height % SIDE } else { frame.height };
    frame.strides = frame.strides.map(|stride| stride % (STRIDE + 1));
    frame.planes = frame.planes.map(|pointer| if pointer as usize % 8 == 7 { null() } else { plane.as_ptr() });
    if frame.width > SIDE || frame.height > SIDE {
        // Refused before a plane is looked at.
        (frame.width, frame.height) = (frame.width.max(1 << 17), frame.height.max(1 << 17));
    }
    let mut best = clip_match { index: 9, probability: 0.0, similarity: 0.0 };
    let (mut count, mut row) = (9, [0.0; 4]);
    unsafe {
        if works(clip_classify_frame(model(), &frame, colours(), &mut best, 1, &mut count)) {
            assert!(count == 1 && best.index < 3);
        }
        works(clip_embed_frames(model(), [&raw const frame].as_ptr(), 1, row.as_mut_ptr(), 4));
        works(clip_stream_push(stream(), &frame, 1));
        let number = |i: usize| word(rest, i) % (2 * SIDE);
        let region = |i| clip_region { track: i as u64 % 5, left: number(i), top: number(i + 1), width: number(i + 2), height: number(i + 3) };
        let regions: Vec<clip_region> = (0..rest.len() / 40).take(20).map(region).collect();
        works(clip_stream_push_regions(stream(), &frame, regions.as_ptr(), regions.len(), 2));
        let mut outcome = null();
        works(clip_stream_poll(stream(), 1, &mut outcome));
        works(clip_stream_poll(stream(), 1, &mut outcome));
    }
}

/// Options of any size and content, whose strings are all the same.
unsafe fn options(bytes: &[u8]) {
    // What a caller promises: as many bytes as struct_size says, and a pointer to a string.
    let mut words: Vec<usize> = (0..600).map(|i| word(bytes, i)).collect();
    let text = CString::new(bytes.iter().copied().skip(8).filter(|&b| b != 0).take(40).collect::<Vec<_>>()).unwrap();
    // onnxruntime, engine, device and tensorrt.
    for at in [2, 5, 6, 8] {
        words[at] = if words[at] % 2 == 0 { 0 } else { text.as_ptr() as usize };
    }
    let opens = words[0] == size_of::<clip_open_options>() && words[2] == 0 && bytes.len() % 16 == 0;
    let folder = CString::new(if opens { COLOURS } else { "/no/such/folder" }).unwrap();
    // Nothing is to be written beside the colours.
    words[4] = if opens { 0 } else { words[4] };
    let mut model = null_mut();
    unsafe {
        works(clip_model_open(folder.as_ptr(), words.as_ptr().cast(), &mut model));
        clip_model_free(model);
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    unsafe {
        match kind % 7 {
            0 => {
                let mut image = null_mut();
                if works(clip_image_decode(model(), bytes.as_ptr(), bytes.len(), &mut image)) {
                    use_image(image);
                }
            }
            1 => pixels(bytes),
            2 => labels(bytes),
            4 => label_file(bytes),
            5 => numbers(bytes),
            6 => frame(bytes),
            _ => options(bytes),
        }
    }
});
