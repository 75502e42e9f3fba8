//! The sizes and choices that make one CLIP model different from another. In a file (`serde`) a tower is its sizes alone; what is
//! chosen for both towers is said once beside them.

mod validate;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Shape of a CLIP model: two towers that end in one embedding space.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What the towers begin and end with.
    pub family: Family,
    /// Width of the shared embedding space.
    pub embed_dim: usize,
    /// The image tower.
    pub image: ImageTower,
    /// The text tower.
    pub text: TextTower,
    /// Whether a learned number, `logit_bias`, is added to scaled similarities, of each of which a sigmoid is taken (the loss of
    /// Zhai et al. 2023, arXiv 2303.15343, section 3); else a softmax is taken over the labels. Every [`Family::SigLip`] has
    /// it, and a [`Family::Clip`] that was trained with that loss.
    pub logit_bias: bool,
}

/// The kind of model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// CLIP (Radford et al. 2021, arXiv 2103.00020). Texts are causal and end where they end.
    Clip,
    /// SigLIP (Zhai et al. 2023, arXiv 2303.15343) and SigLIP 2 (Tschannen et al. 2025, arXiv 2502.14786). A
    /// learned query pools the patches of an image, which have no class token; texts are padded to the context length, all
    /// tokens see each other, and the last one is pooled.
    SigLip,
}

/// Non-linearity inside a transformer block's MLP. (In a file: `quick_gelu` or `gelu`; the approximation is SigLIP's alone, which
/// no file of ours describes.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x * sigmoid(1.702 x)`, what OpenAI trained with.
    #[default]
    QuickGelu,
    /// The exact Gaussian error linear unit, `x * Phi(x)`.
    Gelu,
    /// Its approximation `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))` (Hendrycks and Gimpel 2016, arXiv 1606.08415).
    #[serde(skip)]
    GeluTanh,
}

/// The image tower.
#[derive(Debug, Clone, PartialEq)]
pub enum ImageTower {
    /// ResNet with the changes of the paper's section 2.4: ResNet-D stem, anti-aliased strides, attention pooling.
    ResNet(ResNet),
    /// Vision Transformer (Dosovitskiy et al. 2020); CLIP's has a layer norm before the transformer.
    ViT(ViT),
}

/// Sizes of the modified ResNet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResNet {
    /// Side of the square input, pixels; a multiple of 32.
    pub image_size: usize,
    /// Bottleneck blocks in each of the four stages.
    pub layers: [usize; 4],
    /// Channels after the stem; the last stage has 32 times as many.
    pub width: usize,
    /// Channels per head of the attention pooling.
    #[serde(default = "head_width")]
    pub head_width: usize,
}

/// Sizes of the Vision Transformer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViT {
    /// Side of the square input, pixels. What is left of it to the right of and below the last whole patch is not seen.
    pub image_size: usize,
    /// Side of a square patch, pixels.
    pub patch_size: usize,
    /// Channels of a token.
    pub width: usize,
    /// Transformer blocks.
    pub layers: usize,
    /// Channels per attention head.
    #[serde(default = "head_width")]
    pub head_width: usize,
    /// Hidden width of a block's MLP over `width`.
    #[serde(default = "usual_mlp_ratio")]
    pub mlp_ratio: f64,
    /// Non-linearity of the blocks. OpenAI's weights need [`Activation::QuickGelu`]; a mismatch costs accuracy without any
    /// error, so it is always stated.
    #[serde(skip)]
    pub activation: Activation,
    /// What its layer norms add to a variance, [`Family::norm_epsilon`] as a rule.
    #[serde(skip, default = "clip_norm_epsilon")]
    pub norm_epsilon: f32,
}

