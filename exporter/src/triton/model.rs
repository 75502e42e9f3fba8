//! What Triton is told about one model.

use clip_model::manifest::{Encoder, TokenizerFile, Values};
use clip_model::{Manifest, Preprocess, Tokenizer};

use crate::component::Component;

/// Most images or texts of a batch, where the graph takes any number, and no engine says how many.
const MOST: usize = 32;

/// A text that warms a text encoder up, and that a client is shown the ids of.
const TEXT: &str = "a photo of a cat";

/// What runs a file, by Triton's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    OnnxRuntime,
    TensorRt,
}

impl Backend {
    /// The one for a file of this name: TensorRT for a plan, else ONNX Runtime.
    pub fn of(file: &str) -> Backend {
        if file.ends_with(".plan") { Backend::TensorRt } else { Backend::OnnxRuntime }
    }

    pub fn name(self) -> &'static str {
        match self {
            Backend::OnnxRuntime => "onnxruntime",
            Backend::TensorRt => "tensorrt",
        }
    }

    pub fn platform(self) -> &'static str {
        match self {
            Backend::OnnxRuntime => "onnxruntime_onnx",
            Backend::TensorRt => "tensorrt_plan",
        }
    }

    /// The name that its file has in every model.
    pub fn file(self) -> &'static str {
        match self {
            Backend::OnnxRuntime => "model.onnx",
            Backend::TensorRt => "model.plan",
        }
    }
}

/// A request that is run before the first one of a client.
#[derive(Debug, Clone, PartialEq)]
pub struct Warmup {
    pub name: &'static str,
    pub batch: usize,
    /// Sizes of an item.
    pub dims: Vec<usize>,
    /// Token ids, to be kept in a file of the warm-up's name; zeros when there are none.
    pub ids: Option<Vec<i32>>,
}

/// A model.
#[derive(Debug)]
pub struct Model<'a> {
    pub name: String,
    pub encoder: &'a Encoder,
    /// Sizes of an item of the input, None where any is taken, and of the output.
    pub input: Vec<Option<usize>>,
    pub output: usize,
    /// The file of labels, in the model folder.
    pub labels: Option<&'a str>,
    /// Most items of a batch; 0 where the graph's batch is fixed.
    pub most: usize,
    pub warmups: Vec<Warmup>,
    /// What a client has to know, in lines.
    pub notes: Vec<String>,
}

impl<'a> Model<'a> {
    /// The models of a folder, whose names begin with `name`. Its tokenizer is there if it has a text encoder.
    pub fn all(manifest: &'a Manifest, tokenizer: Option<&Tokenizer>, name: &str) -> Vec<Model<'a>> {
        let mut models = Vec::new();
        if let Some(encoder) = &manifest.image {
            let note = "An embedding has length one: the dot product of two is their cosine similarity.";
            let values = Values::of_encoder(encoder.input.element);
            let input = (encoder, values, &manifest.preprocess);
            models.push(Model::of_images(Component::Image, name, input, manifest.embed_dim, note));
        }
        if let (Some(encoder), Some(file), Some(tokenizer)) = (&manifest.text, &manifest.tokenizer, tokenizer)
        {
            models.push(Model::of_texts(name, encoder, file, tokenizer, manifest.embed_dim));
        }
        if let (Some(classifier), Some(labels)) = (&manifest.classifier, &manifest.labels) {
            let note = match manifest.logit_bias {
                Some(_) => "Each label has a probability of its own.",
                None => "The probabilities of all labels add up to one.",
            };
            let input = (&classifier.encoder, classifier.values, &manifest.preprocess);
            let model = Model::of_images(Component::Classifier, name, input, labels.count, note);
            models.push(Model { labels: Some(&classifier.labels.file), ..model });
        }
        models
    }

    fn of_images(
        component: Component,
        name: &str,
        (encoder, values, preprocess): (&'a Encoder, Values, &Preprocess),
        output: usize,
        note: &str,
    ) -> Model<'a> {
        let Preprocess { size: side, mean, std, .. } = preprocess;
        let dims = if values == Values::Bytes { [*side, *side, 3] } else { [3, *side, *side] };
        let numbers = match values {
            Values::Normalised => format!("(level / 255 - mean) / std, mean {mean:?} and std {std:?}"),
            Values::Bytes | Values::Pixels => "its levels, 0 to 255".to_owned(),
        };
        let notes = vec![
            format!(
                "An image is brought to {side}x{side} as clip.json says; what goes in is red, green and blue:"
            ),
            format!("{numbers}. {note}"),
        ];
        let warmups = |(name, batch)| Warmup { name, batch, dims: dims.to_vec(), ids: None };
        Model::new(component, name, encoder, dims.map(Some).to_vec(), output, notes, warmups)
    }

    fn of_texts(
        name: &str,
        encoder: &'a Encoder,
        file: &TokenizerFile,
        tokenizer: &Tokenizer,
        output: usize,
    ) -> Model<'a> {
        let length = file.context_length;
        let (short, notes) = if file.padded {
            let ids = tokenizer.encode_padded(TEXT, length);
            let notes = vec![format!("A text is always {length} token ids: {TEXT:?} is {ids:?}.")];
            (ids, notes)
        } else {
            let ids = tokenizer.encode(TEXT, length);
            let (pad, end) = (tokenizer.pad_id(), tokenizer.end_id());
            let notes = vec![
                format!("A text is at most {length} token ids, of which the last is {end}: {TEXT:?} is {ids:?}."),
                format!("Texts of one request are of one length: the shorter ones are filled up behind with {pad}, which has no"),
                "influence. Triton runs requests together that are of one length: filled up to the longest that comes often, more".to_owned(),
                "of them are, at the price of longer runs.".to_owned(),
            ];
            (ids, notes)
        };
        // As long as texts can be, so that memory is taken before clients come.
        let long = match file.padded {
            true => short.clone(),
            false => tokenizer.encode(&format!("{TEXT} ").repeat(length), length),
        };
        let warmups = |(name, batch)| {
            let ids = if name == "one" { &short } else { &long };
            Warmup { name, batch, dims: vec![ids.len()], ids: Some(ids.clone()) }
        };
        let input = vec![file.padded.then_some(length)];
        Model::new(Component::Text, name, encoder, input, output, notes, warmups)
    }

    fn new(
        component: Component,
        name: &str,
        encoder: &'a Encoder,
        input: Vec<Option<usize>>,
        output: usize,
        notes: Vec<String>,
        warmup: impl Fn((&'static str, usize)) -> Warmup,
    ) -> Model<'a> {
        let (most, sizes) = match encoder.batch {
            Some(_) => (0, vec![("one", 1)]),
            None => {
                let (least, most) = encoder.plan().map_or((1, MOST), |plan| (plan.batch.min, plan.batch.max));
                (most, vec![("one", least), ("most", most)])
            }
        };
        let warmups = sizes.into_iter().map(warmup).collect();
        let name = format!("{name}_{}", component.suffix());
        Model { name, encoder, input, output, labels: None, most, warmups, notes }
    }
}
