//! The life of a run: that it is killed, stopped, out of disk or memory, gone on with in another way, and what it keeps.

#![allow(clippy::unwrap_used)]

mod runs;

use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clip_checkpoint::{Checkpoint, Weights};
use clip_trainer::state::{TRAINING, checkpoints};
use clip_trainer::train::train;
use clip_trainer::{Error, Job};
use runs::{RESNET, VIT, job, log, newest, output, program, settings, shard, tensors};

/// A folder with a shard, settings, and the arguments of a run in `run`.
struct Place {
    root: tempfile::TempDir,
    arguments: Vec<String>,
    out: PathBuf,
}

impl Place {
    fn new(toml: &str) -> Place {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("run");
        let config = root.path().join("train.toml");
        fs::write(&config, toml).unwrap();
        let paths =
            [config, shard(root.path(), "a.tar"), out.clone()].map(|path| path.to_str().unwrap().to_owned());
        let [config, data, folder] = paths;
        let arguments = ["--config", &config, "--data", &data, "-o", &folder].map(str::to_owned).to_vec();
        Place { root, arguments, out }
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        arguments.extend(more);
        program(&arguments)
    }

    fn set(&self, toml: &str) {
        fs::write(self.root.path().join("train.toml"), toml).unwrap();
    }

    /// What the program says on standard error; it must end like this.
    fn says(&self, code: i32, more: &[&str]) -> String {
        let output = self.command(more).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        said
    }

    /// Waits until the log has so many lines.
    fn wait_for(&self, lines: usize, child: &mut Child) {
        let count = || fs::read_to_string(self.out.join("log.jsonl")).unwrap_or_default().lines().count();
        while count() < lines && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Names of temporary files and folders anywhere in a run's folder.
fn left_overs(out: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![out.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
            names.extend(Some(name).filter(|name| name.starts_with(".tmp-")));
        }
    }
    names
}

#[test]
fn killed_again_and_again_a_run_ends_as_if_left_alone() {
    let toml = settings(VIT, "steps = 40\nlr = 1e-3\nwarmup = 5")
        .replace("checkpoint_every = 2", "checkpoint_every = 1");
    let (whole, broken) = (Place::new(&toml), Place::new(&toml));
    whole.says(0, &[]);
    let mut kills = 0;
    let mut first_saves = 0;
    for round in 0..40u64 {
        let resumes = broken.out.is_dir() && clip_trainer::state::resumable(&broken.out).unwrap().is_some();
        let more: &[&str] = if resumes { &["--resume"] } else { &[] };
        let mut child = broken.command(more).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // At the beginning within the first save, later anywhere.
        std::thread::sleep(Duration::from_millis(10 + round * 17 % 200));
        child.kill().unwrap();
        if child.wait().unwrap().success() {
            break;
        }
        kills += 1;
        match clip_trainer::state::resumable(&broken.out).unwrap_or_default() {
            None => first_saves += 1,
            // What there is opens, whenever the run was killed.
            Some(folder) => {
                Checkpoint::open(&folder).unwrap();
                Weights::open(folder.join(TRAINING)).unwrap();
            }
        }
    }
    assert!(kills > 3, "{kills} kills, {first_saves} before the first save was complete");
    let resumes = clip_trainer::state::resumable(&broken.out).unwrap().is_some();
    broken.says(0, if resumes { &["--resume"] } else { &[] });
    assert_eq!(left_overs(&broken.out), [""; 0]);
    let file = clip_checkpoint::WEIGHTS;
    for file in [newest(&broken.out).join(TRAINING), broken.out.join(file)] {
        let of_whole = whole.out.join(file.strip_prefix(&broken.out).unwrap());
        assert_eq!(tensors(&file), tensors(&of_whole), "{}", file.display());
    }
}

#[test]
fn a_first_save_that_was_cut_short_is_no_dead_end() {
    let place = Place::new(&settings(VIT, "steps = 2\nwarmup = 1"));
    let half = place.out.join("checkpoints/.tmp-half");
    fs::create_dir_all(&half).unwrap();
    fs::write(half.join(TRAINING), "half").unwrap();
    assert!(place.says(1, &["--resume"]).contains("start the run without --resume"));
    fs::create_dir_all(&half).unwrap();
    place.says(0, &[]);
    assert_eq!(left_overs(&place.out), [""; 0]);
    // Later ones are removed as well, and the run is where it was.
    for folder in [place.out.join("checkpoints/.tmp-later"), place.out.join(".tmp-later")] {
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("half"), "half").unwrap();
    }
    place.says(0, &["--resume"]);
    assert_eq!(left_overs(&place.out), [""; 0]);
}