/// Sizes of the text transformer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextTower {
    /// Longest sequence of token ids, start and end tokens included.
    pub context_length: usize,
    /// Entries of the token embedding.
    pub vocab_size: usize,
    /// Channels of a token.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Transformer blocks.
    pub layers: usize,
    /// Hidden width of a block's MLP over `width`.
    #[serde(default = "usual_mlp_ratio")]
    pub mlp_ratio: f64,
    /// Non-linearity of the blocks, see [`ViT::activation`].
    #[serde(skip)]
    pub activation: Activation,
    /// What its layer norms add to a variance, [`Family::norm_epsilon`] as a rule.
    #[serde(skip, default = "clip_norm_epsilon")]
    pub norm_epsilon: f32,
    /// Where a CLIP's text is pooled. (A SigLIP's is at its last token.)
    #[serde(skip)]
    pub end: EndOfText,
}

/// The token at which a text is pooled: nothing after it is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EndOfText {
    /// The one with the highest id, the first of several.
    #[default]
    Highest,
    /// The first one with this id, or a text's first token where there is none: for vocabularies in which the end of text
    /// is not the highest id.
    Id(u32),
}

impl Family {
    /// What layer norms add to a variance in the published models.
    pub fn norm_epsilon(self) -> f32 {
        match self {
            Family::Clip => 1e-5,
            Family::SigLip => 1e-6,
        }
    }
}

impl ResNet {
    /// Channels of the last stage and of the attention pooling.
    pub fn features(&self) -> usize {
        self.width * 32
    }

    /// Heads of the attention pooling.
    pub fn heads(&self) -> usize {
        self.features() / self.head_width
    }
}

impl ViT {
    /// Hidden width of a block's MLP.
    pub fn hidden(&self) -> usize {
        mlp_width(self.width, self.mlp_ratio)
    }

    /// Attention heads of a block.
    pub fn heads(&self) -> usize {
        self.width / self.head_width
    }

    /// Patches along one side of the image.
    pub fn grid(&self) -> usize {
        self.image_size / self.patch_size
    }
}

impl ImageTower {
    /// Side of the square input, pixels.
    pub fn image_size(&self) -> usize {
        match self {
            ImageTower::ResNet(r) => r.image_size,
            ImageTower::ViT(v) => v.image_size,
        }
    }

    /// The same with inputs of another side, pixels.
    pub fn set_image_size(&mut self, side: usize) {
        match self {
            ImageTower::ResNet(r) => r.image_size = side,
            ImageTower::ViT(v) => v.image_size = side,
        }
    }
}

/// The nine models of the paper (its tables 19 and 20), by their published names.
pub const NAMES: [&str; 9] =
    ["RN50", "RN101", "RN50x4", "RN50x16", "RN50x64", "ViT-B/32", "ViT-B/16", "ViT-L/14", "ViT-L/14@336px"];

impl Config {
    /// One of the nine models of the paper. `ViT-B-32` and `ViT-L-14-336`, OpenCLIP's spellings, are understood too.
    pub fn named(name: &str) -> Result<Config> {
        let resnet = |embed_dim, layers, width, image_size, text_width| Config {
            family: Family::Clip,
            embed_dim,
            image: ImageTower::ResNet(ResNet { image_size, layers, width, head_width: 64 }),
            text: TextTower::openai(text_width),
            logit_bias: false,
        };
        let vit = |embed_dim, patch_size, width, layers, image_size, text_width| Config {
            family: Family::Clip,
            embed_dim,
            image: ImageTower::ViT(ViT {
                image_size,
                patch_size,
                width,
                layers,
                head_width: 64,
                mlp_ratio: 4.0,
                activation: Activation::QuickGelu,
                norm_epsilon: Family::Clip.norm_epsilon(),
            }),
            text: TextTower::openai(text_width),
            logit_bias: false,
        };
        Ok(match name.replace(['/', '@'], "-").trim_end_matches("px") {
            "RN50" => resnet(1024, [3, 4, 6, 3], 64, 224, 512),
            "RN101" => resnet(512, [3, 4, 23, 3], 64, 224, 512),
            "RN50x4" => resnet(640, [4, 6, 10, 6], 80, 288, 640),
            "RN50x16" => resnet(768, [6, 8, 18, 8], 96, 384, 768),
            "RN50x64" => resnet(1024, [3, 15, 36, 10], 128, 448, 1024),
            "ViT-B-32" => vit(512, 32, 768, 12, 224, 512),
            "ViT-B-16" => vit(512, 16, 768, 12, 224, 512),
            "ViT-L-14" => vit(768, 14, 1024, 24, 224, 768),
            "ViT-L-14-336" => vit(768, 14, 1024, 24, 336, 768),
            _ => {
                let known = NAMES.join(", ");
                return Err(Error::Config(format!("there is no model named {name:?}; known names: {known}")));
            }
        })
    }

