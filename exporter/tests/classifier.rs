//! `classifier.onnx`: the probabilities that the runtime gives, from one graph in the engine alone; and what other programs are
//! told of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod checkpoint;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use checkpoint::{entries, tiny};
use clip_checkpoint::{Checkpoint, WeightFormat};
use clip_exporter::compare::{Samples, Thresholds};
use clip_exporter::{Dialect, Error, Form, Int8, Labels, Numbers, Options, Tower, export};
use clip_model::manifest::{Classifier, Values};
use clip_model::preprocess::Image;
use clip_model::{Manifest, Preprocess, manifest};
use clip_runtime::Clip;
use clip_runtime::engine::{Port, Session, Tensor};

const LABELS: [&str; 3] = ["red car", "blue; car", "ab"];
const VALUES: [Values; 3] = [Values::Normalised, Values::Bytes, Values::Pixels];

fn clip_checkpoint(root: &Path) -> Checkpoint {
    Checkpoint::open(tiny(root, WeightFormat::Fp32, |_| ())).unwrap()
}

fn siglip(root: &Path) -> Checkpoint {
    Checkpoint::open(clip_testkit::siglip::checkpoint(root)).unwrap()
}

fn biased(root: &Path) -> Checkpoint {
    Checkpoint::open(checkpoint::biased(root)).unwrap()
}

fn options(values: Values) -> Options {
    let templates = vec!["a {}".parse().unwrap()];
    let labels = Some(Labels { labels: LABELS.map(str::to_owned).to_vec(), templates });
    Options { model: "tiny".into(), replace: true, classifier: Some(values), labels, ..Options::default() }
}

fn pictures() -> Vec<Image> {
    let picture = |n: usize| Image::new(20, 31, (0..20 * 31 * 3).map(|i| (i * n % 251) as u8).collect());
    (1..8).map(|n| picture(n).unwrap()).collect()
}

/// In 8-bit integers, whatever they lose, for a model of pictures of `side` x `side`.
fn int8(side: usize, dialect: Dialect, options: Options) -> Options {
    let thresholds = Some(Thresholds { min_cosine: -1.0, mean_cosine: -1.0, top1: 0.0 });
    let texts = ["a red car", "two blue cars", "ab", "a road"].map(str::to_owned).to_vec();
    let preprocess = Preprocess { size: side, ..Preprocess::default() };
    let images = pictures().iter().map(|image| preprocess.fit(image).unwrap()).collect();
    let numbers = Numbers::Int8(Int8 { dialect, ..Int8::default() });
    Options { numbers, samples: Some(Samples { images, texts }), thresholds, ..options }
}

/// A picture as `values`, row after row, and the shape of one of them.
fn input(preprocess: &Preprocess, values: Values, images: &[Image]) -> Tensor {
    let (rows, side) = (images.len(), preprocess.size);
    let fitted: Vec<Image> = images.iter().map(|image| preprocess.fit(image).unwrap()).collect();
    if values == Values::Bytes {
        let bytes: Vec<u8> = fitted.iter().flat_map(|image| image.rgb().to_vec()).collect();
        return Tensor::UInt8(vec![rows, side, side, 3], bytes);
    }
    let mut numbers = Vec::new();
    for image in &fitted {
        if values == Values::Normalised {
            let mut pixels = vec![0.0; 3 * side * side];
            preprocess.normalize(image, &mut pixels).unwrap();
            numbers.extend(pixels);
        } else {
            for channel in 0..3 {
                numbers.extend(image.rgb().chunks(3).map(|pixel| f32::from(pixel[channel])));
            }
        }
    }
    Tensor::Float32(vec![rows, 3, side, side], numbers)
}

fn open(folder: &Path, classifier: &Classifier) -> Box<dyn Session> {
    let engine = clip_runtime::Options::new().start_engine().unwrap();
    engine.open(&folder.join(&classifier.encoder.file), 1).unwrap()
}

