//! Plans are built in a process of their own: TensorRT takes a multiple of a model's memory and does not give it all back, and
//! a board has little.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use clip_model::Manifest;
use clip_model::manifest::Encoder;
use clip_runtime::plan::PlanOptions;
use serde::{Deserialize, Serialize};

use super::builder::{Builder, here};
use crate::component::Component;
use crate::error::{Error, Result};
use crate::step::Step;

/// What [`check`] and [`build`] call their program with.
pub const ARGUMENT: &str = "build-apart";

/// What the other process is asked for: a line of JSON on its standard input, which then stays open until it has ended.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    options: PlanOptions,
    /// The model folder and what of it; none when the question is only whether it could be built.
    build: Option<(std::path::PathBuf, Component)>,
}

/// What it answers: lines of JSON on its standard output, the last of which is no progress.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Progress { phase: String, done: usize, steps: usize },
    Builder(Builder),
    Built(Box<Encoder>),
}

/// What `program` would build with.
///
/// # Errors
/// [`Error::PlanApart`].
pub fn check(program: &Path, options: &PlanOptions) -> Result<Builder> {
    let request = Request { options: options.clone(), build: None };
    match ask(program, &request, &mut |_, _, _| {})? {
        Answer::Builder(builder) => Ok(builder),
        other => Err(Error::PlanApart(format!("{} answers {other:?}", program.display()))),
    }
}

/// Has `program` build the plan of a component of the model in `folder`.
///
/// # Errors
/// [`Error::PlanApart`].
pub fn build(
    program: &Path,
    folder: &Path,
    component: Component,
    options: &PlanOptions,
    steps: &mut dyn FnMut(Step),
) -> Result<Encoder> {
    let request = Request { options: options.clone(), build: Some((folder.to_owned(), component)) };
    let mut progress =
        |phase, done, of| steps(Step::Build { file: component.plan(), phase, done, steps: of });
    match ask(program, &request, &mut progress)? {
        Answer::Built(encoder) => Ok(*encoder),
        other => Err(Error::PlanApart(format!("{} answers {other:?}", program.display()))),
    }
}

fn ask(program: &Path, request: &Request, progress: &mut dyn FnMut(String, usize, usize)) -> Result<Answer> {
    let failed = |e: io::Error| Error::PlanApart(format!("{}: {e}", program.display()));
    let mut command = Command::new(program);
    command.arg(ARGUMENT).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    // Both are kept until it has ended: it ends when its input does, and nobody would read what it says.
    let mut input = child.stdin.take();
    let errors = child.stderr.take();
    let said = std::thread::spawn(move || errors.map(io::read_to_string).transpose());
    if let Some(input) = &mut input {
        let mut line = serde_json::to_vec(request).map_err(|e| failed(e.into()))?;
        line.push(b'\n');
        // One that does not read it fails, and says below why.
        let _ = input.write_all(&line).and_then(|()| input.flush());
    }
    let mut last = None;
    for line in child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
        match serde_json::from_str(&line.map_err(failed)?).map_err(|e| failed(e.into()))? {
            Answer::Progress { phase, done, steps } => progress(phase, done, steps),
            answer => last = Some(answer),
        }
    }
    let status = child.wait().map_err(failed)?;
    drop(input);
    let said = said.join().ok().and_then(io::Result::ok).flatten().unwrap_or_default();
    match (status.success(), last) {
        (true, Some(answer)) => Ok(answer),
        (true, None) => Err(Error::PlanApart(format!("{} says nothing", program.display()))),
        // Ended from outside, for want of memory, say.
        (false, _) if said.trim().is_empty() => {
            Err(Error::PlanApart(format!("the process that built the engine ended with {status}")))
        }
        (false, _) => Err(Error::PlanApart(said.trim().to_owned())),
    }
}

/// The other side: reads what is asked from `input`, and writes answers to `out`. `then` is given the input when the question
/// is read, and is to end the process when that ends.
///
/// # Errors
/// [`Error::Plan`], and [`Error::PlanApart`] for input that is none.
pub fn answer<R: BufRead>(mut input: R, out: &mut impl Write, then: impl FnOnce(R)) -> Result<()> {
    let failed = |e: io::Error| Error::PlanApart(e.to_string());
    let mut line = String::new();
    input.read_line(&mut line).map_err(failed)?;
    let request: Request = serde_json::from_str(&line).map_err(|e| failed(e.into()))?;
    then(input);
    let answer = match request.build {
        None => Answer::Builder(Builder::here(&request.options)?),
        Some((folder, component)) => {
            let manifest = Manifest::read(&folder)?;
            let missing = || Error::PlanApart(format!("{} has no such encoder", folder.display()));
            let encoder = component.of(&manifest).ok_or_else(missing)?;
            let mut steps = |step| {
                if let Step::Build { phase, done, steps, .. } = step {
                    // Who reads it may have gone; the end of the input says so.
                    let _ = write(out, &Answer::Progress { phase, done, steps });
                }
            };
            let options = &request.options;
            Answer::Built(Box::new(here(&folder, &manifest, encoder, component.plan(), options, &mut steps)?))
        }
    };
    write(out, &answer).map_err(failed)
}

fn write(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    out.write_all(&line)?;
    out.flush()
}