    /// The activation of all transformer blocks.
    ///
    /// # Errors
    /// [`Error::Config`] when the towers have different ones.
    pub fn one_activation(&self) -> Result<Activation> {
        match &self.image {
            ImageTower::ViT(v) if v.activation != self.text.activation => Err(Error::Config(format!(
                "the image tower's activation {:?} is not the text tower's {:?}",
                v.activation, self.text.activation
            ))),
            _ => Ok(self.text.activation),
        }
    }
}

impl TextTower {
    /// Hidden width of a block's MLP.
    pub fn hidden(&self) -> usize {
        mlp_width(self.width, self.mlp_ratio)
    }

    /// The paper's text transformer: 12 blocks, heads of 64 channels, 77 tokens of OpenAI's vocabulary.
    pub fn openai(width: usize) -> TextTower {
        TextTower {
            context_length: 77,
            vocab_size: 49408,
            width,
            heads: width / 64,
            layers: 12,
            mlp_ratio: 4.0,
            activation: Activation::QuickGelu,
            norm_epsilon: Family::Clip.norm_epsilon(),
            end: EndOfText::Highest,
        }
    }
}

// What files of sizes leave out.
fn head_width() -> usize {
    64
}
fn usual_mlp_ratio() -> f64 {
    4.0
}
fn clip_norm_epsilon() -> f32 {
    Family::Clip.norm_epsilon()
}

/// Hidden width of an MLP, truncated as OpenCLIP does.
pub fn mlp_width(width: usize, ratio: f64) -> usize {
    (width as f64 * ratio) as usize
}

/// The ratio whose [`mlp_width`] is `hidden`: the quotient, or the next number where rounding left it short.
pub fn mlp_ratio(width: usize, hidden: usize) -> f64 {
    let ratio = hidden as f64 / width.max(1) as f64;
    if mlp_width(width, ratio) < hidden { ratio.next_up() } else { ratio }
}

impl EndOfText {
    /// The first token with this `id`, in a vocabulary of `vocab_size` entries: the highest id, where it is that. None when it
    /// is not in the vocabulary.
    pub fn at(id: u64, vocab_size: usize) -> Option<EndOfText> {
        match (vocab_size as u64).checked_sub(id)? {
            0 => None,
            1 => Some(EndOfText::Highest),
            _ => u32::try_from(id).ok().map(EndOfText::Id),
        }
    }
}

/// The same number in as few digits as people write it with, for files.
pub fn in_few_digits(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_name_the_same_model() {
        for (a, b) in [("ViT-B/32", "ViT-B-32"), ("ViT-L/14@336px", "ViT-L-14-336"), ("RN50x4", "RN50x4")] {
            assert_eq!(Config::named(a).unwrap(), Config::named(b).unwrap());
        }
        let message = Config::named("ViT-Z/1").unwrap_err().to_string();
        assert!(message.contains("ViT-Z/1") && message.contains("ViT-B/32"), "{message}");
    }

    #[test]
    fn a_ratio_gives_back_its_hidden_width() {
        for width in 1..2000 {
            for hidden in [1, width, 3 * width + 1, 4 * width, 4 * width + 333, 8192] {
                assert_eq!(mlp_width(width, mlp_ratio(width, hidden)), hidden, "{width}");
            }
        }
    }
}
