//! A batch on the network's device.

use std::ops::Range;

use clip_data::Batch;
use clip_model::Preprocess;
use clip_model::config::Config;
use tch::{Device, Kind, Tensor};

use crate::error::Result;
use crate::network::lengths;

/// Pictures and texts of a batch, or of a part of one.
#[derive(Debug)]
pub struct Inputs {
    /// RGB, `[B, S, S, 3]`, uint8.
    pictures: Tensor,
    normalization: Normalization,
    /// Token ids `[B, L]`, int64.
    pub ids: Tensor,
    /// Tokens of each text up to its end.
    pub lengths: Vec<usize>,
}

/// How pixels become what a network takes: [`Preprocess::normalize`], on a device.
#[derive(Debug)]
pub(crate) struct Normalization {
    /// Of each channel, `[1, 3, 1, 1]`.
    mean: Tensor,
    std: Tensor,
}

impl Normalization {
    pub(crate) fn new(preprocess: &Preprocess, device: Device) -> Result<Normalization> {
        let channels =
            |values: &[f32; 3]| Tensor::f_from_slice(values)?.f_view([1, 3, 1, 1])?.f_to_device(device);
        Ok(Normalization { mean: channels(&preprocess.mean)?, std: channels(&preprocess.std)? })
    }

    /// `[B, S, S, 3]`, uint8, to `[B, 3, S, S]`, fp32, whose channels stay side by side in memory.
    fn apply(&self, pictures: &Tensor) -> Result<Tensor> {
        let mut pixels = pictures.f_permute([0, 3, 1, 2])?.f_to_kind(Kind::Float)?;
        Ok(pixels.f_div_scalar_(255.0)?.f_sub_(&self.mean)?.f_div_(&self.std)?)
    }
}

impl Inputs {
    /// Pictures `[B, S, S, 3]`, uint8, and token ids `[B, L]`, int64, brought from the CPU to `device`.
    pub fn new(
        (config, preprocess): (&Config, &Preprocess),
        pictures: &Tensor,
        ids: &Tensor,
        device: Device,
    ) -> Result<Inputs> {
        Ok(Inputs {
            lengths: lengths(config, ids),
            pictures: pictures.f_to_device(device)?,
            normalization: Normalization::new(preprocess, device)?,
            ids: ids.f_to_device(device)?,
        })
    }

    /// A batch of the loader's, brought to `device`.
    pub fn of(network: (&Config, &Preprocess), batch: &Batch, device: Device) -> Result<Inputs> {
        let (size, length, side) = (batch.size as i64, batch.length as i64, network.1.size as i64);
        let pictures = Tensor::f_from_slice(&batch.pictures)?.f_view([size, side, side, 3])?;
        let ids = Tensor::f_from_slice(&batch.ids)?.f_view([size, length])?;
        Inputs::new(network, &pictures, &ids, device)
    }

    /// Normalised pixels `[B, 3, S, S]`, fp32. They are computed here and not kept: of a batch in parts, only a part's are in memory.
    pub fn images(&self) -> Result<Tensor> {
        self.normalization.apply(&self.pictures)
    }

    /// The pixels as another network takes them.
    pub(crate) fn images_for(&self, other: &Normalization) -> Result<Tensor> {
        other.apply(&self.pictures)
    }

    /// Pairs.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// The pairs of these numbers.
    pub fn part(&self, pairs: &Range<usize>) -> Result<Inputs> {
        let narrow = |tensor: &Tensor| tensor.f_narrow(0, pairs.start as i64, pairs.len() as i64);
        let Normalization { mean, std } = &self.normalization;
        Ok(Inputs {
            pictures: narrow(&self.pictures)?,
            normalization: Normalization { mean: mean.shallow_clone(), std: std.shallow_clone() },
            ids: narrow(&self.ids)?,
            lengths: self.lengths[pairs.clone()].to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::to_vec;

    /// A network sees in training what the runtime shows it, to the bit.
    #[test]
    fn pixels_are_normalised_as_the_runtime_does() {
        let preprocess = Preprocess { size: 8, ..Preprocess::default() };
        let rgb: Vec<u8> = (0..2 * 3 * 64).map(|n| (n * 89 % 256) as u8).collect();
        let pictures = Tensor::from_slice(&rgb).view([2, 8, 8, 3]);
        let ids = Tensor::from_slice(&[49406i64, 49407, 49406, 49407]).view([2, 2]);
        let network = (&Config::named("RN50").unwrap(), &preprocess);
        let inputs = Inputs::new(network, &pictures, &ids, Device::Cpu).unwrap();
        let mut expected = vec![0.0; rgb.len()];
        for (rgb, out) in rgb.chunks_exact(192).zip(expected.chunks_exact_mut(192)) {
            preprocess.normalize_rgb(rgb, out).unwrap();
        }
        assert_eq!(to_vec(&inputs.images().unwrap().contiguous()).unwrap(), expected);
        let second = inputs.part(&(1..2)).unwrap().images().unwrap().contiguous();
        assert_eq!(to_vec(&second).unwrap(), expected[192..]);
    }
}
