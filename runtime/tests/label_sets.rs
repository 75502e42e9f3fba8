//! Label sets from every source, as files, and in use.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod colours;

use std::path::Path;
use std::sync::Arc;

use clip_model::labels::StoredLabels;
use clip_runtime::{Clip, Error, Image, LabelSet, LabelSlot, Logits, Rule, Score};

const COLOURS: [&str; 3] = ["red", "green", "blue"];

fn open() -> Clip {
    Clip::open(colours::folder()).unwrap()
}

fn plain(colour: [u8; 3]) -> Image {
    Image::new(8, 8, colour.repeat(64)).unwrap()
}

fn refused(result: Result<LabelSet, Error>, parts: &[&str]) -> Error {
    let error = result.unwrap_err();
    for part in parts {
        assert!(error.to_string().contains(part), "no {part:?} in {error}");
    }
    error
}

/// A copy of the model with another image encoder's hash.
fn another() -> tempfile::TempDir {
    colours::changed(|folder, manifest| {
        let tokenizer = std::fs::read_to_string(folder.join("tokenizer.json")).unwrap();
        colours::replace(folder, manifest, "tokenizer", format!("{tokenizer} ").as_bytes());
        manifest["model"] = "other".into();
    })
}

#[test]
fn a_saved_set_is_read_back_whole() {
    let clip = open();
    let (folder, templates) = (tempfile::tempdir().unwrap(), ["a photo of a {}".parse().unwrap()]);
    let path = folder.path().join("labels.safetensors");
    let background = clip.label_set(&["photo"], &[]).unwrap();
    let labels = clip.label_set(&COLOURS, &templates).unwrap().with_background(&background).unwrap();
    let labels = labels.with_logits(Some(Logits { scale: 7.5, bias: Some(-1.25) })).unwrap();
    labels.save(&path).unwrap();
    assert_eq!(open().open_label_set(&path).unwrap(), labels);
    assert_eq!(StoredLabels::open(&path, 4).unwrap().templates, ["a photo of a {}"]);
    // It is replaced, and nothing else is left there.
    background.save(&path).unwrap();
    assert_eq!(open().open_label_set(&path).unwrap(), background);
    assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    let error = labels.save(folder.path().join("no/such/folder")).unwrap_err();
    assert!(matches!(error, Error::Model(clip_model::Error::Io { .. })), "{error}");
}

#[test]
fn a_device_with_the_image_encoder_alone_takes_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.safetensors");
    open().label_set(&COLOURS, &[]).unwrap().save(&path).unwrap();
    let device = colours::with_labels(&["blue"], &[[0.0, 0.0, 1.0, 0.0]]);
    let device = Clip::open(device.path()).unwrap();
    let labels = device.open_label_set(&path).unwrap();
    assert_eq!(device.classify(&plain([0, 250, 9]), &labels, 1).unwrap()[0].label, "green");
}

#[test]
fn files_of_other_models_and_of_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.safetensors");
    let other = another();
    Clip::open(other.path()).unwrap().label_set(&COLOURS, &[]).unwrap().save(&path).unwrap();
    let error = refused(open().open_label_set(&path), &["labels.safetensors", "\"other\"", "\"colours\""]);
    assert!(matches!(error, Error::Model(clip_model::Error::Labels { .. })), "{error}");

    // A file of a model folder does not say whose it is. It is taken where it belongs.
    let device = colours::with_labels(&["blue"], &[[0.0, 0.0, 1.0, 0.0]]);
    let own = device.path().join("labels.safetensors");
    refused(open().open_label_set(&own), &["does not say which model"]);
    let clip = Clip::open(device.path()).unwrap();
    assert_eq!(clip.open_label_set(&own).unwrap(), *clip.stored_labels().unwrap());

    refused(
        open().open_label_set(colours::folder().join("clip.json")),
        &["not a well-formed safetensors file"],
    );
    let error = open().open_label_set(Path::new("/no/such/file")).unwrap_err();
    assert!(matches!(error, Error::Model(clip_model::Error::Io { .. })), "{error}");
}

#[test]
fn embeddings_become_labels_whatever_their_length() {
    let clip = open();
    let labels = clip.label_set(&COLOURS, &[]).unwrap();
    let scaled: Vec<f32> = labels.embeddings().as_slice().iter().map(|x| 3.5 * x).collect();
    let again = clip.label_set_from_embeddings(&COLOURS, &scaled).unwrap();
    assert_eq!(again.labels(), labels.labels());
    let pairs = again.embeddings().as_slice().iter().zip(labels.embeddings().as_slice());
    assert!(pairs.clone().all(|(a, b)| (a - b).abs() < 1e-6));
    let image = plain([0, 0, 255]);
    assert_eq!(clip.classify(&image, &again, 1).unwrap()[0].label, "blue");

    let make = |labels: &[&str], embeddings: &[f32]| clip.label_set_from_embeddings(labels, embeddings);
    refused(make(&["a"], &[1.0; 3]), &["3 numbers for the embeddings of labels, expected 4"]);
    refused(make(&["a"], &[1.0; 8]), &["8 numbers"]);
    assert!(matches!(make(&[], &[]), Err(Error::NoLabels)));
    for wrong in [f32::NAN, f32::INFINITY, 0.0] {
        let mut rows = [[1.0; 4], [0.0; 4]].concat();
        rows[5] = wrong;
        refused(make(&["a", "b"], &rows), &["row 1 of the embeddings has no direction"]);
    }
}

