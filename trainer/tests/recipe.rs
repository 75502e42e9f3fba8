//! Each part of the recipe in runs: it does what it says, and costs no more of the loss than promised.

#![allow(clippy::unwrap_used)]

mod runs;

use std::path::{Path, PathBuf};
use std::process::Command;

use clip_checkpoint::{Checkpoint, WEIGHTS};
use clip_trainer::settings::Settings;
use clip_trainer::train::train;
use runs::{RESNET, VIT, job, log, settings, shard, tensors};

/// The weights of a checkpoint by name.
fn weights(folder: &Path) -> std::collections::HashMap<String, Vec<f32>> {
    let checkpoint = Checkpoint::open(folder).unwrap();
    let names = tensors(&folder.join(WEIGHTS)).into_iter().map(|(name, _, _)| name);
    let known = names.filter(|name| !name.ends_with("num_batches_tracked"));
    known.map(|name| (name.clone(), checkpoint.tensor(&name).unwrap().to_f32().unwrap())).collect()
}

fn losses(folder: &Path) -> Vec<f64> {
    log(folder).iter().filter_map(|line| line["loss"].as_f64()).collect()
}

#[test]
fn a_locked_tower_stays_as_it_is() {
    let root = tempfile::tempdir().unwrap();
    let shards = [shard(root.path(), "a.tar")];
    for (tower, name) in [(RESNET, "resnet"), (VIT, "vit")] {
        let (start, tuned) = (root.path().join(name), root.path().join(format!("{name}-tuned")));
        train(&job(&settings(tower, "steps = 4\nlr = 1e-3\nwarmup = 1"), &shards, &start)).unwrap();
        let toml =
            settings(tower, "steps = 4\nlr = 1e-2\nwarmup = 1\nlock = [\"image\"]\ncheckpointing = true");
        let mut job = job(&toml, &shards, &tuned);
        job.init = Some(start.clone());
        train(&job).unwrap();
        let (before, after) = (weights(&start), weights(&tuned));
        for (name, values) in &before {
            // Running statistics of batch norms are the image tower's, too.
            let same = after[name] == *values;
            assert_eq!(same, name.starts_with("visual."), "{name}");
        }
    }
}

#[test]
fn with_both_towers_locked_the_logit_scale_learns_alone() {
    let root = tempfile::tempdir().unwrap();
    let shards = [shard(root.path(), "a.tar")];
    let out = root.path().join("run");
    let toml =
        settings(VIT, "steps = 3\nlr = 1e-2\nwarmup = 0\nlock = [\"image\", \"text\"]\nmicro_batch = 4");
    train(&job(&toml, &shards, &out)).unwrap();
    let scales: Vec<f64> = log(&out).iter().filter_map(|line| line["logit_scale"].as_f64()).collect();
    assert!(scales[2] != scales[0], "{scales:?}");
}

#[test]
fn what_a_setting_cannot_do_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let shards = [shard(root.path(), "a.tar")];
    let resnet = job(
        &settings(RESNET, "steps = 1\nwarmup = 0\npatch_dropout = 0.5"),
        &shards,
        &root.path().join("run"),
    );
    assert!(train(&resnet).unwrap_err().to_string().contains("which a ResNet does not have"));
    let settings = settings(VIT, "steps = 1\nwarmup = 0\nunlocked_blocks = 2");
    assert!(Settings::parse(&settings).unwrap_err().to_string().contains("optim.lock names none"));
}

#[test]
fn layers_learn_at_their_own_rates() {
    let root = tempfile::tempdir().unwrap();
    let shards = [shard(root.path(), "a.tar")];
    let start = root.path().join("start");
    let optim = "steps = 1\nlr = 1e-3\nwarmup = 0\nweight_decay = 0.0";
    train(&job(&settings(VIT, optim), &shards, &start)).unwrap();
    let change = |layer_decay: f64| {
        let out = root.path().join(format!("run-{layer_decay}"));
        let mut job = job(&settings(VIT, &format!("{optim}\nlayer_decay = {layer_decay:?}")), &shards, &out);
        job.init = Some(start.clone());
        train(&job).unwrap();
        let (before, after) = (weights(&start), weights(&out));
        move |name: &str| {
            let pairs = before[name].iter().zip(&after[name]);
            pairs.map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max)
        }
    };
    let (alike, decayed) = (change(1.0), change(0.5));
    // The first step of Adam is the learning rate, whatever the gradient.
    for (name, rate) in [
        ("visual.proj", 1.0),
        ("visual.transformer.resblocks.1.mlp.c_fc.weight", 0.5),
        ("visual.transformer.resblocks.0.mlp.c_fc.weight", 0.25),
        ("visual.conv1.weight", 0.125),
    ] {
        let found = decayed(name) / alike(name);
        assert!((found - rate).abs() < 0.02, "{name}: {found}, expected {rate}");
    }
}

