//! The arguments about engines of TensorRT.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use clip_exporter::Component;
use clip_exporter::plans::{self, Plans};
use clip_model::Manifest;
use clip_model::manifest::Sizes;
use clip_program::Usage;
use clip_runtime::plan::PlanOptions;

use crate::numbers::PrecisionName;

/// Whether an export makes engines of TensorRT.
#[derive(Debug, Args)]
pub struct TrtArguments {
    /// Build engines of TensorRT (visual.plan, text.plan) of the graphs, in this number format; with several, FOLDER gets a model folder
    /// for each. They are built on this machine's GPU by its own TensorRT, for this GPU and this version alone
    #[arg(long, value_name = "FORMAT", value_delimiter = ',', conflicts_with_all = ["precision", "to"])]
    pub trt: Vec<PrecisionName>,

    #[command(flatten)]
    plans: PlanArguments,

    /// Build nothing, and print for each encoder the command line of trtexec that builds the same
    #[arg(long, requires = "trt", conflicts_with_all = ["rtx", "trtexec"])]
    print_trtexec: bool,
}

/// How engines of TensorRT are built.
#[derive(Debug, Args)]
pub struct PlanArguments {
    /// Build by TensorRT for RTX, which needs no GPU: for cards from Ampere on, but neither for Jetson nor for the H100
    #[arg(long)]
    rtx: bool,

    /// Compute capabilities that --rtx builds for, as 86,89,120 [default: a portable engine for all of its own]
    #[arg(long, value_name = "SM", value_delimiter = ',', value_parser = capability, requires = "rtx")]
    sm: Vec<u32>,

    /// Images or texts in a run: the least, the usual and the greatest number [default: 1:8:32]
    #[arg(long, value_name = "MIN:OPT:MAX", value_parser = sizes)]
    trt_batch: Option<Sizes>,

    /// Tokens of a text: the least, the usual and the greatest number [default: 1:16:77, or the model's context length]
    #[arg(long, value_name = "MIN:OPT:MAX", value_parser = sizes)]
    trt_text_length: Option<Sizes>,

    /// The encoders that become engines; the other one stays a graph, which ONNX Runtime runs [default: both, but the
    /// image encoder alone where the GPU has 8 GB or less]
    #[arg(long, value_name = "ENCODERS")]
    trt_encoders: Option<Encoders>,

    /// GPU memory that an engine may compute in, and a build try things out in, as 512M or 2G [default: half of what is free]
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    trt_workspace: Option<u64>,

    /// How long the build looks for the fastest engine, 0 to 5 [default: TensorRT's own, 3]
    #[arg(long, value_name = "LEVEL")]
    trt_level: Option<u8>,

    /// File of timings of earlier builds on this GPU, which is read and added to; it need not exist
    #[arg(long, value_name = "FILE")]
    trt_timing_cache: Option<PathBuf>,

    /// Have later versions of TensorRT run the engine, too; it is larger then, and holds code for the processor
    #[arg(long, conflicts_with = "rtx")]
    trt_version_compatible: bool,

    /// Have other GPUs from Ampere on run the engine, too, somewhat slower
    #[arg(long, conflicts_with = "rtx")]
    trt_hardware_compatible: bool,

    /// The library of TensorRT, or the folder that it is in [default: the newest one that the system finds]
    #[arg(long, value_name = "PATH")]
    trt_library: Option<PathBuf>,

    /// Build by NVIDIA's program trtexec instead of in a process of clip-export
    #[arg(long, value_name = "PROGRAM", num_args = 0..=1, default_missing_value = "trtexec", conflicts_with = "rtx")]
    trtexec: Option<PathBuf>,
}

/// The encoders that become engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Encoders {
    /// The image encoder, and the classifier and the camera's graph that are made of it
    Visual,
    /// The text encoder
    Text,
    /// Both
    Both,
}

impl PlanArguments {
    /// What is to be built.
    pub fn plans(&self) -> Plans {
        Plans {
            options: self.options(),
            components: self.trt_encoders.map(|encoders| match encoders {
                Encoders::Visual => vec![Component::Image, Component::Classifier, Component::Camera],
                Encoders::Text => vec![Component::Text],
                Encoders::Both => Component::ALL.to_vec(),
            }),
            trtexec: self.trtexec.clone(),
        }
    }

