//! A frame that waits: its inputs of the model, made when it was pushed.

use std::time::Instant;

use clip_model::Preprocess;
use clip_model::frame::{Frame, Rect, View};
use clip_model::preprocess::Scratch;

use super::track::Due;
use crate::error::Result;
use crate::input::grow;

/// A part of a frame, in the frame as it lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// The part.
    pub rect: Rect,
    /// What is the same thing in several frames has the same number, as trackers give it; in a frame each number once.
    pub track: u64,
}

/// What is to be known of a frame or of a part of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// The track, where the frame has regions.
    pub track: Option<u64>,
    /// The number of its picture in the slot; none where what was found before is repeated.
    pub picture: Option<usize>,
}

/// A frame that waits.
#[derive(Debug)]
pub(super) struct Slot {
    pub tag: u64,
    pub sequence: u64,
    pub since: Instant,
    pub asked: Vec<Asked>,
    /// How many pictures there are.
    pub pictures: usize,
    /// Packed RGB, `[pictures, side, side, 3]`; what is behind them is of earlier frames.
    pixels: Vec<u8>,
}

impl Slot {
    /// An empty one.
    pub fn new() -> Slot {
        Slot {
            tag: 0,
            sequence: 0,
            since: Instant::now(),
            asked: Vec::new(),
            pictures: 0,
            pixels: Vec::new(),
        }
    }

    /// Makes the inputs of the frame's regions that are due, or of the whole frame.
    pub fn fill(
        &mut self,
        frame: &Frame<'_>,
        regions: Option<impl Iterator<Item = Region>>,
        due: &mut Due,
        preprocess: &Preprocess,
        scratch: &mut Scratch,
    ) -> Result<()> {
        self.asked.clear();
        self.pictures = 0;
        let Some(regions) = regions else {
            self.asked.push(Asked { track: None, picture: Some(0) });
            return self.add(frame, preprocess, scratch);
        };
        let view = |region: &Region| View { crop: Some(region.rect), ..frame.view() };
        for region in regions {
            let picture = due.is_due(region.track).then_some(self.pictures);
            self.asked.push(Asked { track: Some(region.track), picture });
            if picture.is_some() {
                self.add(&frame.seen(view(&region))?, preprocess, scratch)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, frame: &Frame<'_>, preprocess: &Preprocess, scratch: &mut Scratch) -> Result<()> {
        let size = 3 * preprocess.size * preprocess.size;
        let start = self.pictures * size;
        grow("a frame that waits", &mut self.pixels, start + size)?;
        preprocess.fit_frame(frame, scratch, &mut self.pixels[start..start + size])?;
        self.pictures += 1;
        Ok(())
    }

    /// A picture, `[side, side, 3]`.
    pub fn picture(&self, number: usize, side: usize) -> &[u8] {
        let size = 3 * side * side;
        &self.pixels[number * size..][..size]
    }
}
