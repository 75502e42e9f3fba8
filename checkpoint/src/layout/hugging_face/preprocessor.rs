//! `preprocessor_config.json`, to and from [`Preprocess`].

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::layout::file::read_json;
use clip_model::config::Family;
use clip_model::preprocess::{Interpolation, Preprocess, ResizeMode};

/// The file's name.
pub const FILE: &str = "preprocessor_config.json";

/// Where newer versions of transformers put the same fields, under `image_processor`.
const PROCESSOR: &str = "processor_config.json";

/// Pillow's numbers of its filters.
const FILTERS: [(u64, Interpolation); 2] = [(3, Interpolation::Bicubic), (2, Interpolation::Bilinear)];

/// Reads what a folder says of the pictures for an input of `size` pixels.
///
/// # Errors
/// [`Error::Config`], by name, for steps that this crate does not take.
pub(super) fn read(folder: &Path, size: usize, family: Family) -> Result<Preprocess> {
    if folder.join(FILE).exists() {
        return parse(&read_json(&folder.join(FILE))?, size, family);
    }
    let newer = folder.join(PROCESSOR);
    if newer.exists()
        && let Some(Value::Object(fields)) = read_json::<Map<_, _>>(&newer)?.get("image_processor")
    {
        return parse(fields, size, family);
    }
    Err(Error::io("open", folder.join(FILE), std::io::ErrorKind::NotFound.into()))
}

/// What the fields of such a file say for an input of `expected` pixels.
///
/// # Errors
/// As [`read`].
fn parse(fields: &Map<String, Value>, expected: usize, family: Family) -> Result<Preprocess> {
    let refuse = |field: &str| {
        let value = fields.get(field).unwrap_or(&Value::Null);
        Err(Error::Config(format!("{FILE}: {field} = {value} is not supported")))
    };
    let is_on = |field: &str| fields.get(field).and_then(Value::as_bool).unwrap_or(true);
    for field in ["do_resize", "do_rescale", "do_normalize"] {
        if !is_on(field) {
            return refuse(field);
        }
    }
    if fields.get("rescale_factor").is_some_and(|f| (f.as_f64().unwrap_or(0.0) - 1.0 / 255.0).abs() > 1e-9) {
        return refuse("rescale_factor");
    }
    // SigLIP's image processor has no such step.
    let crop = family == Family::Clip && is_on("do_center_crop");
    let default = Preprocess::of(family);
    let resize = fields.get("size").and_then(Size::parse);
    let (size, resize_mode) = match resize {
        Some(Size::Shortest(size)) if crop => (size, ResizeMode::Shortest),
        Some(Size::Square(size)) => (size, ResizeMode::Squash),
        _ => return refuse("size"),
    };
    if crop && fields.get("crop_size").and_then(Size::parse).is_some_and(|crop| crop.side() != size) {
        return refuse("crop_size");
    }
    if size != expected {
        return Err(Error::Config(format!("{FILE}: size {size} is not vision_config.image_size {expected}")));
    }
    let interpolation = match fields.get("resample").filter(|v| !v.is_null()) {
        None => Interpolation::Bicubic,
        Some(number) => match FILTERS.iter().find(|(n, _)| number.as_u64() == Some(*n)) {
            Some((_, filter)) => *filter,
            None => return refuse("resample"),
        },
    };
    let channels = |field: &str, default: [f32; 3]| match fields.get(field).filter(|v| !v.is_null()) {
        None => Ok(default),
        Some(value) => serde_json::from_value(value.clone())
            .map_err(|_| Error::Config(format!("{FILE}: {field} = {value}, expected three numbers"))),
    };
    let preprocess = Preprocess {
        size,
        resize_mode,
        interpolation,
        mean: channels("image_mean", default.mean)?,
        std: channels("image_std", default.std)?,
        ..default
    };
    preprocess.validate()?;
    Ok(preprocess)
}

/// A size, in any of the forms that there were.
#[derive(Clone, Copy)]
enum Size {
    /// Of the shorter side.
    Shortest(usize),
    /// Of both sides.
    Square(usize),
}

impl Size {
    fn parse(value: &Value) -> Option<Size> {
        let side = |value: &Value| usize::try_from(value.as_u64()?).ok();
        if let Some(number) = side(value) {
            return Some(Size::Shortest(number));
        }
        if let Some(shortest) = value.get("shortest_edge") {
            return side(shortest).map(Size::Shortest);
        }
        let (height, width) = (side(value.get("height")?)?, side(value.get("width")?)?);
        (height == width).then_some(Size::Square(height))
    }

    fn side(self) -> usize {
        match self {
            Size::Shortest(side) | Size::Square(side) => side,
        }
    }
}

/// A `preprocessor_config.json` of this preprocessing.
pub fn write(p: &Preprocess, family: Family) -> String {
    let square = json!({"height": p.size, "width": p.size});
    let shortest = p.resize_mode == ResizeMode::Shortest;
    let filter = FILTERS.iter().find(|(_, filter)| *filter == p.interpolation).map(|(number, _)| number);
    let fields = json!({
        "image_processor_type": match family {
            Family::Clip => "CLIPImageProcessor",
            Family::SigLip => "SiglipImageProcessor",
        },
        "do_convert_rgb": true,
        "do_resize": true,
        "size": if shortest { json!({"shortest_edge": p.size}) } else { square.clone() },
        "resample": filter,
        "do_center_crop": shortest,
        "crop_size": square,
        "do_rescale": true,
        "rescale_factor": 1.0 / 255.0,
        "do_normalize": true,
        "image_mean": p.mean,
        "image_std": p.std,
    });
    format!("{fields:#}\n")
}
