//! Refuses sizes that contradict each other or that no model has.
//!
//! The limits are several times those of the largest models that there are, and so low that nothing computed from the sizes
//! overflows and that a refusal costs milliseconds: a configuration comes from outside, and is believed before its weights
//! are seen.

use super::{Config, EndOfText, Family, ImageTower, ResNet, TextTower, ViT};
use crate::error::{Error, Result};
use crate::shapes;

/// Channels of anything: EVA-CLIP-18B has 5120.
const WIDEST: usize = 1 << 16;
/// Blocks of a transformer, or of a ResNet's stage: EVA-02-CLIP-E has 64.
const DEEPEST: usize = 512;
/// Side of an image, pixels: the largest published input has 1024.
const LARGEST_IMAGE: usize = 1 << 14;
/// Patches of an image: 1024 in the largest published models.
const MOST_PATCHES: usize = 1 << 14;
/// Tokens of a text: 512 in the longest text encoders. A mask of the square of it is part of an exported graph.
const LONGEST_TEXT: usize = 1 << 12;
/// Entries of a vocabulary: XLM-V's has 901,629.
const LARGEST_VOCABULARY: usize = 1 << 23;
/// Parameters: EVA-CLIP-18B has 1.8e10. Where memory ends before that, on 32-bit machines, fewer.
const MOST_PARAMETERS: u64 = {
    let (limit, addressable) = (1 << 37, isize::MAX as u64 / 4);
    if limit < addressable { limit } else { addressable }
};

fn check(holds: bool, message: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Config(message())) }
}

fn within(field: &str, value: usize, least: usize, most: usize) -> Result<()> {
    check((least..=most).contains(&value), || format!("{field} is {value}, expected {least} to {most}"))
}

fn divides(field: &str, value: usize, by: &str, divisor: usize) -> Result<()> {
    check(divisor > 0 && value.is_multiple_of(divisor), || {
        format!("{field} {value} is not a multiple of {by} {divisor}")
    })
}

fn ratio(field: &str, value: f64) -> Result<()> {
    check((0.01..=64.0).contains(&value), || format!("{field} is {value}, expected between 0.01 and 64"))
}

fn epsilon(field: &str, value: f32) -> Result<()> {
    check(value > 0.0 && value <= 1.0, || format!("{field} is {value}, expected above 0 and at most 1"))
}

impl Config {
    /// Refuses sizes that contradict each other or cannot be built, naming the field.
    ///
    /// # Errors
    /// [`Error::Config`]. For what is not refused, everything that this crate computes from the sizes is a number.
    pub fn validate(&self) -> Result<()> {
        within("embed_dim", self.embed_dim, 1, WIDEST)?;
        match &self.image {
            ImageTower::ResNet(r) => resnet(r)?,
            ImageTower::ViT(v) => vit(v)?,
        }
        if self.family == Family::SigLip {
            check(self.logit_bias, || "a SigLIP has a logit_bias, this one has none".to_owned())?;
            let width = match &self.image {
                ImageTower::ViT(v) => v.width,
                ImageTower::ResNet(_) => 0,
            };
            check(width == self.embed_dim, || {
                format!("embed_dim {} is not the image tower's width {width}, as SigLIP's is", self.embed_dim)
            })?;
        }
        text(&self.text)?;
        // Every size is bounded by now, so that the tensors can be listed.
        let values = shapes::summarize(self).values();
        check(values <= MOST_PARAMETERS, || {
            format!("the sizes make {values} parameters, at most {MOST_PARAMETERS} are supported")
        })
    }
}

fn resnet(r: &ResNet) -> Result<()> {
    within("image_size", r.image_size, 32, LARGEST_IMAGE)?;
    within("width", r.width, 2, WIDEST / 32)?;
    divides("image_size", r.image_size, "the total stride", 32)?;
    divides("width", r.width, "the stem's halving", 2)?;
    divides("32 x width", r.features(), "head_width", r.head_width)?;
    r.layers.iter().try_for_each(|&n| within("blocks in a stage", n, 1, DEEPEST))
}

