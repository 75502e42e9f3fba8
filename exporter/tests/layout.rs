//! Folders for other programs: what lies in them, what their graphs are called from outside, and that they give what the model
//! folder does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod checkpoint;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use checkpoint::{entries, tiny};
use clip_checkpoint::{Checkpoint, WeightFormat};
use clip_exporter::compare::Samples;
use clip_exporter::layout::{self, Program, Record};
use clip_exporter::{Conflict, Error, Form, Int8, Labels, Numbers, Options, Tower, export, lay_out};
use clip_model::preprocess::Image;
use clip_runtime::engine::{Session, Tensor};
use clip_runtime::{Clip, Manifest};
use clip_testkit::siglip;
use serde_json::Value;
use tempfile::TempDir;

const TOLERANCE: f32 = 1e-5;

const PROGRAMS: [Program; 4] =
    [Program::TransformersJs, Program::Immich, Program::Fastembed, Program::Optimum];

const TEXTS: [&str; 4] =
    ["", "a red car", "two blue cars", "many more words than those that fit into the context of this model"];

fn pictures() -> Vec<Image> {
    let picture = |n: usize| Image::new(20, 31, (0..20 * 31 * 3).map(|i| (i * n % 251) as u8).collect());
    (1..5).map(|n| picture(n).unwrap()).collect()
}

/// A checkpoint, and the model folder made of it.
struct Work {
    root: TempDir,
    checkpoint: Checkpoint,
    clip: Clip,
    options: Options,
}

impl Work {
    fn new(numbers: Numbers) -> Work {
        let root = tempfile::tempdir().unwrap();
        let path = tiny(root.path(), WeightFormat::Fp32, |_| ());
        Work::of(root, &path, numbers)
    }

    fn of(root: TempDir, path: &Path, numbers: Numbers) -> Work {
        let checkpoint = Checkpoint::open(path).unwrap();
        let generated = Samples::generated(&checkpoint.preprocess).unwrap();
        let options = Options {
            model: "tiny".into(),
            numbers,
            samples: Some(generated),
            // What int8 loses in so small a network is not what is tested here.
            thresholds: Some(clip_exporter::compare::Thresholds {
                min_cosine: -1.0,
                mean_cosine: -1.0,
                top1: 0.0,
            }),
            ..Options::default()
        };
        let folder = root.path().join("model");
        export(&checkpoint, &folder, &options, &mut |_| {}).unwrap();
        let clip = Clip::open(folder).unwrap();
        Work { root, checkpoint, clip, options }
    }

    fn folder(&self, program: Program) -> PathBuf {
        self.root.path().join(program.name())
    }

    fn try_out(&self, program: Program, options: &Options) -> Result<Record, Error> {
        lay_out(&self.checkpoint, self.folder(program), program, options, &mut |_| {})
    }

    fn lay_out(&self, program: Program) -> PathBuf {
        self.try_out(program, &self.options).unwrap();
        self.folder(program)
    }

    fn images(&self) -> Vec<f32> {
        self.clip.encode_images(&pictures()).unwrap().as_slice().to_vec()
    }

    fn texts(&self) -> Vec<f32> {
        self.clip.encode_texts(&TEXTS).unwrap().as_slice().to_vec()
    }

    fn manifest(&self) -> &Manifest {
        self.clip.manifest()
    }

    /// The pictures as every program feeds them.
    fn pixels(&self) -> Tensor {
        let preprocess = &self.manifest().preprocess;
        let size = 3 * preprocess.size * preprocess.size;
        let mut pixels = vec![0.0; pictures().len() * size];
        for (picture, out) in pictures().iter().zip(pixels.chunks_exact_mut(size)) {
            preprocess.apply(picture, out).unwrap();
        }
        Tensor::Float32(vec![pictures().len(), 3, preprocess.size, preprocess.size], pixels)
    }

