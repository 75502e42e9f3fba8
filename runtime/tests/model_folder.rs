//! The library on a model folder of a few numbers, good and damaged.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod colours;

use std::path::Path;

use clip_runtime::{
    Clip, Device, EngineKind, Error, Image, LabelSet, Match, Options, Part, Precision, Template,
};
use serde_json::{Value, json};

const COLOURS: [&str; 3] = ["red", "green", "blue"];

fn open() -> Clip {
    Clip::open(colours::folder()).unwrap()
}

fn refused(folder: &Path) -> Error {
    Clip::open(folder).unwrap_err()
}

fn plain(width: usize, height: usize, colour: [u8; 3]) -> Image {
    Image::new(width, height, colour.repeat(width * height)).unwrap()
}

fn best<'a>(matches: &[Match<'a>]) -> &'a str {
    matches[0].label
}

fn nearly(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-6)
}

#[test]
fn images_are_classified_and_shared_between_threads() {
    fn shareable<T: Send + Sync>() {}
    shareable::<Clip>();
    shareable::<LabelSet>();

    let clip = open();
    let labels = clip.label_set(&COLOURS, &["a photo of a {}".parse().unwrap()]).unwrap();
    let images: Vec<Image> = (0..90u8)
        .map(|i| plain(9, 12, [[200, i, 0], [i, 200, 9], [9, i, 255]][usize::from(i) % 3]))
        .collect();
    let expected = clip.classify_batch(&images, &labels, 3).unwrap();
    for (i, matches) in expected.iter().enumerate() {
        assert_eq!(best(matches), COLOURS[i % 3]);
        assert!((matches.iter().map(|m| m.probability).sum::<f32>() - 1.0).abs() < 1e-6);
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for (image, expected) in images.iter().zip(&expected) {
                    assert_eq!(clip.classify(image, &labels, 3).unwrap(), *expected);
                }
                let again = clip.label_set(&COLOURS, &["a photo of a {}".parse().unwrap()]).unwrap();
                assert_eq!(again, labels);
            });
        }
    });
}

#[test]
fn results_are_in_the_order_of_the_input() {
    let clip = open();
    // Lengths go up and down, so that runs by length would come out in another order.
    let texts: Vec<String> =
        (0..300).map(|i| format!("{}{}", "photo of ".repeat(i % 3), COLOURS[i % 7 % 3])).collect();
    let together = clip.encode_texts(&texts).unwrap();
    assert_eq!((together.len(), together.dim()), (300, clip.embed_dim()));
    for (i, text) in texts.iter().enumerate() {
        assert!(nearly(together.row(i), clip.encode_texts(&[text]).unwrap().row(0)), "{i}: {text}");
    }
    let images: Vec<Image> = (0..70).map(|i| plain(8, 8, [255, i * 3, 0])).collect();
    let together = clip.encode_images(&images).unwrap();
    for (i, image) in images.iter().enumerate() {
        assert!(
            nearly(together.row(i), clip.encode_images(std::slice::from_ref(image)).unwrap().row(0)),
            "{i}"
        );
    }
}

#[test]
fn nothing_gives_nothing() {
    let clip = open();
    assert_eq!(clip.encode_images::<Image>(&[]).unwrap().len(), 0);
    assert_eq!(clip.encode_texts(&[""; 0]).unwrap().len(), 0);
    let labels = clip.label_set(&COLOURS, &[]).unwrap();
    assert!(clip.classify_batch::<Image>(&[], &labels, 1).unwrap().is_empty());
}