/// Runs the folder's classifier in the engine alone; how far its probabilities are from the runtime's, at most.
fn difference(folder: &Path) -> f32 {
    let clip = Clip::open(folder).unwrap();
    let manifest = clip.manifest();
    let classifier = manifest.classifier.as_ref().unwrap();
    let images = &pictures()[..classifier.encoder.batch.unwrap_or(7)];
    let session = open(folder, classifier);
    let given = input(&manifest.preprocess, classifier.values, images);
    let outputs = session.run(&[(&classifier.encoder.input.name, &given)]).unwrap();
    assert_eq!((outputs.len(), outputs[0].name.as_str()), (1, "probabilities"));
    assert_eq!(outputs[0].shape, [images.len(), LABELS.len()]);
    let mut worst = 0f32;
    for (image, found) in images.iter().zip(outputs[0].values.chunks(LABELS.len())) {
        let matches = clip.classify(image, clip.stored_labels().unwrap(), LABELS.len()).unwrap();
        for expected in matches {
            worst = worst.max((found[expected.index] - expected.probability).abs());
        }
        let sum: f32 = found.iter().sum();
        assert!(manifest.logit_bias.is_some() || (sum - 1.0).abs() < 1e-5, "{sum}");
    }
    worst
}

/// Exports, and gives back the folder.
fn exported(checkpoint: &Checkpoint, root: &Path, options: Options) -> PathBuf {
    let folder = root.join("model");
    export(checkpoint, &folder, &options, &mut |_| {}).unwrap();
    folder
}

#[test]
fn its_probabilities_are_the_runtimes_whatever_it_takes() {
    for (checkpoint, sigmoid) in
        [(clip_checkpoint as fn(&Path) -> Checkpoint, false), (siglip, true), (biased, true)]
    {
        let root = tempfile::tempdir().unwrap();
        let checkpoint = checkpoint(root.path());
        assert_eq!(checkpoint.logit_bias().unwrap().is_some(), sigmoid);
        for values in VALUES {
            let folder = exported(&checkpoint, root.path(), options(values));
            let worst = difference(&folder);
            assert!(worst < 1e-5, "{values:?}: {worst}");
        }
    }
}

#[test]
fn its_probabilities_are_the_runtimes_in_every_number_format() {
    for (checkpoint, side) in [(clip_checkpoint as fn(&Path) -> Checkpoint, 16), (siglip, 18)] {
        let root = tempfile::tempdir().unwrap();
        let checkpoint = checkpoint(root.path());
        for bytes in [false, true] {
            let values = if bytes { Values::Bytes } else { Values::Normalised };
            let plain = || Options { form: Form { bytes, ..Form::default() }, ..options(values) };
            for options in [
                Options { numbers: Numbers::Fp16, ..int8(side, Dialect::Cpu, plain()) },
                int8(side, Dialect::Cpu, plain()),
                int8(side, Dialect::Trt, plain()),
            ] {
                let folder = exported(&checkpoint, root.path(), options.clone());
                let worst = difference(&folder);
                assert!(worst < 1e-5, "{:?}, {bytes}: {worst}", options.numbers);
            }
        }
    }
}

#[test]
fn an_encoder_that_rounds_is_given_pictures_by_the_graph_too() {
    let root = tempfile::tempdir().unwrap();
    let checkpoint = clip_checkpoint(root.path());
    for numbers in [Numbers::Fp16, Numbers::Int8(Int8::default())] {
        for values in [Values::Bytes, Values::Pixels] {
            let options = Options { numbers, ..int8(16, Dialect::Cpu, options(values)) };
            // What is normalised inside differs in its last bits, and so may be rounded to the other side.
            let worst = difference(&exported(&checkpoint, root.path(), options));
            assert!(worst < 0.02, "{numbers:?}, {values:?}: {worst}");
        }
    }
}

