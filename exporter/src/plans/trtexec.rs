//! NVIDIA's program `trtexec`: what it would be called with, and building by it.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

use clip_model::manifest::{Build, Encoder, Engine, Plan};
use clip_model::{Manifest, files};
use clip_runtime::plan::{PlanOptions, shapes, sizes};

use crate::error::{Error, Result};

/// The arguments with which `trtexec` builds the same plan of an encoder's graph in `folder`.
fn arguments(
    folder: &Path,
    manifest: &Manifest,
    encoder: &Encoder,
    plan: &str,
    options: &PlanOptions,
) -> Vec<String> {
    let inputs = shapes(manifest, encoder, options);
    let [min, opt, max] = [0, 1, 2].map(|which| {
        let input = |(name, shapes): &(String, [Vec<usize>; 3])| {
            let sizes: Vec<String> = shapes[which].iter().map(usize::to_string).collect();
            format!("{name}:{}", sizes.join("x"))
        };
        inputs.iter().map(input).collect::<Vec<_>>().join(",")
    });
    let mut arguments = vec![
        format!("--onnx={}", folder.join(encoder.graph().file).display()),
        format!("--saveEngine={}", folder.join(plan).display()),
        "--stronglyTyped".to_owned(),
        "--noTF32".to_owned(),
        "--skipInference".to_owned(),
    ];
    // What is fixed in the graph is not asked for.
    if encoder.batch.is_none() || min != max {
        arguments.extend([
            format!("--minShapes={min}"),
            format!("--optShapes={opt}"),
            format!("--maxShapes={max}"),
        ]);
    }
    if let Some(bytes) = options.workspace {
        arguments.push(format!("--memPoolSize=workspace:{0}M,tacticDram:{0}M", bytes >> 20));
    }
    arguments.extend(options.level.map(|level| format!("--builderOptimizationLevel={level}")));
    arguments.extend(options.timing_cache.iter().map(|file| format!("--timingCacheFile={}", file.display())));
    if options.version_compatible {
        arguments.push("--versionCompatible".to_owned());
    }
    if options.hardware_compatible {
        arguments.push("--hardwareCompatibilityLevel=ampere+".to_owned());
    }
    arguments
}

/// The command line that builds the plan of an encoder, to be run by hand.
pub fn line(
    folder: &Path,
    manifest: &Manifest,
    encoder: &Encoder,
    plan: &str,
    options: &PlanOptions,
) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+".contains(c);
    let quoted = |argument: &String| match argument.chars().all(plain) {
        true => argument.clone(),
        false => format!("'{}'", argument.replace('\'', r"'\''")),
    };
    let arguments = arguments(folder, manifest, encoder, plan, options);
    format!("trtexec {}", arguments.iter().map(quoted).collect::<Vec<_>>().join(" "))
}

/// Which `trtexec` it is, as `TensorRT 10.3.0 by trtexec`.
///
/// # Errors
/// [`Error::Trtexec`] when it does not start.
pub fn version(program: &Path) -> Result<String> {
    let text = output(&run(program, &["--help".to_owned()])?);
    let version = found_version(&text).ok_or_else(|| Error::Trtexec {
        program: program.to_owned(),
        reason: "does not say its version".to_owned(),
    })?;
    Ok(format!("TensorRT {version} by {}", program.display()))
}

/// Builds the plan of an encoder by `program`.
///
/// # Errors
/// [`Error::Trtexec`] with the program's own words.
pub fn build(
    program: &Path,
    folder: &Path,
    manifest: &Manifest,
    encoder: &Encoder,
    plan: &str,
    options: &PlanOptions,
) -> Result<Encoder> {
    let started = Instant::now();
    let output = run(program, &arguments(folder, manifest, encoder, plan, options))?;
    let text = self::output(&output);
    let failed = |reason: String| Error::Trtexec { program: program.to_owned(), reason };
    if !output.status.success() {
        let errors: Vec<&str> = text.lines().filter(|line| line.contains("[E]")).take(5).collect();
        return Err(failed(match errors.is_empty() {
            true => format!("ended with {}", output.status),
            false => errors.join("; "),
        }));
    }
    let value = |name: &str| {
        let line = text.lines().find_map(|line| Some(line.split_once(name)?.1.trim()));
        line.map(|found| found.trim_end_matches('.').to_owned())
    };
    let version = found_version(&text).ok_or_else(|| failed("does not say its version".to_owned()))?;
    let sm = value("Compute Capability:")
        .and_then(|found| found.replace('.', "").parse().ok())
        .ok_or_else(|| failed("does not say the GPU's compute capability".to_owned()))?;
    let path = folder.join(plan);
    let (batch, length) = sizes(manifest, encoder, options);
    let plan = Plan {
        family: version.split('.').next().unwrap_or_default().to_owned(),
        version,
        compute_capabilities: vec![sm],
        device: value("Selected Device:").or_else(|| value("Device:")),
        batch,
        length,
        build: Build {
            level: options.level,
            workspace: options.workspace,
            version_compatible: options.version_compatible,
            hardware_compatible: options.hardware_compatible,
            milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            peak_memory: 0,
        },
        graph: encoder.graph(),
        verified: false,
    };
    Ok(Encoder {
        file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        sha256: files::sha256(&path)?,
        data: Vec::new(),
        engine: Engine::TensorRt(Box::new(plan)),
        ..encoder.clone()
    })
}

fn run(program: &Path, arguments: &[String]) -> Result<Output> {
    Command::new(program)
        .args(arguments)
        .output()
        .map_err(|e| Error::Trtexec { program: program.to_owned(), reason: format!("does not start: {e}") })
}

fn output(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).join("\n")
}

/// The version in `&&&& RUNNING TensorRT.trtexec [TensorRT v100300] [b26]` or `[TensorRT v8601]`.
fn found_version(text: &str) -> Option<String> {
    let number = text.split("[TensorRT v").nth(1)?.split(']').next()?.parse::<u32>().ok()?;
    let unit = if number < 10_000 { 1_000 } else { 10_000 };
    Some(format!("{}.{}.{}", number / unit, number % unit / 100, number % 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_what_it_says() {
        let text = "&&&& RUNNING TensorRT.trtexec [TensorRT v101303] [b9] # trtexec --onnx=a";
        assert_eq!(found_version(text).as_deref(), Some("10.13.3"));
        assert_eq!(found_version("[TensorRT v8601]").as_deref(), Some("8.6.1"));
        assert_eq!(found_version("usage: other"), None);
    }
}
