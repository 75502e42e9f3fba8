//! The settings of the paper's nine models, with its hyper-parameters (arXiv 2103.00020, tables 18 to 20).

/// Each model's published name and its settings file, in the order of [`clip_model::config::NAMES`].
pub const ALL: [(&str, &str); 9] = [
    ("RN50", include_str!("../configs/rn50.toml")),
    ("RN101", include_str!("../configs/rn101.toml")),
    ("RN50x4", include_str!("../configs/rn50x4.toml")),
    ("RN50x16", include_str!("../configs/rn50x16.toml")),
    ("RN50x64", include_str!("../configs/rn50x64.toml")),
    ("ViT-B/32", include_str!("../configs/vit-b-32.toml")),
    ("ViT-B/16", include_str!("../configs/vit-b-16.toml")),
    ("ViT-L/14", include_str!("../configs/vit-l-14.toml")),
    ("ViT-L/14@336px", include_str!("../configs/vit-l-14-336.toml")),
];

/// The settings file of a model by its name, in any of the spellings that [`clip_model::Config::named`] understands.
pub fn of(name: &str) -> Option<&'static str> {
    let wanted = clip_model::Config::named(name).ok()?;
    let is_it = |known: &str| clip_model::Config::named(known).is_ok_and(|known| known == wanted);
    ALL.iter().find(|(known, _)| is_it(known)).map(|(_, toml)| *toml)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use clip_model::config::{Config, ImageTower, NAMES};

    #[test]
    fn each_named_model_has_the_papers_settings() {
        let rates = [5e-4, 5e-4, 5e-4, 4e-4, 3.6e-4, 5e-4, 5e-4, 4e-4, 2e-5];
        for (((known, toml), name), lr) in ALL.iter().zip(NAMES).zip(rates) {
            let settings = Settings::parse(toml).unwrap();
            let (config, optim) = (settings.config().unwrap(), &settings.optim);
            assert_eq!((*known, settings.model.name.as_deref()), (name, Some(name)));
            assert_eq!(config, Config::named(name).unwrap());
            let adam = match config.image {
                ImageTower::ResNet(_) => (0.9, 0.999, 1e-8),
                ImageTower::ViT(_) => (0.9, 0.98, 1e-6),
            };
            assert_eq!(
                (optim.beta1, optim.beta2, optim.eps, optim.weight_decay),
                (adam.0, adam.1, adam.2, 0.2)
            );
            assert_eq!((optim.batch, optim.warmup, optim.lr), (32_768, 2000, lr), "{name}");
            let epochs = if name.ends_with("336px") { 1.0 } else { 32.0 };
            let seen = (optim.steps * optim.batch as u64) as f64;
            assert!((seen / 400e6 - epochs).abs() < 1e-4, "{name}: {seen}");
            assert!(settings.data.augment.square_crop && toml.lines().count() <= 25);
            assert!(
                toml.starts_with(&format!("# {name} ")) && toml.contains("clip-train --config"),
                "{toml}"
            );
        }
        assert_eq!(of("ViT-L-14-336"), Some(ALL[8].1));
        assert_eq!(of("ViT-B/64"), None);
    }
}