#[test]
fn a_label_is_the_normalised_mean_over_its_templates() {
    let clip = open();
    let templates: Vec<Template> = ["{}", "plus {}"].map(|t| t.parse().unwrap()).into();
    let labels = clip.label_set(&["red", "blue", "red"], &templates).unwrap();
    assert_eq!(labels.labels(), ["red", "blue", "red"]);
    assert_eq!(labels.embeddings().row(0), labels.embeddings().row(2));
    let texts = clip.encode_texts(&["red", "plus red"]).unwrap();
    let sum: Vec<f32> = texts.row(0).iter().zip(texts.row(1)).map(|(a, b)| a + b).collect();
    let length = sum.iter().map(|x| x * x).sum::<f32>().sqrt();
    let mean: Vec<f32> = sum.iter().map(|x| x / length).collect();
    assert!(nearly(labels.embeddings().row(0), &mean));

    // Without a template a label stands for itself.
    let alone = clip.label_set(&["red"], &[]).unwrap();
    assert!(nearly(alone.embeddings().row(0), texts.row(0)));
}

#[test]
fn odd_texts_and_images_are_taken() {
    let clip = open();
    let long = "red ".repeat(10_000);
    let embeddings = clip.encode_texts(&[long.as_str(), "red red red red red red", ""]).unwrap();
    // Cut to the context of 8: start, six words, end.
    assert!(nearly(embeddings.row(0), embeddings.row(1)));
    let labels = clip.label_set(&COLOURS, &[]).unwrap();
    for (width, height) in [(1, 1), (1, 4000), (4000, 1), (3, 7)] {
        let matches = clip.classify(&plain(width, height, [0, 0, 255]), &labels, 1).unwrap();
        assert_eq!(best(&matches), "blue", "{width}x{height}");
    }
}

#[test]
fn empty_lists_and_labels_without_direction_are_refused() {
    let clip = open();
    assert!(matches!(clip.label_set(&[""; 0], &[]), Err(Error::NoLabels)));
    let opposite: Vec<Template> = ["plus {}", "minus {}"].map(|t| t.parse().unwrap()).into();
    let error = clip.label_set(&["red", "of"], &opposite).unwrap_err();
    assert!(matches!(&error, Error::LabelWithoutDirection { label } if label == "of"), "{error}");
}

#[test]
fn embeddings_that_are_none_are_refused() {
    let clip = open();
    let images = [plain(8, 8, [255, 0, 0]), plain(8, 8, [0; 3])];
    let error = clip.encode_images(&images).unwrap_err();
    assert!(matches!(&error, Error::Embedding { row: 1, length, .. } if length.is_nan()), "{error}");
}

/// What the manifest says is done to texts, wherever they come from.
#[test]
fn texts_are_cleaned_as_the_manifest_says() {
    let cleaning = colours::changed(|_, manifest| manifest["tokenizer"]["clean"] = "canonicalize".into());
    let (cleaning, bare) = (Clip::open(cleaning.path()).unwrap(), open());
    let (dirty, clean) = ("&#114;ed_(ｇreen)!", "red green");
    assert_eq!(cleaning.encode_texts(&[dirty]).unwrap(), bare.encode_texts(&[clean]).unwrap());
    let labels = |clip: &Clip, text: &str| clip.label_set(&[text], &[]).unwrap().embeddings().clone();
    assert_eq!(labels(&cleaning, "“ｒed”"), labels(&bare, "red"));
}

#[test]
fn labels_of_another_model_are_refused() {
    let other = colours::changed(|folder, manifest| {
        let tokenizer = std::fs::read_to_string(folder.join("tokenizer.json")).unwrap();
        colours::replace(folder, manifest, "tokenizer", format!("{tokenizer} ").as_bytes());
        manifest["model"] = "other".into();
    });
    let labels = Clip::open(other.path()).unwrap().label_set(&COLOURS, &[]).unwrap();
    let error = open().classify(&plain(8, 8, [255; 3]), &labels, 1).unwrap_err();
    assert!(matches!(error, Error::ForeignLabels { .. }));
    assert!(error.to_string().contains("\"other\"") && error.to_string().contains("\"colours\""), "{error}");

    // So is a model of the same files that cleans texts in another way.
    let cleaning = colours::changed(|_, manifest| manifest["tokenizer"]["clean"] = "whitespace".into());
    let labels = Clip::open(cleaning.path()).unwrap().label_set(&COLOURS, &[]).unwrap();
    let error = open().classify(&plain(8, 8, [255; 3]), &labels, 1).unwrap_err();
    assert!(matches!(error, Error::ForeignLabels { .. }));

    // The same model opened twice is the same model.
    let labels = open().label_set(&COLOURS, &[]).unwrap();
    open().classify(&plain(8, 8, [255; 3]), &labels, 1).unwrap();
}

