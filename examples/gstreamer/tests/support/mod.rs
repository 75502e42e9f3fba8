//! What tests of the plugin share: pipelines that are run to their end, and models.

// Each test program is compiled with this file, and none of them needs all of it.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, Once};

use gstreamer::prelude::*;
use gstreamer::{ClockTime, MessageView, Pipeline, Structure};

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Where the programs are: this test is target/release/deps/NAME-0123456789abcdef.
pub fn built() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned()
}

/// A tiny model that tells colours.
pub fn colours() -> String {
    repository().join("runtime/tests/colours").display().to_string()
}

/// models/emoji-tiny as a model folder.
pub fn emoji(to: &Path) -> String {
    let folder = to.join("emoji");
    let program = built().join("clip-export");
    assert!(program.exists(), "{} is missing: run `cargo build --release` first", program.display());
    let mut export = Command::new(program);
    export.arg(repository().join("models/emoji-tiny")).arg("-o").arg(&folder);
    let output = export.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder.display().to_string()
}

pub fn start() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gstreamer::init().unwrap();
        gstclip::plugin_register_static().unwrap();
    });
}

pub fn pipeline(description: &str) -> Pipeline {
    start();
    gstreamer::parse::launch(description).unwrap().downcast().unwrap()
}

/// What a pipeline said until it ended.
#[derive(Debug, Default)]
pub struct Said {
    /// Structures of `clip-classification`, with the element that said it.
    pub found: Vec<(String, Structure)>,
    pub warnings: Vec<String>,
    pub error: Option<String>,
}

impl Said {
    #[track_caller]
    pub fn well(self) -> Said {
        assert!(self.error.is_none(), "{self:?}");
        self
    }

    pub fn labels(&self) -> Vec<String> {
        self.found.iter().map(|(_, found)| found.get("label").unwrap_or_default()).collect()
    }
}

/// Runs a pipeline to its end, or to its error; `at` sees each message of the element.
pub fn run_with(pipeline: &Pipeline, mut at: impl FnMut(&Structure)) -> Said {
    let bus = pipeline.bus().unwrap();
    let mut said = Said::default();
    // What goes wrong is told on the bus.
    let _ = pipeline.set_state(gstreamer::State::Playing);
    loop {
        let message = bus.timed_pop(ClockTime::from_seconds(60)).expect("the pipeline goes on");
        let source = message.src().map(|source| source.name().to_string()).unwrap_or_default();
        match message.view() {
            MessageView::Element(element) => {
                let structure = element.structure().unwrap().to_owned();
                if structure.name() == "clip-classification" {
                    at(&structure);
                    said.found.push((source, structure));
                }
            }
            MessageView::Warning(warning) => said.warnings.push(warning.error().to_string()),
            MessageView::Error(error) => {
                said.error = Some(format!("{source}: {}", error.error()));
                break;
            }
            MessageView::Eos(_) => break,
            _ => {}
        }
    }
    pipeline.set_state(gstreamer::State::Null).unwrap();
    said
}

pub fn run(description: &str) -> Said {
    run_with(&pipeline(description), |_| ())
}

/// Has `look` see each buffer that leaves the first element of that name.
pub fn at_source(
    pipeline: &Pipeline,
    element: &str,
    mut look: impl FnMut(&mut gstreamer::Buffer) + Send + 'static,
) {
    let pad = pipeline.by_name(element).unwrap().static_pad("src").unwrap();
    let look = Arc::new(Mutex::new(move |buffer: &mut gstreamer::Buffer| look(buffer)));
    pad.add_probe(gstreamer::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer_mut() {
            (look.lock().unwrap())(buffer);
        }
        gstreamer::PadProbeReturn::Ok
    });
}

/// Compiles a library in C.
pub fn library(source: &Path, to: &Path, options: &[&str]) {
    let mut cc = Command::new(std::env::var_os("CC").unwrap_or("cc".into()));
    cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"])
        .arg(source)
        .arg("-o")
        .arg(to)
        .args(options);
    assert!(cc.status().unwrap().success());
}

/// Runs a test of this program by itself, in an environment that has to be there from the start.
pub fn apart(test: &str, environment: &[(&str, &Path)]) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env("CLIP_TEST_APART", "1");
    let output = command.envs(environment.iter().copied()).output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
}

pub fn is_apart() -> bool {
    std::env::var_os("CLIP_TEST_APART").is_some()
}
