//! First weights of a network that is trained from nothing, as the authors of the paper chose them.
//!
//! Source: `initialize_parameters` and the constructors of OpenAI's `clip/model.py`; what it leaves alone has PyTorch's
//! default for the kind of layer.

use clip_model::config::{Config, ImageTower};
use clip_model::shapes::summarize;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::Device;

use crate::error::Result;
use crate::parameters::Parameters;

/// The logarithm of the first logit scale, 1 / 0.07 (the paper's section 2.5).
pub const LOGIT_SCALE: f64 = 2.659_260_036_932_778;

/// The first logit bias, and the logarithm of the first logit scale that goes with it (Zhai et al. 2023, arXiv 2303.15343, section
/// 3.2): nearly all pairs of a batch do not belong together, and no large first steps are taken to say so.
pub const SIGMOID: [f64; 2] = [-10.0, std::f64::consts::LN_10];

/// How a tensor is filled.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fill {
    Constant(f64),
    /// Mean 0, this standard deviation.
    Normal(f64),
    /// Between minus and plus this bound.
    Uniform(f64),
}

/// The first parameters of `config`; the same seed gives the same ones on every machine.
pub fn parameters(config: &Config, seed: u64, device: Device) -> Result<Parameters> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    Parameters::new(&summarize(config).tensors, device, |name, shape| {
        let count = shape.iter().product();
        Ok(match fill_of(config, name, shape) {
            Fill::Constant(value) => vec![value as f32; count],
            Fill::Uniform(bound) => {
                (0..count).map(|_| ((2.0 * random.random::<f64>() - 1.0) * bound) as f32).collect()
            }
            Fill::Normal(deviation) => (0..count).map(|_| (normal(&mut random) * deviation) as f32).collect(),
        })
    })
}