/// The average of the weights is what the checkpoint has; resuming goes on with the weights themselves.
#[test]
fn an_average_is_published_and_resumed() {
    let root = tempfile::tempdir().unwrap();
    let shards = [shard(root.path(), "a.tar")];
    let toml =
        |steps| settings(VIT, &format!("steps = {steps}\nlr = 1e-2\nwarmup = 1\nema = 0.9\nmin_lr = 1e-2"));
    let run = |name: &str, steps: u64, resume: bool| {
        let out = root.path().join(name);
        let mut job = job(&toml(steps), &shards, &out);
        (job.resume, job.resume_with) = (resume, vec!["optim.steps".to_owned()]);
        job.val = shards.to_vec();
        train(&job).unwrap();
        out
    };
    let whole = run("whole", 6, false);
    run("broken", 3, false);
    let broken = run("broken", 6, true);
    assert_eq!(weights(&whole), weights(&broken));
    assert_eq!(losses(&whole), losses(&broken));
    let plain = root.path().join("plain");
    let mut job = job(&toml(6).replace("ema = 0.9\n", ""), &shards, &plain);
    job.val = shards.to_vec();
    train(&job).unwrap();
    assert_eq!(losses(&whole), losses(&plain), "the average changes nothing in what is trained");
    assert_ne!(weights(&whole), weights(&plain));
}

#[test]
fn a_pupil_learns_from_a_teacher() {
    let root = tempfile::tempdir().unwrap();
    let shards = [shard(root.path(), "a.tar")];
    let teacher = root.path().join("teacher");
    train(&job(
        &settings(RESNET, "steps = 60\nlr = 3e-3\nwarmup = 5\nbatch = 16").replacen("batch = 8\n", "", 1),
        &shards,
        &teacher,
    ))
    .unwrap();
    // All of the loss is the teacher's similarities: the cross-entropy under them is the least that it can be.
    let pupil = root.path().join("pupil");
    let mut job = job(
        &settings(VIT, "steps = 60\nlr = 3e-3\nwarmup = 5\ndistill = 1.0\nmicro_batch = 4"),
        &shards,
        &pupil,
    );
    job.teacher = Some(teacher.clone());
    job.settings.data.tokenizer = teacher.join("tokenizer.json").to_str().unwrap().to_owned();
    train(&job).unwrap();
    let losses = losses(&pupil);
    assert!(losses[55..].iter().sum::<f64>() < 0.8 * losses[..5].iter().sum::<f64>(), "{losses:?}");
    // A run that goes on without its teacher is another run.
    (job.resume, job.teacher) = (true, None);
    let message = train(&job).unwrap_err().to_string();
    assert!(message.contains("teacher was") && message.contains("now none"), "{message}");
    // One that was trained on is another teacher, though its name is the same.
    let weights = std::fs::read(teacher.join(WEIGHTS)).unwrap();
    let changed = [&weights[..weights.len() - 1], &[weights[weights.len() - 1] ^ 1]].concat();
    std::fs::write(teacher.join(WEIGHTS), changed).unwrap();
    job.teacher = Some(teacher.clone());
    let message = train(&job).unwrap_err().to_string();
    assert!(message.contains("teacher was") && message.contains("teacher ("), "{message}");
    std::fs::write(teacher.join(WEIGHTS), weights).unwrap();
    train(&job).unwrap();
    (job.resume, job.teacher) = (false, Some(teacher));
    job.out = root.path().join("other");
    job.settings.data.tokenizer = "train".into();
    job.settings.model.text.as_mut().unwrap().vocab_size = 515;
    let message = train(&job).unwrap_err().to_string();
    assert!(message.contains("the teacher cannot be learned from: it has another tokenizer"), "{message}");
}

