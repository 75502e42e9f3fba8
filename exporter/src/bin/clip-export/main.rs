//! `clip-export`: a checkpoint becomes a model folder; `clip-export inspect` says what one is.

mod activation;
mod camera;
mod classifier;
mod convert;
mod engines;
mod export;
mod inspect;
mod layout;
mod numbers;
mod remedy;
mod screen;
mod source;
mod thresholds;
mod triton;
mod trt;
mod verify;

use std::io::{BufReader, stdin};
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Subcommand};
use clip_exporter::plans;
use clip_exporter::run::{Inputs, Outcome, apart};

// What the program does besides exporting. (A doc comment would take the place of the description in --help.)
#[derive(Debug, Subcommand)]
enum Command {
    Engines(engines::Arguments),
    Inspect(inspect::Arguments),
    Verify(verify::Arguments),
}

fn main() -> ExitCode {
    clip_program::start();
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == apart::ARGUMENT)
        && let (Some(folder), None) = (arguments.next(), arguments.next())
    {
        return try_out(folder.as_ref());
    }
    if std::env::args_os().skip(1).eq([plans::apart::ARGUMENT]) {
        return build();
    }
    if std::env::args_os().skip(1).eq([clip_exporter::layout::ARGUMENT]) {
        return compare();
    }
    if let Some(status) = clip_program::pages::asked_for(parser) {
        return status;
    }
    clip_program::finish(dispatch())
}

/// Exporting, the main use, needs no subcommand.
fn parser() -> clap::Command {
    let parser = Command::augment_subcommands(export::Arguments::command());
    parser.subcommand_required(false).arg_required_else_help(false)
}

fn dispatch() -> anyhow::Result<()> {
    let matches = parser().get_matches();
    if matches.subcommand_name().is_none() {
        return export::run(export::Arguments::from_arg_matches(&matches).unwrap_or_else(|e| e.exit()));
    }
    match Command::from_arg_matches(&matches).unwrap_or_else(|e| e.exit()) {
        Command::Engines(arguments) => engines::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
    }
}

/// The other side of [`plans::apart`].
fn build() -> ExitCode {
    let input = BufReader::new(stdin());
    match plans::apart::answer(input, &mut std::io::stdout(), clip_program::end_with) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Whoever asked says that an engine could not be built.
            let reason = match error {
                clip_exporter::Error::Plan(reason) => anyhow::Error::from(reason),
                other => other.into(),
            };
            clip_program::note(&format!("{reason:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The other side of [`clip_exporter::lay_out`]'s trial.
fn compare() -> ExitCode {
    match clip_exporter::layout::answer(BufReader::new(stdin()), clip_program::end_with) {
        Ok(answer) => clip_program::finish(clip_program::print(&answer, "")),
        Err(error) => {
            let error = anyhow::Error::from(error);
            clip_program::note(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The other side of [`apart::run`].
fn try_out(folder: &Path) -> ExitCode {
    let outcome = || -> anyhow::Result<String> {
        let mut input = BufReader::new(stdin());
        let inputs = Inputs::read(&mut input)?;
        clip_program::end_with(input);
        Ok(serde_json::to_string(&Outcome::of(folder, &inputs)?)?)
    };
    match outcome() {
        Ok(outcome) => clip_program::finish(clip_program::print(&outcome, "")),
        Err(error) => {
            clip_program::note(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
