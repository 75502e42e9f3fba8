//! For fuzzing and property tests: each function reads foreign bytes, whatever they are, and must not panic.

use std::io::Write;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use clip_checkpoint::{CONFIG, Checkpoint, OpenClip, Weights, siglip_tokenizer};
use clip_data::{CaptionSource, Fields, Location, parse_list, samples};
use clip_model::config::Config;
use clip_model::frame::{ColorMatrix, ColorRange, Frame, FrameLayout, PixelFormat, Rect, View};
use clip_model::labels::StoredLabels;
use clip_model::manifest::{FILE, Manifest};
use clip_model::orientation::Orientation;
use clip_model::preprocess::{Interpolation, ResizeMode, Scratch};
use clip_model::shapes::{summarize, text_flops};
use clip_model::templates::{Template, parse_labels};
use clip_model::tokenizer::{Cleaning, Tokenizer};
use clip_model::{Preprocess, Result, preprocess};
use serde_json::{Map, Value, json};

use crate::torch::zip_archive;

/// Reads the pickle of a PyTorch file, as plain and as TorchScript.
pub fn pickle(bytes: &[u8]) {
    let plain = [("m/data.pkl", bytes)];
    let script = [("m/data.pkl", bytes), ("m/constants.pkl", b"\x80\x02).")];
    for files in [&plain[..], &script] {
        weights(&zip_archive(files, false));
    }
}

/// Reads a file of weights, PyTorch's or a safetensors file, and all its tensors.
pub fn weights(bytes: &[u8]) {
    with_file(bytes, |path| drop(Weights::open(path).map(|weights| read_all(&weights))));
}

/// Reads a model folder's manifest; what was read is written and read again.
pub fn manifest(bytes: &[u8]) {
    if let Ok(folder) = tempfile::tempdir()
        && std::fs::write(folder.path().join(FILE), bytes).is_ok()
        && let Ok(manifest) = Manifest::read(folder.path())
    {
        assert!(manifest.files().contains(&FILE));
        assert!(manifest.write(folder.path()).is_ok());
        assert_eq!(Manifest::read(folder.path()).ok(), Some(manifest));
    }
}

/// Reads OpenCLIP's configuration, and lists the tensors of its network.
pub fn open_clip_config(bytes: &[u8]) {
    if let Ok(folder) = tempfile::tempdir()
        && std::fs::write(folder.path().join(CONFIG), bytes).is_ok()
        && let Ok(found) = OpenClip::read(folder.path())
    {
        list(&found.config);
    }
}

/// Reads the configuration of a CLIP and of a SigLIP of Hugging Face's, and lists the tensors of its network, of which none is
/// there.
pub fn hugging_face_config(bytes: &[u8]) {
    let Ok(fields) = serde_json::from_slice::<Map<_, _>>(bytes) else { return };
    for family in ["clip", "siglip"] {
        let mut fields = fields.clone();
        fields.insert("model_type".to_owned(), family.into());
        let size = fields.get("vision_config").map(|vision| vision["image_size"].clone());
        open_hugging_face(fields, json!({"size": size.filter(Value::is_u64).unwrap_or(224.into())}));
    }
}

/// Reads the preprocessing of a CLIP and of a SigLIP of Hugging Face's, for images of 224 pixels.
pub fn preprocessor_config(bytes: &[u8]) {
    let Ok(preprocessor) = serde_json::from_slice::<Value>(bytes) else { return };
    for family in ["clip", "siglip"] {
        let config = Map::from_iter([("model_type".to_owned(), family.into())]);
        open_hugging_face(config, preprocessor.clone());
    }
}

/// Opens a folder with these two files, a tokenizer that nobody reads, and no tensors.
fn open_hugging_face(config: Map<String, Value>, preprocessor: Value) {
    const EMPTY: &[u8] = b"\x02\0\0\0\0\0\0\0{}";
    let Ok(folder) = tempfile::tempdir() else { return };
    for (name, content) in [
        ("config.json", Value::Object(config).to_string().as_bytes()),
        ("preprocessor_config.json", preprocessor.to_string().as_bytes()),
        ("tokenizer.json", b"{}"),
        ("model.safetensors", EMPTY),
    ] {
        if std::fs::write(folder.path().join(name), content).is_err() {
            return;
        }
    }
    drop(Checkpoint::open(folder.path()));
}

/// Decodes a picture of at most 4 megapixels, turned as it says.
pub fn image(bytes: &[u8]) {
    drop(preprocess::decode(bytes, true, 1 << 22));
}

