//! Training steps on given batches, for tests/parity/training.py.
//!
//!     steps CHECKPOINT BATCHES.safetensors OPTIM OUT NAME...
//!
//! BATCHES has `pictures.NN` `[B, S, S, 3]` uint8 and `ids.NN` `[B, L]` int64 for each step NN; OPTIM is the settings'
//! section `[optim]` as JSON. OUT is a folder to be made: the checkpoint after the last step, and `steps.safetensors`
//! with `losses` `[steps]` float64 and `gradients.NN.NAME`, the gradient of each parameter NAME, not clipped.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clip_checkpoint::Checkpoint;
use clip_checkpoint::OpenClip;
use clip_trainer::gradients::clipping;
use clip_trainer::inputs::Inputs;
use clip_trainer::network::Network;
use clip_trainer::optimizer::{AdamW, clamp_logit_scale};
use clip_trainer::schedule::learning_rate;
use clip_trainer::settings::OptimSettings;
use clip_trainer::step::{Passes, loss_and_gradients};
use tch::{Device, Tensor};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, batches, optim, out, names @ ..] = arguments.as_slice() else {
        bail!("usage: steps CHECKPOINT BATCHES.safetensors OPTIM OUT NAME...");
    };
    let optim: OptimSettings = serde_json::from_str(optim).context("OPTIM")?;
    let initial = Checkpoint::open(Path::new(folder))?;
    let mut network = Network::load(&initial, Device::Cpu, optim.precision)?;
    network.set_training(true);
    let mut optimizer = AdamW::new(&network.parameters);
    let batches: BTreeMap<String, Tensor> = Tensor::read_safetensors(batches)
        .with_context(|| format!("cannot read {batches}"))?
        .into_iter()
        .collect();

    let objective = optim.objective.objective();
    let mut losses = Vec::new();
    let mut results = Vec::new();
    for step in 0.. {
        let Some(pictures) = batches.get(&format!("pictures.{step:02}")) else { break };
        let ids = batches.get(&format!("ids.{step:02}")).with_context(|| format!("no ids.{step:02}"))?;
        let inputs = Inputs::new((&network.config, &initial.preprocess), pictures, ids, Device::Cpu)?;
        let (loss, gradients) = loss_and_gradients(&network, &*objective, &inputs, Passes::of(&optim, step))?;
        losses.push(loss.f_double_value(&[])?);
        for name in names {
            let gradient = gradients.named(&network.parameters, name);
            let gradient = gradient.with_context(|| format!("there is no parameter {name}"))?;
            results.push((format!("gradients.{step:02}.{name}"), gradient.copy()));
        }
        let factor = clipping(gradients.norm()?, optim.clip);
        optimizer.step(&mut network.parameters, &gradients, factor, &optim, learning_rate(&optim, step))?;
        clamp_logit_scale(&network.parameters);
        network.refresh()?;
    }

    let out = Path::new(out);
    let openclip = OpenClip {
        config: initial.config.clone(),
        preprocess: initial.preprocess.clone(),
        own_tokenizer: false,
    };
    clip_checkpoint::write(
        out,
        &openclip,
        &initial.tokenizer()?,
        &network.parameters.stored(),
        optimizer.updates,
    )?;
    results.push(("losses".to_owned(), Tensor::from_slice(&losses)));
    Tensor::write_safetensors(&results, out.join("steps.safetensors"))
        .context("cannot write steps.safetensors")
}
