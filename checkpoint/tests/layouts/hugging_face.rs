//! Hugging Face's layout.

use std::path::Path;

use clip_checkpoint::{Checkpoint, Layout, Weights, write_weights};
use clip_model::Tokenizer;
use clip_model::config::{Activation, EndOfText, Family, ImageTower};
use clip_model::preprocess::{Interpolation, Preprocess, ResizeMode};
use clip_model::shapes::summarize;
use clip_testkit::siglip::checkpoint as siglip;
use clip_testkit::torch::{Pickler, torch_archive};
use clip_testkit::{Values, assert_same, checkpoint, small_vit as vit};
use serde_json::{Map, Value};

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const TORCH_WEIGHTS: &str = "pytorch_model.bin";
const SHARDS: [&str; 2] = ["model.safetensors.index.json", "pytorch_model.bin.index.json"];
const PREPROCESSOR: &str = "preprocessor_config.json";

/// A folder in this layout.
fn folder(root: &Path) -> std::path::PathBuf {
    let folder = root.join("hf");
    let ours = Checkpoint::open(checkpoint(root, &vit(Activation::Gelu))).unwrap();
    ours.write_as(&folder, Layout::HuggingFace).unwrap();
    folder
}

fn read_json(path: &Path) -> Map<String, Value> {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn change(path: &Path, change: impl FnOnce(&mut Map<String, Value>)) {
    let mut json = read_json(path);
    change(&mut json);
    std::fs::write(path, serde_json::to_vec(&json).unwrap()).unwrap();
}

fn refused(folder: &Path) -> String {
    Checkpoint::open(folder).unwrap_err().to_string()
}

/// The tensors of a safetensors file.
fn values(path: &Path) -> Vec<Values> {
    let weights = Weights::open(path).unwrap();
    let names = weights.names().into_iter();
    let tensors = names.map(|name| {
        let tensor = weights.get(&name).unwrap();
        Values { shape: tensor.shape.to_vec(), data: tensor.to_f32().unwrap(), name }
    });
    tensors.collect()
}

#[test]
fn weights_are_read_whole_and_in_shards_of_both_kinds() {
    let root = tempfile::tempdir().unwrap();
    let folder = folder(root.path());
    let whole = folder.join(WEIGHTS);
    let mut all = values(&whole);
    // Older versions kept the position numbers, too.
    all.push(Values { name: "text_model.embeddings.position_ids".into(), shape: vec![1], data: vec![0.0] });
    std::fs::remove_file(&whole).unwrap();
    assert!(refused(&folder).contains(WEIGHTS));

    let torch =
        |part: &[Values]| torch_archive(&Pickler::default().state_dict("", part).finish(), part, false);
    std::fs::write(folder.join(TORCH_WEIGHTS), torch(&all)).unwrap();
    assert_same(&Checkpoint::open(&folder).unwrap(), &vit(Activation::Gelu));
    std::fs::remove_file(folder.join(TORCH_WEIGHTS)).unwrap();

    let (a, b) = all.split_at(all.len() / 2);
    let index = |suffix: &str| {
        let map = |part: &[Values], file: String| {
            part.iter().map(|t| (t.name.clone(), file.clone().into())).collect()
        };
        let mut entries: Map<String, Value> = map(a, format!("a.{suffix}"));
        entries.extend::<Map<String, Value>>(map(b, format!("b.{suffix}")));
        serde_json::json!({ "weight_map": entries }).to_string()
    };
    std::fs::write(folder.join("a.bin"), torch(a)).unwrap();
    std::fs::write(folder.join("b.bin"), torch(b)).unwrap();
    std::fs::write(folder.join(SHARDS[1]), index("bin")).unwrap();
    assert_same(&Checkpoint::open(&folder).unwrap(), &vit(Activation::Gelu));

    for (name, part) in [("a.safetensors", a), ("b.safetensors", b)] {
        write_weights(folder.join(name), part, Default::default()).unwrap();
    }
    std::fs::write(folder.join(SHARDS[0]), index("safetensors")).unwrap();
    assert_same(&Checkpoint::open(&folder).unwrap(), &vit(Activation::Gelu));

    std::fs::write(folder.join(SHARDS[0]), r#"{"weight_map": {"x": "../checkpoint/a.safetensors"}}"#)
        .unwrap();
    assert!(refused(&folder).contains("no file beside it"));
    std::fs::write(folder.join(SHARDS[0]), r#"{"weight_map": {"x": "a.safetensors"}}"#).unwrap();
    assert!(refused(&folder).contains("x lies in a.safetensors, where it is not"));
}

#[test]
fn tensors_that_do_not_fit_are_named_as_they_are_there() {
    let root = tempfile::tempdir().unwrap();
    let folder = folder(root.path());
    let whole = folder.join(WEIGHTS);
    let mut all = values(&whole);
    all.retain(|t| t.name != "vision_model.encoder.layers.1.self_attn.k_proj.bias");
    let projection = all.iter_mut().find(|t| t.name == "visual_projection.weight").unwrap();
    projection.shape.reverse();
    write_weights(&whole, &all, Default::default()).unwrap();
    let message = refused(&folder);
    assert!(
        message.contains("missing: vision_model.encoder.layers.1.self_attn.k_proj.bias [384]"),
        "{message}"
    );
    assert!(message.contains("visual_projection.weight (expected [16, 384], found [384, 16])"), "{message}");
}

#[test]
fn configurations_that_are_not_built_are_refused_by_name() {
    let root = tempfile::tempdir().unwrap();
    let folder = folder(root.path());
    let (config, whole) = (folder.join(CONFIG), std::fs::read(folder.join(CONFIG)).unwrap());
    for (tower, field, value, named) in [
        ("text_config", "hidden_act", serde_json::json!("relu"), "relu"),
        ("vision_config", "layer_norm_eps", serde_json::json!(-1e-6), "norm_epsilon is -0.000001"),
        ("vision_config", "num_channels", serde_json::json!(4), "num_channels"),
        ("vision_config", "image_size", serde_json::json!([32, 64]), "32x64"),
        ("vision_config", "num_attention_heads", serde_json::json!(7), "num_attention_heads 7"),
        ("text_config", "eos_token_id", serde_json::json!(49408), "eos_token_id is 49408"),
        ("text_config", "eos_token_id", serde_json::json!(u64::MAX), "eos_token_id is 18446744073709551615"),
        ("text_config", "vocab_size", serde_json::json!(u64::MAX), "vocab_size is 18446744073709551615"),
        ("text_config", "eos_token_id", serde_json::json!([1, 2]), "eos_token_id"),
        (
            "vision_config",
            "patch_size",
            serde_json::json!(-16),
            "vision_config.patch_size = -16: expected the side",
        ),
        (
            "text_config",
            "layer_norm_eps",
            serde_json::json!("x"),
            "text_config.layer_norm_eps = \"x\": invalid type",
        ),
    ] {
        std::fs::write(&config, &whole).unwrap();
        change(&config, |json| json[tower][field] = value);
        let message = refused(&folder);
        assert!(message.contains(named), "{message}");
    }
    // Another id than the one that the tokenizer ends texts with.
    std::fs::write(&config, &whole).unwrap();
    change(&config, |json| json["text_config"]["eos_token_id"] = 49405.into());
    let message = Checkpoint::open(&folder).unwrap().tokenizer().unwrap_err().to_string();
    assert!(message.contains("with token 49407, but the text tower is pooled at token 49405"), "{message}");
    // Early configurations had 2 there, and held the towers twice.
    std::fs::write(&config, &whole).unwrap();
    change(&config, |json| {
        json["text_config"]["eos_token_id"] = 2.into();
        let vision = std::mem::take(&mut json["vision_config"]);
        json.insert("vision_config_dict".into(), vision);
        json.insert("vision_config".into(), serde_json::json!({}));
        json.insert("text_config_dict".into(), Value::Null);
    });
    assert_same(&Checkpoint::open(&folder).unwrap(), &vit(Activation::Gelu));
}

#[test]
fn other_epsilons_are_read_and_written_in_both_layouts() {
    let root = tempfile::tempdir().unwrap();
    let folder = folder(root.path());
    change(&folder.join(CONFIG), |json| {
        json["vision_config"]["layer_norm_eps"] = 1e-6.into();
        json["text_config"]["layer_norm_eps"] = 2e-4.into();
    });
    let opened = Checkpoint::open(&folder).unwrap();
    let mut expected = vit(Activation::Gelu);
    let ImageTower::ViT(image) = &mut expected.image else { panic!() };
    (image.norm_epsilon, expected.text.norm_epsilon) = (1e-6, 2e-4);
    assert_same(&opened, &expected);
    for (name, layout) in [("a", Layout::HuggingFace), ("b", Layout::OpenClip)] {
        opened.write_as(root.path().join(name), layout).unwrap();
        assert_same(&Checkpoint::open(root.path().join(name)).unwrap(), &expected);
    }
    let written = std::fs::read_to_string(root.path().join("a").join(CONFIG)).unwrap();
    assert!(written.contains(r#""layer_norm_eps": 0.0002"#), "{written}");
}

/// A vocabulary that somebody has added a token to ends in another one than the end of text.
#[test]
fn texts_end_where_they_say_when_a_token_was_added_above() {
    let root = tempfile::tempdir().unwrap();
    let folder = folder(root.path());
    let mut all = values(&folder.join(WEIGHTS));
    let table = all.iter_mut().find(|t| t.name.ends_with("token_embedding.weight")).unwrap();
    table.data.extend(vec![0.5; table.shape[1]]);
    table.shape[0] += 1;
    write_weights(folder.join(WEIGHTS), &all, Default::default()).unwrap();
    change(&folder.join(CONFIG), |json| json["text_config"]["vocab_size"] = 49409.into());
    let tokenizer = folder.join("tokenizer.json");
    let added = serde_json::json!({"id": 49408, "content": "<mark>", "single_word": false, "lstrip": false,
        "rstrip": false, "normalized": false, "special": true});
    change(&tokenizer, |json| json["added_tokens"].as_array_mut().unwrap().push(added));
    for (eos_token_id, end) in
        [(49407, EndOfText::Id(49407)), (49408, EndOfText::Highest), (2, EndOfText::Highest)]
    {
        change(&folder.join(CONFIG), |json| json["text_config"]["eos_token_id"] = eos_token_id.into());
        let opened = Checkpoint::open(&folder).unwrap();
        assert_eq!(opened.config.text.end, end, "{eos_token_id}");
        if eos_token_id == 49408 {
            continue;
        }
        assert_eq!(opened.tokenizer().unwrap().encode("a <mark>", 77).last(), Some(&49407));
        for layout in [Layout::HuggingFace, Layout::OpenClip] {
            let written = root.path().join(format!("{eos_token_id} {layout:?}"));
            opened.write_as(&written, layout).unwrap();
            assert_eq!(Checkpoint::open(&written).unwrap().config, opened.config, "{layout:?}");
        }
    }
}

#[test]
fn parts_of_a_larger_model_are_left_out_and_others_refused() {
    let root = tempfile::tempdir().unwrap();
    let folder = folder(root.path());
    let plain = values(&folder.join(WEIGHTS));
    let extra = |name: &str| Values { name: name.into(), shape: vec![1], data: vec![0.0] };
    let write = |tensors: &[Values]| {
        write_weights(folder.join(WEIGHTS), tensors, Default::default()).unwrap();
    };
    let within = |prefix: &str| -> Vec<Values> {
        plain.iter().map(|t| Values { name: format!("{prefix}{}", t.name), ..t.clone() }).collect()
    };
    for prefix in ["", "clip.", "_orig_mod.", "module.", "_orig_mod.module.clip."] {
        let mut all = within(prefix);
        if prefix.is_empty() || prefix == "clip." {
            all.extend(["classifier.weight", "classifier.bias"].map(extra));
        }
        all.push(extra(&format!("{prefix}text_model.embeddings.position_ids")));
        write(&all);
        assert_same(&Checkpoint::open(&folder).unwrap(), &vit(Activation::Gelu));
    }
    // A layer that the configuration does not have is no part of another model.
    let mut all = within("");
    all.push(extra("vision_model.encoder.layers.2.layer_norm1.bias"));
    write(&all);
    assert!(refused(&folder).contains("surplus: vision_model.encoder.layers.2.layer_norm1.bias"));
}

#[test]
fn preprocessing_of_every_spelling_is_read_and_other_steps_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let folder = folder(root.path());
    let (file, whole) = (folder.join(PREPROCESSOR), std::fs::read(folder.join(PREPROCESSOR)).unwrap());
    let expected = Checkpoint::open(&folder).unwrap().preprocess;
    change(&file, |json| {
        json.insert("size".into(), 32.into());
        json.insert("crop_size".into(), 32.into());
        json.remove("rescale_factor");
    });
    assert_eq!(Checkpoint::open(&folder).unwrap().preprocess, expected);
    let square = serde_json::json!({"height": 32, "width": 32});
    change(&file, |json| drop(json.insert("size".into(), square)));
    let squashed = Checkpoint::open(&folder).unwrap().preprocess;
    assert_eq!(squashed.resize_mode, ResizeMode::Squash);
    for (field, value) in [
        ("do_normalize", serde_json::json!(false)),
        ("rescale_factor", serde_json::json!(1.0)),
        ("resample", serde_json::json!(1)),
        ("crop_size", serde_json::json!(16)),
        ("size", serde_json::json!({"longest_edge": 32})),
        ("image_std", serde_json::json!([1.0])),
    ] {
        std::fs::write(&file, &whole).unwrap();
        change(&file, |json| drop(json.insert(field.into(), value)));
        let message = refused(&folder);
        assert!(message.contains(field), "{message}");
    }
    // Where newer versions keep it.
    std::fs::remove_file(&file).unwrap();
    assert!(refused(&folder).contains(PREPROCESSOR));
    let newer = format!(r#"{{"image_processor": {}}}"#, String::from_utf8(whole).unwrap());
    std::fs::write(folder.join("processor_config.json"), newer).unwrap();
    assert_eq!(Checkpoint::open(&folder).unwrap().preprocess, expected);
}

#[test]
fn a_vocabulary_and_its_merges_are_a_tokenizer_too() {
    let root = tempfile::tempdir().unwrap();
    let folder = folder(root.path());
    let json = std::fs::read_to_string(folder.join("tokenizer.json")).unwrap();
    let model = serde_json::from_str::<Value>(&json).unwrap()["model"].take();
    std::fs::remove_file(folder.join("tokenizer.json")).unwrap();
    assert!(refused(&folder).contains("vocab.json"));
    std::fs::write(folder.join("vocab.json"), model["vocab"].to_string()).unwrap();
    let merges = model["merges"].as_array().unwrap().iter().map(|m| m.as_str().unwrap());
    let lines: Vec<&str> = std::iter::once("#version: 0.2").chain(merges).collect();
    std::fs::write(folder.join("merges.txt"), lines.join("\n")).unwrap();
    let tokenizer = Checkpoint::open(&folder).unwrap().tokenizer().unwrap();
    let text = "A photo of 3 cats, isn't it?";
    assert_eq!(tokenizer.encode(text, 77), Tokenizer::openai().encode(text, 77));
    std::fs::write(folder.join("vocab.json"), r#"{"a": 0, "b": 0}"#).unwrap();
    let message = Checkpoint::open(&folder).unwrap().tokenizer().unwrap_err().to_string();
    assert!(message.contains("vocab.json: two tokens have one id"), "{message}");
}

fn put(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

#[test]
fn siglip_is_read_and_written_back() {
    let root = tempfile::tempdir().unwrap();
    let folder = siglip(root.path());
    let opened = Checkpoint::open(&folder).unwrap();
    assert_eq!(opened.config.family, Family::SigLip);
    assert_eq!((opened.config.embed_dim, opened.config.text.activation), (12, Activation::Gelu));
    let expected =
        Preprocess { size: 18, interpolation: Interpolation::Bilinear, ..Preprocess::of(Family::SigLip) };
    assert_eq!(opened.preprocess, expected);
    assert_eq!(opened.tensor("visual.attn_pool.query").unwrap().shape, [12]);
    assert!(opened.logit_bias().unwrap().is_some());
    assert_eq!(opened.tokenizer().unwrap().encode_padded("cab", 6), [8, 1, 1, 1, 1, 1]);

    let written = root.path().join("written");
    opened.write_as(&written, Layout::HuggingFace).unwrap();
    let again = Checkpoint::open(&written).unwrap();
    assert_eq!((&again.config, &again.preprocess), (&opened.config, &opened.preprocess));
    for tensor in summarize(&opened.config).tensors {
        let values = |checkpoint: &Checkpoint| checkpoint.tensor(&tensor.name).unwrap().to_f32().unwrap();
        assert_eq!(values(&again), values(&opened), "{}", tensor.name);
    }
    assert_eq!(again.tokenizer().unwrap().to_json(), opened.tokenizer().unwrap().to_json());
    let message = opened.write_as(root.path().join("x"), Layout::OpenClip).unwrap_err().to_string();
    assert!(message.contains("can only be written as hf"), "{message}");
}

#[test]
fn siglip_networks_that_are_not_built_are_refused_by_name() {
    let root = tempfile::tempdir().unwrap();
    let folder = siglip(root.path());
    let (config, whole) = (folder.join(CONFIG), std::fs::read(folder.join(CONFIG)).unwrap());
    for (tower, field, value, named) in [
        ("vision_config", "vision_use_head", serde_json::json!(false), "vision_use_head"),
        (
            "text_config",
            "projection_size",
            serde_json::json!(16),
            "embed_dim 16 is not the image tower's width 12",
        ),
        ("vision_config", "patch_size", serde_json::json!(19), "patch_size 19"),
    ] {
        std::fs::write(&config, &whole).unwrap();
        change(&config, |json| json[tower][field] = value);
        let message = refused(&folder);
        assert!(message.contains(named), "{message}");
    }
    std::fs::write(&config, &whole).unwrap();
    std::fs::remove_file(folder.join("tokenizer.json")).unwrap();
    let message = Checkpoint::open(&folder).unwrap().tokenizer().unwrap_err().to_string();
    assert!(message.contains("tokenizer.json"), "{message}");
    put(&folder, "spiece.model", "");
    let message = Checkpoint::open(&folder).unwrap().tokenizer().unwrap_err().to_string();
    assert!(message.contains("has sentencepiece's spiece.model and no tokenizer.json"), "{message}");
}