#[test]
fn a_folder_that_was_changed_is_refused() {
    for file in ["visual.onnx", "text.onnx", "tokenizer.json"] {
        let folder = colours::changed(|folder, _| colours::change_a_byte(&folder.join(file)));
        let error = refused(folder.path()).to_string();
        assert!(error.contains(file) && error.contains("sha256"), "{error}");

        let folder = colours::changed(|folder, _| std::fs::remove_file(folder.join(file)).unwrap());
        assert!(refused(folder.path()).to_string().contains(file));
    }
    let folder = colours::changed(|_, manifest| manifest["schema"] = 5.into());
    let error = refused(folder.path()).to_string();
    assert!(error.contains("schema version 5; this build reads versions 1 to 4"), "{error}");
    assert!(matches!(refused(Path::new("/no/such/folder")), Error::Model(_)));
}

#[test]
fn a_graph_that_does_not_fit_the_manifest_is_refused() {
    type Change = fn(&mut serde_json::Value);
    let changes: [(Change, &str, &[&str]); 8] = [
        (|m| m["preprocess"]["size"] = 16.into(), "visual.onnx", &["[*, 3, 16, 16]", "[*, 3, 8, 8]"]),
        (|m| m["embed_dim"] = 5.into(), "visual.onnx", &["[*, 5]", "[*, 4]"]),
        (
            |m| m["image"]["input"] = json!({ "name": "image", "layout": "nhwc", "element": "uint8" }),
            "visual.onnx",
            &["uint8 [*, 8, 8, 3]", "[*, 3, 8, 8]"],
        ),
        (|m| m["image"]["input"]["name"] = "pixels".into(), "visual.onnx", &["\"pixels\"", "\"image\""]),
        (|m| m["text"]["output"] = "features".into(), "text.onnx", &["\"features\"", "\"embedding\""]),
        (|m| m["tokenizer"]["context_length"] = 9.into(), "text.onnx", &["9 tokens", "8 by 9"]),
        (
            |m| {
                m["text"]["file"] = m["image"]["file"].clone();
                m["text"]["sha256"] = m["image"]["sha256"].clone();
            },
            "visual.onnx",
            &["\"ids\" int32 [*, *]", "\"image\" float32 [*, 3, 8, 8]"],
        ),
        (
            |m| {
                // Another graph where the batch should be free.
                m["image"]["file"] = m["text"]["file"].clone();
                m["image"]["sha256"] = m["text"]["sha256"].clone();
            },
            "text.onnx",
            &["\"image\" float32 [*, 3, 8, 8]", "\"ids\" int32 [*, *]"],
        ),
    ];
    for (change, file, parts) in changes {
        let folder = colours::changed(|_, manifest| change(manifest));
        let error = refused(folder.path());
        assert!(matches!(error, Error::Mismatch { .. }), "{error}");
        for part in [file].iter().chain(parts) {
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
    }
}

#[test]
fn a_folder_of_one_encoder_opens_and_says_what_it_lacks() {
    let images = colours::changed(|folder, manifest| {
        (manifest["text"], manifest["tokenizer"]) = (Value::Null, Value::Null);
        std::fs::remove_file(folder.join("text.onnx")).unwrap();
        std::fs::remove_file(folder.join("tokenizer.json")).unwrap();
    });
    let texts = colours::changed(|folder, manifest| {
        manifest["image"] = Value::Null;
        std::fs::remove_file(folder.join("visual.onnx")).unwrap();
    });
    let (images, texts) = (Clip::open(images.path()).unwrap(), Clip::open(texts.path()).unwrap());
    let picture = plain(8, 8, [255, 0, 0]);
    let both = open();
    assert_eq!(images.encode_images(&[&picture]).unwrap(), both.encode_images(&[&picture]).unwrap());
    let labels = texts.label_set(&COLOURS, &[]).unwrap();
    assert_eq!(labels.embeddings(), both.label_set(&COLOURS, &[]).unwrap().embeddings());

    let error = images.encode_texts(&["red"]).unwrap_err();
    assert!(matches!(error, Error::Missing { what: Part::TextEncoder, .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains("\"colours\" has no text encoder") && !said.contains("--"), "{said}");
    assert!(matches!(images.label_set(&COLOURS, &[]), Err(Error::Missing { .. })));
    let error = texts.encode_images(&[&picture]).unwrap_err();
    assert!(matches!(error, Error::Missing { what: Part::ImageEncoder, .. }), "{error}");
    assert!(matches!(texts.classify(&picture, &labels, 1), Err(Error::Missing { .. })));
}

#[test]
fn stored_labels_are_those_of_the_folder() {
    assert!(open().stored_labels().is_none());
    let folder = colours::with_labels(&["blue", "red"], &[[0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]]);
    let clip = Clip::open(folder.path()).unwrap();
    let labels = clip.stored_labels().unwrap();
    let matches = clip.classify(&plain(3, 2, [250, 9, 0]), labels, 2).unwrap();
    assert_eq!((best(&matches), labels.len()), ("red", 2));
    // A folder with the same image encoder can use them, and no other.
    assert_eq!(open().classify(&plain(3, 2, [250, 9, 0]), labels, 2).unwrap(), matches);
    let other = colours::changed(|folder, manifest| {
        std::fs::remove_file(folder.join("visual.onnx")).unwrap();
        manifest["image"] = Value::Null;
    });
    let other = Clip::open(other.path()).unwrap();
    let error = other.classify_embeddings(&[1.0; 4], labels, 2).unwrap_err();
    assert!(matches!(error, Error::ForeignLabels { .. }), "{error}");
}

#[test]
fn stored_labels_that_do_not_fit_are_refused() {
    let spoilt = |change: &dyn Fn(&mut Value)| {
        let folder = colours::with_labels(&["blue"], &[[0.0, 0.0, 1.0, 0.0]]);
        let path = folder.path().join("clip.json");
        let mut manifest = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut manifest);
        std::fs::write(path, manifest.to_string()).unwrap();
        folder
    };
    let folder = spoilt(&|manifest| manifest["labels"]["count"] = 2.into());
    let error = refused(folder.path()).to_string();
    assert!(error.contains("labels.safetensors") && error.contains("[1, 4], expected F32 [2, 4]"), "{error}");
    let folder = spoilt(&|_| ());
    colours::change_a_byte(&folder.path().join("labels.safetensors"));
    let error = refused(folder.path()).to_string();
    assert!(error.contains("labels.safetensors has sha256"), "{error}");
}

#[test]
fn a_file_of_weights_beside_a_graph_is_checked() {
    let folder = colours::changed(|folder, manifest| {
        std::fs::write(folder.join("visual.onnx.data"), [1, 2, 3]).unwrap();
        let sha256 = clip_model::files::sha256(&folder.join("visual.onnx.data")).unwrap();
        manifest["image"]["data"] = json!([{ "file": "visual.onnx.data", "sha256": sha256 }]);
    });
    Clip::open(folder.path()).unwrap();
    colours::change_a_byte(&folder.path().join("visual.onnx.data"));
    let error = refused(folder.path()).to_string();
    assert!(error.contains("visual.onnx.data has sha256"), "{error}");
}

#[test]
fn a_vocabulary_larger_than_the_graphs_is_refused() {
    let folder = colours::changed(|folder, manifest| {
        let mut tokenizer: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder.join("tokenizer.json")).unwrap()).unwrap();
        tokenizer["model"]["vocab"]["purple"] = 11.into();
        colours::replace(folder, manifest, "tokenizer", tokenizer.to_string().as_bytes());
    });
    let error = refused(folder.path()).to_string();
    assert!(error.contains("a vocabulary of 12"), "{error}");
}