#[test]
fn every_form_of_a_folder_has_one() {
    let root = tempfile::tempdir().unwrap();
    let checkpoint = clip_checkpoint(root.path());
    let form = Form { batch: Some(3), opset: 21, ..Form::default() };
    let all = Options { form, external_data: true, only: Some(Tower::Image), ..options(Values::Pixels) };
    let folder = exported(&checkpoint, root.path(), all);
    assert!(difference(&folder) < 1e-5);
    let files = [
        "classifier.onnx",
        "classifier.onnx.data",
        "clip.json",
        "config_infer_classifier.txt",
        "labels.safetensors",
        "labels.txt",
        "labels_deepstream.txt",
        "visual.onnx",
        "visual.onnx.data",
    ];
    // GStreamer runs one picture at a time.
    assert_eq!(entries(&folder), files);
    // All of its files are known, so that it can be replaced; and made again, they are the same.
    let first = Manifest::read(exported(&checkpoint, root.path(), options(Values::Normalised))).unwrap();
    assert_eq!(
        Manifest::read(exported(&checkpoint, root.path(), options(Values::Normalised))).unwrap(),
        first
    );
    let classifier = first.classifier.unwrap();
    for (file, sha256) in classifier.all_files() {
        manifest::verified(&folder, file, sha256).unwrap();
    }
    assert_eq!(std::fs::read_to_string(folder.join("labels.txt")).unwrap(), "red car\nblue; car\nab\n");
}

#[test]
fn contradictions_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let checkpoint = clip_checkpoint(root.path());
    let labelled = |label: &str| Options {
        labels: Some(Labels { labels: vec!["cat".into(), label.into()], templates: vec![] }),
        ..options(Values::Normalised)
    };
    let bytes = Form { bytes: true, ..Form::default() };
    for (options, part) in [
        (
            Options { labels: None, ..options(Values::Bytes) },
            "a classifier is of stored labels, and there are none",
        ),
        (Options { form: bytes, ..options(Values::Pixels) }, "and that takes packed bytes"),
        (Options { only: Some(Tower::Text), ..options(Values::Pixels) }, "whose encoder is left out"),
        (labelled("two\nlines"), "label 2 is \"two\\nlines\""),
        (labelled(" "), "label 2 is \" \""),
    ] {
        let error = export(&checkpoint, root.path().join("model"), &options, &mut |_| {}).unwrap_err();
        assert!(matches!(error, Error::Conflict(_) | Error::Label { .. }), "{error:?}");
        assert!(error.to_string().contains(part) && !error.to_string().contains("--"), "{error}");
    }
    assert_eq!(entries(root.path()), ["checkpoint"]);
}

/// The groups of a key file, each with its keys.
fn groups(text: &str) -> HashMap<&str, HashMap<&str, &str>> {
    let mut groups: HashMap<&str, HashMap<&str, &str>> = HashMap::new();
    let mut group = "";
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[') {
            group = name.strip_suffix(']').unwrap();
            assert!(groups.insert(group, HashMap::new()).is_none(), "[{group}] twice");
            continue;
        }
        let (key, value) = line.split_once('=').unwrap();
        assert!(groups.get_mut(group).unwrap().insert(key, value).is_none(), "{key} twice");
    }
    groups
}

/// Sizes as GStreamer writes them.
fn dims(port: &Port) -> String {
    let size = |size: &Option<usize>| size.map_or_else(|| "-1".to_owned(), |size| size.to_string());
    port.shape.iter().map(size).collect::<Vec<_>>().join(",")
}

