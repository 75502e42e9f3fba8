//! The layout that we write.

use std::path::Path;

use clip_checkpoint::{
    Checkpoint, Dtype, Error, Layout, OpenClip, Result, WEIGHTS, WeightFormat, write, write_into,
};
use clip_model::config::Activation;
use clip_model::shapes::summarize;
use clip_model::{Preprocess, Tokenizer};
use clip_testkit::{Values, vit};

/// Beside the tokenizer, for transformers.
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

fn tiny() -> OpenClip {
    OpenClip {
        config: vit(16, [32, 16, 64, 1, 64], [8, 49408, 64, 1, 1], 2.0, Activation::Gelu),
        preprocess: Preprocess { size: 32, ..Preprocess::default() },
        own_tokenizer: false,
    }
}

fn values(openclip: &OpenClip) -> Vec<Values> {
    let tensors = summarize(&openclip.config).tensors.into_iter();
    tensors.map(|t| Values { data: vec![0.5; t.elements()], name: t.name, shape: t.shape }).collect()
}

fn save(folder: &Path, tensors: &[Values]) -> Result<()> {
    write(folder, &tiny(), &Tokenizer::openai(), tensors, 0)
}

#[test]
fn what_is_written_is_read_back() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("ckpt");
    save(&folder, &values(&tiny())).unwrap();
    let opened = Checkpoint::open(&folder).unwrap();
    assert_eq!(opened.config, tiny().config);
    assert_eq!(opened.tensor("visual.proj").unwrap().shape, [64, 16]);
    assert_eq!(opened.tensor("visual.proj").unwrap().to_f32().unwrap(), vec![0.5; 64 * 16]);
    assert!((opened.logit_scale().unwrap() - 0.5f32.exp()).abs() < 1e-6);
    let config = std::fs::read_to_string(folder.join(TOKENIZER_CONFIG)).unwrap();
    assert!(config.contains(r#""pad_token": "<|endoftext|>""#), "{config}");
    assert!(matches!(
        save(&folder, &values(&tiny())),
        Err(Error::Model(clip_model::Error::Io { action: "create", .. }))
    ));
}

/// What open_clip trains with its option --siglip.
#[test]
fn a_logit_bias_goes_through_every_layout_that_has_one() {
    let root = tempfile::tempdir().unwrap();
    let mut config = clip_testkit::small_vit(Activation::Gelu);
    config.logit_bias = true;
    let folder = clip_testkit::checkpoint(root.path(), &config);
    let opened = Checkpoint::open(&folder).unwrap();
    clip_testkit::assert_same(&opened, &config);
    assert_eq!(opened.logit_bias().unwrap(), Some(-2.5));
    let state = Checkpoint::open_as(folder.join(WEIGHTS), Some(Activation::Gelu)).unwrap();
    clip_testkit::assert_same(&state, &config);
    state.write_as(root.path().join("again"), Layout::OpenClip).unwrap();
    clip_testkit::assert_same(&Checkpoint::open(root.path().join("again")).unwrap(), &config);
    let refused = state.write_as(root.path().join("hf"), Layout::HuggingFace).unwrap_err().to_string();
    assert!(refused.contains("CLIP has no logit_bias"), "{refused}");
    // Weights and configuration have to agree.
    for (there, named) in [(false, "surplus: logit_bias"), (true, "missing: logit_bias")] {
        let mut other = config.clone();
        other.logit_bias = there;
        let openclip = OpenClip {
            preprocess: Preprocess { size: 32, ..Preprocess::default() },
            config: other,
            own_tokenizer: false,
        };
        let mut tensors = clip_testkit::tensors(&config);
        tensors.retain(|tensor| !there || tensor.name != "logit_bias");
        let folder = root.path().join(named);
        let message = write(folder, &openclip, &Tokenizer::openai(), &tensors, 0).unwrap_err().to_string();
        assert!(message.contains(named), "{message}");
    }
}

#[test]
fn missing_surplus_and_misshapen_tensors_are_named() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("ckpt");
    let mut tensors = values(&tiny());
    tensors.retain(|t| t.name != "visual.ln_pre.bias");
    tensors.push(Values { name: "extra".into(), shape: vec![1], data: vec![0.0] });
    let last = tensors.iter_mut().find(|t| t.name == "visual.proj").unwrap();
    last.shape = vec![16, 64];
    let message = save(&folder, &tensors).unwrap_err().to_string();
    for part in [
        "missing: visual.ln_pre.bias [64]",
        "surplus: extra",
        "visual.proj (expected [64, 16], found [16, 64])",
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!folder.exists(), "a bad checkpoint must not get its name");
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn damaged_files_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("ckpt");
    save(&folder, &values(&tiny())).unwrap();
    let file = folder.join(WEIGHTS);
    let whole = std::fs::read(&file).unwrap();
    let mut lying = whole.clone();
    lying[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let mut long = whole.clone();
    long[..8].copy_from_slice(&(whole.len() as u64).to_le_bytes());
    for bytes in [&whole[..whole.len() - 1], &whole[..4], &[], &lying, &long] {
        std::fs::write(&file, bytes).unwrap();
        let error = Checkpoint::open(&folder).unwrap_err();
        assert!(
            matches!(error, Error::Safetensors { .. } | Error::Model(clip_model::Error::Io { .. })),
            "{error}"
        );
    }
}

#[test]
fn half_precision_halves_matrices_and_reads_back() {
    let root = tempfile::tempdir().unwrap();
    let mut tensors = values(&tiny());
    tensors.iter_mut().for_each(|t| t.data.fill(0.1));
    write_into(root.path(), &tiny(), &Tokenizer::openai(), &tensors, 0, WeightFormat::Fp16).unwrap();
    let opened = Checkpoint::open(root.path()).unwrap();
    let matrix = opened.tensor("visual.proj").unwrap();
    assert_eq!(matrix.dtype, Dtype::F16);
    assert_eq!(matrix.to_f32().unwrap()[0], half::f16::from_f32(0.1).to_f32());
    let gain = opened.tensor("visual.ln_pre.weight").unwrap();
    assert_eq!((gain.dtype, gain.to_f32().unwrap()[0]), (Dtype::F32, 0.1));
}

#[test]
fn a_file_of_weights_alone_is_enough() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("ckpt");
    // A published model's widths, for which the number of heads is known.
    let mut openclip = tiny();
    openclip.config = vit(16, [32, 16, 384, 1, 64], [8, 49408, 256, 4, 1], 2.0, Activation::Gelu);
    write(&folder, &openclip, &Tokenizer::openai(), &values(&openclip), 0).unwrap();
    let file = folder.join(WEIGHTS);
    let message = Checkpoint::open(&file).unwrap_err().to_string();
    assert!(message.contains("state which one"), "{message}");
    for activation in [Activation::Gelu, Activation::QuickGelu] {
        let opened = Checkpoint::open_as(&file, Some(activation)).unwrap();
        let [image, text] = [[32, 16, 384, 1, 64], [8, 49408, 256, 4, 1]];
        assert_eq!(opened.config, vit(16, image, text, 2.0, activation));
    }
    let message = Checkpoint::open_as(&folder, Some(Activation::QuickGelu)).unwrap_err().to_string();
    assert!(message.contains("says Gelu"), "{message}");
}

