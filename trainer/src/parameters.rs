//! The tensors of a network: learned ones, laid out for the optimiser, and the running statistics of batch norms.

use std::collections::HashMap;
use std::io;

use clip_checkpoint::Checkpoint;
use clip_checkpoint::Source;
use clip_model::shapes;
use tch::{Device, Kind, Tensor, no_grad};

use crate::error::{Error, Result};

/// All tensors of a network, by their state-dict names.
///
/// The learned ones are views into a few flat tensors, one for each way in which the optimiser treats them, so that an
/// update is a few operations on long vectors, however many parameters there are.
#[derive(Debug)]
pub struct Parameters {
    /// Learned tensors, those with weight decay first.
    pub(crate) groups: Vec<Group>,
    /// Names in the order of the network's definition.
    names: Vec<String>,
    tensors: HashMap<String, Tensor>,
}

/// What training does with a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Treatment {
    /// It stays as it is.
    Fixed,
    /// It is learned.
    Learned {
        /// Whether weight decay pulls it towards zero.
        decays: bool,
        /// Factor on the learning rate.
        rate: f64,
        /// Whether it is kept in bf16, rounded stochastically after each update, rather than in fp32.
        half: bool,
    },
}

impl Treatment {
    /// What a tensor gets where nothing else is said: matrices and kernels decay; gains, biases, the class embedding and the
    /// logit scale, which have fewer than two axes, do not; running statistics are not learned.
    pub fn usual(tensor: &shapes::Tensor) -> Treatment {
        match tensor.learned {
            false => Treatment::Fixed,
            true => Treatment::Learned { decays: tensor.shape.len() >= 2, rate: 1.0, half: false },
        }
    }
}

/// Learned tensors that the optimiser treats alike.
#[derive(Debug)]
pub(crate) struct Group {
    /// What a training state calls the group.
    pub title: String,
    /// Whether weight decay applies.
    pub decays: bool,
    /// Factor on the learning rate.
    pub rate: f64,
    /// The tensors' names, in the order of `flat`.
    pub names: Vec<String>,
    /// All their values, `[total]`, fp32 or bf16.
    pub flat: Tensor,
}

impl Parameters {
    /// These tensors on `device`, those of a network as a rule ([`clip_model::shapes::summarize`]), with the
    /// [usual treatment](Treatment::usual); `fill` gives the row-major values of each by its name and shape.
    ///
    /// # Errors
    /// What `fill` returns; [`Error::Size`] when it gives a wrong number of values.
    pub fn new(
        tensors: &[shapes::Tensor],
        device: Device,
        fill: impl FnMut(&str, &[usize]) -> Result<Vec<f32>>,
    ) -> Result<Parameters> {
        Parameters::treated(tensors, device, Treatment::usual, fill)
    }