/// Makes a model's input of a frame of at most 255 by 255 pixels: sixteen bytes say what it is, the others are its planes, again and again. RGB and grey
/// are what the slow way over full-size RGB gives; YUV is made to have colours that RGB has, and is at most 2 levels off.
pub fn frame(bytes: &[u8]) {
    let Some((head, samples)) = bytes.split_first_chunk::<16>() else { return };
    let number = |at: usize| usize::from(head[at]);
    let Some(format) = PixelFormat::all().nth(number(0) % 12) else { return };
    let Ok(mut layout) = FrameLayout::new(format, number(1), number(2)) else { return };
    layout.strides.iter_mut().for_each(|stride| *stride = (*stride + number(3) % 20).saturating_sub(3));
    layout.color.matrix = [ColorMatrix::Bt601, ColorMatrix::Bt709, ColorMatrix::Bt2020][number(4) % 3];
    layout.color.range = [ColorRange::Limited, ColorRange::Full][number(4) / 3 % 2];
    layout.levels = (u16::from_be_bytes([head[5], head[6]]), u16::from_be_bytes([head[7], head[6]]));
    let chroma = |plane: usize, at: usize| match format {
        PixelFormat::Nv12 | PixelFormat::Nv21 | PixelFormat::I420 => plane > 0,
        PixelFormat::Yuyv => at % layout.strides[0].max(1) % 2 == 1,
        PixelFormat::Uyvy => (at % layout.strides[0].max(1)).is_multiple_of(2),
        _ => false,
    };
    let sample = |plane: usize, at: usize, byte: u8| match (format.is_yuv(), chroma(plane, at)) {
        (false, _) => byte,
        (true, false) => 85 + byte % 90,
        (true, true) => 118 + byte % 20,
    };
    let planes: Vec<Vec<u8>> = (0..format.planes())
        .map(|plane| {
            let all = samples.iter().copied().chain([7]).cycle().skip(plane).take(layout.bytes(plane));
            all.enumerate().map(|(at, byte)| sample(plane, at, byte)).collect()
        })
        .collect();
    let borrowed: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
    let crop = Rect { left: number(8), top: number(9), width: number(10), height: number(11) };
    let view = View {
        crop: (number(12) % 2 == 1).then_some(crop),
        orientation: Orientation::from_exif(u64::from(head[13] % 8) + 1).unwrap_or_default(),
    };
    let Ok(frame) = Frame::new(layout, &borrowed).and_then(|frame| frame.seen(view)) else { return };
    let preprocess = Preprocess {
        size: 1 + number(14) % 64,
        resize_mode: [ResizeMode::Shortest, ResizeMode::Squash][number(15) % 2],
        interpolation: [Interpolation::Bicubic, Interpolation::Bilinear][number(15) / 2 % 2],
        ..Preprocess::default()
    };
    let mut found = vec![0; 3 * preprocess.size * preprocess.size];
    let fitted = preprocess.fit_frame(&frame, &mut Scratch::default(), &mut found);
    let (Ok(()), Ok(image)) = (fitted, frame.to_image()) else { return };
    let Ok(expected) = preprocess.fit(&image) else { return };
    let most = found.iter().zip(expected.rgb()).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(most <= Some(if format.is_yuv() { 2 } else { 0 }), "{most:?} levels");
}

/// What is computed of sizes before any weights are seen.
fn list(config: &Config) {
    let summary = summarize(config);
    let _ = (summary.parameters(), text_flops(config, config.text.context_length));
}

/// Reads a tokenizer.json, also as one of SigLIP's, and encodes texts with it.
pub fn tokenizer(bytes: &[u8]) {
    let Ok(json) = std::str::from_utf8(bytes) else { return };
    let config = r#"{"eos_token": "</s>", "pad_token": "<pad>"}"#;
    let siglip = tempfile::tempdir().ok().and_then(|folder| {
        std::fs::write(folder.path().join("tokenizer.json"), json).ok()?;
        std::fs::write(folder.path().join("tokenizer_config.json"), config).ok()?;
        siglip_tokenizer::open(folder.path(), Cleaning::Canonicalize, 8, 100).ok()
    });
    for tokenizer in Tokenizer::from_json(json).ok().into_iter().chain(siglip) {
        for cleaning in [Cleaning::None, Cleaning::Canonicalize] {
            encode_all(tokenizer.clone().with_cleaning(cleaning));
        }
    }
}

