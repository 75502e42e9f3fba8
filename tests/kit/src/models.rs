//! Small models with pseudo-random weights, the same everywhere.

use std::io;
use std::path::{Path, PathBuf};

use clip_checkpoint::{Checkpoint, OpenClip, Source, write};
use clip_model::config::{Activation, Config, Family, ImageTower, ResNet, TextTower, ViT};
use clip_model::shapes::{Tensor, summarize};
use clip_model::{Preprocess, Tokenizer};

/// A tensor in memory: its name, shape and row-major elements.
#[derive(Debug, Clone)]
pub struct Values {
    /// State-dict name.
    pub name: String,
    /// Shape, outermost axis first.
    pub shape: Vec<usize>,
    /// Row-major elements.
    pub data: Vec<f32>,
}

impl Source for Values {
    fn name(&self) -> &str {
        &self.name
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn read(&self, sink: &mut dyn FnMut(&[f32]) -> io::Result<()>) -> io::Result<()> {
        sink(&self.data)
    }
}

/// A CLIP with a vision transformer, by the sizes of its towers: image size, patch size, width, layers and head width; context
/// length, vocabulary, width, heads and layers.
pub fn vit(
    embed_dim: usize,
    [image_size, patch_size, image_width, image_layers, head_width]: [usize; 5],
    [context_length, vocab_size, width, heads, layers]: [usize; 5],
    mlp_ratio: f64,
    activation: Activation,
) -> Config {
    let image = ViT {
        image_size,
        patch_size,
        width: image_width,
        layers: image_layers,
        head_width,
        mlp_ratio,
        activation,
        norm_epsilon: Family::Clip.norm_epsilon(),
    };
    let text = TextTower {
        context_length,
        vocab_size,
        width,
        heads,
        layers,
        mlp_ratio,
        activation,
        ..TextTower::openai(width)
    };
    Config { family: Family::Clip, embed_dim, image: ImageTower::ViT(image), text, logit_bias: false }
}

/// A tensor with pseudo-random values of the size that a network has in training: gains around one, positive
/// variances, matrices that keep the scale of what they map.
pub fn parameter(tensor: Tensor) -> Values {
    let Tensor { name, shape, .. } = tensor;
    let n = shape.iter().product();
    let data = match shape.len() {
        0 if name == "logit_bias" => vec![-2.5; n],
        0 => vec![2.0; n],
        1 if name.ends_with("running_var") => uniform(&name, n, 0.5, 1.5),
        1 if name.ends_with(".weight") => uniform(&name, n, 0.7, 1.3),
        1 => uniform(&name, n, -0.3, 0.3),
        _ => {
            let fan_in = n / shape[0];
            let bound = (3.0 / fan_in as f32).sqrt();
            uniform(&name, n, -bound, bound)
        }
    };
    Values { name, shape, data }
}

/// `n` numbers from `low` up to `high`, the same ones for the same seed (SplitMix64 over an FNV-1a hash of it).
pub fn uniform(seed: &str, n: usize, low: f32, high: f32) -> Vec<f32> {
    let hash = |h: u64, b: u8| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
    let mut state = seed.bytes().fold(0xcbf2_9ce4_8422_2325, hash);
    let mut next = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) >> 40) as f32 / (1u32 << 24) as f32
    };
    (0..n).map(|_| low + (high - low) * next()).collect()
}

/// Two blocks in each tower, of the smallest published widths.
pub fn small_vit(activation: Activation) -> Config {
    vit(16, [32, 16, 384, 2, 64], [8, 49408, 256, 4, 2], 0.5, activation)
}

/// The same with a small ResNet.
pub fn resnet() -> Config {
    let image = ImageTower::ResNet(ResNet { image_size: 32, layers: [1, 1, 1, 1], width: 4, head_width: 64 });
    Config { image, ..small_vit(Activation::QuickGelu) }
}

pub fn tensors(config: &Config) -> Vec<Values> {
    summarize(config).tensors.into_iter().map(parameter).collect()
}

/// A checkpoint folder of ours with these weights.
pub fn checkpoint(root: &Path, config: &Config) -> PathBuf {
    let preprocess = Preprocess { size: config.image.image_size(), ..Preprocess::default() };
    let openclip = OpenClip { config: config.clone(), preprocess, own_tokenizer: false };
    let folder = root.join("checkpoint");
    write(&folder, &openclip, &Tokenizer::openai(), &tensors(config), 7).unwrap();
    folder
}

/// Fails unless `opened` is this network with exactly these weights.
pub fn assert_same(opened: &Checkpoint, config: &Config) {
    assert_eq!(opened.config, *config);
    for Values { name, data, .. } in tensors(config) {
        assert!(opened.tensor(&name).unwrap().to_f32().unwrap() == data, "{name}");
    }
}
