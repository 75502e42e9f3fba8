//! The pads of elements with one input and one output.

use gstreamer::{Caps, PadDirection, PadPresence, PadTemplate};

/// Templates of `sink` and `src`, which take and give the same.
pub fn templates(caps: &Caps) -> Vec<PadTemplate> {
    let pads = [("sink", PadDirection::Sink), ("src", PadDirection::Src)];
    let template = |(name, direction)| PadTemplate::new(name, direction, PadPresence::Always, caps).ok();
    pads.into_iter().filter_map(template).collect()
}