    /// Like [`Parameters::new`], each tensor treated as `treatment` says.
    ///
    /// # Errors
    /// As [`Parameters::new`].
    pub fn treated(
        tensors: &[shapes::Tensor],
        device: Device,
        treatment: impl Fn(&shapes::Tensor) -> Treatment,
        mut fill: impl FnMut(&str, &[usize]) -> Result<Vec<f32>>,
    ) -> Result<Parameters> {
        let treatments: Vec<Treatment> = tensors.iter().map(&treatment).collect();
        let mut kinds: Vec<Treatment> = Vec::new();
        for &kind in &treatments {
            if kind != Treatment::Fixed && !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds.sort_by_key(|kind| !matches!(kind, Treatment::Learned { decays: true, .. }));
        let mut groups = Vec::new();
        for kind in kinds {
            let Treatment::Learned { decays, rate, half } = kind else { continue };
            let of_group = tensors.iter().zip(&treatments).filter(|(_, treatment)| **treatment == kind);
            let of_group: Vec<&shapes::Tensor> = of_group.map(|(tensor, _)| tensor).collect();
            let total: usize = of_group.iter().map(|tensor| tensor.elements()).sum();
            let number = if half { Kind::BFloat16 } else { Kind::Float };
            let mut title = if decays { "decayed" } else { "plain" }.to_owned();
            if half {
                title.push_str("-half");
            }
            if rate != 1.0 {
                title.push_str(&format!("-{rate:.6}"));
            }
            let names = of_group.iter().map(|tensor| tensor.name.clone()).collect();
            let flat = Tensor::f_zeros([total as i64], (number, device))?;
            groups.push(Group { title, decays, rate, names, flat });
        }
        let mut by_name = HashMap::new();
        for group in &groups {
            let mut start = 0;
            for tensor in group.names.iter().filter_map(|name| tensors.iter().find(|t| t.name == *name)) {
                let count = tensor.elements() as i64;
                let view = group.flat.f_narrow(0, start, count)?.f_view(sizes(tensor).as_slice())?;
                by_name.insert(tensor.name.clone(), view);
                start += count;
            }
        }
        for (tensor, treatment) in tensors.iter().zip(&treatments) {
            let values = fill(&tensor.name, &tensor.shape)?;
            if values.len() != tensor.elements() {
                let (name, found, expected) = (tensor.name.clone(), values.len(), tensor.elements());
                return Err(Error::Size { name, found, expected });
            }
            let values = Tensor::f_from_slice(&values)?.f_reshape(sizes(tensor))?;
            match by_name.get_mut(&tensor.name) {
                Some(view) => no_grad(|| view.f_copy_(&values))?,
                None => drop(by_name.insert(tensor.name.clone(), values.f_to_device(device)?)),
            }
            if *treatment != Treatment::Fixed
                && let Some(view) = by_name.get_mut(&tensor.name)
            {
                // Detached, a view is a leaf of its own that still shares the memory.
                *view = view.f_detach()?.f_set_requires_grad(true)?;
            }
        }
        let names = tensors.iter().map(|t| t.name.clone()).collect();
        Ok(Parameters { groups, names, tensors: by_name })
    }

    /// The same tensors, each treated as `treatment` says.
    ///
    /// # Errors
    /// [`Error::Torch`], for want of memory as a rule.
    pub fn retreated(
        self,
        tensors: &[shapes::Tensor],
        treatment: impl Fn(&shapes::Tensor) -> Treatment,
    ) -> Result<Parameters> {
        if tensors.iter().all(|tensor| treatment(tensor) == Treatment::usual(tensor)) {
            return Ok(self);
        }
        let device = self.tensors.values().next().map_or(Device::Cpu, Tensor::device);
        Parameters::treated(tensors, device, treatment, |name, _| to_vec(self.tensor(name)))
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

    /// The tensor called `name`, where the network has it.
    pub(crate) fn find(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// The learned tensors with their names, in the order of the groups' flat vectors.
    pub(crate) fn learned(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.groups.iter().flat_map(|group| &group.names).map(|name| (name.as_str(), &self.tensors[name]))
    }

    /// The names of all tensors, in the order of the network's definition.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Bytes of all tensors.
    pub fn bytes(&self) -> usize {
        self.tensors.values().map(bytes).sum()
    }

    /// Every tensor, to be written to a file.
    pub fn stored(&self) -> Vec<Stored<'_>> {
        self.names.iter().map(|name| Stored::new(name.clone(), self.tensor(name))).collect()
    }
}

/// Bytes of a tensor's elements.
pub(crate) fn bytes(tensor: &Tensor) -> usize {
    tensor.numel() * tensor.kind().elt_size_in_bytes()
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
        /// Elements that are copied to main memory at once, where they are not there.
        const PIECE: i64 = 1 << 20;
        let flat = self.tensor.f_detach().and_then(|t| t.f_reshape([-1])).map_err(io::Error::other)?;
        let length = flat.numel() as i64;
        let mut start = 0;
        while start < length {
            let count = PIECE.min(length - start);
            let piece = flat.f_narrow(0, start, count).map_err(io::Error::other)?;
            if piece.device() == Device::Cpu && piece.kind() == Kind::Float {
                // SAFETY: so many fp32 numbers in main memory, side by side as `reshape` leaves them; `flat` holds them, and nobody
                // writes to a tensor that is being stored.
                sink(unsafe { std::slice::from_raw_parts(piece.data_ptr().cast::<f32>(), count as usize) })?;
            } else {
                sink(&to_vec(&piece).map_err(io::Error::other)?)?;
            }
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

    #[test]
    fn what_is_stored_is_in_row_major_order_whatever_the_tensor() {
        let tensor = Tensor::arange(6, (Kind::Float, Device::Cpu)).view([2, 3]);
        for (tensor, expected) in [
            (tensor.shallow_clone(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
            (tensor.tr(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]),
            (tensor.to_kind(Kind::BFloat16), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
        ] {
            let mut found = Vec::new();
            let mut sink = |values: &[f32]| {
                found.extend_from_slice(values);
                Ok(())
            };
            Stored::new("w".to_owned(), &tensor).read(&mut sink).unwrap();
            assert_eq!(found, expected);
        }
    }

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