/// Reads sentencepiece's compiled normalizer rules, and encodes texts after them.
pub fn charsmap(bytes: &[u8]) {
    let json = serde_json::json!({
        "version": "1.0",
        "normalizer": {"type": "Precompiled", "precompiled_charsmap": STANDARD.encode(bytes)},
        "model": {"type": "BPE", "unk_token": null, "merges": [], "vocab": {"<s>": 0, "</s>": 1, "a": 2, "b": 3}},
    });
    encode_all(Tokenizer::from_json(&json.to_string()));
}

fn encode_all(tokenizer: Result<Tokenizer>) {
    let Ok(tokenizer) = tokenizer else { return };
    let texts = [
        "",
        "a photo of a cat.",
        "  Women’s\t“ΣΑΣ” cafÃ© &amp; 日本 👍🏽 \u{0}<s></s>",
        "ab ba ".repeat(40).as_str(),
    ]
    .map(str::to_owned);
    for text in &texts {
        let ids = tokenizer.encode(text, 77);
        assert!(ids.len() <= 77 && ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
        assert!(tokenizer.encode_padded(text, 16).len() >= 16);
    }
    assert_eq!(tokenizer.encode_batch(&texts, 5).rows, texts.len());
    drop((tokenizer.to_json(), tokenizer.to_config_json(77)));
}

/// Reads bytes as lists of templates and labels, and cleans and encodes them as a text.
pub fn texts(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let name = Path::new("list");
    let templates = Template::parse_list(&text, name).unwrap_or_default();
    let labels = parse_labels(&text, name).unwrap_or_default();
    for (template, label) in templates.iter().zip(&labels) {
        assert_eq!(template.to_string().parse().ok().as_ref(), Some(template));
        Tokenizer::openai().encode(&template.fill(label), 77);
    }
    if let Err(error) = text.parse::<Template>() {
        assert!(error.to_string().len() < 2000);
    }
    for cleaning in [Cleaning::Whitespace, Cleaning::Lower, Cleaning::Canonicalize] {
        let clean = cleaning.apply(&text);
        assert!(!clean.starts_with(' ') && !clean.ends_with(' ') && !clean.contains("  "));
    }
    Tokenizer::openai().encode(&text, 77);
}

/// Reads a file of labels for a model of three dimensions, and one that is to have two.
pub fn stored_labels(bytes: &[u8]) {
    with_file(bytes, |path| {
        drop(StoredLabels::open(path, 3));
        if let Ok(labels) = StoredLabels::read(path, 2, 3) {
            assert_eq!((labels.labels.len(), labels.embeddings.len()), (2, 6));
            assert_eq!(StoredLabels::open(path, 3).ok(), Some(labels));
        }
    });
}

/// Reads a list of shards; no line of it becomes a command.
pub fn shard_list(bytes: &[u8]) {
    let shards = parse_list(&String::from_utf8_lossy(bytes), "list").unwrap_or_default();
    assert!(shards.iter().all(|shard| !matches!(shard, Location::Command(_))));
}

/// Reads a shard, whatever its captions come from; no sample comes without picture or caption.
pub fn shard(bytes: &[u8]) {
    for captions in [CaptionSource::Txt, CaptionSource::Json, CaptionSource::Folder] {
        read_samples(bytes, "s.tar", &Fields { captions, ..Fields::default() });
    }
}

/// Reads a table of paths and captions.
pub fn table(bytes: &[u8]) {
    for name in ["t.csv", "t.tsv"] {
        read_samples(bytes, name, &Fields::default());
    }
}

fn read_samples(bytes: &[u8], name: &str, fields: &Fields) {
    if let Ok(folder) = tempfile::tempdir()
        && std::fs::write(folder.path().join(name), bytes).is_ok()
    {
        let shard = Location::File(folder.path().join(name));
        for sample in samples(&[shard], |_| {}).with_fields(fields.clone()).flatten() {
            assert!(
                !sample.captions.is_empty()
                    && sample.captions.iter().all(|caption| !caption.trim().is_empty())
            );
        }
    }
}

fn with_file(bytes: &[u8], read: impl FnOnce(&Path)) {
    if let Ok(mut file) = tempfile::NamedTempFile::new()
        && file.write_all(bytes).is_ok()
    {
        read(file.path());
    }
}

fn read_all(weights: &Weights) {
    for tensor in weights.names().iter().filter_map(|name| weights.get(name)) {
        drop((tensor.to_f32(), tensor.to_bytes()));
    }
}
