//! What is exported, and how.

use clip_model::manifest::{MAX_BATCH, Precision, Values};

use crate::camera::Camera;
use crate::compare::{Samples, Thresholds};
use crate::component::Component;
use crate::error::{Conflict, Error, Result};
use crate::graph::Form;
use crate::int8::{Dialect, Int8, Method};
use crate::onnx::OPSETS;
use crate::plans::Plans;
use crate::run::{Labels, Runner};
use crate::tower::Tower;

/// What is exported, and how.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// Human-readable name of the model, kept in its manifest.
    pub model: String,
    /// Whether a model folder that is there already may be replaced.
    pub replace: bool,
    /// One encoder instead of both.
    pub only: Option<Tower>,
    /// Operator set, batch and input of the graphs.
    pub form: Form,
    /// Whether weights go into files beside the graphs, however small they are; large ones always do.
    pub external_data: bool,
    /// Whether there is also one graph of both towers.
    pub combined: bool,
    /// Labels to be encoded once and kept in the folder.
    pub labels: Option<Labels>,
    /// Whether there is also one graph from images to the probabilities of the labels, and what its images are.
    pub classifier: Option<Values>,
    /// Whether there is also a graph from the frames of a camera, and of which.
    pub camera: Option<Camera>,
    /// Number format of the encoders.
    pub numbers: Numbers,
    /// What the encoders are verified on, and calibrated; generated when it is None, which 8-bit integers refuse.
    pub samples: Option<Samples>,
    /// What encoders below single precision have to reach; [`Thresholds::of`] their precision when it is None.
    pub thresholds: Option<Thresholds>,
    /// Engines of TensorRT to be built of the graphs, if any.
    pub plans: Option<Plans>,
    /// What runs the encoders.
    pub runner: Runner,
}

/// The number format of weights and arithmetic.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Numbers {
    /// IEEE single precision.
    #[default]
    Fp32,
    /// IEEE half precision, single where half would overflow or lose.
    Fp16,
    /// 8-bit integers, float where integers would lose.
    Int8(Int8),
}

impl Numbers {
    /// As the manifest calls it.
    pub fn precision(&self) -> Precision {
        match self {
            Numbers::Fp32 => Precision::Fp32,
            Numbers::Fp16 => Precision::Fp16,
            Numbers::Int8(_) => Precision::Int8,
        }
    }

    fn is_for_cpus(&self) -> bool {
        matches!(self, Numbers::Int8(Int8 { dialect: Dialect::Cpu, .. }))
    }
}

/// Samples without which there are no 8-bit integers: calibration must not see what verification does.
const INT8_SAMPLES: usize = 2;

impl Options {
    /// The graphs that run by themselves.
    pub(crate) fn components(&self) -> Vec<Component> {
        let has = |tower| self.only.is_none_or(|only| only == tower);
        let components = [
            (Component::Image, has(Tower::Image)),
            (Component::Text, has(Tower::Text)),
            (Component::Classifier, self.classifier.is_some()),
            (Component::Camera, self.camera.is_some()),
        ];
        components.into_iter().filter_map(|(component, there)| there.then_some(component)).collect()
    }

    /// Whether engines are asked for, and of nothing that is exported.
    fn plans_of_nothing(&self) -> bool {
        let wanted = self.plans.as_ref().and_then(|plans| plans.components.as_ref());
        let exported = self.components();
        wanted.is_some_and(|wanted| !wanted.iter().any(|component| exported.contains(component)))
    }

    /// Refuses options that contradict each other or are out of range.
    ///
    /// # Errors
    /// [`Error::Conflict`], [`Error::Range`], [`Error::FewSamples`] and [`Error::Label`]; [`Error::Model`] for frames that cannot be.
    pub fn check(&self) -> Result<()> {
        let Form { opset, batch, bytes, .. } = self.form;
        let range = |what: String, allowed: String| Err(Error::Range { what, allowed });
        if !OPSETS.contains(&opset) {
            return range(format!("operator set {opset}"), format!("{} to {}", OPSETS.start(), OPSETS.end()));
        }
        if let Some(found) = batch.filter(|n| !(1..=MAX_BATCH).contains(n)) {
            return range(format!("a batch of {found}"), format!("1 to {MAX_BATCH}"));
        }
        let (text_alone, int8) = (self.only == Some(Tower::Text), matches!(self.numbers, Numbers::Int8(_)));
        if self.combined && self.only.is_some() {
            return Err(Error::Conflict(Conflict::CombinedAlone));
        }
        if let Numbers::Int8(Int8 { smoothing, method, .. }) = self.numbers {
            if !(0.0..=1.0).contains(&smoothing) {
                return range(format!("a smoothing of {smoothing}"), "0 to 1".to_owned());
            }
            if let Method::Percentile(share) = method
                && !(share > 50.0 && share <= 100.0)
            {
                return range(format!("a percentile of {share}"), "more than 50, up to 100".to_owned());
            }
            let samples = self.samples.as_ref();
            for (tower, found) in [
                (Tower::Image, samples.map_or(0, |samples| samples.images.len())),
                (Tower::Text, samples.map_or(0, |samples| samples.texts.len())),
            ] {
                if self.only.is_none_or(|only| only == tower) && found < INT8_SAMPLES {
                    return Err(Error::FewSamples { tower, found, needed: INT8_SAMPLES });
                }
            }
        }
        self.plans.iter().try_for_each(Plans::validate)?;
        if let Some(Camera { layout, view }) = &self.camera {
            layout.check()?;
            view.check(layout)?;
        }
        let conflicts = [
            (self.combined && int8, Conflict::CombinedInt8),
            (text_alone && bytes, Conflict::BytesOfTexts),
            (text_alone && self.labels.is_some(), Conflict::LabelsOfTexts),
            (text_alone && self.camera.is_some(), Conflict::CameraOfTexts),
            (self.plans.is_some() && self.numbers.is_for_cpus(), Conflict::PlanOfCpuIntegers),
            (self.plans_of_nothing(), Conflict::PlanOfNothing),
            (self.classifier.is_some() && self.labels.is_none(), Conflict::ClassifierOfNothing),
            (
                bytes && self.classifier.is_some_and(|values| values != Values::Bytes),
                Conflict::ClassifierOfBytes,
            ),
        ];
        match conflicts.into_iter().find(|(there, _)| *there) {
            Some((_, conflict)) => Err(Error::Conflict(conflict)),
            None if self.classifier.is_some() => self.check_lines(),
            None => Ok(()),
        }
    }

    /// A classifier's labels are also written as lines, which a label must not end, nor be missing among.
    fn check_lines(&self) -> Result<()> {
        let labels = self.labels.iter().flat_map(|set| &set.labels);
        match labels
            .enumerate()
            .find(|(_, label)| label.trim().is_empty() || label.contains(['\n', '\r', '\0']))
        {
            Some((index, label)) => Err(Error::Label { index, label: label.clone() }),
            None => Ok(()),
        }
    }
}