/// A standard normal value (Box and Muller 1958).
fn normal(random: &mut impl Rng) -> f64 {
    let (radius, angle): (f64, f64) = (1.0 - random.random::<f64>(), random.random());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

fn fill_of(config: &Config, name: &str, shape: &[usize]) -> Fill {
    let normal = |width: usize| Fill::Normal((width as f64).powf(-0.5));
    let text = &config.text;
    match name {
        "logit_bias" => return Fill::Constant(SIGMOID[0]),
        "logit_scale" if config.logit_bias => return Fill::Constant(SIGMOID[1]),
        "logit_scale" => return Fill::Constant(LOGIT_SCALE),
        "token_embedding.weight" => return Fill::Normal(0.02),
        "positional_embedding" => return Fill::Normal(0.01),
        "text_projection" => return normal(text.width),
        _ => {}
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    // A residual branch starts as nothing, so that the network starts shallow. The stem's bn3 ends no such branch.
    let ends_a_branch = name.starts_with("visual.layer") && name.ends_with(".bn3.weight");
    if ends_a_branch || last == "running_mean" {
        return Fill::Constant(0.0);
    }
    let is_norm = last == "weight" && shape.len() == 1;
    if is_norm || last == "running_var" {
        return Fill::Constant(1.0);
    }
    match (&config.image, name.strip_prefix("visual.")) {
        // The rest of the paper's image transformers keeps PyTorch's own start.
        (ImageTower::ViT(vit), Some("class_embedding" | "positional_embedding" | "proj")) => {
            return normal(vit.width);
        }
        (ImageTower::ResNet(resnet), Some(name)) if name.starts_with("attnpool.") && last != "bias" => {
            return normal(resnet.features());
        }
        _ => {}
    }
    if name.starts_with("transformer.") {
        if name.ends_with("attn.in_proj_weight") {
            return normal(text.width);
        }
        if name.ends_with("attn.out_proj.weight") || name.ends_with("mlp.c_proj.weight") {
            return Fill::Normal((text.width as f64).powf(-0.5) * (2.0 * text.layers as f64).powf(-0.5));
        }
        if name.ends_with("mlp.c_fc.weight") {
            return normal(2 * text.width);
        }
    }
    pytorch_default(config, name, shape)
}

/// PyTorch's own start of linear layers, convolutions and `MultiheadAttention`.
fn pytorch_default(config: &Config, name: &str, shape: &[usize]) -> Fill {
    if name.ends_with("in_proj_weight") {
        // Xavier over the stacked matrix.
        return Fill::Uniform((6.0 / (shape[0] + shape[1]) as f64).sqrt());
    }
    // Numbers that go into one output. A bias does not say them itself; layer norms, batch norms and attention have no
    // bias at first.
    let inputs = match &config.image {
        _ if shape.len() >= 2 => shape[1..].iter().product(),
        ImageTower::ResNet(resnet) if name.starts_with("visual.attnpool.") => resnet.features(),
        ImageTower::ViT(vit) if name.starts_with("visual.") => mlp_inputs(name, vit.width, vit.mlp_ratio),
        _ if name.starts_with("transformer.") => mlp_inputs(name, config.text.width, config.text.mlp_ratio),
        _ => 0,
    };
    match inputs {
        0 => Fill::Constant(0.0),
        // Kaiming's uniform bound with a = sqrt(5) is 1 / sqrt(inputs).
        _ => Fill::Uniform((inputs as f64).powf(-0.5)),
    }
}

/// Inputs of the map in a block's MLP that `name` is the bias of, else 0.
fn mlp_inputs(name: &str, width: usize, ratio: f64) -> usize {
    match name {
        _ if name.ends_with("mlp.c_fc.bias") => width,
        _ if name.ends_with("mlp.c_proj.bias") => (width as f64 * ratio) as usize,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deviation(parameters: &Parameters, name: &str) -> f64 {
        parameters.tensor(name).std(false).double_value(&[])
    }

    /// The figures of OpenAI's `initialize_parameters` for RN50 with a text tower of 2 layers.
    #[test]
    fn spread_is_that_of_the_authors() {
        let mut config = Config::named("RN50").unwrap();
        (config.text.layers, config.text.vocab_size) = (2, 1000);
        let p = parameters(&config, 1, Device::Cpu).unwrap();
        for (name, expected) in [
            ("token_embedding.weight", 0.02),
            ("positional_embedding", 0.01),
            ("text_projection", 512f64.powf(-0.5)),
            ("transformer.resblocks.1.attn.in_proj_weight", 512f64.powf(-0.5)),
            ("transformer.resblocks.1.attn.out_proj.weight", 512f64.powf(-0.5) * 4f64.powf(-0.5)),
            ("transformer.resblocks.1.mlp.c_fc.weight", 1024f64.powf(-0.5)),
            ("transformer.resblocks.1.mlp.c_fc.bias", 512f64.powf(-0.5) / 3f64.sqrt()),
            ("visual.attnpool.q_proj.weight", 2048f64.powf(-0.5)),
            ("visual.attnpool.positional_embedding", 2048f64.powf(-0.5)),
            ("visual.layer2.0.conv2.weight", (128.0 * 9f64).powf(-0.5) / 3f64.sqrt()),
            ("visual.layer2.0.bn3.weight", 0.0),
            ("visual.bn1.bias", 0.0),
        ] {
            let found = deviation(&p, name);
            assert!((found - expected).abs() <= 0.1 * expected, "{name}: {found}, expected {expected}");
        }
        let value = |name: &str| p.tensor(name).mean(None).double_value(&[]);
        // The stem's third batch norm is no end of a residual branch: at zero, all pictures would look the same.
        assert_eq!((value("visual.bn3.weight"), value("visual.layer1.0.bn3.weight")), (1.0, 0.0));
        assert_eq!((value("ln_final.weight"), value("visual.bn1.running_var")), (1.0, 1.0));
        assert!((value("logit_scale").exp() - 1.0 / 0.07).abs() < 1e-5);
    }

    #[test]
    fn a_seed_gives_the_same_weights_again() {
        let config = Config::named("RN50").unwrap();
        let fill = |seed| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            (0..1000).map(|_| normal(&mut random)).collect::<Vec<f64>>()
        };
        assert_eq!(fill(3), fill(3));
        assert_ne!(fill(3), fill(4));
        assert_eq!(fill_of(&config, "visual.layer1.0.conv1.weight", &[64, 64, 1, 1]), Fill::Uniform(0.125));
    }
}
