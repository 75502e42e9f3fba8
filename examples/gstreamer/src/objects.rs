//! What an element before has found in a picture.

use std::collections::HashSet;

use clip_model::frame::Rect;
use clip_runtime::stream::Region;
use gstreamer::BufferRef;
use gstreamer_video::VideoRegionOfInterestMeta;

use crate::analytics;

/// From here on tracks have numbers that nobody has given them.
const UNTRACKED: u64 = 1 << 63;

/// A region, and where what is found in it is to be written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Object {
    pub region: Region,
    pub place: Place,
}

/// Where a region was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Place {
    /// In the buffer's n-th `GstVideoRegionOfInterestMeta`.
    Roi(usize),
    /// In its `GstAnalyticsRelationMeta`, under this id.
    Detection(u32),
}

/// Finds the regions of one buffer after the other.
#[derive(Debug, Default)]
pub struct Finder {
    /// Regions so far that no tracker follows.
    untracked: u64,
}

impl Finder {
    /// The regions of a buffer, as far as they lie in the picture; those of `GstVideoRegionOfInterestMeta` come first. One that no tracker
    /// follows is a track of its own, since nobody knows what it was before.
    pub fn find(&mut self, buffer: &BufferRef, width: usize, height: usize) -> Vec<Object> {
        let regions = buffer.iter_meta::<VideoRegionOfInterestMeta>().enumerate().map(|(number, meta)| {
            let (x, y, w, h) = meta.rect();
            let rect = [x, y, w, h].map(i64::from);
            // Detectors that do not track leave the id at 0, or at -1.
            (rect, u64::try_from(meta.id()).ok().filter(|&id| id > 0), Place::Roi(number))
        });
        let detections = analytics::detections(buffer);
        let detections =
            detections.into_iter().map(|found| (found.rect, found.track, Place::Detection(found.id)));
        let mut known = HashSet::new();
        let mut objects = Vec::new();
        for (rect, track, place) in regions.chain(detections) {
            let Some(rect) = inside(rect, width, height) else { continue };
            let track = track.filter(|&track| track < UNTRACKED && known.insert(track));
            let track = track.unwrap_or_else(|| {
                self.untracked = (self.untracked + 1) % UNTRACKED;
                UNTRACKED + self.untracked
            });
            objects.push(Object { region: Region { rect, track }, place });
        }
        objects
    }
}

/// The track as its tracker knows it; none where no tracker follows it.
pub fn given(track: u64) -> Option<u64> {
    Some(track).filter(|&track| track < UNTRACKED)
}

/// The part of a rectangle (left, top, width, height) that lies in the picture; none where nothing does.
fn inside([left, top, w, h]: [i64; 4], width: usize, height: usize) -> Option<Rect> {
    let cut = |start: i64, length: i64, whole: usize| {
        let whole = i64::try_from(whole).ok()?;
        let (from, to) = (start.clamp(0, whole), start.saturating_add(length.max(0)).clamp(0, whole));
        let length = usize::try_from(to - from).ok().filter(|&length| length > 0)?;
        Some((usize::try_from(from).ok()?, length))
    };
    let ((left, width), (top, height)) = (cut(left, w, width)?, cut(top, h, height)?);
    Some(Rect { left, top, width, height })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_outside_is_cut_off() {
        let rect = |left, top, width, height| Some(Rect { left, top, width, height });
        assert_eq!(inside([1, 2, 3, 4], 10, 10), rect(1, 2, 3, 4));
        assert_eq!(inside([-2, 5, 4, 9], 10, 10), rect(0, 5, 2, 5));
        assert_eq!(inside([10, 0, 4, 4], 10, 10), None);
        assert_eq!(inside([3, 3, 0, 4], 10, 10), None);
        assert_eq!(inside([i64::MAX, 0, i64::MAX, 4], 10, 10), None);
    }
}
