//! Manifests of schema 1, whose encoders named their engine in one word, and layout and element of their input in another.

use serde::Deserialize;
use serde_json::Value;

use super::encoder::{DataFile, Element, Encoder, Engine, Input, Precision};

/// An encoder of schema 1. All else is as it is today.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OldEncoder {
    file: String,
    sha256: String,
    #[serde(default)]
    data: Vec<DataFile>,
    engine: OldEngine,
    precision: Precision,
    input: String,
    element: Element,
    batch: Option<usize>,
    output: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum OldEngine {
    Onnx,
}

impl From<OldEncoder> for Encoder {
    fn from(old: OldEncoder) -> Encoder {
        let OldEncoder { file, sha256, data, engine: OldEngine::Onnx, precision, batch, output, .. } = old;
        let input = Input::new(&old.input, old.element);
        Encoder { file, sha256, data, engine: Engine::Onnx {}, precision, input, batch, output }
    }
}

/// Turns a manifest of schema 1 into one of schema 2.
pub fn upgrade(manifest: &mut Value) -> serde_json::Result<()> {
    manifest["schema"] = 2.into();
    for tower in ["image", "text"] {
        let Some(encoder) = manifest.get_mut(tower).filter(|encoder| !encoder.is_null()) else { continue };
        let old: OldEncoder = serde_json::from_value(encoder.take())?;
        *encoder = serde_json::to_value(Encoder::from(old))?;
    }
    Ok(())
}