#[test]
fn a_full_disk_leaves_the_previous_checkpoint_whole() {
    let toml = settings(VIT, "steps = 2\nwarmup = 1");
    let place = Place::new(&toml);
    place.says(0, &[]);
    let file = newest(&place.out).join(clip_checkpoint::WEIGHTS);
    let before = tensors(&file);
    place.set(&toml.replace("steps = 2", "steps = 6"));
    // No file may grow beyond 16 KiB (sh counts in 512 bytes).
    let program = env!("CARGO_BIN_EXE_clip-train");
    let run = Command::new("sh")
        .args([
            "-c",
            "ulimit -f 32; exec \"$0\" --threads 1 \"$@\" --resume --resume-with optim.steps",
            program,
        ])
        .args(&place.arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot write") && said.contains("File too large"), "{said}");
    assert_eq!(newest(&place.out).join(clip_checkpoint::WEIGHTS), file);
    assert_eq!(tensors(&file), before);
    Checkpoint::open(&place.out).unwrap();
    assert_eq!(left_overs(&place.out), [""; 0]);
    place.says(0, &["--resume", "--resume-with", "optim.steps"]);
    assert!(newest(&place.out).ends_with("step-000000006"));
}

#[test]
fn a_signal_finishes_the_step_saves_and_ends_the_run() {
    let toml = settings(VIT, "steps = 100000\nlr = 1e-3\nwarmup = 5")
        .replace("checkpoint_every = 2", "checkpoint_every = 0");
    let place = Place::new(&toml);
    for (round, signal) in [libc::SIGTERM, libc::SIGINT].into_iter().enumerate() {
        let more: &[&str] = if round == 0 { &[] } else { &["--resume"] };
        let mut command = place.command(more);
        // A shell has what it starts in the background ignore SIGINT, and so would the program, were the tests started there.
        // SAFETY: to set a signal's default runs no code of ours.
        unsafe {
            command.pre_exec(|| match libc::signal(libc::SIGINT, libc::SIG_DFL) {
                libc::SIG_ERR => Err(std::io::Error::last_os_error()),
                _ => Ok(()),
            })
        };
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        place.wait_for(10 * (round + 1) + 5, &mut child);
        // As `timeout` does: to the process, and to its group.
        for _ in 0..2 {
            // SAFETY: a child that was not waited for still has its number.
            assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
            std::thread::sleep(Duration::from_millis(1));
        }
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(signal), "{said}");
        assert!(
            said.contains("stopping after this step") && said.contains("--resume goes on from there"),
            "{said}"
        );
        let last = log(&place.out).iter().filter_map(|line| line["step"].as_u64()).max().unwrap();
        let state = Weights::open(newest(&place.out).join(TRAINING)).unwrap();
        assert_eq!(state.note("step"), Some(last.to_string().as_str()), "{said}");
        assert!(said.contains(&format!("stopped after step {last} of 100000, which is saved")), "{said}");
        assert_eq!(left_overs(&place.out), [""; 0]);
    }
}

#[test]
fn a_signal_ends_a_run_that_waits_for_data_in_vain() {
    let place =
        Place::new(&settings(VIT, "steps = 100000\nlr = 1e-3\nwarmup = 5").replace("every = 2", "every = 0"));
    // Read for the vocabulary, then for an epoch; the third time nothing comes.
    let times = place.root.path().join("times");
    let command = format!(
        "pipe:echo >> {0}; test $(wc -l < {0}) -lt 3 || exec sleep 30 2> /dev/null; cat {1}",
        times.display(),
        place.arguments[3]
    );
    let mut arguments = place.arguments.clone();
    arguments[3] = command;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut child = program(&arguments).stderr(Stdio::piped()).spawn().unwrap();
    place.wait_for(1, &mut child);
    // SAFETY: a child that was not waited for still has its number.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGTERM) }, 0);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(libc::SIGTERM), "{said}");
    let last = log(&place.out).iter().filter_map(|line| line["step"].as_u64()).max().unwrap();
    assert!(said.contains(&format!("stopped after step {last} of 100000, which is saved")), "{said}");
    let state = Weights::open(newest(&place.out).join(TRAINING)).unwrap();
    assert_eq!(state.note("step"), Some(last.to_string().as_str()), "{said}");
}

