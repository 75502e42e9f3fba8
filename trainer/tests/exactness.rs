//! What saves memory gives the gradients of the plain computation.

#![allow(clippy::unwrap_used)]

use clip_model::Preprocess;
use clip_model::config::{Activation, Config, Family, ImageTower, ResNet, TextTower, ViT};
use clip_trainer::gradients::Gradients;
use clip_trainer::inputs::Inputs;
use clip_trainer::objective::{Contrastive, Objective};
use clip_trainer::step::{Passes, loss_and_gradients};
use clip_trainer::{Network, Precision, init};
use tch::{Device, Kind, Tensor};

const PAIRS: i64 = 12;

fn text() -> TextTower {
    TextTower { context_length: 20, vocab_size: 60, heads: 2, layers: 3, ..TextTower::openai(32) }
}

fn vit() -> Config {
    let vit = ViT {
        image_size: 35, // three pixels are left over
        patch_size: 16,
        width: 48,
        layers: 3,
        head_width: 16,
        mlp_ratio: 4.0,
        activation: Activation::QuickGelu,
        norm_epsilon: 1e-5,
    };
    Config {
        family: Family::Clip,
        logit_bias: false,
        embed_dim: 24,
        image: ImageTower::ViT(vit),
        text: text(),
    }
}

fn resnet() -> Config {
    let resnet = ResNet { image_size: 64, layers: [1, 2, 1, 1], width: 8, head_width: 64 };
    Config {
        family: Family::Clip,
        logit_bias: false,
        embed_dim: 24,
        image: ImageTower::ResNet(resnet),
        text: text(),
    }
}

fn network(config: &Config, precision: Precision) -> Network {
    let parameters = init::parameters(config, 3, Device::Cpu).unwrap();
    let mut network = Network::new(config.clone(), parameters, Device::Cpu, precision);
    network.set_training(true);
    network
}

fn inputs(config: &Config) -> Inputs {
    tch::manual_seed(5);
    tch::set_num_threads(1);
    let side = config.image.image_size() as i64;
    let pictures = Tensor::randint(256, [PAIRS, side, side, 3], (Kind::Uint8, Device::Cpu));
    let mut ids = vec![0i64; PAIRS as usize * 20];
    for (row, text) in ids.chunks_mut(20).enumerate() {
        let length = 3 + row * 5 % 17;
        (0..length).for_each(|at| text[at] = ((row * 13 + at * 7) % 58) as i64);
        text[length - 1] = 59;
    }
    let ids = Tensor::from_slice(&ids).view([PAIRS, 20]);
    Inputs::new((config, &Preprocess::default()), &pictures, &ids, Device::Cpu).unwrap()
}

fn run(network: &Network, objective: &dyn Objective, inputs: &Inputs, passes: Passes) -> (f64, Gradients) {
    let (loss, gradients) = loss_and_gradients(network, objective, inputs, passes).unwrap();
    (loss.double_value(&[]), gradients)
}

/// The largest distance of a parameter's gradient from the expected one, over the largest number in that.
fn distance(network: &Network, found: &Gradients, expected: &Gradients) -> f64 {
    let names = clip_model::shapes::summarize(&network.config).tensors.into_iter().filter(|t| t.learned);
    let distances = names.map(|tensor| {
        let [found, expected] =
            [found, expected].map(|gradients| gradients.named(&network.parameters, &tensor.name).unwrap());
        let size = expected.abs().max().double_value(&[]);
        // What rounding alone keeps from being zero.
        (found - expected).abs().max().double_value(&[]) / size.max(1e-6)
    });
    distances.fold(0.0, f64::max)
}

/// Batch norms see a micro-batch by itself, so that only networks without them have the whole batch's gradients.
#[test]
fn micro_batches_give_the_whole_batchs_gradients() {
    let config = vit();
    let (network, inputs) = (network(&config, Precision::Fp32), inputs(&config));
    let (loss, whole) = run(&network, &Contrastive::default(), &inputs, Passes::default());
    for (micro_batch, checkpointing) in [(4, false), (5, false), (5, true), (1, false)] {
        let passes = Passes { micro_batch, checkpointing, ..Passes::default() };
        let (found, gradients) = run(&network, &Contrastive::with_rows(5), &inputs, passes);
        assert!((found - loss).abs() < 1e-5, "{passes:?}: {found} {loss}");
        let distance = distance(&network, &gradients, &whole);
        assert!(distance < 1e-5, "{passes:?}: {distance}");
    }
}

#[test]
fn blocks_computed_again_give_the_same_gradients_and_statistics() {
    for config in [vit(), resnet()] {
        for precision in [Precision::Fp32, Precision::Bf16] {
            let inputs = inputs(&config);
            let [plain, checkpointing] = [false, true].map(|checkpointing| {
                let network = network(&config, precision);
                let passes = Passes { checkpointing, ..Passes::default() };
                let (loss, gradients) = run(&network, &Contrastive::default(), &inputs, passes);
                (network, loss, gradients)
            });
            assert_eq!(plain.1, checkpointing.1);
            let distance = distance(&plain.0, &checkpointing.2, &plain.2);
            assert!(distance < 1e-6, "{:?} {precision:?}: {distance}", config.image);
            // The running statistics of batch norms took the batch in once.
            let tensors = clip_model::shapes::summarize(&config).tensors;
            for tensor in tensors.iter().filter(|tensor| !tensor.learned) {
                let [a, b] =
                    [&plain.0, &checkpointing.0].map(|network| network.parameters.tensor(&tensor.name));
                assert_eq!(a, b, "{}", tensor.name);
            }
        }
    }
}
