//! Decoded, resized and normalised pictures, for comparison with other programs.
//!
//! Reads one JSON object a line from standard input: the fields of [`Preprocess`] under `preprocess` (those left out
//! are the defaults), `fast` for [`Preprocess::decode_fitted`], `input` (a file), `output` (a file to write) and `step`: `decode` writes packed RGB of the
//! picture's own size, `fit` packed RGB of the model's size, `normalize` float32 `[3, S, S]` in native byte order.
//! Prints one line for each: `{"width":..,"height":..}` of what was written, or `{"error":".."}`.

use std::io::BufRead;
use std::path::PathBuf;

use clip_model::Preprocess;
use clip_model::preprocess::Image;
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    input: PathBuf,
    output: PathBuf,
    step: Step,
    #[serde(default)]
    fast: bool,
    #[serde(default)]
    preprocess: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Step {
    Decode,
    Fit,
    Normalize,
}

type AnyError = Box<dyn std::error::Error>;

fn main() -> Result<(), AnyError> {
    for line in std::io::stdin().lock().lines() {
        let request: Request = serde_json::from_str(&line?)?;
        match run(&request) {
            Ok((width, height)) => println!("{}", json!({"width": width, "height": height})),
            Err(error) => println!("{}", json!({"error": error.to_string()})),
        }
    }
    Ok(())
}

fn run(request: &Request) -> Result<(usize, usize), AnyError> {
    let mut fields = serde_json::to_value(Preprocess::default())?;
    for (name, value) in &request.preprocess {
        fields[name] = value.clone();
    }
    let preprocess: Preprocess = serde_json::from_value(fields)?;
    preprocess.validate()?;
    let image = if request.fast {
        preprocess.decode_fitted(&std::fs::read(&request.input)?)?
    } else {
        preprocess.open(&request.input)?
    };
    let bytes = match request.step {
        Step::Decode => return write(request, &image),
        Step::Fit => return write(request, &preprocess.fit(&image)?),
        Step::Normalize => {
            let mut out = vec![0.0_f32; 3 * preprocess.size * preprocess.size];
            preprocess.apply(&image, &mut out)?;
            out.iter().flat_map(|value| value.to_ne_bytes()).collect::<Vec<u8>>()
        }
    };
    std::fs::write(&request.output, bytes)?;
    Ok((preprocess.size, preprocess.size))
}

fn write(request: &Request, image: &Image) -> Result<(usize, usize), AnyError> {
    std::fs::write(&request.output, image.rgb())?;
    Ok((image.width(), image.height()))
}