#[test]
fn what_is_no_graph_is_refused() {
    let folder = colours::changed(|folder, manifest| {
        colours::replace(folder, manifest, "image", b"this is no graph");
    });
    let error = refused(folder.path());
    assert!(matches!(error, Error::Engine { action: "open", .. }), "{error}");
    assert!(error.to_string().starts_with("ONNX Runtime cannot open "), "{error}");
    assert!(error.to_string().contains("visual.onnx"), "{error}");
}

/// A folder that was written before the schema rose, and before `clean` was in it.
#[test]
fn a_folder_of_schema_1_runs_as_it_did() {
    let schema_1 = std::fs::read(colours::folder().join("schema-1.json")).unwrap();
    let folder = colours::changed(|_, manifest| *manifest = serde_json::from_slice(&schema_1).unwrap());
    let (older, today) = (Clip::open(folder.path()).unwrap(), open());
    assert_eq!(older.manifest(), today.manifest());
    assert_eq!(older.encode_texts(&COLOURS).unwrap(), today.encode_texts(&COLOURS).unwrap());
    let labels = today.label_set(&COLOURS, &[]).unwrap();
    let matches = older.classify(&plain(9, 5, [9, 250, 9]), &labels, 1).unwrap();
    assert_eq!(best(&matches), "green");
}