#[test]
fn a_run_goes_on_in_another_way_when_told_so() {
    let toml = settings(VIT, "steps = 4\nlr = 1e-3\nwarmup = 1");
    let place = Place::new(&toml);
    place.says(0, &[]);
    // What changes nothing needs no leave.
    place.set(
        &toml
            .replace("log_every = 1", "log_every = 2")
            .replace("shuffle_buffer = 8", "shuffle_buffer = 8\ncache_mb = 9"),
    );
    let said = place.says(0, &["--resume"]);
    assert!(said.contains("bit for bit as if"), "{said}");
    let longer = toml
        .replace("steps = 4", "steps = 8")
        .replace("lr = 1e-3", "lr = 5e-4")
        .replace("batch = 8", "batch = 6");
    place.set(&longer);
    let said = place.says(1, &["--resume", "--resume-with", "optim.lr"]);
    assert!(said.contains("optim.steps was 4, now 8") && !said.contains("optim.lr was"), "{said}");
    assert!(said.contains("--resume-with optim.batch,optim.steps"), "{said}");
    let said = place.says(0, &["--resume", "--resume-with", "optim.batch,optim.steps,optim.lr"]);
    assert!(said.contains("going on at step 4, from here on as another run"), "{said}");
    assert!(said.contains("changed: optim.lr was 0.001, now 0.0005"), "{said}");
    let lines = log(&place.out);
    let resumed = lines.iter().rfind(|line| line["resumed"].is_array()).unwrap();
    assert_eq!((&resumed["step"], &resumed["resumed"][1]["name"]), (&4.into(), &"optim.lr".into()));
    let samples: Vec<u64> = lines.iter().filter_map(|line| line["samples"].as_u64()).collect();
    assert_eq!(samples, [8, 16, 24, 32, 38, 44, 50, 56], "four batches of 8, then four of 6");
    // From then on these are the run's settings.
    place.says(0, &["--resume"]);
    place.set(&longer.replace("embed_dim = 32", "embed_dim = 16"));
    let said = place.says(1, &["--resume", "--resume-with", "model"]);
    assert!(said.contains("model.embed_dim was 32, now 16") && said.contains("--init"), "{said}");

    place.set(&longer);
    let other = shard(place.root.path(), "b.tar");
    let data = other.to_str().unwrap().to_owned();
    let change = |more: &[&str]| {
        let mut arguments = place.arguments.clone();
        arguments[3].clone_from(&data);
        let all: Vec<&str> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
        output(&all).1
    };
    assert!(change(&["--resume"]).contains("shards were a.tar, now b.tar"));
    assert!(
        change(&["--resume", "--resume-with", "shards"]).contains("changed: the training shards were a.tar")
    );
}

#[test]
fn the_newest_and_the_best_checkpoints_are_kept() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("run");
    let shards = [shard(root.path(), "a.tar")];
    let toml = settings(RESNET, "steps = 12\nlr = 3e-3\nwarmup = 1")
        + "keep_last = 2\nvalidate_every = 3\nkeep_best = \"top5\"\n";
    let mut run = job(&toml, &shards, &out);
    assert!(train(&run).unwrap_err().to_string().contains("keep_best needs validation shards"));
    assert!(!out.exists());
    run.val = shards.to_vec();
    train(&run).unwrap();
    let best: serde_json::Value = serde_json::from_slice(&fs::read(out.join("best.json")).unwrap()).unwrap();
    let validations = log(&out);
    let validations = validations.iter().filter(|line| line["validation"].is_object());
    let figures: Vec<(u64, f64)> = validations
        .map(|line| {
            (line["step"].as_u64().unwrap(), line["validation"]["total"]["top5"]["value"].as_f64().unwrap())
        })
        .collect();
    let highest = figures.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let first = figures.iter().find(|(_, value)| *value == highest).unwrap().0;
    assert_eq!((best["step"].as_u64(), best["value"].as_f64()), (Some(first), Some(highest)), "{figures:?}");
    Checkpoint::open(out.join(best["folder"].as_str().unwrap())).unwrap();
    let mut kept: Vec<u64> = [first, 10, 12].to_vec();
    kept.sort_unstable();
    kept.dedup();
    let found = checkpoints(&out).unwrap();
    assert_eq!(found.iter().map(|(step, _)| *step).collect::<Vec<_>>(), kept);
    found.iter().for_each(|(_, folder)| drop(Checkpoint::open(folder).unwrap()));
    assert!(fs::read_to_string(out.join("curves.svg")).unwrap().contains(">validation<"));
    assert_eq!(found.iter().filter(|(_, folder)| folder.join(TRAINING).exists()).count(), 1);
}