    fn options(&self) -> PlanOptions {
        let usual = PlanOptions::default();
        PlanOptions {
            rtx: self.rtx,
            library: self.trt_library.clone(),
            device: usual.device,
            batch: self.trt_batch.unwrap_or(usual.batch),
            length: self.trt_text_length.unwrap_or(usual.length),
            targets: self.sm.clone(),
            workspace: self.trt_workspace,
            level: self.trt_level,
            timing_cache: self.trt_timing_cache.clone(),
            version_compatible: self.trt_version_compatible,
            hardware_compatible: self.trt_hardware_compatible,
        }
    }
}

impl TrtArguments {
    /// Refuses what would have no effect, or is said twice.
    pub fn check(&self, batch: Option<usize>) -> Result<(), Usage> {
        let refused = |what: &str| Err(Usage(what.to_owned()));
        if self.trt.is_empty() && self.plans.plans() != Plans::default() {
            return refused(
                "--rtx, --sm, --trtexec and the options --trt-... are about engines: ask for them with --trt, or leave them out",
            );
        }
        if batch.is_some() && self.plans.trt_batch.is_some() {
            return refused(
                "--batch fixes the batch of the graphs, and so that of their engines: leave it or --trt-batch out",
            );
        }
        Ok(())
    }

    /// What is to be built, if anything.
    pub fn plans(&self) -> Option<Plans> {
        (!self.trt.is_empty() && !self.print_trtexec).then(|| self.plans.plans())
    }

    /// The command lines of `trtexec` for the model in `folder`, where they are asked for.
    pub fn command_lines(&self, folder: &Path, manifest: &Manifest) -> Vec<String> {
        let line = |component: Component| {
            let encoder = component.of(manifest)?;
            Some(plans::line(folder, manifest, encoder, component.plan(), &self.plans.options()))
        };
        Component::ALL.into_iter().filter(|_| self.print_trtexec).filter_map(line).collect()
    }
}

/// `86` or `8.6`.
fn capability(text: &str) -> Result<u32, String> {
    let digits = text.replacen('.', "", 1);
    let known = text.split_once('.').is_none_or(|(major, minor)| !major.is_empty() && minor.len() == 1);
    let number = digits.parse().ok().filter(|_| known && digits.len() >= 2);
    number.ok_or_else(|| format!("{text:?} is not a compute capability, as 86 or 8.6"))
}

/// `1:8:32`, or one number for all three.
fn sizes(text: &str) -> Result<Sizes, String> {
    let bad = || format!("{text:?} is not MIN:OPT:MAX, as 1:8:32");
    let numbers: Vec<usize> = text.split(':').map(str::parse).collect::<Result<_, _>>().map_err(|_| bad())?;
    match numbers[..] {
        [size] => Ok(Sizes::fixed(size)),
        [min, opt, max] => Ok(Sizes { min, opt, max }),
        _ => Err(bad()),
    }
}

/// `512M` or `2G`, in units of 1024.
fn bytes(text: &str) -> Result<u64, String> {
    let bad = || format!("{text:?} is not a size: write it as 512M or 2G");
    let (digits, unit) = match text.strip_suffix(['G', 'g']) {
        Some(digits) => (digits, 1 << 30),
        None => (text.strip_suffix(['M', 'm']).ok_or_else(bad)?, 1 << 20),
    };
    let bytes = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit)).ok_or_else(bad)?;
    match bytes {
        0 => Err(bad()),
        bytes => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_one_number_or_three() {
        assert_eq!(sizes("1:8:32"), Ok(Sizes { min: 1, opt: 8, max: 32 }));
        assert_eq!(sizes("4"), Ok(Sizes::fixed(4)));
        for text in ["", "1:2", "1:2:3:4", "a:b:c", "-1:2:3", "1: 2:3"] {
            assert!(sizes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn compute_capabilities_are_written_with_a_point_or_without() {
        assert_eq!((capability("86"), capability("8.6"), capability("12.0")), (Ok(86), Ok(86), Ok(120)));
        for text in ["", "8", "8.", ".6", "8.60", "8.6.1", "sm86"] {
            assert!(capability(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_have_a_unit() {
        assert_eq!((bytes("512M"), bytes("2G"), bytes("1g")), (Ok(512 << 20), Ok(2 << 30), Ok(1 << 30)));
        for text in ["", "0M", "12", "1.5G", "M", "99999999999999G", "-1G"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
