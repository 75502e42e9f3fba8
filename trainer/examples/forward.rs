//! The embeddings of a checkpoint by the trainer's network, for tests/parity/towers.py and cuda.py.
//!
//!     forward CHECKPOINT INPUTS.safetensors OUTPUTS.safetensors [DEVICE]
//!
//! DEVICE is `cpu`, which it is when left out, or `cuda:N`. Each tensor of INPUTS is one batch: `images.*` `[B, 3, S, S]` float32, normalised, or `texts.*` `[B, L]` int64.
//! OUTPUTS has the embeddings of each, `[B, embed_dim]`, under the same name.

use std::path::Path;

use anyhow::{Context, Result, bail};
use clip_checkpoint::Checkpoint;
use clip_trainer::device;
use clip_trainer::network::{Network, Precision};
use tch::{Device, Tensor};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (checkpoint, inputs, outputs, device) = match arguments.as_slice() {
        [checkpoint, inputs, outputs] => (checkpoint, inputs, outputs, Device::Cpu),
        [checkpoint, inputs, outputs, device] => (checkpoint, inputs, outputs, device::parse(device)?),
        _ => bail!("usage: forward CHECKPOINT INPUTS.safetensors OUTPUTS.safetensors [DEVICE]"),
    };
    device::open(device)?;
    let checkpoint = Checkpoint::open(Path::new(checkpoint))?;
    let network = Network::load(&checkpoint, device, Precision::Fp32)?;
    let inputs = Tensor::read_safetensors(inputs).with_context(|| format!("cannot read {inputs}"))?;
    let _no_gradients = tch::no_grad_guard();
    let mut embeddings = Vec::new();
    for (name, batch) in inputs {
        let batch = batch.to_device(device);
        let rows = match name.split('.').next() {
            Some("images") => network.encode_image(&batch),
            Some("texts") => network.encode_text(&batch),
            _ => bail!("tensor {name} is neither images.* nor texts.*"),
        };
        embeddings.push((name, rows.to_device(Device::Cpu).contiguous()));
    }
    Tensor::write_safetensors(&embeddings, outputs).with_context(|| format!("cannot write {outputs}"))
}