    /// The texts' ids, padded to `length` with the token that `tokenizer_config.json` in `folder` names.
    fn ids(&self, folder: &Path, length: usize) -> Vec<i32> {
        let tokenizer = self.checkpoint.tokenizer().unwrap();
        let config: Value = read_json(&folder.join("tokenizer_config.json"));
        let file: Value = read_json(&folder.join("tokenizer.json"));
        let named = |token: &&Value| token["content"] == config["pad_token"];
        let added = file["added_tokens"].as_array().unwrap().iter().find(named);
        let pad = added.map_or(i64::from(tokenizer.pad_id()), |token| token["id"].as_i64().unwrap());
        let longest = self.checkpoint.config.text.context_length;
        let padded = |text: &&str| {
            let mut ids = tokenizer.encode(text, longest);
            ids.resize(length, pad as i32);
            ids
        };
        TEXTS.iter().flat_map(padded).collect()
    }
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn open(path: &Path) -> Box<dyn Session> {
    clip_runtime::Options::new().start_engine().unwrap().open(path, 1).unwrap()
}

fn long(ids: &[i32], rows: usize) -> Tensor {
    Tensor::Int64(vec![rows, ids.len() / rows], ids.iter().map(|&id| i64::from(id)).collect())
}

fn mask(ids: &[i32], rows: usize) -> Tensor {
    // Zeros, which would hide every text if the graph looked at them.
    Tensor::Int64(vec![rows, ids.len() / rows], vec![0; ids.len()])
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < TOLERANCE, "{what}: {found} for {expected}");
    }
}

/// Every file in a folder, by its path there.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for name in entries(folder) {
        let path = folder.join(&name);
        match path.is_dir() {
            true => found.extend(files(&path).into_iter().map(|file| format!("{name}/{file}"))),
            false => found.push(name),
        }
    }
    found
}