#[test]
fn a_run_that_is_told_to_stop_in_a_validation_saves_its_last_step() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("run");
    let shards = [shard(root.path(), "a.tar")];
    let toml = settings(VIT, "steps = 9\nlr = 3e-3\nwarmup = 1").replace("every = 2", "every = 0")
        + "validate_every = 3\n";
    // Asked after each of three steps, then by the validation.
    let stop = || ASKED.fetch_add(1, Ordering::SeqCst) >= 4;
    let run = Job { val: shards.to_vec(), stop, ..job(&toml, &shards, &out) };
    assert!(matches!(train(&run), Err(Error::Stopped { step: 3, steps: 9 })));
    assert!(newest(&out).ends_with("step-000000003"));
    let resumed = Job { resume: true, stop: || false, ..run };
    train(&resumed).unwrap();
    let other = root.path().join("other");
    train(&Job { out: other.clone(), resume: false, ..resumed }).unwrap();
    assert_eq!(
        tensors(&newest(&out).join(clip_checkpoint::WEIGHTS)),
        tensors(&newest(&other).join(clip_checkpoint::WEIGHTS))
    );
}

#[test]
fn a_validation_that_fails_is_told_and_the_run_goes_on() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("run");
    let shards = [shard(root.path(), "a.tar")];
    let val = root.path().join("val.tar");
    let whole = fs::read(&shards[0]).unwrap();
    fs::write(&val, &whole[..whole.len() / 2]).unwrap();
    let toml = settings(VIT, "steps = 6\nlr = 1e-3\nwarmup = 1") + "validate_every = 3\n";
    let error = train(&Job { val: vec![val], ..job(&toml, &shards, &out) }).unwrap_err().to_string();
    assert!(error.contains("val.tar"), "{error}");
    assert!(
        newest(&out).ends_with("step-000000006"),
        "the last one is an error, but what was trained is there"
    );
    let told = log(&out).into_iter().find_map(|line| Some(line["diagnosis"].as_str()?.to_owned())).unwrap();
    assert!(told.contains("no validation here") && told.contains("val.tar"), "{told}");
}

/// A shard may be found empty at the end only.
#[test]
fn a_last_validation_that_fails_does_not_hide_that_all_steps_were_done() {
    let place = Place::new(&settings(VIT, "steps = 2\nwarmup = 0"));
    let val = place.out.with_file_name("empty.tar");
    fs::write(&val, [0; 10240]).unwrap();
    let said = place.says(1, &["--val", val.to_str().unwrap()]);
    let (done, error) = (said.find("2 steps done, the checkpoint is"), said.find("error: "));
    assert!(done.is_some() && done < error && said.contains("no sample"), "{said}");
}

#[test]
fn a_run_that_learns_nothing_says_so() {
    let place = Place::new(&settings(VIT, "steps = 110\nlr = 1.0\nwarmup = 0"));
    let said = place.says(0, &[]);
    assert!(said.contains("no better than guessing (2.079)"), "{said}");
    let told = log(&place.out).iter().filter(|line| line["diagnosis"].is_string()).count();
    assert_eq!(told, said.matches("warning: ").count());
}

