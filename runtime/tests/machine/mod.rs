//! A machine with a GPU and TensorRT, both doubles. What a test does there, it does in a process of its own, which finds them by the
//! loader's search path.

use std::path::{Path, PathBuf};
use std::process::Command;

use clip_model::Manifest;
use clip_model::manifest::Sizes;
use clip_runtime::plan::{PlanBuilder, PlanOptions};
use clip_testkit::doubles::{self, Call, Doubles};
use tempfile::TempDir;

use crate::colours;

/// Tells a process that it is the one, and which test's.
const CHILD: &str = "CLIP_TEST_CHILD";

/// The machine, and a folder for what it keeps.
pub struct Machine {
    pub doubles: Doubles,
    pub home: TempDir,
}

impl Machine {
    /// `None`, with a message, where there are no headers to compile the doubles with.
    pub fn new() -> Option<Machine> {
        Some(Machine { doubles: doubles::build()?, home: tempfile::tempdir().unwrap() })
    }

    /// The same with TensorRT-RTX instead.
    pub fn with_rtx() -> Option<Machine> {
        let include = doubles::header_sets().into_iter().find(|include| include.ends_with("TRT-RTX-1.7"))?;
        Some(Machine { doubles: doubles::build_from(&include), home: tempfile::tempdir().unwrap() })
    }

    /// Where plans are kept that were built anew.
    pub fn plans(&self) -> PathBuf {
        self.home.path().join("cache/libclip/plans")
    }

    /// A process of this program that does what the test `name` does in a child, told by `arguments`, with more in its environment.
    pub fn command(&self, name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([name, "--exact", "--nocapture", "--test-threads", "1"]);
        command.env(CHILD, [&[name], arguments].concat().join("\n"));
        command.env("XDG_CACHE_HOME", self.home.path().join("cache"));
        for (variable, file) in [("DOUBLE_TENSORRT_LOG", "tensorrt.jsonl"), ("DOUBLE_CUDA_LOG", "cuda.jsonl")]
        {
            command.env(variable, self.home.path().join(file));
        }
        self.doubles.environment(&mut command).envs(variables.iter().copied());
        command
    }

    /// Runs it to its end. What it has to say follows `>` on its standard output.
    #[track_caller]
    pub fn run(&self, name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> String {
        let output = self.command(name, arguments, variables).output().unwrap();
        let [out, error] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        assert!(output.status.success(), "{}\n{out}\n{error}", output.status);
        // The test's own name stands before it.
        let said = out.lines().filter_map(|line| line.split_once('>').map(|(_, said)| said));
        said.collect::<Vec<_>>().join("\n")
    }

    /// The calls so far, and from now on anew.
    pub fn calls(&self) -> Vec<Call> {
        let files = ["tensorrt.jsonl", "cuda.jsonl"].map(|file| self.home.path().join(file));
        let there = files.iter().filter(|file| file.exists());
        let calls = there.flat_map(|file| {
            let calls = doubles::calls(file);
            std::fs::remove_file(file).unwrap();
            calls
        });
        calls.collect()
    }
}

/// What this process was started to do for the test `name`, if it is such a one.
pub fn asked(name: &str) -> Option<Vec<String>> {
    let text = std::env::var(CHILD).ok()?;
    let mut lines = text.split('\n').map(str::to_owned);
    (lines.next()? == name).then(|| lines.collect())
}

/// Says something to the process that started this one.
pub fn say(text: &str) {
    println!(">{text}");
}

/// A copy of the model folder.
pub fn folder() -> TempDir {
    colours::changed(|_, _| ())
}

/// Has plans built of the graphs of the towers that are named.
pub fn build_plans(folder: &Path, towers: &str, options: &PlanOptions) {
    let mut manifest = Manifest::read(folder).unwrap();
    let builder = PlanBuilder::new(options.clone()).unwrap();
    let before = manifest.clone();
    for (tower, encoder) in [("visual", &mut manifest.image), ("text", &mut manifest.text)] {
        if towers.contains(tower) {
            let path = folder.join(format!("{tower}.plan"));
            let built = builder.build(folder, &before, encoder.as_ref().unwrap(), &path, &mut |_| {
                std::ops::ControlFlow::Continue(())
            });
            *encoder = Some(built.unwrap());
        }
    }
    manifest.write(folder).unwrap();
}

/// `1:2:4`
pub fn sizes(text: &str) -> Sizes {
    let numbers: Vec<usize> = text.split(':').map(|n| n.parse().unwrap()).collect();
    Sizes { min: numbers[0], opt: numbers[1], max: numbers[2] }
}

/// An error and its causes.
pub fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}
