//! A setting in which two runs differ.

use std::fmt;

use serde::Serialize;

/// A setting that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Its name with the section's, `optim.lr`; `shards`, `device`.
    pub name: String,
    /// Its value before.
    pub was: String,
    /// Its value now.
    pub now: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Change { name, was, now } = self;
        match name.as_str() {
            "shards" => write!(f, "the training shards were {was}, now {now}"),
            _ => write!(f, "{name} was {was}, now {now}"),
        }
    }
}
