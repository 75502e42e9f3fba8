//! A batch on the network's device.

use std::ops::Range;

use clip_data::Batch;
use clip_model::config::Config;
use tch::{Device, Tensor};

use crate::error::Result;
use crate::network::lengths;

/// Pictures and texts of a batch, or of a part of one.
#[derive(Debug)]
pub struct Inputs {
    /// Normalised pixels `[B, 3, S, S]`, fp32.
    pub images: Tensor,
    /// Token ids `[B, L]`, int64.
    pub ids: Tensor,
    /// Tokens of each text up to its end.
    pub lengths: Vec<usize>,
}

impl Inputs {
    /// `images` `[B, 3, S, S]` and `ids` `[B, L]`, brought from the CPU to `device`.
    pub fn new(config: &Config, images: &Tensor, ids: &Tensor, device: Device) -> Result<Inputs> {
        let lengths = lengths(config, ids);
        Ok(Inputs { images: images.f_to_device(device)?, ids: ids.f_to_device(device)?, lengths })
    }

    /// A batch of the loader's, brought to `device`.
    pub fn of(config: &Config, batch: &Batch, device: Device) -> Result<Inputs> {
        let (size, length) = (batch.size as i64, batch.length as i64);
        let side = ((batch.images.len() / (3 * batch.size.max(1))) as f64).sqrt().round() as i64;
        let images = Tensor::f_from_slice(&batch.images)?.f_view([size, 3, side, side])?;
        let ids = Tensor::f_from_slice(&batch.ids)?.f_view([size, length])?;
        Inputs::new(config, &images, &ids, device)
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
        let lengths = self.lengths[pairs.clone()].to_vec();
        Ok(Inputs { images: narrow(&self.images)?, ids: narrow(&self.ids)?, lengths })
    }
}