#[test]
fn gstreamer_is_told_what_the_graph_has() {
    let root = tempfile::tempdir().unwrap();
    let checkpoint = clip_checkpoint(root.path());
    for (values, batch) in VALUES.into_iter().zip([None, Some(1), None]) {
        let form = Form { batch, bytes: values == Values::Bytes, ..Form::default() };
        let folder = exported(&checkpoint, root.path(), Options { form, ..options(values) });
        let manifest = Manifest::read(&folder).unwrap();
        let session = open(&folder, manifest.classifier.as_ref().unwrap());
        let text = std::fs::read_to_string(folder.join("classifier.onnx.modelinfo")).unwrap();
        let groups = groups(&text);
        assert_eq!(groups.len(), 3);
        let tensor = "classification-generic-softmaxed-out";
        assert_eq!(groups["modelinfo"], HashMap::from([("version", "1.0"), ("group-id", tensor)]));
        for (direction, port) in [("input", &session.inputs()[0]), ("output", &session.outputs()[0])] {
            let group = &groups[port.name.as_str()];
            assert_eq!(
                (group["dir"], group["type"], group["dims"]),
                (direction, &*port.element, &*dims(port))
            );
        }
        assert_eq!(groups["probabilities"]["id"], tensor);
        // 0 and 255 become what preprocessing makes of them, channel by channel.
        let ranges: Vec<f64> =
            groups["image"]["ranges"].split([';', ',']).map(|number| number.parse().unwrap()).collect();
        let mut expected = [0.0, 255.0].repeat(3);
        if values == Values::Normalised {
            for (bound, level) in [0, 255].into_iter().enumerate() {
                let image = Image::new(16, 16, vec![level; 3 * 16 * 16]).unwrap();
                let mut pixels = vec![0.0; 3 * 16 * 16];
                manifest.preprocess.normalize(&image, &mut pixels).unwrap();
                (0..3)
                    .for_each(|channel| expected[2 * channel + bound] = f64::from(pixels[channel * 16 * 16]));
            }
        }
        assert_eq!(ranges.len(), 6);
        for (found, expected) in ranges.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-5, "{found} for {expected}");
        }
    }
}

#[test]
fn deepstream_is_told_what_the_graph_has_where_it_can_give_that() {
    let root = tempfile::tempdir().unwrap();
    let (clip, siglip) = (clip_checkpoint(root.path()), siglip(root.path()));
    let trt = |options| int8(16, Dialect::Trt, options);
    let cases = [
        (&clip, options(Values::Pixels), Some("0")),
        (&clip, Options { numbers: Numbers::Fp16, ..options(Values::Pixels) }, Some("2")),
        (&clip, trt(options(Values::Pixels)), Some("1")),
        // TensorRT does not read the dialect of CPUs, nor can one factor serve three standard deviations.
        (&clip, int8(16, Dialect::Cpu, options(Values::Pixels)), None),
        (&clip, options(Values::Normalised), None),
        (&clip, options(Values::Bytes), None),
        (&siglip, options(Values::Pixels), Some("0")),
        (&siglip, options(Values::Normalised), Some("0")),
    ];
    for (checkpoint, options, mode) in cases {
        let (values, folder) = (options.classifier.unwrap(), exported(checkpoint, root.path(), options));
        let text = std::fs::read_to_string(folder.join("config_infer_classifier.txt"));
        let Some(mode) = mode else {
            assert!(text.is_err(), "{values:?}");
            continue;
        };
        let text = text.unwrap();
        let groups = groups(&text);
        assert_eq!(groups.keys().collect::<Vec<_>>(), [&"property"]);
        let property = |key: &str| groups["property"][key];
        assert_eq!((property("network-type"), property("network-mode")), ("1", mode));
        let Manifest { classifier, preprocess, .. } = Manifest::read(&folder).unwrap();
        let session = open(&folder, &classifier.unwrap());
        assert_eq!(property("output-blob-names"), session.outputs()[0].name);
        assert_eq!(property("onnx-file"), "classifier.onnx");
        let input = &session.inputs()[0];
        assert_eq!(format!("-1,{}", property("infer-dims").replace(';', ",")), dims(input));
        assert_eq!((property("model-color-format"), property("network-input-order")), ("0", "0"));
        // What nvinfer makes of a picture is what the graph takes.
        let side = preprocess.size;
        let picture = preprocess.fit(&pictures()[2]).unwrap();
        let factor: f32 = property("net-scale-factor").parse().unwrap();
        let offsets: Vec<f32> = property("offsets").split(';').map(|o| o.parse().unwrap()).collect();
        let Tensor::Float32(_, expected) = self::input(&preprocess, values, std::slice::from_ref(&picture))
        else {
            panic!()
        };
        for channel in 0..3 {
            for (i, expected) in expected[channel * side * side..][..side * side].iter().enumerate() {
                let found = factor * (f32::from(picture.rgb()[3 * i + channel]) - offsets[channel]);
                assert!((found - expected).abs() < 1e-5, "{found} for {expected}");
            }
        }
        let labels = std::fs::read_to_string(folder.join(property("labelfile-path"))).unwrap();
        assert_eq!(labels.trim_end().split(';').collect::<Vec<_>>(), ["red car", "blue, car", "ab"]);
    }
}

