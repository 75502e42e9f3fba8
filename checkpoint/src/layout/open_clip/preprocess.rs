//! The `preprocess_cfg` of OpenCLIP's configuration.

use clip_model::Preprocess;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::refusal::is_empty;
use crate::error::{Error, Result};
use crate::layout::side::Side;

#[derive(Serialize, Deserialize, Default)]
pub(super) struct Fields {
    size: Option<Side>,
    mode: Option<Value>,
    mean: Option<[f32; 3]>,
    std: Option<[f32; 3]>,
    interpolation: Option<Value>,
    resize_mode: Option<Value>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Fields {
    pub(super) fn of(p: &Preprocess) -> Fields {
        Fields {
            size: Some(Side::One(p.size)),
            mode: Some("RGB".into()),
            mean: Some(p.mean),
            std: Some(p.std),
            interpolation: Some(json!(p.interpolation)),
            resize_mode: Some(json!(p.resize_mode)),
            rest: Map::new(),
        }
    }

    /// What they say of the pictures for an image tower of `image_size` pixels.
    pub(super) fn read(self, image_size: usize) -> Result<Preprocess> {
        if let Some(mode) = self.mode.filter(|mode| mode != "RGB") {
            return Err(unknown("mode", &mode));
        }
        let other = self.rest.iter().find(|(key, value)| *key != "fill_color" && !is_empty(value));
        if let Some((key, value)) = other {
            return Err(unknown(key, value));
        }
        let size = self.size.unwrap_or(Side::One(image_size)).of_square("preprocess_cfg.size")?;
        if size != image_size {
            return Err(Error::Config(format!(
                "preprocess_cfg.size {size} is not vision_cfg.image_size {image_size}"
            )));
        }
        let default = Preprocess::default();
        let preprocess = Preprocess {
            size,
            interpolation: known("interpolation", self.interpolation)?.unwrap_or(default.interpolation),
            resize_mode: known("resize_mode", self.resize_mode)?.unwrap_or(default.resize_mode),
            mean: self.mean.unwrap_or(default.mean),
            std: self.std.unwrap_or(default.std),
            ..default
        };
        preprocess.validate()?;
        Ok(preprocess)
    }
}

/// A word of which this crate knows some.
fn known<T: DeserializeOwned>(field: &str, value: Option<Value>) -> Result<Option<T>> {
    value.map(|value| T::deserialize(&value).map_err(|_| unknown(field, &value))).transpose()
}

fn unknown(field: &str, value: &Value) -> Error {
    Error::Config(format!("preprocess_cfg.{field} {value} is not one of those this crate knows"))
}
