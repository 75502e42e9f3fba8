//! The tensors of a network: learned ones, laid out for the optimiser, and the running statistics of batch norms.

use std::collections::HashMap;
use std::io;

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
    /// Matrices and kernels, which weight decay pulls towards zero.
    pub(crate) decayed: Group,
    /// Gains, biases, the class embedding and the logit scale: everything of fewer than two axes.
    pub(crate) plain: Group,
    /// Names in the order of the network's definition.
    names: Vec<String>,
    tensors: HashMap<String, Tensor>,
}

/// Learned tensors that the optimiser treats alike.
#[derive(Debug)]
pub struct Group {
    /// Their names, in the order of `flat`.
    pub names: Vec<String>,
    /// All their values, `[total]`.
    pub flat: Tensor,
}

impl Parameters {
    /// These tensors on `device`, those of a network as a rule ([`clip_model::shapes::summarize`]); `fill` gives the
    /// row-major values of each by its name and shape.
    ///
    /// # Errors
    /// What `fill` returns; [`Error::Data`] when it gives a wrong number of values.
    pub fn new(
        tensors: &[shapes::Tensor],
        device: Device,
        mut fill: impl FnMut(&str, &[usize]) -> Result<Vec<f32>>,
    ) -> Result<Parameters> {
        let mut by_name = HashMap::new();
        let mut groups = [(Vec::new(), Vec::new(), Vec::new()), (Vec::new(), Vec::new(), Vec::new())];
        for tensor in tensors {
            let values = fill(&tensor.name, &tensor.shape)?;
            if values.len() != tensor.elements() {
                let (name, found, expected) = (&tensor.name, values.len(), tensor.elements());
                return Err(Error::Data(format!("{name} has {found} values, expected {expected}")));
            }
            let shape: Vec<i64> = tensor.shape.iter().map(|&n| n as i64).collect();
            if tensor.learned {
                let (names, shapes, flat) = &mut groups[usize::from(shape.len() < 2)];
                names.push(tensor.name.clone());
                shapes.push(shape);
                flat.extend(values);
            } else {
                let values = Tensor::f_from_slice(&values)?.f_reshape(shape)?.f_to_device(device)?;
                by_name.insert(tensor.name.clone(), values);
            }
        }
        let [decayed, plain] = groups.map(|(names, shapes, flat)| -> Result<Group> {
            let flat = Tensor::f_from_slice(&flat)?.f_to_device(device)?;
            let mut start = 0;
            for (name, shape) in names.iter().zip(shapes) {
                let count: i64 = shape.iter().product();
                // Detached, a view is a leaf of its own that still shares the memory.
                let view = flat.f_narrow(0, start, count)?.f_view(shape.as_slice())?.f_detach()?;
                by_name.insert(name.clone(), view.f_set_requires_grad(true)?);
                start += count;
            }
            Ok(Group { names, flat })
        });
        let names = tensors.iter().map(|t| t.name.clone()).collect();
        Ok(Parameters { decayed: decayed?, plain: plain?, names, tensors: by_name })
    }

    /// The tensor called `name`, which must be one of the network's.
    pub fn tensor(&self, name: &str) -> &Tensor {
        &self.tensors[name]
    }

    /// All names, in the order of the network's definition.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The learned tensors of `group`, in the order of its flat vector.
    pub fn learned<'a>(&'a self, group: &'a Group) -> impl Iterator<Item = &'a Tensor> {
        group.names.iter().map(|name| &self.tensors[name])
    }

    /// Every tensor, to be written to a file.
    pub fn stored(&self) -> Vec<Stored<'_>> {
        self.names.iter().map(|name| Stored::new(name.clone(), self.tensor(name))).collect()
    }
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