#[test]
fn the_command_writes_one_and_verifies_it() {
    let root = tempfile::tempdir().unwrap();
    drop(clip_checkpoint(root.path()));
    std::fs::write(root.path().join("labels.txt"), "red car\nroad\n").unwrap();
    let run = |arguments: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clip-export"));
        let output = command.current_dir(root.path()).args(arguments.split(' ')).output().unwrap();
        let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap()).concat();
        (output.status.code(), said)
    };
    let export = |arguments: &str| run(&format!("checkpoint -o model --force {arguments}"));
    let labels = "--labels labels.txt --classifier";
    let (code, said) = export(&format!("{labels} --only visual --uint8-input"));
    assert_eq!(code, Some(0), "{said}");
    let values = || Manifest::read(root.path().join("model")).unwrap().classifier.unwrap().values;
    assert_eq!(values(), Values::Bytes);
    assert_eq!(export(labels).0, Some(0));
    assert_eq!(values(), Values::Normalised);
    assert_eq!(export(&format!("{labels} --classifier-input pixels")).0, Some(0));
    assert_eq!(values(), Values::Pixels);
    let (_, said) = run("inspect model");
    assert!(said.contains("classifier     classifier.onnx, fp32, takes numbers from 0 to 255"), "{said}");
    assert_eq!(run("verify model").0, Some(0));

    for (arguments, part) in [
        ("--classifier", "give --labels, or leave --classifier out"),
        ("--labels labels.txt --classifier-input bytes", "--classifier"),
        (
            "--labels labels.txt --classifier --classifier-input pixels --uint8-input",
            "leave one of --uint8-input and --classifier-input out",
        ),
        ("--to hf --classifier", "cannot be used with"),
    ] {
        let (code, said) = export(arguments);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(part), "{said}");
    }

    // A classifier of other labels runs, and gives other probabilities.
    let other = root.path().join("labels.txt");
    std::fs::write(&other, "road\nred car\n").unwrap();
    let (code, said) = run("checkpoint -o other --labels labels.txt --classifier --classifier-input pixels");
    assert_eq!(code, Some(0), "{said}");
    let [ours, theirs] = ["model", "other"].map(|folder| root.path().join(folder));
    std::fs::copy(theirs.join("classifier.onnx"), ours.join("classifier.onnx")).unwrap();
    let (code, said) = run("verify model");
    assert!(code == Some(1) && said.contains("classifier.onnx has sha256"), "{said}");
    let mut manifest = Manifest::read(&ours).unwrap();
    let sha256 = Manifest::read(&theirs).unwrap().classifier.unwrap().encoder.sha256;
    manifest.classifier.as_mut().unwrap().encoder.sha256 = sha256;
    manifest.write(&ours).unwrap();
    let (code, said) = run("verify model");
    assert!(code == Some(1) && said.contains("where encoder and labels give"), "{said}");
}
