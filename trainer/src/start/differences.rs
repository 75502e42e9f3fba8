//! In what two networks differ, in words.

use std::fmt::Display;

use clip_model::config::{Activation, Config, EndOfText, Family, ImageTower};

/// A sentence for each difference between two networks, which are called `names`. Sizes of inputs are not looked at, which may
/// differ.
pub fn differences(checkpoint: &Config, model: &Config, names: [&str; 2]) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, a: String, b: String| {
        if a != b {
            found.push(format!("{what}: {a} in {}, {b} in {}", names[0], names[1]));
        }
    };
    compare("kind of network", family(checkpoint), family(model));
    compare("embedding's width", word(checkpoint.embed_dim), word(model.embed_dim));
    compare("logit bias", bias(checkpoint), bias(model));
    compare("image tower", kind(&checkpoint.image), kind(&model.image));
    match (&checkpoint.image, &model.image) {
        (ImageTower::ViT(a), ImageTower::ViT(b)) => {
            compare("image tower's patch size", word(a.patch_size), word(b.patch_size));
            compare("image tower's width", word(a.width), word(b.width));
            compare("image tower's layers", word(a.layers), word(b.layers));
            compare("image tower's head width", word(a.head_width), word(b.head_width));
            compare("image tower's MLP width", word(a.hidden()), word(b.hidden()));
            compare("image tower's activation", activation(a.activation), activation(b.activation));
            compare("image tower's norm epsilon", word(a.norm_epsilon), word(b.norm_epsilon));
        }
        (ImageTower::ResNet(a), ImageTower::ResNet(b)) => {
            let layers = |layers: [usize; 4]| layers.map(word).join("+");
            compare("image tower's layers", layers(a.layers), layers(b.layers));
            compare("image tower's width", word(a.width), word(b.width));
            compare("image tower's head width", word(a.head_width), word(b.head_width));
        }
        _ => {}
    }
    let (a, b) = (&checkpoint.text, &model.text);
    compare("text tower's vocabulary", word(a.vocab_size), word(b.vocab_size));
    compare("text tower's width", word(a.width), word(b.width));
    compare("text tower's layers", word(a.layers), word(b.layers));
    compare("text tower's heads", word(a.heads), word(b.heads));
    compare("text tower's MLP width", word(a.hidden()), word(b.hidden()));
    compare("text tower's activation", activation(a.activation), activation(b.activation));
    compare("text tower's norm epsilon", word(a.norm_epsilon), word(b.norm_epsilon));
    compare("text tower's end of text", end(a.end), end(b.end));
    found
}

fn word(value: impl Display) -> String {
    value.to_string()
}

fn family(config: &Config) -> String {
    match config.family {
        Family::Clip => "CLIP",
        Family::SigLip => "SigLIP",
    }
    .to_owned()
}

fn bias(config: &Config) -> String {
    if config.logit_bias { "one" } else { "none" }.to_owned()
}

fn kind(image: &ImageTower) -> String {
    match image {
        ImageTower::ResNet(_) => "a ResNet",
        ImageTower::ViT(_) => "a ViT",
    }
    .to_owned()
}

fn activation(activation: Activation) -> String {
    match activation {
        Activation::QuickGelu => "quick_gelu",
        Activation::Gelu => "gelu",
        Activation::GeluTanh => "gelu_tanh",
    }
    .to_owned()
}

fn end(end: EndOfText) -> String {
    match end {
        EndOfText::Highest => "the highest token".to_owned(),
        EndOfText::Id(id) => format!("token {id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(checkpoint: &Config, model: &Config) -> Vec<String> {
        differences(checkpoint, model, ["the checkpoint", "[model]"])
    }

    #[test]
    fn each_size_that_differs_has_a_sentence() {
        let (b, l) = (Config::named("ViT-B/32").unwrap(), Config::named("ViT-L/14").unwrap());
        assert_eq!(told(&b, &b), [""; 0]);
        let found = told(&b, &l);
        for part in [
            "embedding's width: 512 in the checkpoint, 768 in [model]",
            "image tower's patch size: 32 in the checkpoint, 14 in [model]",
            "image tower's layers: 12 in the checkpoint, 24 in [model]",
            "text tower's heads: 8 in the checkpoint, 12 in [model]",
        ] {
            assert!(found.iter().any(|line| line == part), "{found:?}");
        }
        let resnet = Config::named("RN50").unwrap();
        assert!(
            told(&b, &resnet)
                .contains(&"image tower: a ViT in the checkpoint, a ResNet in [model]".to_owned())
        );
        assert_eq!(
            told(&resnet, &Config { embed_dim: 1024, ..Config::named("RN101").unwrap() }),
            ["image tower's layers: 3+4+6+3 in the checkpoint, 3+4+23+3 in [model]"]
        );
        // Inputs may differ.
        let mut large = l.clone();
        large.image.set_image_size(336);
        large.text.context_length = 20;
        assert_eq!(told(&l, &large), [""; 0]);
        large.text.activation = Activation::Gelu;
        large.logit_bias = true;
        assert_eq!(
            told(&l, &large),
            [
                "logit bias: none in the checkpoint, one in [model]",
                "text tower's activation: quick_gelu in the checkpoint, gelu in [model]"
            ]
        );
    }
}
