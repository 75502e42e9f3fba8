//! What was found, as messages and as metadata of buffers.

use clip_runtime::stream::{Item, Outcome};
use gstreamer::meta::CustomMeta;
use gstreamer::{Array, BufferRef, ClockTime, Structure};
use gstreamer_video::VideoRegionOfInterestMeta;

use crate::analytics;
use crate::objects::{Object, Place, given};

/// Name of the metadata that a buffer has when its whole picture was classified, a `GstCustomMeta`; its structure is that of the messages.
pub const META: &str = "ClipClassificationMeta";

/// Name of the structure in messages, and in regions of interest.
const NAME: &str = "clip-classification";

/// Makes GStreamer know [`META`].
pub fn register() {
    CustomMeta::register(META, &[]);
}

/// What was found in an item: `timestamp` of its buffer (ns), `sequence` number, `label` where there is one, whether that has `changed`, the
/// best `labels` with `probabilities` and `similarities`, best first, `latency` (ns), and of a region its `track`.
pub fn structure(outcome: &Outcome, item: &Item) -> Structure {
    let mut found = Structure::builder(NAME)
        .field("timestamp", outcome.tag)
        .field("sequence", outcome.sequence)
        .field("changed", item.changed)
        .field("fresh", item.fresh)
        .field("latency", u64::try_from(outcome.latency.as_nanos()).unwrap_or(u64::MAX))
        .build();
    if let Some(label) = outcome.name(item) {
        found.set("label", label);
    }
    if let Some(track) = item.track.and_then(given) {
        found.set("track", track);
    }
    let labels = labels(outcome, item);
    found.set("labels", Array::new(labels.iter().map(|&(name, _)| name)));
    found.set("probabilities", Array::new(labels.iter().map(|&(_, probability)| probability)));
    found.set("similarities", Array::new(outcome.scores(item).iter().map(|score| score.similarity)));
    found
}

/// `apple 97 %`, or `none of them`.
pub fn text(outcome: &Outcome, item: &Item) -> String {
    let shown = item.label.and_then(|label| outcome.scores(item).iter().find(|score| score.index == label));
    match (outcome.name(item), shown) {
        (Some(name), Some(score)) => format!("{name} {:.0} %", 100.0 * score.probability),
        (Some(name), None) => name.to_owned(),
        (None, _) => "none of them".to_owned(),
    }
}

/// The best labels of an item and their probabilities, best first.
fn labels<'a>(outcome: &'a Outcome, item: &Item) -> Vec<(&'a str, f32)> {
    let Some(set) = &outcome.labels else { return Vec::new() };
    let scores = outcome.scores(item).iter();
    scores.filter_map(|score| Some((set.labels().get(score.index)?.as_str(), score.probability))).collect()
}

/// Writes an outcome to a buffer: of a whole picture to the buffer itself, of regions to those of the buffer with the same track.
pub fn attach(buffer: &mut BufferRef, outcome: &Outcome, objects: Option<&[Object]>, embedding: bool) {
    match objects {
        None => {
            if let Some(item) = outcome.items().first() {
                if let Ok(mut meta) = CustomMeta::add(buffer, META) {
                    let structure = structure(outcome, item);
                    for (name, value) in structure.iter() {
                        meta.mut_structure().set_value(name, value.clone());
                    }
                }
                analytics::classify(buffer, &labels(outcome, item), None);
            }
        }
        Some(objects) => {
            for object in objects {
                let of_track = |item: &&Item| item.track == Some(object.region.track);
                let Some(item) = outcome.items().iter().find(of_track) else { continue };
                match object.place {
                    Place::Roi(number) => {
                        let regions = &mut buffer.iter_meta_mut::<VideoRegionOfInterestMeta>();
                        if let Some(mut region) = regions.nth(number) {
                            region.add_param(structure(outcome, item));
                        }
                    }
                    Place::Detection(id) => analytics::classify(buffer, &labels(outcome, item), Some(id)),
                }
            }
        }
    }
    if embedding {
        let known: Vec<&[f32]> = outcome.items().iter().map(|item| outcome.embedding(item)).collect();
        analytics::embed(buffer, &known.concat(), known.iter().filter(|numbers| !numbers.is_empty()).count());
    }
}

/// The tag of a buffer: its timestamp, nanoseconds; `u64::MAX` where it has none, as GStreamer has it.
pub fn tag(buffer: &BufferRef) -> u64 {
    buffer.pts().map_or(u64::MAX, ClockTime::nseconds)
}
