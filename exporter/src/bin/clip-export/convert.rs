//! `clip-export --to`: a checkpoint in one hub's layout becomes one in another's.

use std::path::Path;

use anyhow::Context;
use clap::ValueEnum;
use clip_checkpoint::Checkpoint;
use clip_checkpoint::Layout;

/// A layout to write, by its name on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum To {
    /// open_clip_config.json and open_clip_model.safetensors, for open_clip and clip-train
    OpenClip,
    /// config.json, model.safetensors and preprocessor_config.json, for transformers
    Hf,
}

/// Writes `checkpoint` into the new folder `output`, whose path is printed, as JSON if asked for.
pub fn convert(checkpoint: &Checkpoint, output: &Path, to: To, json: bool) -> anyhow::Result<()> {
    let (layout, name) = match to {
        To::OpenClip => (Layout::OpenClip, "open-clip"),
        To::Hf => (Layout::HuggingFace, "hf"),
    };
    checkpoint.write_as(output, layout).with_context(|| format!("cannot write the checkpoint as {name}"))?;
    let text = if json {
        serde_json::to_string_pretty(&serde_json::json!({ "folder": output, "layout": name }))?
    } else {
        output.display().to_string()
    };
    clip_program::print(&text, &format!("{} is complete", output.display()))
}
