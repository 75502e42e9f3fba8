//! Runs that start from a checkpoint: whose network, preprocessing and vocabulary they take over, and what is refused.

#![allow(clippy::unwrap_used)]

mod runs;

use std::path::{Path, PathBuf};
use std::process::Command;

use clip_checkpoint::{Checkpoint, Layout, OpenClip};
use clip_data::{Augment, Loader, LoaderOptions};
use clip_model::config::{Activation, Config};
use clip_model::preprocess::{Interpolation, Preprocess, ResizeMode};
use clip_model::{Tokenizer, tokenizer};
use clip_testkit::hub::{Model, Server};
use clip_testkit::torch::{scripted, torch_archive};
use clip_testkit::{small_vit, tensors, vit};
use clip_trainer::inputs::Inputs;
use clip_trainer::optimizer::AdamW;
use clip_trainer::scaler::LossScaler;
use clip_trainer::start::Start;
use clip_trainer::step::train_step;
use clip_trainer::train::train;
use clip_trainer::{Error, Job, Network, Precision};

/// One step that changes next to nothing.
const STEP: &str = "[optim]\nbatch = 4\nsteps = 1\nwarmup = 0\nlr = 1e-12\n[data]\nshuffle_buffer = 1\n";

/// A shard of four pictures, not square.
fn shard(folder: &Path) -> PathBuf {
    let samples = (0..4u8).zip(["a cab", "b", "cab cab a", "ab s c"]).flat_map(|(n, caption)| {
        let pixels: Vec<u8> = (0..40 * 30 * 3).map(|i| (i as u8).wrapping_mul(n + 1)).collect();
        [(format!("{n}.png"), runs::png(&pixels, 40, 30)), (format!("{n}.txt"), caption.into())]
    });
    runs::tar(folder, "pairs.tar", samples)
}

fn job(folder: &Path, toml: &str, init: &Path, out: &str) -> Job {
    let job = runs::job(toml, &[shard(folder)], &folder.join(out));
    Job { init: Some(init.to_owned()), ..job }
}

fn sizes() -> Config {
    vit(8, [16, 8, 16, 1, 8], [8, 515, 16, 2, 1], 2.0, Activation::Gelu)
}

fn unusual() -> Preprocess {
    Preprocess {
        size: 16,
        mean: [0.5, 0.4, 0.3],
        std: [0.5, 0.6, 0.7],
        interpolation: Interpolation::Bilinear,
        resize_mode: ResizeMode::Squash,
        ..Preprocess::default()
    }
}

/// A checkpoint whose preprocessing is nobody's default, with a vocabulary of its own.
fn checkpoint(folder: &Path, config: Config) -> PathBuf {
    let tokenizer = tokenizer::train(["a red cab".to_owned()].into_iter(), 515).unwrap();
    let weights = tensors(&config);
    let openclip = OpenClip { config, preprocess: unusual(), own_tokenizer: true };
    let path = folder.join("checkpoint");
    clip_checkpoint::write(&path, &openclip, &tokenizer, &weights, 0).unwrap();
    path
}

#[test]
fn preprocessing_is_the_checkpoints_unless_the_settings_say_otherwise() {
    let root = tempfile::tempdir().unwrap();
    let path = checkpoint(root.path(), sizes());
    let first = job(root.path(), STEP, &path, "first");
    train(&first).unwrap();
    let found = Checkpoint::open(&first.out).unwrap();
    assert_eq!((&found.config, &found.preprocess), (&sizes(), &unusual()));

    let toml = format!("{STEP}[model.preprocess]\nmean = [0.25, 0.25, 0.25]\nresize_mode = \"shortest\"\n");
    let second = job(root.path(), &toml, &path, "second");
    train(&second).unwrap();
    let found = Checkpoint::open(&second.out).unwrap().preprocess;
    assert_eq!(found, Preprocess { mean: [0.25; 3], resize_mode: ResizeMode::Shortest, ..unusual() });
}

#[test]
fn a_run_without_a_model_section_goes_on_by_what_it_started_from() {
    let root = tempfile::tempdir().unwrap();
    let path = checkpoint(root.path(), sizes());
    let mut run = job(root.path(), STEP, &path, "run");
    train(&run).unwrap();
    (run.resume, run.init) = (true, None);
    std::fs::remove_dir_all(path).unwrap();
    train(&run).unwrap();
    assert_eq!(Checkpoint::open(&run.out).unwrap().preprocess, unusual());
}

#[test]
fn what_differs_is_said_in_words() {
    let root = tempfile::tempdir().unwrap();
    let path = checkpoint(root.path(), sizes());
    let refused = |model: &str| {
        let job = job(root.path(), &format!("{STEP}{model}"), &path, "run");
        let error = train(&job).unwrap_err();
        assert!(matches!(error, Error::OtherNetwork { .. }), "{error:?}");
        assert!(!job.out.exists());
        error.to_string()
    };
    let message = refused("[model]\nname = \"ViT-B/32\"\n");
    for part in [
        "embedding's width: 8 in the checkpoint, 512 in [model]",
        "image tower's layers: 1 in the checkpoint, 12 in [model]",
        "text tower's vocabulary: 515 in the checkpoint, 49408 in [model]",
        "text tower's activation: gelu in the checkpoint, quick_gelu in [model]",
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!message.contains('{'), "{message}");
    let message = refused("[model]\nactivation = \"quick_gelu\"\nlogit_bias = true\n");
    assert!(message.contains("logit bias: none in the checkpoint, one in [model]"), "{message}");
    assert!(message.contains("image tower's activation: gelu in the checkpoint"), "{message}");
    assert!(!message.contains("width"), "{message}");
}

