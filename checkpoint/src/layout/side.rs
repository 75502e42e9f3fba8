//! The side of a square, as configurations spell it.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A number, or height and width.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected the side of a square in pixels, or [height, width]")]
pub(super) enum Side {
    One(usize),
    Two([usize; 2]),
}

impl Side {
    /// The side, pixels.
    ///
    /// # Errors
    /// [`Error::Config`], with the name of the `field`, for what is no square.
    pub(super) fn of_square(self, field: &str) -> Result<usize> {
        match self {
            Side::One(side) => Ok(side),
            Side::Two([height, width]) if height == width => Ok(height),
            Side::Two([height, width]) => {
                Err(Error::Config(format!("{field} is {height}x{width}; only squares are supported")))
            }
        }
    }
}
