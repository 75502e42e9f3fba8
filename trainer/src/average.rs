//! The exponential moving average of a network's weights over its steps (Polyak and Juditsky 1992; the decay is constant, as in
//! open_clip's and timm's `ModelEma`).

use std::collections::HashMap;

use tch::{Kind, Tensor, no_grad};

use crate::error::Result;
use crate::network::Network;
use crate::parameters::Parameters;

/// The average of all learned parameters, in fp32.
#[derive(Debug)]
pub struct Average {
    /// What a step leaves of the average.
    decay: f64,
    /// In the layout of the parameters' groups.
    flats: Vec<Tensor>,
}

impl Average {
    /// The average of `parameters` alone.
    ///
    /// # Errors
    /// [`crate::Error::Torch`], for want of memory as a rule.
    pub fn of(parameters: &Parameters, decay: f64) -> Result<Average> {
        let copy = |flat: &Tensor| flat.f_detach()?.f_to_dtype(Kind::Float, false, true);
        let flats = parameters.groups.iter().map(|group| copy(&group.flat));
        Ok(Average { decay, flats: flats.collect::<std::result::Result<_, _>>()? })
    }

    /// Takes the parameters after a step into the average.
    ///
    /// # Errors
    /// As [`Average::of`].
    pub fn update(&mut self, parameters: &Parameters) -> Result<()> {
        for (average, group) in self.flats.iter_mut().zip(&parameters.groups) {
            no_grad(|| average.f_lerp_(&group.flat.f_to_kind(Kind::Float)?, 1.0 - self.decay).map(drop))?;
        }
        Ok(())
    }

    /// Runs `look` on the network with averaged weights, and gives it its own ones back.
    ///
    /// # Errors
    /// As [`Average::of`].
    pub fn shown<R>(&self, network: &mut Network, look: impl FnOnce(&mut Network) -> R) -> Result<R> {
        let groups = &network.parameters.groups;
        let own = groups.iter().map(|group| group.flat.f_to_dtype(group.flat.kind(), false, true));
        let own: Vec<Tensor> = own.collect::<std::result::Result<_, _>>()?;
        take(network, &self.flats)?;
        let result = look(network);
        take(network, &own)?;
        Ok(result)
    }

    /// The average's tensors, under the names that they have in a training state.
    pub(crate) fn tensors(&self, parameters: &Parameters) -> Vec<(String, &Tensor)> {
        let pairs = parameters.groups.iter().zip(&self.flats);
        pairs.map(|(group, flat)| (format!("average.{}", group.title), flat)).collect()
    }

    /// Every tensor of the network by its name, averaged where it is learned.
    ///
    /// # Errors
    /// As [`Average::of`].
    pub fn network(&self, parameters: &Parameters) -> Result<Vec<(String, Tensor)>> {
        let mut averaged = HashMap::new();
        for (flat, group) in self.flats.iter().zip(&parameters.groups) {
            let mut start = 0;
            for name in &group.names {
                let size = parameters.tensor(name).size();
                let count = size.iter().product();
                averaged.insert(name.as_str(), flat.f_narrow(0, start, count)?.f_view(size.as_slice())?);
                start += count;
            }
        }
        let tensor = |name: &String| match averaged.get(name.as_str()) {
            Some(average) => average.shallow_clone(),
            None => parameters.tensor(name).detach(),
        };
        Ok(parameters.names().iter().map(|name| (name.clone(), tensor(name))).collect())
    }
}

/// Gives the network these values, in the layout of its parameters' groups.
fn take(network: &mut Network, flats: &[Tensor]) -> Result<()> {
    for (group, flat) in network.parameters.groups.iter_mut().zip(flats) {
        no_grad(|| group.flat.f_copy_(flat))?;
    }
    network.refresh()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::tests::few;
    use crate::parameters::to_vec;

    #[test]
    fn the_average_follows_slowly() {
        let parameters = few(); // all halves
        let mut average = Average::of(&parameters, 0.9).unwrap();
        for (_, tensor) in parameters.learned() {
            no_grad(|| drop(tensor.shallow_clone().fill_(1.5)));
        }
        average.update(&parameters).unwrap();
        average.update(&parameters).unwrap();
        let network = average.network(&parameters).unwrap();
        let names: Vec<&str> = network.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a.weight", "a.bias", "logit_scale"]);
        for (name, tensor) in &network {
            assert_eq!(tensor.size(), parameters.tensor(name).size());
            assert!(
                to_vec(tensor).unwrap().iter().all(|value| (value - (1.5 - 0.81)).abs() < 1e-6),
                "{name}"
            );
        }
    }
}
