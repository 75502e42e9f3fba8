//! The configuration of a checkpoint that comes without one, from the shapes of its tensors.

use crate::config::{Activation, Config, ImageTower, ResNet, TextTower, ViT};
use crate::error::{Error, Result};

/// Infers the configuration from `shape`, which gives the shape of a named tensor when there is one.
///
/// Shapes do not tell the activation: state it. OpenAI's own checkpoints, the ones that come without a
/// configuration, use [`Activation::QuickGelu`]. Heads are 64 channels wide, as in all published models of this kind.
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
            image_size: grid * patch_size,
            patch_size,
            width,
            layers: count(&name),
            head_width: 64,
            mlp_ratio: axis(&name(0), 0)? as f64 / width.max(1) as f64,
        })
    } else {
        let grid = (axis("visual.attnpool.positional_embedding", 0)?.saturating_sub(1)).isqrt();
        let stage = |stage| count(&|i| format!("visual.layer{stage}.{i}.conv1.weight"));
        ImageTower::ResNet(ResNet {
            image_size: grid * 32,
            layers: [stage(1), stage(2), stage(3), stage(4)],
            width: axis("visual.layer1.0.conv1.weight", 0)?,
            head_width: 64,
        })
    };
    let width = axis("ln_final.weight", 0)?;
    let name = |i| format!("transformer.resblocks.{i}.mlp.c_fc.weight");
    let config = Config {
        embed_dim: axis("text_projection", 1)?,
        image,
        text: TextTower {
            context_length: axis("positional_embedding", 0)?,
            vocab_size: axis("token_embedding.weight", 0)?,
            width,
            heads: width / 64,
            layers: count(&name),
            mlp_ratio: axis(&name(0), 0)? as f64 / width.max(1) as f64,
        },
        activation,
    };
    config.validate()?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NAMES;
    use crate::shapes::summarize;
    use std::collections::HashMap;

    #[test]
    fn shapes_alone_tell_each_published_model() {
        for name in NAMES {
            let config = Config::named(name).unwrap();
            let shapes: HashMap<_, _> =
                summarize(&config).tensors.into_iter().map(|t| (t.name, t.shape)).collect();
            let inferred = infer(|name| shapes.get(name).cloned(), Activation::QuickGelu).unwrap();
            assert_eq!(inferred, config, "{name}");
        }
    }

    #[test]
    fn a_missing_tensor_is_named() {
        let message = infer(|_| None, Activation::Gelu).unwrap_err().to_string();
        assert!(message.contains("visual.attnpool.positional_embedding"), "{message}");
    }
}
