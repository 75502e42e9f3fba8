//! The values of constants as bytes and as numbers.

use std::io::{Error, ErrorKind, Result};

use ::half::f16;

use super::data::{Data, Element, Rows, Sink, TensorSource};

/// Epsilon of batch norms, PyTorch's default.
const EPSILON: f32 = 1e-5;

/// Passes the bytes of `data` to `sink`, in order, in one or more pieces.
pub fn write(data: &Data, source: &dyn TensorSource, sink: Sink<'_>) -> Result<()> {
    match data {
        Data::Int64(values) => sink(&bytes(values, |v| v.to_le_bytes())),
        Data::Int32(values) => sink(&bytes(values, |v| v.to_le_bytes())),
        Data::Int8(values) => sink(&bytes(values, |v| v.to_le_bytes())),
        Data::UInt8(values) => sink(values),
        Data::Float32(values) => sink(&bytes(values, |v| v.to_le_bytes())),
        Data::Weight(rows) => source.read(rows, sink),
        Data::Folded { weight, norm: name } => {
            let [factors, _] = norm(name, source)?;
            let values = numbers(&Data::Weight(weight.clone()), source)?;
            let (weights, channels) = (values.len(), factors.len());
            if channels == 0 || weights == 0 || !weights.is_multiple_of(channels) {
                return Err(invalid(format!(
                    "{weights} weights do not fit the {channels} channels of {name}"
                )));
            }
            // A channel's weights lie side by side.
            let mut rows = values.chunks_exact(weights / channels).zip(&factors);
            rows.try_for_each(|(row, factor)| sink(&bytes(row, |v| (v * factor).to_le_bytes())))
        }
        Data::FoldedBias(name) => sink(&bytes(&norm(name, source)?[1], |v| v.to_le_bytes())),
        Data::Scaled { data, columns } => {
            let mut next = columns.iter().cycle();
            write(data, source, &mut |piece| {
                let scaled: Vec<f32> =
                    floats(piece).zip(next.by_ref()).map(|(v, factor)| v * factor).collect();
                sink(&bytes(&scaled, |v| v.to_le_bytes()))
            })
        }
        Data::Half(inner) => write(inner, source, &mut |piece| {
            let mut rounded = Vec::with_capacity(piece.len() / 2);
            for value in floats(piece) {
                let half = f16::from_f32(value);
                if half.is_infinite() && value.is_finite() {
                    let limit = f16::MAX;
                    return Err(invalid(format!(
                        "{value} is beyond float16, which ends at {limit}: this model needs fp32"
                    )));
                }
                rounded.extend_from_slice(&half.to_le_bytes());
            }
            sink(&rounded)
        }),
    }
}

/// The values of a constant of one of the float32 kinds, in memory.
///
/// # Errors
/// Those of `source`; one for integers.
pub fn numbers(data: &Data, source: &dyn TensorSource) -> Result<Vec<f32>> {
    match data {
        Data::Half(inner) => return numbers(inner, source),
        integers if integers.element() != Element::Float32 => {
            return Err(invalid("these are integers, not numbers".to_owned()));
        }
        _ => {}
    }
    let mut values = Vec::new();
    write(data, source, &mut |piece| {
        values.extend(floats(piece));
        Ok(())
    })?;
    Ok(values)
}

/// What a batch norm multiplies the numbers of each channel by, and what it then adds.
fn norm(name: &str, source: &dyn TensorSource) -> Result<[Vec<f32>; 2]> {
    let part = |suffix: &str| {
        numbers(&Data::Weight(Rows { tensor: format!("{name}.{suffix}"), rows: None }), source)
    };
    let (gain, bias, mean, variance) =
        (part("weight")?, part("bias")?, part("running_mean")?, part("running_var")?);
    let factors: Vec<f32> = gain.iter().zip(variance).map(|(gain, v)| gain / (v + EPSILON).sqrt()).collect();
    let means = mean.iter().zip(&factors);
    let summands = bias.iter().zip(means).map(|(bias, (mean, factor))| bias - mean * factor).collect();
    Ok([factors, summands])
}

fn bytes<T, const N: usize>(values: &[T], convert: impl Fn(&T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(convert).collect()
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> + '_ {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidData, message)
}
