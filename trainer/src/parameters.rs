//! The tensors of a network: learned ones, laid out for the optimiser, and the running statistics of batch norms.

use std::collections::HashMap;
use std::io;

use clip_checkpoint::Checkpoint;
use clip_checkpoint::Source;
use clip_model::shapes;
use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};

/// All tensors of a network, by their state-dict names, in fp32.
///
/// The learned ones are views into two flat tensors, one for those with weight decay and one for those without, so
/// that an optimiser's update is a few operations on long vectors, however many parameters there are.
#[derive(Debug)]
pub struct Parameters {
    /// Matrices and kernels, which weight decay pulls towards zero; then gains, biases, the class embedding and the logit
    /// scale: everything of fewer than two axes.
    pub(crate) groups: [Group; 2],
    /// Names in the order of the network's definition.
    names: Vec<String>,
    tensors: HashMap<String, Tensor>,
}

/// Learned tensors that the optimiser treats alike.
#[derive(Debug)]
pub(crate) struct Group {
    /// What a training state calls the group.
    pub title: &'static str,
    /// Whether weight decay applies.
    pub decays: bool,
    /// The tensors' names, in the order of `flat`.
    pub names: Vec<String>,
    /// All their values, `[total]`.
    pub flat: Tensor,
}

impl Parameters {
    /// These tensors on `device`, those of a network as a rule ([`clip_model::shapes::summarize`]); `fill` gives the
    /// row-major values of each by its name and shape.
    ///
    /// # Errors
    /// What `fill` returns; [`Error::Size`] when it gives a wrong number of values.
    pub fn new(
        tensors: &[shapes::Tensor],
        device: Device,
        mut fill: impl FnMut(&str, &[usize]) -> Result<Vec<f32>>,
    ) -> Result<Parameters> {
        let mut by_name = HashMap::new();
        let mut values_of = [Vec::new(), Vec::new()];
        for tensor in tensors {
            let values = fill(&tensor.name, &tensor.shape)?;
            if values.len() != tensor.elements() {
                let (name, found, expected) = (tensor.name.clone(), values.len(), tensor.elements());
                return Err(Error::Size { name, found, expected });
            }
            if tensor.learned {
                values_of[usize::from(tensor.shape.len() < 2)].extend(values);
            } else {
                let values = Tensor::f_from_slice(&values)?.f_reshape(sizes(tensor))?.f_to_device(device)?;
                by_name.insert(tensor.name.clone(), values);
            }
        }
        let mut group = |title, decays, values: &[f32]| -> Result<Group> {
            let flat = Tensor::f_from_slice(values)?.f_to_device(device)?;
            let (mut names, mut start) = (Vec::new(), 0);
            for tensor in tensors.iter().filter(|t| t.learned && (t.shape.len() >= 2) == decays) {
                let count = tensor.elements() as i64;
                // Detached, a view is a leaf of its own that still shares the memory.
                let view = flat.f_narrow(0, start, count)?.f_view(sizes(tensor).as_slice())?.f_detach()?;
                by_name.insert(tensor.name.clone(), view.f_set_requires_grad(true)?);
                names.push(tensor.name.clone());
                start += count;
            }
            Ok(Group { title, decays, names, flat })
        };
        let groups = [group("decayed", true, &values_of[0])?, group("plain", false, &values_of[1])?];
        let names = tensors.iter().map(|t| t.name.clone()).collect();
        Ok(Parameters { groups, names, tensors: by_name })
    }

    /// The tensors of a checkpoint.
    ///
    /// # Errors
    /// As [`Parameters::new`].
    pub fn of(checkpoint: &Checkpoint, device: Device) -> Result<Parameters> {
        let tensors = shapes::summarize(&checkpoint.config).tensors;
        Parameters::new(&tensors, device, |name, _| Ok(checkpoint.tensor(name)?.to_f32()?))
    }

    /// The tensor called `name`, which must be one of the network's.
    pub fn tensor(&self, name: &str) -> &Tensor {
        &self.tensors[name]
    }

    /// The learned tensors with their names, in the order of the groups' flat vectors.
    pub(crate) fn learned(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.groups.iter().flat_map(|group| &group.names).map(|name| (name.as_str(), &self.tensors[name]))
    }

    /// Every tensor, to be written to a file.
    pub fn stored(&self) -> Vec<Stored<'_>> {
        self.names.iter().map(|name| Stored::new(name.clone(), self.tensor(name))).collect()
    }
}

fn sizes(tensor: &shapes::Tensor) -> Vec<i64> {
    tensor.shape.iter().map(|&n| n as i64).collect()
}

/// A tensor that is to be written to a file from where it is.
#[derive(Debug)]
pub struct Stored<'a> {
    name: String,
    shape: Vec<usize>,
    tensor: &'a Tensor,
}

impl<'a> Stored<'a> {
    /// `tensor`, under this name.
    pub fn new(name: String, tensor: &'a Tensor) -> Stored<'a> {
        Stored { name, shape: tensor.size().into_iter().map(|n| n as usize).collect(), tensor }
    }
}

impl Source for Stored<'_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn read(&self, sink: &mut dyn FnMut(&[f32]) -> io::Result<()>) -> io::Result<()> {
        /// Elements that are copied to main memory at once.
        const PIECE: i64 = 1 << 20;
        let flat = self.tensor.f_detach().and_then(|t| t.f_reshape([-1])).map_err(io::Error::other)?;
        let length = flat.numel() as i64;
        let mut start = 0;
        while start < length {
            let count = PIECE.min(length - start);
            let piece = flat.f_narrow(0, start, count).map_err(io::Error::other)?;
            sink(&to_vec(&piece).map_err(io::Error::other)?)?;
            start += count;
        }
        Ok(())
    }
}

/// The elements of a tensor of any kind and device, row-major.
pub fn to_vec(tensor: &Tensor) -> Result<Vec<f32>> {
    let flat = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_reshape([-1])?;
    Ok(Vec::<f32>::try_from(&flat)?)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A matrix, a vector and the logit scale, all of halves.
    pub fn few() -> Parameters {
        let tensor = |name: &str, shape: &[usize]| shapes::Tensor {
            name: name.into(),
            shape: shape.to_vec(),
            learned: true,
        };
        let tensors = [tensor("a.weight", &[2, 2]), tensor("a.bias", &[2]), tensor("logit_scale", &[])];
        Parameters::new(&tensors, Device::Cpu, |_, shape| Ok(vec![0.5; shape.iter().product()])).unwrap()
    }

    #[test]
    fn a_wrong_number_of_values_is_named() {
        let matrix = shapes::Tensor { name: "a.weight".into(), shape: vec![2, 2], learned: true };
        let error = Parameters::new(&[matrix], Device::Cpu, |_, _| Ok(vec![0.5; 3])).unwrap_err();
        assert_eq!(error.to_string(), "a.weight has 3 values, expected 4");
    }
}