#[test]
fn a_model_says_what_runs_it() {
    let clip = open();
    let engine = clip.engine();
    assert_eq!((clip.name(), engine.name, engine.device), ("colours", "ONNX Runtime", Device::Cpu));
    assert!(engine.version.starts_with("1.") && engine.library.is_absolute(), "{engine:?}");
    assert_eq!(engine.to_string(), format!("ONNX Runtime {}, CPU", engine.version));
    assert_eq!(
        (clip.image_precision(), clip.text_precision()),
        (Some(Precision::Fp32), Some(Precision::Fp32))
    );
    let without_text = colours::with_labels(&["red"], &[[1.0, 0.0, 0.0, 0.0]]);
    assert_eq!(Clip::open(without_text.path()).unwrap().text_precision(), None);
}

#[test]
fn what_is_asked_for_and_cannot_be_had_is_refused() {
    let on =
        |device| Clip::open_with(colours::folder(), &Options::new().engine(EngineKind::Onnx).device(device));
    assert_eq!(on(Device::Cpu).unwrap().engine().device, Device::Cpu);
    // The ONNX Runtime of the tests knows no GPU; one that does is asked for a device that no machine has.
    let error = on(Device::Cuda(1000)).unwrap_err();
    match &error {
        Error::Device { device: Device::Cuda(1000), reason, .. } => {
            assert!(
                reason.contains("is built without CUDA") && reason.contains("onnxruntime-gpu"),
                "{error}"
            );
            assert!(
                error.to_string().starts_with("CUDA device 1000 was asked for, and ONNX Runtime does not")
            );
        }
        Error::TensorRt(error) => assert!(error.to_string().contains("there is no"), "{error}"),
        other => panic!("{other}"),
    }
    // The ONNX Runtime of the tests is built without OpenVINO, which computes on processors.
    let openvino = Options::new().engine(EngineKind::OpenVino);
    let error = Clip::open_with(colours::folder(), &openvino).unwrap_err();
    assert!(matches!(error, Error::LibraryUnusable { .. }), "{error}");
    for part in
        ["as ONNX Runtime with OpenVINO", "is built without OpenVINO", "the wheel onnxruntime-openvino"]
    {
        assert!(error.to_string().contains(part), "{error}");
    }
    let error = Clip::open_with(colours::folder(), &openvino.device(Device::Cuda(0))).unwrap_err();
    assert!(error.to_string().ends_with("does not compute there: it computes on the processor"), "{error}");
    // A folder of graphs has nothing for TensorRT, whether that is there or not; and TensorRT nothing for processors.
    let tensorrt = Options::new().engine(EngineKind::TensorRt);
    let error = Clip::open_with(colours::folder(), &tensorrt).unwrap_err();
    assert!(matches!(error, Error::TensorRt(_) | Error::NoPlan { .. }), "{error}");
    let error = Clip::open_with(colours::folder(), &tensorrt.device(Device::Cpu)).unwrap_err();
    assert!(matches!(error, Error::Device { device: Device::Cpu, engine: "TensorRT", .. }), "{error}");
    assert!(error.to_string().ends_with("does not compute there: it computes on CUDA devices"), "{error}");
}