#[test]
fn every_layout_is_one_to_start_from() {
    let root = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: Vec<u8>| {
        let path = root.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let openai = small_vit(Activation::QuickGelu);
    let mut weights = tensors(&openai);
    weights.push(clip_testkit::Values { name: "input_resolution".into(), shape: vec![], data: vec![32.0] });
    let archive = put("ViT.pt", torch_archive(&scripted(&weights), &weights, true));
    let state = {
        let folder = root.path().join("state");
        std::fs::create_dir(&folder).unwrap();
        clip_testkit::checkpoint(&folder, &small_vit(Activation::Gelu)).join(clip_checkpoint::WEIGHTS)
    };
    let hugging_face = root.path().join("hf");
    Checkpoint::open(checkpoint(root.path(), sizes()))
        .unwrap()
        .write_as(&hugging_face, Layout::HuggingFace)
        .unwrap();
    let siglip = clip_testkit::siglip::checkpoint(root.path());

    let start = |path: &Path, toml: &str| {
        let job = job(root.path(), &format!("{STEP}{toml}"), path, "run");
        let start = Start::of(&job)?;
        assert_eq!(start.preprocess.size, start.config.image.image_size());
        Ok::<Start, Error>(start)
    };
    assert_eq!(start(&archive, "").unwrap().config, openai);
    let unknown = start(&state, "").unwrap_err().to_string();
    assert!(unknown.contains("state which one (model.activation)"), "{unknown}");
    let found = start(&state, "[model]\nactivation = \"gelu\"").unwrap();
    assert_eq!(found.config, small_vit(Activation::Gelu));
    let found = start(&hugging_face, "").unwrap();
    assert_eq!((&found.config, &found.preprocess), (&sizes(), &unusual()));
    assert!(start(&siglip, "").unwrap().config.logit_bias);
}

/// What comes out has the bias, which is learned from -10 on.
#[test]
fn a_logit_bias_is_trained_with_a_sigmoid_and_never_without() {
    let root = tempfile::tempdir().unwrap();
    let path = checkpoint(root.path(), sizes());
    let model = "[model]\nembed_dim = 8\nlogit_bias = true\nvit = { image_size = 16, patch_size = 8, width = 16, layers = 1, head_width = 8 }\n\
                 text = { context_length = 8, vocab_size = 515, width = 16, heads = 2, layers = 1 }\n";
    let with = |objective: &str, out: &str| {
        let step = STEP.replace("lr = 1e-12", &format!("lr = 1e-3\nobjective = \"{objective}\""));
        let toml = format!("{step}tokenizer = \"train\"\n{model}");
        Job { init: None, ..job(root.path(), &toml, &path, out) }
    };
    let trained = with("sigmoid", "trained");
    train(&trained).unwrap();
    let opened = Checkpoint::open(&trained.out).unwrap();
    let bias = opened.logit_bias().unwrap().unwrap();
    assert!((bias + 10.0).abs() < 0.01 && bias != -10.0, "{bias}");
    assert!((opened.logit_scale().unwrap() - 10.0).abs() < 0.05, "{}", opened.logit_scale().unwrap());
    let refused = with("contrastive", "other");
    assert!(train(&refused).unwrap_err().to_string().contains("set optim.objective = \"sigmoid\""));
    assert!(!refused.out.exists());
    let refused = job(root.path(), &STEP.replace("lr =", "objective = \"sigmoid\"\nlr ="), &path, "another");
    assert!(train(&refused).unwrap_err().to_string().contains("model.logit_bias = true"));
}

/// All tokens of a SigLIP's text count, padding too.
#[test]
fn a_siglip_learns() {
    let root = tempfile::tempdir().unwrap();
    let path = clip_testkit::siglip::checkpoint(root.path());
    let job =
        job(root.path(), &STEP.replace("lr = 1e-12", "lr = 1e-3\nobjective = \"sigmoid\""), &path, "run");
    let Start { config, preprocess, parameters, tokenizer } = Start::of(&job).unwrap();
    let mut network = Network::new(config, parameters, job.device, Precision::Fp32);
    network.set_training(true);
    let options = LoaderOptions {
        batch: 4,
        seed: 1,
        threads: 1,
        resampled: false,
        fields: clip_data::Fields::default(),
        skip_bad_shards: false,
        max_skipped: 1.0,
        lengths: clip_data::Lengths::default(),
        shuffle_buffer: 1,
        preprocess: preprocess.clone(),
        augment: Augment::default(),
        tokenizer,
        context_length: network.config.text.context_length,
        start: 0,
        cache_mb: 0,
        warn: |_| {},
        stop: || false,
    };
    let batch = Loader::open(&job.data, options).unwrap().draw().unwrap();
    assert_eq!((batch.length, batch.ids.len()), (6, 24));
    let inputs = Inputs::of((&network.config, &preprocess), &batch, job.device).unwrap();
    let mut optimizer = AdamW::new(&network.parameters);
    let mut scaler = LossScaler::default();
    let objective = job.settings.optim.objective.objective();
    let mut losses = Vec::new();
    for _ in 0..60 {
        let states = (&mut optimizer, &mut scaler);
        let outcome = train_step(&mut network, states, &*objective, &inputs, &job.settings.optim, 1e-2);
        losses.push(outcome.unwrap().loss);
    }
    assert!(losses[59] < 0.5 * losses[0], "{losses:?}");
    // timm has no image tower of these sizes, so that no folder could be written: said before the first step.
    let message = train(&job).unwrap_err().to_string();
    assert!(message.contains("OpenCLIP has no SigLIP image tower of these sizes"), "{message}");
}

fn clip_train(folder: &Path, endpoint: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_clip-train"))
        .args(["--threads", "1", "--config", "train.toml", "--data", "pairs.tar"])
        .args(arguments)
        .current_dir(folder)
        .env("HF_HOME", folder.join("hf"))
        .env("HF_ENDPOINT", endpoint)
        .env("NO_PROXY", "127.0.0.1")
        .env_remove("HF_HUB_CACHE")
        .env_remove("HF_HUB_OFFLINE")
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Position embeddings for another size of input are not what is stored, and that is said.
#[test]
fn other_sizes_of_input_interpolate_position_embeddings() {
    let root = tempfile::tempdir().unwrap();
    checkpoint(root.path(), sizes());
    shard(root.path());
    let toml = format!("{STEP}[model]\nimage_size = 24\ncontext_length = 6\n");
    std::fs::write(root.path().join("train.toml"), toml).unwrap();
    let (done, said) = clip_train(root.path(), "http://127.0.0.1:9", &["--init", "checkpoint", "-o", "run"]);
    assert!(done, "{said}");
    assert!(
        said.contains("visual.positional_embedding was interpolated from 2x2 patches to 3x3 patches"),
        "{said}"
    );
    assert!(said.contains("positional_embedding was interpolated from 8 tokens to 6 tokens"), "{said}");
    let found = Checkpoint::open(root.path().join("run")).unwrap();
    assert_eq!((found.config.image.image_size(), found.config.text.context_length), (24, 6));
    assert!(found.resized.is_empty());
    let expected = Checkpoint::open(root.path().join("checkpoint")).unwrap().with_sizes(24, 6).unwrap();
    let table =
        |checkpoint: &Checkpoint| checkpoint.tensor("visual.positional_embedding").unwrap().to_f32().unwrap();
    let pairs = table(&found).into_iter().zip(table(&expected));
    assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-6));

    // Sizes that are written out may ask for it, too.
    let model = "[model]\nembed_dim = 8\nactivation = \"gelu\"\n\
                 vit = { image_size = 32, patch_size = 8, width = 16, layers = 1, head_width = 8, mlp_ratio = 2.0 }\n\
                 text = { context_length = 5, vocab_size = 515, width = 16, heads = 2, layers = 1, mlp_ratio = 2.0 }\n";
    let job = job(root.path(), &format!("{STEP}{model}"), &root.path().join("checkpoint"), "sized");
    let start = Start::of(&job).unwrap();
    assert_eq!((start.preprocess.size, start.config.text.context_length), (32, 5));
    assert_eq!(start.parameters.tensor("visual.positional_embedding").size(), [17, 16]);
}

