//! Times training steps on request, for tests/bench/compare.py.
//!
//!     time_steps CHECKPOINT BATCH.safetensors OPTIM THREADS [DEVICE] < requests > replies
//!
//! BATCH has `pictures` `[B, S, S, 3]` uint8 and `ids` `[B, L]` int64; OPTIM is the settings' section `[optim]` as JSON; DEVICE
//! is `cpu`, which it is when left out, or `cuda:N`. Each line of the requests is the number of steps to do, each line of the
//! replies the time they took, in seconds, the batch's way to the device included.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clip_checkpoint::Checkpoint;
use clip_trainer::inputs::Inputs;
use clip_trainer::network::Network;
use clip_trainer::optimizer::AdamW;
use clip_trainer::scaler::LossScaler;
use clip_trainer::settings::OptimSettings;
use clip_trainer::step::train_step;
use clip_trainer::{device, memory};
use tch::{Device, Tensor};

fn main() -> Result<()> {
    memory::keep_freed();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (arguments, device) = match arguments.as_slice() {
        [first @ .., device] if first.len() == 4 => (first, device::parse(device)?),
        all => (all, Device::Cpu),
    };
    let [checkpoint, batch, optim, threads] = arguments else {
        bail!("usage: time_steps CHECKPOINT BATCH.safetensors OPTIM THREADS [DEVICE] < requests > replies");
    };
    device::open(device)?;
    tch::set_num_threads(threads.parse()?);
    let optim: OptimSettings = serde_json::from_str(optim).context("OPTIM")?;
    let checkpoint = Checkpoint::open(Path::new(checkpoint))?;
    let mut network = Network::load(&checkpoint, device, optim.precision)?;
    network.set_training(true);
    let mut optimizer = AdamW::with_moments(&network.parameters, optim.moments);
    let mut scaler = LossScaler::default();
    let objective = optim.objective.objective();
    let tensors: HashMap<String, Tensor> = Tensor::read_safetensors(batch)?.into_iter().collect();
    let named = |name: &str| tensors.get(name).with_context(|| format!("{batch} has no tensor {name}"));
    let (pictures, ids) = (named("pictures")?, named("ids")?);

    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let steps: usize = line?.trim().parse()?;
        let started = Instant::now();
        for _ in 0..steps {
            let inputs = Inputs::new((&network.config, &checkpoint.preprocess), pictures, ids, device)?;
            train_step(&mut network, (&mut optimizer, &mut scaler), &*objective, &inputs, &optim, 1e-6)?;
        }
        // A GPU has been told what to do, but may not have done it yet.
        if let Device::Cuda(index) = device {
            tch::Cuda::synchronize(index as i64);
        }
        writeln!(out, "{}", started.elapsed().as_secs_f64())?;
        out.flush()?;
    }
    Ok(())
}
