//! The figure of a validation by which the best checkpoint is chosen.

use crate::settings::KeepBest;
use crate::validate::ShardFigures;

/// The name of a figure, as `run.keep_best` has it, and its mean over the validation shards; `None` when there are none.
pub fn mean(figure: KeepBest, shards: &[ShardFigures]) -> Option<(&'static str, f64)> {
    let (name, of): (_, fn(&ShardFigures) -> f64) = match figure {
        KeepBest::Top1 => ("top1", |shard| shard.top1.value),
        KeepBest::Top5 => ("top5", |shard| shard.top5.value),
        KeepBest::ImageToText => ("image_to_text", |shard| shard.image_to_text.value),
        KeepBest::TextToImage => ("text_to_image", |shard| shard.text_to_image.value),
    };
    (!shards.is_empty()).then(|| (name, shards.iter().map(of).sum::<f64>() / shards.len() as f64))
}