#[test]
fn pictures_become_labels() {
    let clip = open();
    let images = [[250, 0, 0], [0, 0, 250], [255, 30, 0], [0, 250, 0]].map(plain);
    let labels = clip.label_set_from_images(&["warm", "cold", "warm", "green"], &images).unwrap();
    assert_eq!(labels.labels(), ["warm", "cold", "green"]);
    let embeddings = clip.encode_images(&images).unwrap();
    let sum: Vec<f32> = embeddings.row(0).iter().zip(embeddings.row(2)).map(|(a, b)| a + b).collect();
    let length = sum.iter().map(|x| x * x).sum::<f32>().sqrt();
    assert!(sum.iter().zip(labels.embeddings().row(0)).all(|(a, b)| (a / length - b).abs() < 1e-6));
    assert_eq!(clip.classify(&plain([240, 20, 9]), &labels, 1).unwrap()[0].label, "warm");

    refused(clip.label_set_from_images(&["a"], &images), &["1 numbers for the labels of images, expected 4"]);
    let none = clip.label_set_from_images::<Image>(&[""; 0], &[]);
    assert!(matches!(none, Err(Error::NoLabels)));
}

#[test]
fn stored_embeddings_become_the_same_probabilities() {
    let clip = open();
    let labels = clip.label_set(&COLOURS, &[]).unwrap();
    let images = [[250, 0, 0], [0, 0, 250], [90, 200, 30]].map(plain);
    let expected = clip.classify_batch(&images, &labels, 2).unwrap();
    let embeddings = clip.encode_images(&images).unwrap();
    let doubled: Vec<f32> = embeddings.as_slice().iter().map(|x| 2.0 * x).collect();
    for rows in [embeddings.as_slice(), &doubled] {
        let found = clip.classify_embeddings(rows, &labels, 2).unwrap();
        assert_eq!(found.len(), 3);
        for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            assert_eq!(found.label, expected.label);
            assert!((found.probability - expected.probability).abs() < 1e-5);
            assert!((found.similarity - expected.similarity).abs() < 1e-6);
        }
    }
    let mut found = Vec::new();
    clip.nearest_into(embeddings.row(1), &labels, 2, &mut found).unwrap();
    assert_eq!(found, expected[1].iter().map(|&m| Score::from(m)).collect::<Vec<_>>());

    // The formula itself, from what can be read.
    let Logits { scale, bias } = clip.logits();
    assert_eq!((scale, bias), (clip.manifest().logit_scale, None));
    let similarity =
        |i| labels.embeddings().row(i).iter().zip(embeddings.row(0)).map(|(a, b)| a * b).sum::<f32>();
    let weights = [0, 1, 2].map(|i| (scale * similarity(i)).exp());
    let own = weights[expected[0][0].index] / weights.iter().sum::<f32>();
    assert!((own - expected[0][0].probability).abs() < 1e-5);

    let error = clip.classify_embeddings(&[1.0; 5], &labels, 1).unwrap_err();
    assert!(error.to_string().contains("5 numbers for whole embeddings, expected 8"), "{error}");
    let error = clip.classify_embeddings(&[0.0; 4], &labels, 1).unwrap_err();
    assert!(matches!(error, Error::Row { row: 0 }), "{error}");
    let error = clip.nearest_into(&[1.0; 5], &labels, 1, &mut found).unwrap_err();
    assert!(matches!(error, Error::Count { expected: 4, found: 5, .. }), "{error}");
    let other = another();
    let foreign = Clip::open(other.path()).unwrap().label_set(&COLOURS, &[]).unwrap();
    for error in [
        clip.classify_embeddings(&[1.0; 4], &foreign, 1).unwrap_err(),
        clip.nearest_into(&[1.0; 4], &foreign, 1, &mut found).unwrap_err(),
        labels.with_background(&foreign).unwrap_err(),
    ] {
        assert!(matches!(error, Error::ForeignLabels { .. }), "{error}");
    }
}

#[test]
fn a_background_is_none_of_the_labels() {
    let clip = open();
    let background = clip.label_set(&["blue"], &[]).unwrap();
    let labels = clip.label_set(&["red", "green"], &[]).unwrap().with_background(&background).unwrap();
    let decide = |colour| {
        let embedding = clip.encode_images(&[plain(colour)]).unwrap();
        let mut scores = Vec::new();
        clip.nearest_into(embedding.row(0), &labels, 3, &mut scores).unwrap();
        Rule::default().decide(&labels, &scores).map(|score| labels.labels()[score.index].as_str())
    };
    assert_eq!([decide([250, 0, 9]), decide([0, 9, 250])], [Some("red"), None]);
    // It takes its share.
    let all = clip.label_set(&COLOURS, &[]).unwrap();
    let image = plain([200, 90, 30]);
    let probability = |labels| clip.classify(&image, labels, 1).unwrap()[0].probability;
    assert!((probability(&labels) - probability(&all)).abs() < 1e-6);
}

#[test]
fn labels_are_swapped_while_others_classify() {
    let clip = open();
    let image = plain([0, 0, 255]);
    let sets = [&COLOURS[..], &["blue", "red"]].map(|names| Arc::new(clip.label_set(names, &[]).unwrap()));
    let expected = [2, 0];
    let slot = LabelSlot::new(sets[0].clone());
    std::thread::scope(|scope| {
        let classify = || {
            for _ in 0..200 {
                let labels = slot.load();
                let best = clip.classify(&image, &labels, 1).unwrap()[0].index;
                assert_eq!(best, expected[usize::from(labels.len() == 2)]);
            }
        };
        let users = [scope.spawn(classify), scope.spawn(classify)];
        for i in (0..).take_while(|_| !users.iter().all(|user| user.is_finished())) {
            slot.swap(sets[i % 2].clone());
        }
    });
}