#[test]
fn a_model_of_the_hub_is_fetched_by_its_name() {
    let root = tempfile::tempdir().unwrap();
    let path = checkpoint(root.path(), sizes());
    shard(root.path());
    std::fs::write(root.path().join("train.toml"), STEP).unwrap();
    let names =
        ["open_clip_config.json", clip_checkpoint::WEIGHTS, "tokenizer.json", "tokenizer_config.json"];
    let files = names.map(|name| (name, std::fs::read(path.join(name)).unwrap()));
    let model = Model::new("me/mine", &files.each_ref().map(|(name, bytes)| (*name, &bytes[..])));
    let hub = Server::start(move |request| model.answer(request));
    let (done, said) = clip_train(root.path(), &hub.url, &["--init", "me/mine", "-o", "run"]);
    assert!(done, "{said}");
    assert!(said.contains(&format!("downloading {}: 0 % of", clip_checkpoint::WEIGHTS)), "{said}");
    let found = Checkpoint::open(root.path().join("run")).unwrap();
    assert_eq!((&found.config, &found.preprocess), (&sizes(), &unusual()));
    let vocabulary = |folder: &Path| Tokenizer::open(&folder.join("tokenizer.json")).unwrap().to_json();
    assert_eq!(vocabulary(&root.path().join("run")), vocabulary(&path));

    let (done, said) = clip_train(root.path(), &hub.url, &["--init", "me/other", "-o", "other"]);
    assert!(!done && said.contains("me/other is no file or folder here"), "{said}");
}
