//! Every configuration that open_clip ships is either built, with open_clip's number of parameters, or refused by name.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use clip_checkpoint::{CONFIG, Error, OpenClip};
use clip_model::config::ImageTower;
use clip_model::shapes::summarize;
use serde_json::{Value, json};

/// open_clip's own networks that are not built: average pooling without a norm in front, scaled residual branches, a text
/// tower without a projection, and texts that are cleaned otherwise.
const REFUSED: [&str; 10] = [
    "ViT-H-14-CLIPA",
    "ViT-H-14-CLIPA-336",
    "ViT-L-14-CLIPA",
    "ViT-L-14-CLIPA-336",
    "ViT-L-14-worldwide",
    "ViT-L-14-worldwide-quickgelu",
    "ViT-M-16-alt",
    "ViT-SO400M-16-SigLIP-i18n-256",
    "ViT-bigG-14-CLIPA",
    "ViT-bigG-14-CLIPA-336",
];

#[test]
fn every_network_has_its_number_of_parameters_or_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (mut built, mut refused) = (0, Vec::new());
    // Made by open_clip_models.py.
    for line in include_str!("open_clip_models.jsonl").lines() {
        let model: Value = serde_json::from_str(line).unwrap();
        let name = model["name"].as_str().unwrap();
        let config = json!({ "model_cfg": model["model_cfg"] }).to_string();
        std::fs::write(folder.path().join(CONFIG), config).unwrap();
        match (OpenClip::read(folder.path()), model["parameters"].as_u64()) {
            (Ok(found), Some(parameters)) => {
                assert_eq!(summarize(&found.config).parameters() as u64, parameters, "{name}");
                if let (ImageTower::ViT(image), Some(expected)) =
                    (&found.config.image, model["activations"].as_array())
                {
                    let activations = [image.activation, found.config.text.activation];
                    assert_eq!(activations.map(|a| json!(format!("{a:?}"))), expected[..], "{name}");
                }
                found.write(folder.path()).unwrap();
                assert_eq!(OpenClip::read(folder.path()).unwrap(), found, "{name}");
                built += 1;
            }
            (Ok(_), None) => panic!("{name} is no network of open_clip's own, but was accepted"),
            (Err(Error::Config(reason)), parameters) => {
                let named = ["vision_cfg.", "text_cfg.", "model_cfg."].iter().any(|s| reason.starts_with(s));
                assert!(named && reason.contains("not supported"), "{name}: {reason}");
                if parameters.is_some() {
                    refused.push(name.to_owned());
                }
            }
            (Err(other), _) => panic!("{name}: {other}"),
        }
    }
    refused.sort();
    assert_eq!((built, refused), (71, REFUSED.map(str::to_owned).to_vec()));
}
