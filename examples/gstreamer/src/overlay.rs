//! The bin `clipoverlay`: `clipclassify`, and a `textoverlay` that writes into the pictures what it has found.

use gstreamer::glib::{self, ParamSpec, Value};
use gstreamer::prelude::*;
use gstreamer::subclass::prelude::*;

use std::sync::LazyLock;

use crate::classify::{ClipClassify, properties};
use crate::pads;

glib::wrapper! {
    /// The bin `clipoverlay`, with the properties of `clipclassify`.
    pub struct ClipOverlay(ObjectSubclass<Overlay>) @extends gstreamer::Bin, gstreamer::Element, gstreamer::Object;
}

/// Makes the bin known.
pub fn register(plugin: &gstreamer::Plugin) -> Result<(), glib::BoolError> {
    gstreamer::Element::register(
        Some(plugin),
        "clipoverlay",
        gstreamer::Rank::NONE,
        ClipOverlay::static_type(),
    )
}

/// The bin's inside.
#[derive(Debug)]
pub struct Overlay {
    classify: ClipClassify,
    sink: gstreamer::GhostPad,
    src: gstreamer::GhostPad,
}

#[glib::object_subclass]
impl ObjectSubclass for Overlay {
    const NAME: &'static str = "GstClipOverlay";
    type Type = ClipOverlay;
    type ParentType = gstreamer::Bin;

    fn with_class(klass: &Self::Class) -> Overlay {
        let pad = |name: &str| {
            let template = klass.pad_template(name);
            // The class has them, see below.
            template.map(|template| gstreamer::GhostPad::builder_from_template(&template).build())
        };
        let unnamed = |direction| gstreamer::GhostPad::builder(direction).build();
        Overlay {
            classify: glib::Object::new(),
            sink: pad("sink").unwrap_or_else(|| unnamed(gstreamer::PadDirection::Sink)),
            src: pad("src").unwrap_or_else(|| unnamed(gstreamer::PadDirection::Src)),
        }
    }
}

impl ObjectImpl for Overlay {
    fn properties() -> &'static [ParamSpec] {
        static SPECS: LazyLock<Vec<ParamSpec>> = LazyLock::new(properties::specs);
        &SPECS
    }

    fn set_property(&self, _id: usize, value: &Value, spec: &ParamSpec) {
        self.classify.set_property_from_value(spec.name(), value);
    }

    fn property(&self, _id: usize, spec: &ParamSpec) -> Value {
        self.classify.property_value(spec.name())
    }

    fn constructed(&self) {
        self.parent_constructed();
        let bin = self.obj();
        for pad in [&self.sink, &self.src] {
            let _ = bin.add_pad(pad);
        }
        let _ = bin.add(&self.classify);
        let _ = self.sink.set_target(self.classify.static_pad("sink").as_ref());
        // Without it, starting the bin says what is missing.
        let Ok(text) = gstreamer::ElementFactory::make("textoverlay").property("text", "").build() else {
            return;
        };
        let _ = bin.add(&text);
        let _ = self.classify.link(&text);
        let _ = self.src.set_target(text.static_pad("src").as_ref());
        let weak = text.downgrade();
        self.classify.connect_notify(Some("text"), move |classify, _| {
            if let Some(text) = weak.upgrade() {
                let found = classify.property::<Option<String>>("text").unwrap_or_default();
                // It is read as markup.
                text.set_property("text", glib::markup_escape_text(&found).as_str());
            }
        });
    }
}

impl GstObjectImpl for Overlay {}

impl ElementImpl for Overlay {
    fn metadata() -> Option<&'static gstreamer::subclass::ElementMetadata> {
        static METADATA: LazyLock<gstreamer::subclass::ElementMetadata> = LazyLock::new(|| {
            gstreamer::subclass::ElementMetadata::new(
                "Zero-shot classification, written into the pictures",
                "Filter/Analyzer/Editor/Video",
                "Finds the label that fits pictures, with a CLIP model, and writes it into them",
                "libclip",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gstreamer::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gstreamer::PadTemplate>> =
            LazyLock::new(|| pads::templates(&gstreamer::Caps::new_any()));
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gstreamer::StateChange,
    ) -> Result<gstreamer::StateChangeSuccess, gstreamer::StateChangeError> {
        if self.src.target().is_none() {
            gstreamer::element_imp_error!(
                self,
                gstreamer::CoreError::MissingPlugin,
                ("there is no element textoverlay: on Debian and Ubuntu it is in gstreamer1.0-x")
            );
            return Err(gstreamer::StateChangeError);
        }
        self.parent_change_state(transition)
    }
}

impl BinImpl for Overlay {}
