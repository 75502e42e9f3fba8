//! The GStreamer plugin `clip`: [`ClipClassify`] finds the labels that fit the pictures that go through it, and [`ClipOverlay`] writes them into
//! the pictures.

mod analytics;
mod classify;
mod error;
mod frame;
mod models;
mod objects;
mod overlay;
mod pads;
mod report;
mod session;
mod settings;

use gstreamer::glib;

pub use classify::ClipClassify;
pub use overlay::ClipOverlay;
pub use report::META;

fn plugin_init(plugin: &gstreamer::Plugin) -> Result<(), glib::BoolError> {
    report::register();
    classify::register(plugin)?;
    overlay::register(plugin)
}

gstreamer::plugin_define!(
    clip,
    "Zero-shot classification with CLIP models",
    plugin_init,
    env!("CARGO_PKG_VERSION"),
    // The licences of libclip are both of them free; GStreamer knows this name of one.
    "MIT/X11",
    "libclip",
    "libclip",
    "https://github.com/libclip/libclip"
);