#[test]
fn pictures_are_read_within_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("picture.ppm");
    std::fs::write(&path, b"P6 2 1 255 \xff\0\0\0\0\xff").unwrap();
    let image = open().open_image(&path).unwrap();
    assert_eq!((image.width(), image.height(), image.rgb()), (2, 1, &[255, 0, 0, 0, 0, 255][..]));
    assert_eq!(open().decode_image(&std::fs::read(&path).unwrap()).unwrap(), image);
    let small = Clip::open_with(colours::folder(), &Options::new().max_pixels(1)).unwrap();
    let error = small.open_image(&path).unwrap_err();
    assert!(matches!(error, Error::Model(clip_model::Error::ImageTooLarge { limit: 1, .. })), "{error}");
    assert!(matches!(small.open_image("/no/such/picture.png"), Err(Error::Model(_))));
}

#[test]
fn options_are_checked() {
    let with = |options: Options| Clip::open_with(colours::folder(), &options);
    for found in [0, 1025] {
        let error = with(Options::new().threads(found)).unwrap_err();
        assert!(matches!(error, Error::Threads { found: f, .. } if f == found), "{error}");
    }
    // More threads than processors only wait for each other: opening with 256 took 20 seconds.
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    for asked in [1, 2, 256, 1024] {
        let clip = with(Options::new().threads(asked)).unwrap();
        assert_eq!(clip.threads(), asked.min(processors));
    }
    let clip = with(Options::new().max_pixels(3)).unwrap();
    assert_eq!(clip.manifest().preprocess.max_pixels, 3);
    let clip = with(Options::new().max_pixels(u64::MAX)).unwrap();
    assert_eq!(clip.manifest().preprocess.max_pixels, open().manifest().preprocess.max_pixels);

    with(Options::new().library(&clip.engine().library)).unwrap();
    let error = with(Options::new().library("/other/libonnxruntime.so")).unwrap_err();
    assert!(matches!(error, Error::LibraryLoaded { .. }), "{error}");
    assert!(error.to_string().contains("/other/libonnxruntime.so"), "{error}");
}

/// A copy of the model folder that was left alone for a while, as it must be to be trusted.
fn settled() -> tempfile::TempDir {
    let folder = colours::changed(|_, _| ());
    std::thread::sleep(std::time::Duration::from_millis(3100));
    folder
}

fn open_trusting(folder: &Path) -> clip_runtime::Result<Clip> {
    Clip::open_with(folder, &Options::new().trust_unchanged(true))
}

/// The record in `folder` with its place for `file`.
fn record(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join(".checked.json")).unwrap()).unwrap()
}