/// As in open_clip, a configuration may ask for other sizes than the weights have; it is never silent.
#[test]
fn position_embeddings_are_interpolated_for_other_sizes() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("ckpt");
    let mut tensors = values(&tiny());
    let table = tensors.iter_mut().find(|t| t.name == "visual.positional_embedding").unwrap();
    table.data[64..].iter_mut().enumerate().for_each(|(i, value)| *value = (i / 64) as f32);
    save(&folder, &tensors).unwrap();
    assert!(Checkpoint::open(&folder).unwrap().resized.is_empty());
    let path = folder.join(clip_checkpoint::CONFIG);
    let config = std::fs::read_to_string(&path).unwrap();
    let asks_for = |image: &str, text: &str| {
        let changed = config.replace(": 32,", image).replace("\"context_length\": 8", text);
        std::fs::write(&path, changed).unwrap();
        Checkpoint::open(&folder)
    };
    let other = asks_for(": 48,", "\"context_length\": 6").unwrap();
    let said: Vec<String> = other.resized.iter().map(ToString::to_string).collect();
    assert_eq!(said[0], "visual.positional_embedding was interpolated from 2x2 patches to 3x3 patches");
    assert_eq!(said[1], "positional_embedding was interpolated from 8 tokens to 6 tokens");
    let found = other.tensor("visual.positional_embedding").unwrap();
    assert_eq!(found.shape, [10, 64]);
    let found = found.to_f32().unwrap();
    // The class token's stays, and the middle of 0, 1, 2, 3 is between them.
    assert!(found[..64].iter().all(|&v| v == 0.5) && (found[64 * 5] - 1.5).abs() < 1e-6, "{found:?}");
    // What is written has the new sizes, and so has what is made of an open one.
    other.write_as(root.path().join("new"), Layout::OpenClip).unwrap();
    let written = Checkpoint::open(root.path().join("new")).unwrap();
    assert!(written.resized.is_empty());
    assert_eq!(written.tensor("visual.positional_embedding").unwrap().to_f32().unwrap(), found);
    let again = asks_for(": 32,", "\"context_length\": 8").unwrap().with_sizes(48, 6).unwrap();
    assert_eq!((again.resized.len(), again.preprocess.size), (2, 48));
    assert_eq!(again.tensor("visual.positional_embedding").unwrap().to_f32().unwrap(), found);
    assert!(again.with_sizes(8, 6).unwrap_err().to_string().contains("patch_size 16 is larger"));
}

/// A table without columns may claim any number of rows, and costs nothing.
#[test]
fn a_table_of_another_width_is_not_interpolated() {
    let root = tempfile::tempdir().unwrap();
    for shape in [vec![1 << 40, 0], vec![5, 32]] {
        let mut tensors = values(&tiny());
        let table = tensors.iter_mut().find(|t| t.name == "visual.positional_embedding").unwrap();
        (table.data, table.shape) = (vec![0.5; shape.iter().product()], shape);
        let message = save(&root.path().join("ckpt"), &tensors).unwrap_err().to_string();
        assert!(message.contains("visual.positional_embedding (expected [5, 64], found"), "{message}");
    }
}