fn vit(v: &ViT) -> Result<()> {
    within("image_size", v.image_size, 1, LARGEST_IMAGE)?;
    within("width", v.width, 1, WIDEST)?;
    within("layers", v.layers, 1, DEEPEST)?;
    within("patch_size", v.patch_size, 1, LARGEST_IMAGE)?;
    check(v.patch_size <= v.image_size, || {
        format!("patch_size {} is larger than image_size {}", v.patch_size, v.image_size)
    })?;
    let patches = v.grid() * v.grid();
    check(patches <= MOST_PATCHES, || {
        format!(
            "image_size {} and patch_size {} make {patches} patches, at most {MOST_PATCHES} are supported",
            v.image_size, v.patch_size
        )
    })?;
    divides("width", v.width, "head_width", v.head_width)?;
    ratio("mlp_ratio", v.mlp_ratio)?;
    within("the MLP's width", v.hidden(), 1, WIDEST)?;
    epsilon("the image tower's norm_epsilon", v.norm_epsilon)
}

fn text(t: &TextTower) -> Result<()> {
    within("context_length", t.context_length, 3, LONGEST_TEXT)?;
    within("vocab_size", t.vocab_size, 3, LARGEST_VOCABULARY)?;
    within("text width", t.width, 1, WIDEST)?;
    within("text layers", t.layers, 1, DEEPEST)?;
    divides("text width", t.width, "heads", t.heads)?;
    ratio("text mlp_ratio", t.mlp_ratio)?;
    within("the text MLP's width", t.hidden(), 1, WIDEST)?;
    epsilon("the text tower's norm_epsilon", t.norm_epsilon)?;
    match t.end {
        EndOfText::Id(id) => check((id as usize) < t.vocab_size, || {
            format!("the end of text {id} is not in the vocabulary of {}", t.vocab_size)
        }),
        EndOfText::Highest => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NAMES;

    fn refused(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::named("ViT-B/32").unwrap();
        change(&mut config);
        config.validate().unwrap_err().to_string()
    }

    fn refused_vit(change: impl FnOnce(&mut ViT)) -> String {
        refused(|config| match &mut config.image {
            ImageTower::ViT(v) => change(v),
            ImageTower::ResNet(_) => {}
        })
    }

    #[test]
    fn every_published_model_is_valid() {
        for name in NAMES {
            Config::named(name).unwrap().validate().unwrap();
        }
    }

    #[test]
    fn contradictions_and_sizes_that_no_model_has_are_named() {
        for (message, named) in [
            (refused(|c| c.text.heads = 7), "text width 512 is not a multiple of heads 7"),
            (refused(|c| c.embed_dim = 0), "embed_dim is 0, expected 1 to 65536"),
            (refused(|c| c.text.layers = 1 << 24), "text layers is 16777216"),
            (refused(|c| c.text.context_length = 1 << 16), "context_length is 65536"),
            (refused(|c| c.text.vocab_size = usize::MAX), "vocab_size is"),
            (refused(|c| c.text.norm_epsilon = 0.0), "norm_epsilon is 0"),
            (
                refused(|c| c.text.end = EndOfText::Id(49408)),
                "the end of text 49408 is not in the vocabulary",
            ),
            (refused(|c| c.text.mlp_ratio = 0.001), "text mlp_ratio"),
            (refused_vit(|v| v.image_size = 1 << 20), "image_size is 1048576"),
            (refused_vit(|v| (v.image_size, v.patch_size) = (1 << 14, 16)), "make 1048576 patches"),
            (refused_vit(|v| v.patch_size = 225), "patch_size 225 is larger"),
            (refused_vit(|v| (v.width, v.mlp_ratio) = (1 << 16, 64.0)), "the MLP's width is 4194304"),
            (refused_vit(|v| (v.width, v.layers) = (1 << 14, 512)), "parameters, at most"),
            (refused_vit(|v| v.head_width = 0), "head_width 0"),
        ] {
            assert!(message.contains(named), "{named}: {message}");
        }
        let mut siglip = Config::named("ViT-B/32").unwrap();
        siglip.family = Family::SigLip;
        assert!(siglip.validate().unwrap_err().to_string().contains("has a logit_bias"));
        let mut config = Config::named("RN50").unwrap();
        let mut resnet = |change: &dyn Fn(&mut ResNet)| {
            if let ImageTower::ResNet(r) = &mut config.image {
                change(r);
            }
            config.validate().unwrap_err().to_string()
        };
        assert!(resnet(&|r| r.image_size = 225).contains("image_size 225"));
        assert!(resnet(&|r| (r.image_size, r.width) = (224, usize::MAX)).contains("width is"));
    }
}
