//! `--triton`: the model folder's graphs as models of NVIDIA's Triton Inference Server.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use clip_exporter::Options;
use clip_exporter::triton::{Device, Repository};
use clip_program::Usage;

use crate::remedy::with_remedy;

/// Where models go, and what they run on.
#[derive(Debug, Args)]
pub struct TritonArguments {
    /// Also add the graphs to this model repository of NVIDIA's Triton Inference Server, as NAME_visual, NAME_text and
    /// NAME_classifier, each with its config.pbtxt; other models in it are left alone. NAME is that of --name, with _ for what
    /// cannot be in a URL
    #[arg(long, value_name = "REPO")]
    triton: Option<PathBuf>,

    /// What Triton runs them on
    #[arg(long, value_name = "DEVICE", requires = "triton", default_value = "auto")]
    triton_device: DeviceName,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DeviceName {
    /// A GPU where there is one, else the CPU
    Auto,
    /// The CPU
    Cpu,
    /// A GPU
    Gpu,
}

impl TritonArguments {
    /// The repository; models in it are replaced where the model folder is.
    pub fn repository(&self, replace: bool) -> Option<Repository> {
        let device = match self.triton_device {
            DeviceName::Auto => Device::Auto,
            DeviceName::Cpu => Device::Cpu,
            DeviceName::Gpu => Device::Gpu,
        };
        self.triton.clone().map(|path| Repository { path, device, replace })
    }

    /// Refuses what would be refused after the export.
    pub fn check(&self, folders: &[PathBuf], options: &Options) -> anyhow::Result<()> {
        let Some(repository) = self.repository(options.replace) else { return Ok(()) };
        let [folder] = folders else {
            let several =
                "--triton takes the model of one precision: give one with --precision, or leave it out";
            return Err(Usage(several.to_owned()).into());
        };
        repository.check(folder, options).map_err(with_remedy)
    }

    /// Adds the models of a folder that is complete; gives back theirs.
    pub fn add(&self, folder: &Path, replace: bool) -> anyhow::Result<Vec<PathBuf>> {
        let Some(repository) = self.repository(replace) else { return Ok(Vec::new()) };
        let path = repository.path.display();
        let added = repository.add(folder).map_err(with_remedy);
        added.with_context(|| format!("{} is complete, but no model was added to {path}", folder.display()))
    }
}
