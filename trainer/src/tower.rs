//! The two towers by name.

use serde::{Deserialize, Serialize};

/// One of the two towers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tower {
    /// The image tower.
    Image,
    /// The text tower.
    Text,
}

impl Tower {
    /// The tower that a tensor belongs to; None for the logit scale and bias.
    pub(crate) fn of(name: &str) -> Option<Tower> {
        match name {
            "logit_scale" | "logit_bias" => None,
            _ if name.starts_with("visual.") => Some(Tower::Image),
            _ => Some(Tower::Text),
        }
    }
}