#[test]
fn checkpoints_come_by_time_as_well() {
    let place =
        Place::new(&settings(VIT, "steps = 6\nwarmup = 1").replace(
            "checkpoint_every = 2",
            "checkpoint_every = 0\ncheckpoint_minutes = 1e-9\nkeep_last = 9",
        ));
    place.says(0, &[]);
    let steps: Vec<u64> = checkpoints(&place.out).unwrap().into_iter().map(|(step, _)| step).collect();
    assert_eq!(steps, [0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_state_of_version_2_is_gone_on_with() {
    let place = Place::new(&settings(VIT, "steps = 4\nlr = 1e-3\nwarmup = 1"));
    let whole = Place::new(&settings(VIT, "steps = 4\nlr = 1e-3\nwarmup = 1"));
    whole.says(0, &[]);
    place.set(&settings(VIT, "steps = 2\nlr = 1e-3\nwarmup = 1"));
    place.says(0, &[]);
    // Version 2 kept weights and optimiser in one file, and the checkpoint beside it.
    let folder = newest(&place.out);
    let (state, weights) = (
        Weights::open(folder.join(TRAINING)).unwrap(),
        Weights::open(folder.join(clip_checkpoint::WEIGHTS)).unwrap(),
    );
    let tensors_of = |weights: &Weights| {
        let mut tensors = Vec::new();
        for name in weights.names() {
            let tensor = weights.get(&name).unwrap();
            tensors.push(Values {
                name: name.clone(),
                shape: tensor.shape.to_vec(),
                data: tensor.to_f32().unwrap(),
            });
        }
        tensors
    };
    let all = [tensors_of(&state), tensors_of(&weights)].concat();
    let mut notes: std::collections::HashMap<String, String> =
        ["step", "position", "skipped", "settings", "shards"]
            .map(|key| (key.to_owned(), state.note(key).unwrap().to_owned()))
            .into();
    fs::create_dir(place.out.join("state")).unwrap();
    let file = place.out.join("state").join(TRAINING);
    notes.insert("version".to_owned(), "2".to_owned());
    clip_checkpoint::write_weights(&file, &all, notes.clone()).unwrap();
    fs::remove_dir_all(place.out.join("checkpoints")).unwrap();
    place.set(&settings(VIT, "steps = 4\nlr = 1e-3\nwarmup = 1"));
    place.says(0, &["--resume", "--resume-with", "optim.steps"]);
    assert!(!file.exists(), "the newer state takes its place");
    assert_eq!(newest(&place.out).file_name(), newest(&whole.out).file_name());

    notes.insert("version".to_owned(), "4".to_owned());
    clip_checkpoint::write_weights(newest(&place.out).join(TRAINING), &all, notes).unwrap();
    assert!(place.says(1, &["--resume"]).contains("version 4, this build reads versions 2 and 3"));
}

#[test]
fn the_settings_of_a_network_are_printed_and_read_back() {
    for name in [None, Some("RN50x4")] {
        let run = Command::new(env!("CARGO_BIN_EXE_clip-train")).arg("settings").args(name).output().unwrap();
        assert!(run.status.success());
        let text = String::from_utf8(run.stdout).unwrap();
        let settings = clip_trainer::Settings::parse(&text).unwrap();
        assert_eq!(settings.model.name.as_deref(), name.or(Some("ViT-B/32")));
        assert!(
            text.contains("# Highest learning rate.\nlr = 0.0005\n") && text.contains("batch = 32768"),
            "{text}"
        );
    }
    let run = Command::new(env!("CARGO_BIN_EXE_clip-train")).args(["settings", "RN51"]).output().unwrap();
    assert_eq!(run.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&run.stderr).contains("RN51"));
}

/// A tensor to be written.
#[derive(Clone)]
struct Values {
    name: String,
    shape: Vec<usize>,
    data: Vec<f32>,
}

impl clip_checkpoint::Source for Values {
    fn name(&self) -> &str {
        &self.name
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn read(&self, sink: &mut dyn FnMut(&[f32]) -> std::io::Result<()>) -> std::io::Result<()> {
        sink(&self.data)
    }
}

/// Where a save finds no memory, it says so; nothing ends the process.
#[test]
fn a_save_without_memory_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let config = root.path().join("train.toml");
    fs::write(
        &config,
        settings(VIT, "steps = 4\nwarmup = 1").replace("vocab_size = 520", "vocab_size = 49408"),
    )
    .unwrap();
    let examples = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("examples");
    let mut refused = 0;
    for megabytes in ["2", "12", "31", "34", "40", "60"] {
        let run = Command::new(examples.join("time_checkpoint"))
            .arg(&config)
            .arg(megabytes)
            .env("TMPDIR", root.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.code().is_some(), "{megabytes} MB: {:?} {said}", run.status);
        refused += usize::from(!run.status.success());
        assert!(
            run.status.success() || said.contains("not enough memory") || said.contains("os error"),
            "{said}"
        );
    }
    assert!((3..6).contains(&refused), "of six saves {refused} were refused");
}
