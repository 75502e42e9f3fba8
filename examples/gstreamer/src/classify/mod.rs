//! The element `clipclassify`.

mod element;
pub(crate) mod properties;

use gstreamer::glib;
use gstreamer::prelude::*;

glib::wrapper! {
    /// The element `clipclassify`, which finds the labels that fit the pictures that go through it.
    pub struct ClipClassify(ObjectSubclass<element::Element>)
        @extends gstreamer_base::BaseTransform, gstreamer::Element, gstreamer::Object;
}

/// Makes the element known.
pub fn register(plugin: &gstreamer::Plugin) -> Result<(), glib::BoolError> {
    gstreamer::Element::register(
        Some(plugin),
        "clipclassify",
        gstreamer::Rank::NONE,
        ClipClassify::static_type(),
    )
}
