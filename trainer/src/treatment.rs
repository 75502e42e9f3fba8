//! What training does with each tensor of a network: which towers stay as they are, which blocks learn slowly, what is kept
//! in half precision.

use clip_model::config::{Config, ImageTower};
use clip_model::shapes;

use crate::error::{Error, Result};
use crate::parameters::Treatment;
use crate::settings::OptimSettings;
use crate::tower::Tower;

/// The treatment of `tensor`, one of the network `config`'s.
pub fn treatment(config: &Config, optim: &OptimSettings, tensor: &shapes::Tensor) -> Treatment {
    let usual = Treatment::usual(tensor);
    let (Treatment::Learned { decays, .. }, Some(tower)) = (usual, Tower::of(&tensor.name)) else {
        return usual;
    };
    let (depth, count) = depth(config, tower, &tensor.name);
    let from_the_end = count - depth;
    // What follows the blocks is unlocked with the last of them.
    if optim.lock.contains(&tower) && (optim.unlocked_blocks == 0 || from_the_end > optim.unlocked_blocks) {
        return Treatment::Fixed;
    }
    let rate = optim.layer_decay.powi(from_the_end as i32);
    Treatment::Learned { decays, rate, half: optim.half_text_weights && decays && tower == Tower::Text }
}

/// Blocks of a tower: a transformer's, or the four stages of a ResNet.
fn blocks(config: &Config, tower: Tower) -> usize {
    match (tower, &config.image) {
        (Tower::Text, _) => config.text.layers,
        (Tower::Image, ImageTower::ViT(vit)) => vit.layers,
        (Tower::Image, ImageTower::ResNet(resnet)) => resnet.layers.len(),
    }
}

/// Refuses to free more blocks than a locked tower has: its embeddings would learn, too.
///
/// # Errors
/// [`Error::Settings`], with the tower's number.
pub(crate) fn check_locks(config: &Config, optim: &OptimSettings) -> Result<()> {
    for &tower in &optim.lock {
        let (freed, blocks) = (optim.unlocked_blocks, blocks(config, tower));
        if freed > blocks {
            let tower = match tower {
                Tower::Image => "image",
                Tower::Text => "text",
            };
            return Err(Error::Settings(format!(
                "optim.unlocked_blocks is {freed}, but the {tower} tower has {blocks} blocks"
            )));
        }
    }
    Ok(())
}

/// How deep in its tower a tensor is, and how deep the tower is: 0 for what comes before the blocks, the tower's depth for what
/// follows them.
fn depth(config: &Config, tower: Tower, name: &str) -> (usize, usize) {
    let blocks = blocks(config, tower);
    let own = name.strip_prefix("visual.").unwrap_or(name);
    let number = |rest: &str| rest.split('.').next().and_then(|number| number.parse::<usize>().ok());
    let block = match (own.strip_prefix("transformer.resblocks."), own.strip_prefix("layer")) {
        (Some(rest), _) => number(rest).map(|block| block + 1),
        (_, Some(rest)) => number(rest),
        _ => None,
    };
    let before = ["conv", "bn", "class_embedding", "positional_embedding", "token_embedding", "ln_pre"];
    match block {
        Some(block) => (block, blocks + 1),
        None if before.iter().any(|start| own.starts_with(start)) => (0, blocks + 1),
        None => (blocks + 1, blocks + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn treated(optim: &OptimSettings, model: &str) -> impl Fn(&str) -> Treatment + use<> {
        let config = Config::named(model).unwrap();
        let tensors = shapes::summarize(&config).tensors;
        let optim = optim.clone();
        move |name| treatment(&config, &optim, tensors.iter().find(|tensor| tensor.name == name).unwrap())
    }

    fn rate(treatment: Treatment) -> f64 {
        match treatment {
            Treatment::Learned { rate, .. } => rate,
            Treatment::Fixed => 0.0,
        }
    }

    #[test]
    fn deep_blocks_learn_fastest() {
        let optim = OptimSettings { layer_decay: 0.5, ..OptimSettings::default() };
        let vit = treated(&optim, "ViT-B/32");
        assert_eq!(rate(vit("visual.proj")), 1.0);
        assert_eq!(rate(vit("visual.transformer.resblocks.11.ln_1.bias")), 0.5);
        assert_eq!(rate(vit("visual.transformer.resblocks.0.ln_1.bias")), 0.5f64.powi(12));
        assert_eq!(rate(vit("visual.conv1.weight")), 0.5f64.powi(13));
        assert_eq!(rate(vit("token_embedding.weight")), 0.5f64.powi(13));
        assert_eq!(rate(vit("logit_scale")), 1.0);
        let resnet = treated(&optim, "RN50");
        assert_eq!(rate(resnet("visual.attnpool.c_proj.weight")), 1.0);
        assert_eq!(rate(resnet("visual.layer4.0.conv1.weight")), 0.5);
        assert_eq!(rate(resnet("visual.bn1.bias")), 0.5f64.powi(5));
    }

    #[test]
    fn a_locked_tower_is_fixed_but_for_its_last_blocks() {
        let mut optim = OptimSettings { lock: vec![Tower::Image], ..OptimSettings::default() };
        let locked = treated(&optim, "ViT-B/32");
        assert_eq!(locked("visual.proj"), Treatment::Fixed);
        assert_eq!(locked("visual.transformer.resblocks.11.ln_1.bias"), Treatment::Fixed);
        assert_eq!(rate(locked("text_projection")), 1.0);
        assert_eq!(rate(locked("logit_scale")), 1.0);
        optim.unlocked_blocks = 1;
        let locked = treated(&optim, "ViT-B/32");
        assert_eq!(rate(locked("visual.proj")), 1.0);
        assert_eq!(rate(locked("visual.transformer.resblocks.11.ln_1.bias")), 1.0);
        assert_eq!(locked("visual.transformer.resblocks.10.ln_1.bias"), Treatment::Fixed);
        optim.unlocked_blocks = 12;
        assert_eq!(treated(&optim, "ViT-B/32")("visual.conv1.weight"), Treatment::Fixed);
    }

    #[test]
    fn no_more_blocks_are_freed_than_there_are() {
        let freed = |unlocked_blocks, model| {
            let lock = vec![Tower::Image, Tower::Text];
            let optim = OptimSettings { lock, unlocked_blocks, ..OptimSettings::default() };
            check_locks(&Config::named(model).unwrap(), &optim).map_err(|error| error.to_string())
        };
        assert_eq!(freed(12, "ViT-B/32"), Ok(()));
        assert_eq!(freed(4, "RN50"), Ok(()));
        assert!(freed(5, "RN50").unwrap_err().contains("5, but the image tower has 4 blocks"));
        assert!(freed(13, "ViT-L/14").unwrap_err().contains("13, but the text tower has 12 blocks"));
    }

    #[test]
    fn only_matrices_of_the_text_tower_are_kept_in_half_precision() {
        let optim = OptimSettings { half_text_weights: true, ..OptimSettings::default() };
        let half = treated(&optim, "ViT-B/32");
        let is_half = |name: &str| matches!(half(name), Treatment::Learned { half: true, .. });
        assert!(is_half("token_embedding.weight") && is_half("transformer.resblocks.3.mlp.c_fc.weight"));
        assert!(!is_half("visual.proj") && !is_half("ln_final.weight") && !is_half("logit_scale"));
    }
}
