//! What each way of saving memory saves, in bytes. One test alone: it measures the process.

#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

use clip_model::Preprocess;
use clip_model::config::{Activation, Config, Family, ImageTower, TextTower, ViT};
use clip_model::shapes::summarize;
use clip_trainer::formats::{Moment, Precision};
use clip_trainer::inputs::Inputs;
use clip_trainer::objective::Contrastive;
use clip_trainer::optimizer::AdamW;
use clip_trainer::settings::OptimSettings;
use clip_trainer::step::{Passes, loss_and_gradients};
use clip_trainer::treatment::treatment;
use clip_trainer::{Network, init};
use tch::{Device, Kind, Tensor};

const PAIRS: i64 = 64;

fn config() -> Config {
    let vit = ViT {
        image_size: 96,
        patch_size: 16,
        width: 128,
        layers: 8,
        head_width: 32,
        mlp_ratio: 4.0,
        activation: Activation::QuickGelu,
        norm_epsilon: 1e-5,
    };
    let text =
        TextTower { context_length: 24, vocab_size: 300, heads: 2, layers: 2, ..TextTower::openai(64) };
    Config { family: Family::Clip, logit_bias: false, embed_dim: 64, image: ImageTower::ViT(vit), text }
}

fn inputs(config: &Config) -> Inputs {
    let pictures = Tensor::randint(256, [PAIRS, 96, 96, 3], (Kind::Uint8, Device::Cpu));
    let ids = (Tensor::rand([PAIRS, 24], (Kind::Float, Device::Cpu)) * 298.0).to_kind(Kind::Int64);
    let _ = ids.narrow(1, 23, 1).fill_(299);
    Inputs::new((config, &Preprocess::default()), &pictures, &ids, Device::Cpu).unwrap()
}

/// Kilobytes of memory that this process held at most since `reset`.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Sets the peak to what is held now (man 5 proc), which it gives.
fn reset() -> u64 {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    peak()
}

/// By how many kilobytes the gradients of a batch lift the peak.
fn of_gradients(network: &Network, inputs: &Inputs, passes: Passes) -> u64 {
    let measure = || {
        let before = reset();
        drop(loss_and_gradients(network, &Contrastive::default(), inputs, passes).unwrap());
        peak() - before
    };
    // The first time libraries take memory for themselves.
    measure();
    measure()
}

#[test]
fn each_setting_saves_what_it_promises() {
    // SAFETY: a plain setting. What is freed goes back at once, so that the peak is of what is in use.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 16);
    }
    tch::set_num_threads(1);
    let config = config();
    let tensors = summarize(&config).tensors;
    let numbers: usize = tensors.iter().map(|tensor| tensor.elements()).sum();
    let parameters = || init::parameters(&config, 1, Device::Cpu).unwrap();

    let plain = parameters();
    assert_eq!(plain.bytes(), 4 * numbers);
    let moments = |format| AdamW::with_moments(&plain, format).bytes();
    assert_eq!((moments(Moment::Fp32), moments(Moment::Bf16)), (8 * numbers, 4 * numbers));

    let optim = OptimSettings { half_text_weights: true, ..OptimSettings::default() };
    let half = parameters().retreated(&tensors, |tensor| treatment(&config, &optim, tensor)).unwrap();
    let of_text = tensors.iter().filter(|t| t.shape.len() >= 2 && !t.name.starts_with("visual."));
    assert_eq!(half.bytes(), 4 * numbers - 2 * of_text.map(|t| t.elements()).sum::<usize>());

    let inputs = inputs(&config);
    let network = |precision| {
        let mut network = Network::new(config.clone(), parameters(), Device::Cpu, precision);
        network.set_training(true);
        network
    };
    let fp32 = network(Precision::Fp32);
    let all = of_gradients(&fp32, &inputs, Passes::default());
    for (what, passes, share) in [
        ("checkpointing", Passes { checkpointing: true, ..Passes::default() }, 0.35),
        ("micro-batches of 8", Passes { micro_batch: 8, ..Passes::default() }, 0.35),
        ("both", Passes { micro_batch: 8, checkpointing: true, ..Passes::default() }, 0.25),
        ("half of the patches", Passes { patch_dropout: 0.5, ..Passes::default() }, 0.65),
    ] {
        let found = of_gradients(&fp32, &inputs, passes);
        println!("{what}: {found} kB of {all} kB");
        assert!((found as f64) < share * all as f64, "{what}: {found} kB of {all} kB");
    }
    let bf16 = of_gradients(&network(Precision::Bf16), &inputs, Passes::default());
    println!("bf16: {bf16} kB of {all} kB");
    assert!((bf16 as f64) < 0.75 * all as f64, "bf16: {bf16} kB of {all} kB");
}