#[test]
fn two_checkpoints_are_mixed() {
    let root = tempfile::tempdir().unwrap();
    let shards = [shard(root.path(), "a.tar")];
    let folder = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    let (start, tuned, mixed) = (folder("start"), folder("tuned"), folder("mixed"));
    train(&job(&settings(RESNET, "steps = 2\nlr = 1e-3\nwarmup = 1"), &shards, Path::new(&start))).unwrap();
    let mut next = job(&settings(RESNET, "steps = 3\nlr = 1e-2\nwarmup = 1"), &shards, Path::new(&tuned));
    next.init = Some(PathBuf::from(&start));
    train(&next).unwrap();
    let mix = |arguments: &[&str]| {
        let run = Command::new(env!("CARGO_BIN_EXE_clip-train")).arg("mix").args(arguments).output().unwrap();
        (run.status.code(), String::from_utf8_lossy(&run.stderr).into_owned())
    };
    let (code, said) = mix(&[&start, &tuned, "--share", "0.25", "-o", &mixed]);
    assert_eq!(code, Some(0), "{said}");
    let [a, b, found] = [&start, &tuned, &mixed].map(|folder| weights(Path::new(folder)));
    for (name, values) in &found {
        for ((a, b), found) in a[name].iter().zip(&b[name]).zip(values) {
            assert!((0.75 * a + 0.25 * b - found).abs() <= 1e-6 * (1.0 + found.abs()), "{name}");
        }
    }
    for (arguments, part) in [
        ([&start, &tuned, "--share", "1.5", "-o", &folder("x")], "the share of the second checkpoint is 1.5"),
        ([&start, &tuned, "--share", "0.5", "-o", &mixed], "mixed"),
        ([&start, &folder("nowhere"), "--share", "0.5", "-o", &folder("x")], "nowhere"),
    ] {
        let (code, said) = mix(&arguments);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(part), "{said}");
    }
}

/// Real pictures, forty steps: what each setting costs of the loss, beside the same run in fp32.
#[test]
fn what_saves_memory_costs_little_of_the_loss() {
    let data = std::env::var_os("CLIP_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let photos = data.join("photos/flowers/flowers-val.tar");
    if !photos.exists() {
        eprintln!("skipped: data folder, see README ({} is not there)", photos.display());
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let toml = "[model]\nembed_dim = 32\nvit = { image_size = 48, patch_size = 16, width = 64, layers = 3, head_width = 32 }\n\
                text = { context_length = 16, vocab_size = 530, width = 64, heads = 2, layers = 3 }\n\
                [data]\ntokenizer = \"train\"\nshuffle_buffer = 400\ncache_mb = 600\n\
                [optim]\nbatch = 32\nsteps = 40\nlr = 1e-3\nwarmup = 5\nclip = 1.0\nseed = 1\n[run]\nlog_every = 1\n";
    let run = |name: &str, optim: &str| {
        let out = root.path().join(name);
        let toml = toml.replace("seed = 1\n", &format!("seed = 1\n{optim}\n"));
        let mut job = job(&toml, std::slice::from_ref(&photos), &out);
        job.settings = Settings::parse(&toml).unwrap();
        train(&job).unwrap();
        losses(&out)
    };
    let mean = |losses: &[f64]| losses[30..].iter().sum::<f64>() / 10.0;
    let whole = run("fp32", "");
    assert!(mean(&whole) < whole[0] - 0.3, "the run learns something: {whole:?}");
    for (name, optim, tolerance) in [
        // The same gradients but for rounding, which training makes larger.
        ("checkpointing", "checkpointing = true", 0.003),
        ("micro-batches", "micro_batch = 12", 0.003),
        ("bf16", "precision = \"bf16\"", 0.01),
        ("fp16", "precision = \"fp16\"", 0.01),
        ("half moments", "moments = \"bf16\"", 0.01),
        ("half text weights", "half_text_weights = true", 0.01),
        (
            "all",
            "precision = \"bf16\"\nmoments = \"bf16\"\nhalf_text_weights = true\ncheckpointing = true\nmicro_batch = 16",
            0.01,
        ),
    ] {
        let losses = run(name, optim);
        let (found, expected) = (mean(&losses), mean(&whole));
        println!("{name}: {found:.4}, fp32 {expected:.4}");
        assert!((losses[0] - whole[0]).abs() < 0.02, "{name}: {} {}", losses[0], whole[0]);
        assert!((found / expected - 1.0).abs() < tolerance, "{name}: {found} instead of {expected}");
    }
}
