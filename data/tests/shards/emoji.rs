//! Real shards, where the data folder is present.

use std::path::PathBuf;

use clip_data::{Augment, Loader, LoaderOptions};
use clip_model::Preprocess;

use crate::fixture::{options, samples};

fn shards(names: &[&str]) -> Option<Vec<PathBuf>> {
    let folder = std::env::var_os("CLIP_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")),
        PathBuf::from,
    );
    let shards: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
    if shards.iter().all(|shard| shard.exists()) {
        return Some(shards);
    }
    eprintln!("skipped: data folder, see README");
    None
}

#[test]
fn every_sample_of_three_styles_is_read() {
    let Some(shards) = shards(&["emoji/openmoji.tar", "emoji/twemoji.tar", "emoji/fxemoji.tar"]) else {
        return;
    };
    let mut all = samples(&shards);
    let with_keywords = all.by_ref().filter(|sample| sample.as_ref().unwrap().captions.len() == 2).count();
    assert_eq!(all.unusable(), 0);
    // All but the 19 without keywords, in the two styles that have them at most.
    assert!((1870 + 1914 + 886 - 57..=1870 + 1914 + 886).contains(&with_keywords), "{with_keywords}");
}

#[test]
fn a_gzip_shard_of_photos_has_classes() {
    let Some(shards) = shards(&["photos/cifar10/cifar10-test.tar.gz"]) else { return };
    let classes: Vec<usize> = samples(&shards).map(|sample| sample.unwrap().class.unwrap()).collect();
    assert_eq!(classes.len(), 10_000);
    assert!((0..10).all(|class| classes.iter().filter(|&&c| c == class).count() == 1000));
}

#[test]
fn an_epoch_of_augmented_emoji_has_no_undecodable_picture() {
    let Some(shards) = shards(&["emoji/noto.tar", "emoji/blobmoji.tar"]) else { return };
    let augment = Augment { rotation: 15.0, ink: 0.4, background: 0.5, color: 0.8, ..Augment::default() };
    let preprocess = Preprocess { size: 64, ..Preprocess::default() };
    let options =
        LoaderOptions { batch: 82, shuffle_buffer: 500, preprocess, augment, cache_mb: 20, ..options() };
    let epoch = (1906 + 1456) / 82;
    let last = Loader::new(&shards, options).unwrap().nth(epoch - 1).unwrap().unwrap();
    assert_eq!((last.position, last.skipped), (1906 + 1456, 0));
    assert_eq!(last.pictures.len(), 82 * 3 * 64 * 64);
}