#[test]
fn an_unchanged_folder_is_trusted_only_when_asked() {
    let folder = settled();
    let path = folder.path();
    Clip::open(path).unwrap();
    assert!(!path.join(".checked.json").exists(), "nothing is written unless it is asked for");
    open_trusting(path).unwrap();
    let kept = record(path);
    assert_eq!(kept["files"].as_array().unwrap().len(), 3, "{kept}");

    // What the record says is believed: a manifest with another hash is refused by a check, and not with a record that
    // claims it.
    let manifest = std::fs::read_to_string(path.join("clip.json")).unwrap();
    let text = kept.to_string();
    let hash = kept["files"][0]["sha256"].as_str().unwrap();
    let other = "0".repeat(64);
    std::fs::write(path.join("clip.json"), manifest.replace(hash, &other)).unwrap();
    assert!(open_trusting(path).unwrap_err().to_string().contains(&other));
    std::fs::write(path.join(".checked.json"), text.replace(hash, &other)).unwrap();
    open_trusting(path).unwrap();
    assert!(Clip::open(path).unwrap_err().to_string().contains("sha256"));
}

#[test]
fn whatever_differs_is_not_trusted() {
    let folder = settled();
    let path = folder.path();
    open_trusting(path).unwrap();
    let file = path.join("visual.onnx");
    let before = std::fs::metadata(&file).unwrap();
    // The same size and the same time of change, but not the same bytes.
    colours::change_a_byte(&file);
    std::fs::File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_modified(before.modified().unwrap())
        .unwrap();
    let after = std::fs::metadata(&file).unwrap();
    assert_eq!((before.len(), before.modified().unwrap()), (after.len(), after.modified().unwrap()));
    assert!(open_trusting(path).unwrap_err().to_string().contains("visual.onnx has sha256"));

    // A copy of the folder is another folder.
    let folder = settled();
    open_trusting(folder.path()).unwrap();
    let copy = tempfile::tempdir().unwrap();
    for file in ["clip.json", ".checked.json", "visual.onnx", "text.onnx", "tokenizer.json"] {
        std::fs::copy(folder.path().join(file), copy.path().join(file)).unwrap();
    }
    colours::change_a_byte(&copy.path().join("text.onnx"));
    assert!(open_trusting(copy.path()).unwrap_err().to_string().contains("text.onnx has sha256"));
}

#[test]
fn what_has_just_changed_is_not_recorded_and_a_bad_record_does_no_harm() {
    let folder = colours::changed(|_, _| ());
    open_trusting(folder.path()).unwrap();
    assert!(!folder.path().join(".checked.json").exists());
    for bad in ["", "{}", "[1]", "{\"files\":[{}]}", "\0\0"] {
        std::fs::write(folder.path().join(".checked.json"), bad).unwrap();
        open_trusting(folder.path()).unwrap();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_fork_is_told_to_open_the_model_again() {
    // Other tests' threads do not exist in the fork, so it does no more than it must.
    let clip = open();
    let picture = plain(8, 8, [255, 0, 0]);
    // SAFETY: the fork only calls what takes no lock that another thread may hold, and ends without destructors.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let refused = matches!(clip.encode_images(&[&picture]), Err(Error::Forked { .. }));
        drop(clip);
        unsafe { libc::_exit(if refused { 0 } else { 1 }) };
    }
    let mut status = 0;
    let started = std::time::Instant::now();
    while unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) } == 0 {
        if started.elapsed().as_secs() > 60 {
            unsafe { libc::kill(child, libc::SIGKILL) };
            panic!("the fork hangs");
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(status, 0);
    clip.encode_images(&[&picture]).unwrap();
}

#[test]
fn images_are_the_same_in_one_thread_and_in_all() {
    let image = Image::new(8, 8, (0..192).collect()).unwrap();
    let embedded = |threads: Option<usize>| {
        let clip = Clip::open_with(colours::folder(), &Options::new().image_threads(threads)).unwrap();
        // Texts keep all of them.
        assert_eq!(clip.threads(), Clip::open(colours::folder()).unwrap().threads());
        clip.encode_images(&[&image, &image, &image]).unwrap().as_slice().to_vec()
    };
    let all = embedded(None);
    // What is beyond the model's threads is as many as they are.
    for threads in [0, 1, 1_000_000] {
        assert_eq!(embedded(Some(threads)), all);
    }
}