#[test]
fn each_program_finds_its_files_and_no_other_lies_there() {
    let work = Work::new(Numbers::Fp32);
    let hub = [
        "config.json",
        "preprocessor_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ];
    let expected: [&[&str]; 4] = [
        &["onnx/model.onnx", "onnx/text_model.onnx", "onnx/vision_model.onnx"],
        &[
            "config.json",
            "textual/model.onnx",
            "textual/special_tokens_map.json",
            "textual/tokenizer.json",
            "textual/tokenizer_config.json",
            "visual/model.onnx",
            "visual/preprocess_cfg.json",
        ],
        &[
            "text/config.json",
            "text/model.onnx",
            "text/special_tokens_map.json",
            "text/tokenizer.json",
            "text/tokenizer_config.json",
            "vision/config.json",
            "vision/model.onnx",
            "vision/preprocessor_config.json",
        ],
        &["model.onnx", "text_model.onnx", "vision_model.onnx"],
    ];
    for (program, expected) in PROGRAMS.into_iter().zip(expected) {
        let record = work.try_out(program, &work.options).unwrap();
        let mut expected: Vec<&str> = expected.to_vec();
        if matches!(program, Program::TransformersJs | Program::Optimum) {
            expected.extend(hub);
        }
        expected.sort_unstable();
        assert_eq!(record.files.keys().collect::<Vec<_>>(), expected, "{program:?}");
        expected.push(layout::FILE);
        expected.sort_unstable();
        let folder = work.folder(program);
        assert_eq!(files(&folder), expected, "{program:?}");
        assert_eq!(Record::read(&folder).unwrap(), record);
        for (file, sha256) in &record.files {
            assert_eq!(&clip_model::files::sha256(&folder.join(file)).unwrap(), sha256, "{file}");
        }
    }
}

#[test]
fn graphs_take_and_give_what_programs_ask_for() {
    let work = Work::new(Numbers::Fp32);
    let pixels = r#""pixel_values" float32 [*, 3, 16, 16]"#;
    let text = [r#""input_ids" int64 [*, *]"#, r#""attention_mask" int64 [*, *]"#];
    let embeds = [r#""image_embeds" float32 [*, 8]"#, r#""text_embeds" float32 [*, 8]"#];
    let logits = [r#""logits_per_image" float32 [*, *]"#, r#""logits_per_text" float32 [*, *]"#];
    let both = (vec![pixels, text[0], text[1]], vec![embeds[0], embeds[1], logits[0], logits[1]]);
    let towers = |folder: &str, end: &str| {
        [
            (format!("{folder}text{end}"), text.to_vec(), vec![embeds[1]]),
            (format!("{folder}vision{end}"), vec![pixels], vec![embeds[0]]),
        ]
    };
    let embedding = vec![r#""embedding" float32 [*, 8]"#];
    for (program, graphs) in [
        (Program::TransformersJs, towers("onnx/", "_model.onnx")),
        (Program::Optimum, towers("", "_model.onnx")),
        (Program::Fastembed, towers("", "/model.onnx")),
        (
            Program::Immich,
            [
                ("textual/model.onnx".to_owned(), vec![r#""text" int32 [*, *]"#], embedding.clone()),
                ("visual/model.onnx".to_owned(), vec![r#""image" float32 [*, 3, 16, 16]"#], embedding),
            ],
        ),
    ] {
        let folder = work.lay_out(program);
        let joined = match program {
            Program::TransformersJs => Some("onnx/model.onnx"),
            Program::Optimum => Some("model.onnx"),
            _ => None,
        };
        let joined = joined.map(|file| (file.to_owned(), both.0.clone(), both.1.clone()));
        for (file, inputs, outputs) in graphs.into_iter().chain(joined) {
            let session = open(&folder.join(&file));
            let words = |ports: Vec<clip_runtime::engine::Port>| -> Vec<String> {
                ports.iter().map(ToString::to_string).collect()
            };
            assert_eq!(words(session.inputs()), inputs, "{program:?} {file}");
            assert_eq!(words(session.outputs()), outputs, "{program:?} {file}");
        }
    }
}

/// Runs every graph on pictures and on texts that are padded to the full length.
fn graphs_give_what_the_model_folder_does(work: &Work, programs: &[Program]) {
    let length = work.checkpoint.config.text.context_length;
    let (images, texts, rows) = (work.images(), work.texts(), TEXTS.len());
    let suffix = if work.options.numbers == Numbers::Fp32 { "" } else { "_fp16" };
    for &program in programs {
        let path = work.lay_out(program);
        let (described, visual, textual) = match program {
            Program::TransformersJs => {
                ("", format!("onnx/vision_model{suffix}.onnx"), format!("onnx/text_model{suffix}.onnx"))
            }
            Program::Optimum => ("", "vision_model.onnx".to_owned(), "text_model.onnx".to_owned()),
            Program::Fastembed => ("text", "vision/model.onnx".to_owned(), "text/model.onnx".to_owned()),
            Program::Immich => ("textual", "visual/model.onnx".to_owned(), "textual/model.onnx".to_owned()),
        };
        let ids = work.ids(&path.join(described), length);
        let name = if program == Program::Immich { "image" } else { "pixel_values" };
        let found = open(&path.join(visual)).run(&[(name, &work.pixels())]).unwrap();
        work.assert_close(&found[0].values, &images, &format!("{program:?}, pictures"));
        let session = open(&path.join(textual));
        let found = match program {
            Program::Immich => session.run(&[("text", &Tensor::Int32(vec![rows, length], ids.clone()))]),
            _ => session.run(&[("input_ids", &long(&ids, rows)), ("attention_mask", &mask(&ids, rows))]),
        };
        work.assert_close(&found.unwrap()[0].values, &texts, &format!("{program:?}, texts"));
        match program {
            Program::TransformersJs => work.both(&path.join(format!("onnx/model{suffix}.onnx")), &ids),
            Program::Optimum => work.both(&path.join("model.onnx"), &ids),
            _ => {}
        }
    }
}

impl Work {
    #[track_caller]
    fn assert_close(&self, found: &[f32], expected: &[f32], what: &str) {
        // Where a text is padded, half precision rounds other sums.
        let tolerance = if self.options.numbers == Numbers::Fp32 { TOLERANCE } else { 1e-3 };
        assert_eq!(found.len(), expected.len(), "{what}");
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < tolerance, "{what}: {found} for {expected}");
        }
    }

    /// The graph of both towers, on another number of texts than of pictures.
    fn both(&self, graph: &Path, ids: &[i32]) {
        let (images, texts, dim) = (self.images(), self.texts(), self.manifest().embed_dim);
        let rows = TEXTS.len();
        let few = rows - 1;
        let ids = &ids[..few * (ids.len() / rows)];
        let inputs = [
            ("pixel_values", &self.pixels()),
            ("input_ids", &long(ids, few)),
            ("attention_mask", &mask(ids, few)),
        ];
        let found = open(graph).run(&inputs).unwrap();
        let named = |name: &str| found.iter().find(|output| output.name == name).unwrap();
        self.assert_close(&named("image_embeds").values, &images, "pictures of both");
        self.assert_close(&named("text_embeds").values, &texts[..few * dim], "texts of both");
        let (scale, bias) = (self.manifest().logit_scale, self.manifest().logit_bias.unwrap_or(0.0));
        let (mut by_image, mut by_text) = (vec![0.0; rows * few], vec![0.0; rows * few]);
        for image in 0..rows {
            for text in 0..few {
                let pairs = images[image * dim..][..dim].iter().zip(&texts[text * dim..][..dim]);
                let logit = scale * pairs.map(|(a, b)| a * b).sum::<f32>() + bias;
                (by_image[image * few + text], by_text[text * rows + image]) = (logit / scale, logit / scale);
            }
        }
        for (name, shape, expected) in
            [("logits_per_image", [rows, few], by_image), ("logits_per_text", [few, rows], by_text)]
        {
            assert_eq!(named(name).shape, shape);
            let scaled: Vec<f32> = named(name).values.iter().map(|n| n / scale).collect();
            self.assert_close(&scaled, &expected, name);
        }
    }
}

#[test]
fn embeddings_are_those_of_the_model_folder() {
    graphs_give_what_the_model_folder_does(&Work::new(Numbers::Fp32), &PROGRAMS);
}

#[test]
fn so_they_are_in_half_precision() {
    graphs_give_what_the_model_folder_does(&Work::new(Numbers::Fp16), &PROGRAMS);
}

fn siglip() -> Work {
    let root = tempfile::tempdir().unwrap();
    let path = siglip::checkpoint(root.path());
    Work::of(root, &path, Numbers::Fp32)
}

#[test]
fn so_they_are_of_siglip() {
    let programs = [Program::TransformersJs, Program::Immich, Program::Optimum];
    graphs_give_what_the_model_folder_does(&siglip(), &programs);
}

/// transformers.js cuts what is too long and the end with it.
#[test]
fn a_text_that_was_cut_gets_its_end_back() {
    for work in [Work::new(Numbers::Fp32), siglip()] {
        let path = work.lay_out(Program::TransformersJs);
        let length = work.checkpoint.config.text.context_length;
        let text = "a red car and ab cab ".repeat(9);
        let mut ids = work.checkpoint.tokenizer().unwrap().encode(&text, length + 1);
        ids.truncate(length);
        let end = work.checkpoint.tokenizer().unwrap().end_id();
        assert!(ids.len() == length && !ids.contains(&end), "{ids:?}");
        let expected = work.clip.encode_texts(&[&text]).unwrap().as_slice().to_vec();
        let inputs = [("input_ids", &long(&ids, 1)), ("attention_mask", &mask(&ids, 1))];
        let found = open(&path.join("onnx/text_model.onnx")).run(&inputs).unwrap();
        work.assert_close(&found[0].values, &expected, "cut");
        let path = work.lay_out(Program::Optimum);
        let found = open(&path.join("text_model.onnx")).run(&inputs).unwrap();
        let same = found[0].values.iter().zip(&expected).all(|(a, b)| (a - b).abs() < TOLERANCE);
        assert!(!same, "the end makes no difference, so that this test cannot fail");
    }
}

#[test]
fn integers_of_eight_bits_are_laid_out_too() {
    let work = Work::new(Numbers::Int8(Int8::default()));
    let path = work.lay_out(Program::TransformersJs);
    let config = read_json(&path.join("config.json"));
    assert_eq!(config["transformers.js_config"], serde_json::json!({ "dtype": "q8" }));
    for (file, inputs) in [("vision_model", 1), ("text_model", 2), ("model", 3)] {
        assert_eq!(open(&path.join(format!("onnx/{file}_quantized.onnx"))).inputs().len(), inputs);
    }
    // What was found in the comparison with single precision stays with the graphs.
    let report = read_json(&path.join("report.json"));
    assert_eq!(report["precision"], "int8");
    // The same picture alone, so that the same numbers are rounded.
    let preprocess = &work.manifest().preprocess;
    let mut pixels = vec![0.0; 3 * 16 * 16];
    preprocess.apply(&pictures()[0], &mut pixels).unwrap();
    let pixels = Tensor::Float32(vec![1, 3, 16, 16], pixels);
    let session = open(&path.join("onnx/vision_model_quantized.onnx"));
    let found = session.run(&[("pixel_values", &pixels)]).unwrap();
    let expected = work.clip.encode_images(&pictures()[..1]).unwrap();
    assert_close(&found[0].values, expected.as_slice(), "int8");
}

#[test]
fn descriptions_say_what_programs_read() {
    let work = Work::new(Numbers::Fp16);
    let (end, start) = (519, 518);
    let path = work.lay_out(Program::TransformersJs);
    let config = read_json(&path.join("config.json"));
    assert_eq!((&config["model_type"], &config["pad_token_id"]), (&"clip".into(), &end.into()));
    assert_eq!(config["transformers.js_config"], serde_json::json!({ "dtype": "fp16" }));
    assert_eq!(config["text_config"]["bos_token_id"], start);
    assert_eq!(config["text_config"]["eos_token_id"], end);
    let tokenizer = read_json(&path.join("tokenizer_config.json"));
    assert_eq!(
        (&tokenizer["model_max_length"], &tokenizer["pad_token"]),
        (&12.into(), &"<|endoftext|>".into())
    );
    assert_eq!(tokenizer["model_input_names"], serde_json::json!(["input_ids", "attention_mask"]));
    let special = read_json(&path.join("special_tokens_map.json"));
    assert_eq!(special["bos_token"], "<|startoftext|>");
    let preprocessor = read_json(&path.join("preprocessor_config.json"));
    assert_eq!(preprocessor["image_processor_type"], "CLIPImageProcessor");
    assert_eq!(preprocessor["size"], serde_json::json!({ "shortest_edge": 16 }));

    let path = work.lay_out(Program::Immich);
    assert_eq!(read_json(&path.join("config.json"))["text_cfg"]["context_length"], 12);
    let preprocess = read_json(&path.join("visual/preprocess_cfg.json"));
    assert_eq!((&preprocess["size"], &preprocess["interpolation"]), (&16.into(), &"bicubic".into()));
    assert!(preprocess["mean"].as_array().is_some_and(|mean| mean.len() == 3));

    let work = siglip();
    let path = work.lay_out(Program::TransformersJs);
    assert_eq!(read_json(&path.join("config.json"))["model_type"], "siglip");
    assert_eq!(read_json(&path.join("special_tokens_map.json")).get("bos_token"), None);
    let session = open(&path.join("onnx/text_model.onnx"));
    assert_eq!(session.outputs()[0].name, "pooler_output");
    let path = work.lay_out(Program::Immich);
    // The checkpoint is transformers', whose cleaning is in the tokenizer's file.
    assert_eq!(read_json(&path.join("config.json"))["text_cfg"].get("tokenizer_kwargs"), None);
}

#[test]
fn one_encoder_can_be_laid_out_alone() {
    let work = Work::new(Numbers::Fp32);
    for (only, expected) in [
        (Tower::Image, ["config.json", "onnx/vision_model.onnx", "preprocessor_config.json"].as_slice()),
        (
            Tower::Text,
            &[
                "config.json",
                "onnx/text_model.onnx",
                "special_tokens_map.json",
                "tokenizer.json",
                "tokenizer_config.json",
            ],
        ),
    ] {
        let options = Options { only: Some(only), replace: true, ..work.options.clone() };
        let record = work.try_out(Program::TransformersJs, &options).unwrap();
        assert_eq!(record.files.keys().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn weights_beside_graphs_are_where_programs_look_for_them() {
    let work = Work::new(Numbers::Fp32);
    let options = Options { external_data: true, ..work.options.clone() };
    for (program, beside) in [
        (Program::TransformersJs, "onnx/vision_model.onnx_data"),
        (Program::Optimum, "vision_model.onnx_data"),
        (Program::Fastembed, "vision/model.onnx_data"),
        (Program::Immich, "visual/model.onnx.data"),
    ] {
        let record = work.try_out(program, &options).unwrap();
        assert!(record.files.contains_key(beside), "{program:?} {:?}", record.files);
    }
    let config = read_json(&work.folder(Program::TransformersJs).join("config.json"));
    assert_eq!(
        config["transformers.js_config"]["use_external_data_format"],
        serde_json::json!({ "model.onnx": 1, "text_model.onnx": 1, "vision_model.onnx": 1 })
    );
}

#[test]
fn what_has_no_place_there_is_refused() {
    let work = Work::new(Numbers::Fp32);
    let labels = Labels { labels: vec!["cat".to_owned()], templates: vec![] };
    let with = |options: Options| Options { samples: work.options.samples.clone(), ..options };
    for (options, named) in [
        (Options { form: Form { bytes: true, ..Form::default() }, ..Options::default() }, "packed bytes"),
        (Options { form: Form { batch: Some(2), ..Form::default() }, ..Options::default() }, "a fixed batch"),
        (Options { labels: Some(labels), ..Options::default() }, "stored labels"),
        (Options { combined: true, ..Options::default() }, "a combined graph"),
    ] {
        let error = work.try_out(Program::Optimum, &with(options)).unwrap_err();
        assert!(matches!(error, Error::Conflict(Conflict::NotLaidOut(_))), "{error:?}");
        assert!(error.to_string().contains(named), "{error}");
    }
    let work = siglip();
    let error = work.try_out(Program::Fastembed, &work.options).unwrap_err();
    assert!(matches!(error, Error::Unsuited { program: "fastembed", .. }), "{error:?}");
    let root = tempfile::tempdir().unwrap();
    let path = checkpoint::biased(root.path());
    let biased = Work::of(root, &path, Numbers::Fp32);
    for program in [Program::TransformersJs, Program::Optimum] {
        let error = biased.try_out(program, &biased.options).unwrap_err();
        assert!(error.to_string().contains("a softmax"), "{error}");
    }
    // Their embeddings are what the others take.
    biased.try_out(Program::Immich, &biased.options).unwrap();
    // Padding in front of texts is said where it can be, and refused where it cannot.
    let path = work.root.path().join("siglip");
    let config = siglip::CONFIG.replacen('{', "{\"padding_side\": \"left\", ", 1);
    std::fs::write(path.join("tokenizer_config.json"), config).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    let folder = |program: Program| work.folder(program);
    let lay_out = |program| lay_out(&checkpoint, folder(program), program, &work.options, &mut |_| {});
    let error = lay_out(Program::Immich).unwrap_err();
    assert!(matches!(error, Error::Unsuited { program: "Immich", .. }), "{error:?}");
    for program in PROGRAMS {
        assert!(!folder(program).exists());
    }
    lay_out(Program::Optimum).unwrap();
    assert_eq!(read_json(&folder(Program::Optimum).join("tokenizer_config.json"))["padding_side"], "left");
}

#[test]
fn only_what_was_laid_out_is_replaced() {
    let work = Work::new(Numbers::Fp32);
    let folder = work.lay_out(Program::Fastembed);
    let again = Options { replace: true, ..work.options.clone() };
    assert!(matches!(work.try_out(Program::Fastembed, &work.options), Err(Error::Exists(_))));
    std::fs::write(folder.join("text/notes.txt"), "mine").unwrap();
    let Err(Error::ForeignFile { file, .. }) = work.try_out(Program::Fastembed, &again) else { panic!() };
    assert_eq!(file, Path::new("text/notes.txt"));
    assert_eq!(std::fs::read_to_string(folder.join("text/notes.txt")).unwrap(), "mine");
    std::fs::remove_file(folder.join("text/notes.txt")).unwrap();
    // Whatever program it was for.
    let into = |folder: &Path, options: &Options| {
        lay_out(&work.checkpoint, folder, Program::Optimum, options, &mut |_| {})
    };
    into(&folder, &again).unwrap();
    assert!(folder.join("model.onnx").exists() && !folder.join("text").exists());
    // Neither a model folder, nor one of a version that is not known.
    let model = work.root.path().join("model");
    assert!(matches!(into(&model, &again), Err(Error::NotLaidOut { .. })));
    assert!(model.join("clip.json").exists());
    let record = std::fs::read_to_string(folder.join(layout::FILE)).unwrap();
    std::fs::write(folder.join(layout::FILE), record.replace("\"schema\": 1", "\"schema\": 9")).unwrap();
    let Err(Error::NotLaidOut { source, .. }) = into(&folder, &again) else { panic!() };
    assert!(source.to_string().contains('9'), "{source}");
    // And an export leaves this one alone.
    let error = export(&work.checkpoint, &folder, &again, &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::NotAModelFolder { .. }), "{error:?}");
    assert_eq!(entries(work.root.path()), ["checkpoint", "fastembed", "model"], "nothing is left behind");
}

fn clip_export(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_clip-export")).args(arguments).output().unwrap()
}

#[test]
fn the_command_lays_out_and_says_what() {
    let root = tempfile::tempdir().unwrap();
    let checkpoint = tiny(root.path(), WeightFormat::Fp32, |_| ());
    let folder = root.path().join("web/tiny");
    let [checkpoint, path] = [&checkpoint, &folder].map(|path| path.to_str().unwrap());
    let run = |more: &[&str]| clip_export(&[&[checkpoint, "-o", path], more].concat());
    let made = run(&["--layout", "transformers-js"]);
    let said = String::from_utf8(made.stderr.clone()).unwrap();
    assert!(made.status.success(), "{said}");
    assert_eq!(String::from_utf8(made.stdout).unwrap(), format!("{path}\n"));
    assert_eq!(entries(&root.path().join("web")), ["tiny"]);
    let made = run(&["--layout", "optimum", "--force", "--json", "--precision", "fp16", "--name", "small"]);
    let printed: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(printed["folder"], path);
    assert_eq!(printed["layout"]["program"], "optimum");
    assert_eq!(
        (&printed["layout"]["model"], &printed["layout"]["precision"]),
        (&"small".into(), &"fp16".into())
    );
    assert!(printed["layout"]["files"]["report.json"].is_string());

    let refused = |more: &[&str], named: &[&str]| {
        let output = run(more);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(named.iter().all(|word| said.contains(word)), "{said}");
    };
    refused(&["--layout", "immich", "--labels", "labels.txt"], &["--layout", "--labels"]);
    refused(&["--layout", "immich", "--uint8-input"], &["--layout", "--uint8-input"]);
    refused(&["--layout", "immich", "--batch", "2"], &["--layout", "--batch"]);
    refused(&["--layout", "immich", "--to", "hf"], &["--layout", "--to"]);
    refused(&["--layout", "immich", "--precision", "fp32,fp16"], &["--layout", "one precision"]);
    let there = run(&["--layout", "immich"]);
    let said = String::from_utf8(there.stderr).unwrap();
    assert!(
        there.status.code() == Some(1) && said.contains("exists already") && said.contains("--force"),
        "{said}"
    );
}

/// A model that gives no embeddings leaves nothing behind.
#[test]
fn a_model_that_does_not_work_is_not_laid_out() {
    let root = tempfile::tempdir().unwrap();
    let spoil = |values: &mut clip_testkit::Values| {
        if values.name == "text_projection" {
            values.data[0] = f32::NAN;
        }
    };
    let checkpoint = Checkpoint::open(tiny(root.path(), WeightFormat::Fp32, spoil)).unwrap();
    let folder = root.path().join("immich");
    let error = lay_out(&checkpoint, &folder, Program::Immich, &Options::default(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::Trial(_)), "{error:?}");
    assert_eq!(entries(root.path()), ["checkpoint"]);
}
