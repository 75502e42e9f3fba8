//! The configuration of a checkpoint that comes without one, from the shapes of its tensors.

use crate::error::{Error, Result};
use clip_model::config::{Activation, Config, Family, ImageTower, ResNet, TextTower, ViT, mlp_ratio};

/// Widths of the image transformers of all published models, and the width of their heads, which shapes do not tell.
const HEAD_WIDTHS: [(usize, usize); 9] = [
    (384, 64),
    (512, 64),
    (768, 64),
    (896, 64),
    (1024, 64),
    (1280, 80),
    (1408, 88),
    (1664, 104),
    (1792, 112),
];

/// Widths of the text transformers of all published models; their heads are 64 channels wide.
const TEXT_WIDTHS: [usize; 7] = [256, 384, 512, 640, 768, 1024, 1280];

/// Infers the configuration from `shape`, which gives the shape of a named tensor when there is one.
///
/// Shapes do not tell the activation: state it. OpenAI's own checkpoints, the ones that come without a
/// configuration, use [`Activation::QuickGelu`]. Nor do they tell the number of heads, which is known for the widths of
/// the published models.
///
/// # Errors
/// [`Error::Config`] when a tensor is missing, or a width is none of those.
pub fn infer(shape: impl Fn(&str) -> Option<Vec<usize>>, activation: Activation) -> Result<Config> {
    let axis = |name: &str, axis: usize| {
        let shape = shape(name).ok_or_else(|| {
            Error::Config(format!("no configuration, and it cannot be inferred: there is no tensor {name}"))
        })?;
        shape.get(axis).copied().ok_or_else(|| {
            Error::Config(format!("no configuration, and it cannot be inferred: {name} has shape {shape:?}"))
        })
    };
    let count = |name: &dyn Fn(usize) -> String| (0..).take_while(|&i| shape(&name(i)).is_some()).count();

    let image = if shape("visual.proj").is_some() {
        let width = axis("visual.conv1.weight", 0)?;
        let patch_size = axis("visual.conv1.weight", 3)?;
        let grid = (axis("visual.positional_embedding", 0)?.saturating_sub(1)).isqrt();
        let name = |i| format!("visual.transformer.resblocks.{i}.mlp.c_fc.weight");
        ImageTower::ViT(ViT {
            image_size: grid.saturating_mul(patch_size),
            patch_size,
            width,
            layers: count(&name),
            head_width: head_width(
                "image",
                width,
                HEAD_WIDTHS.iter().find(|(w, _)| *w == width).map(|(_, h)| *h),
            )?,
            mlp_ratio: mlp_ratio(width, axis(&name(0), 0)?),
            activation,
            norm_epsilon: Family::Clip.norm_epsilon(),
        })
    } else {
        let grid = (axis("visual.attnpool.positional_embedding", 0)?.saturating_sub(1)).isqrt();
        let stage = |stage| count(&|i| format!("visual.layer{stage}.{i}.conv1.weight"));
        ImageTower::ResNet(ResNet {
            image_size: grid.saturating_mul(32),
            layers: [stage(1), stage(2), stage(3), stage(4)],
            width: axis("visual.layer1.0.conv1.weight", 0)?,
            head_width: 64,
        })
    };
    let width = axis("ln_final.weight", 0)?;
    let name = |i| format!("transformer.resblocks.{i}.mlp.c_fc.weight");
    let config = Config {
        family: Family::Clip,
        embed_dim: axis("text_projection", 1)?,
        image,
        text: TextTower {
            context_length: axis("positional_embedding", 0)?,
            vocab_size: axis("token_embedding.weight", 0)?,
            width,
            heads: width / head_width("text", width, TEXT_WIDTHS.contains(&width).then_some(64))?,
            layers: count(&name),
            mlp_ratio: mlp_ratio(width, axis(&name(0), 0)?),
            activation,
            ..TextTower::openai(width)
        },
        logit_bias: shape("logit_bias").is_some(),
    };
    config.validate()?;
    Ok(config)
}

fn head_width(tower: &str, width: usize, known: Option<usize>) -> Result<usize> {
    known.ok_or_else(|| {
        Error::Config(format!(
            "no configuration, and the {tower} tower's number of attention heads cannot be told from its shapes: no \
             published model is {width} channels wide; put the weights into a folder with open_clip_config.json"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clip_model::config::NAMES;
    use clip_model::shapes::summarize;
    use std::collections::HashMap;

    #[test]
    fn shapes_alone_tell_each_published_model() {
        for name in NAMES {
            for logit_bias in [false, true] {
                let config = Config { logit_bias, ..Config::named(name).unwrap() };
                let shapes: HashMap<_, _> =
                    summarize(&config).tensors.into_iter().map(|t| (t.name, t.shape)).collect();
                let inferred = infer(|name| shapes.get(name).cloned(), Activation::QuickGelu).unwrap();
                assert_eq!(inferred, config, "{name}");
            }
        }
    }

    #[test]
    fn heads_that_cannot_be_known_are_not_guessed() {
        let mut config = Config::named("ViT-B/32").unwrap();
        config.text.width = 448;
        config.text.heads = 7;
        let shapes: HashMap<_, _> =
            summarize(&config).tensors.into_iter().map(|t| (t.name, t.shape)).collect();
        let message = infer(|name| shapes.get(name).cloned(), Activation::Gelu).unwrap_err().to_string();
        assert!(
            message.contains("text tower's number of attention heads") && message.contains("448"),
            "{message}"
        );
    }

    proptest::proptest! {
        /// A file may say anything of the shape of a tensor that has no elements.
        #[test]
        fn any_shapes_are_refused_or_make_a_valid_configuration(
            bits in proptest::collection::vec(0u32..65, 24),
            resnet in proptest::bool::ANY,
        ) {
            let shape = |name: &str| {
                let number = name.bytes().fold(0usize, |n, b| n.wrapping_mul(31).wrapping_add(b.into()));
                let layer = name.split('.').find_map(|part| part.parse::<usize>().ok()).unwrap_or(0);
                let absent = layer > 2 || resnet && name == "visual.proj";
                // Zero, powers of two, and the numbers below them.
                let size = |i: usize| match bits[(number + i) % bits.len()] {
                    64 => usize::MAX,
                    b if i.is_multiple_of(2) => 1 << b,
                    b => (1 << b) - 1,
                };
                (!absent).then(|| (0..4).map(size).collect())
            };
            if let Ok(config) = infer(shape, Activation::Gelu) {
                summarize(&config);
            }
            // The widths whose heads are known.
            let known = |name: &str| {
                let mut shape: Vec<usize> = shape(name)?;
                if ["visual.conv1.weight", "ln_final.weight"].contains(&name) {
                    shape[0] = 512;
                }
                Some(shape)
            };
            if let Ok(config) = infer(known, Activation::Gelu) {
                summarize(&config);
            }
        }
    }

    #[test]
    fn a_missing_tensor_is_named() {
        let message = infer(|_| None, Activation::Gelu).unwrap_err().to_string();
        assert!(message.contains("visual.attnpool.positional_embedding"), "{message}");
    }
}
