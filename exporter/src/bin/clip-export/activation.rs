//! The activation of a checkpoint that does not say it.

use clap::Args;
use clip_model::config::Activation;

/// At most one of two switches.
#[derive(Debug, Clone, Copy, Args)]
#[group(multiple = false)]
pub struct ActivationArguments {
    /// The weights come without a configuration, and their blocks use GELU (most models that OpenCLIP's trainer saved)
    #[arg(long)]
    gelu: bool,

    /// The same with QuickGELU (models that go on from OpenAI's weights, MetaCLIP's, DFN's)
    #[arg(long)]
    quickgelu: bool,
}

impl ActivationArguments {
    /// The activation that was stated.
    pub fn stated(self) -> Option<Activation> {
        match self {
            ActivationArguments { gelu: true, .. } => Some(Activation::Gelu),
            ActivationArguments { quickgelu: true, .. } => Some(Activation::QuickGelu),
            _ => None,
        }
    }
}
