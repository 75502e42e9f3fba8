//! Graphs for another program are run beside those that they were made of, on generated inputs.

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use clip_model::manifest::{Encoder, Precision};
use clip_model::{Manifest, Tokenizer};
use clip_runtime::engine::Output;
use serde::{Deserialize, Serialize};

use super::graph::Integers;
use crate::compare::Samples;
use crate::error::{Error, Result};
use crate::run::{Runner, Tensor, apart, open, pixels};

/// What [`run`] calls its program with.
pub const ARGUMENT: &str = "compare-apart";

/// The largest difference of two numbers. They come out of the same nodes; what is different is the length of texts.
const TOLERANCE: f32 = 1e-5;

/// Pictures, each with a text, that are run.
const PAIRS: usize = 4;

/// How a graph is run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Ports {
    /// Its path in the folder.
    pub file: String,
    /// The input of pictures.
    pub pixels: Option<String>,
    /// The input of texts.
    pub ids: Option<Ids>,
    /// The output with the pictures' embeddings.
    pub images: Option<String>,
    /// That with the texts'.
    pub texts: Option<String>,
    /// Those with similarities.
    pub logits: Vec<String>,
}

/// The input of texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    name: String,
    long: bool,
    mask: Option<String>,
    cuts_ends: bool,
}

impl Ports {
    /// Without any, of the graph in `folder/file`.
    pub fn of(folder: &str, file: &str) -> Ports {
        Ports { file: path(folder, file), ..Ports::default() }
    }
}

impl Ids {
    /// As a program feeds them.
    pub fn of(integers: Integers) -> Ids {
        let Integers { name, long, mask, cuts_ends } = integers;
        Ids { name: name.to_owned(), long, mask: mask.map(str::to_owned), cuts_ends }
    }
}

/// The path of a file in a folder that may be empty.
pub fn path(folder: &str, file: &str) -> String {
    if folder.is_empty() { file.to_owned() } else { format!("{folder}/{file}") }
}

#[derive(Debug, Serialize, Deserialize)]
struct Request {
    /// The model folder.
    model: PathBuf,
    /// The folder for another program.
    folder: PathBuf,
    graphs: Vec<Ports>,
}

/// Runs each of the `graphs` in `folder`, and compares what it gives with what the encoders of the model folder `model` do.
///
/// # Errors
/// [`Error::Laid`] for another embedding; [`Error::Trial`] and [`Error::TrialApart`] when something does not run.
pub fn run(runner: &Runner, model: &Path, folder: &Path, graphs: Vec<Ports>) -> Result<()> {
    let request = Request { model: model.to_owned(), folder: folder.to_owned(), graphs };
    let differences = match runner {
        Runner::Here => request.differences()?,
        Runner::Apart(program) => {
            let write = |input: &mut std::process::ChildStdin| {
                serde_json::to_writer(&mut *input, &request)?;
                input.write_all(b"\n")?;
                input.flush()
            };
            apart::ask(program, &[ARGUMENT.as_ref()], write).map_err(Error::TrialApart)?
        }
    };
    for (graph, difference) in request.graphs.into_iter().zip(differences) {
        // None at all where a number was none.
        if difference.is_none_or(|difference| difference > TOLERANCE) {
            return Err(Error::Laid { file: graph.file, difference });
        }
    }
    Ok(())
}

/// The other side: reads what is asked from `input`, and gives back the answer in JSON. `then` is given the input when the
/// question is read, and is to end the process when that ends.
///
/// # Errors
/// [`Error::Trial`], and [`Error::TrialApart`] for input that is none.
pub fn answer<R: BufRead>(mut input: R, then: impl FnOnce(R)) -> Result<String> {
    let failed = |e: io::Error| Error::TrialApart(e.to_string());
    let mut line = String::new();
    input.read_line(&mut line).map_err(failed)?;
    let request: Request = serde_json::from_str(&line).map_err(|e| failed(e.into()))?;
    then(input);
    serde_json::to_string(&request.differences()?).map_err(|e| failed(e.into()))
}

/// What goes into the encoders, and what the verified ones give for it.
struct Expected {
    manifest: Manifest,
    tokenizer: Option<Tokenizer>,
    samples: Samples,
    images: Vec<Vec<f32>>,
    texts: Vec<Vec<f32>>,
}

impl Request {
    /// The largest difference of two numbers, for each graph; None where one is no number.
    fn differences(&self) -> Result<Vec<Option<f32>>> {
        let expected = Expected::of(&self.model)?;
        self.graphs.iter().map(|ports| expected.difference(&self.folder, ports)).collect()
    }
}

impl Expected {
    fn of(model: &Path) -> Result<Expected> {
        let manifest = Manifest::read(model)?;
        let mut samples = Samples::generated(&manifest.preprocess)?;
        samples.images.truncate(PAIRS);
        samples.texts.truncate(PAIRS);
        let tokenizer = manifest.tokenizer.as_ref().map(|file| file.open(model.join(&file.file)));
        let tokenizer = tokenizer.transpose()?;
        let mut expected = Expected { manifest, tokenizer, samples, images: vec![], texts: vec![] };
        let Expected { manifest, samples, .. } = &expected;
        let rows = |file: &str, name: &str, inputs: Vec<Tensor>| -> Result<Vec<Vec<f32>>> {
            let session = open(&model.join(file)).map_err(Error::Trial)?;
            let run = |input| session.run(&[(name, input)]).map(|mut outputs| outputs.swap_remove(0).values);
            inputs.iter().map(|input| run(input).map_err(Error::Trial)).collect()
        };
        let images = match &manifest.image {
            Some(encoder) => rows(&encoder.file, &encoder.input.name, expected.pixels()?)?,
            None => vec![],
        };
        let texts = match &manifest.text {
            Some(encoder) => {
                let tensor = |text: &String| {
                    let ids = expected.ids(text);
                    Tensor::Int32(vec![1, ids.len()], ids.into())
                };
                rows(&encoder.file, &encoder.input.name, samples.texts.iter().map(tensor).collect())?
            }
            None => vec![],
        };
        (expected.images, expected.texts) = (images, texts);
        Ok(expected)
    }

    fn pixels(&self) -> Result<Vec<Tensor>> {
        let tensors = pixels(&self.samples.images, &self.manifest.preprocess, false);
        tensors.collect::<clip_runtime::Result<_>>().map_err(Error::Trial)
    }

    /// A text as our runtime feeds it.
    fn ids(&self, text: &str) -> Vec<i32> {
        let (Some(tokenizer), Some(file)) = (&self.tokenizer, &self.manifest.tokenizer) else {
            return vec![];
        };
        match file.padded {
            true => tokenizer.encode_padded(text, file.context_length),
            false => tokenizer.encode(text, file.context_length),
        }
    }

    /// A text as the program feeds it in the worst case: padded to the full length and, if it is too long for that, cut without
    /// its end. Below single precision without padding: other lengths are summed up otherwise, and what that changes in the last
    /// digit may be rounded to the next number.
    fn fed(&self, text: &str, cuts_ends: bool) -> Vec<i32> {
        let (Some(tokenizer), Some(file)) = (&self.tokenizer, &self.manifest.tokenizer) else {
            return vec![];
        };
        let length = file.context_length;
        let mut ids = tokenizer.encode(text, length + usize::from(cuts_ends));
        ids.truncate(length);
        if file.padded && ids.len() < length {
            return tokenizer.encode_padded(text, length);
        }
        let single = |encoder: &Encoder| encoder.precision == Precision::Fp32;
        if self.manifest.text.as_ref().is_some_and(single) {
            ids.resize(length, tokenizer.end_id());
        }
        ids
    }

    /// What goes into a graph for a text, by name.
    fn text_inputs(&self, ids: &Ids, text: &str) -> Vec<(String, Tensor)> {
        let fed = self.fed(text, ids.cuts_ends);
        let shape = vec![1, fed.len()];
        let mask = ids
            .mask
            .iter()
            .map(|name| (name.clone(), Tensor::Int64(shape.clone(), vec![1; fed.len()].into())));
        let tensor = match ids.long {
            true => Tensor::Int64(shape.clone(), fed.iter().map(|&id| i64::from(id)).collect()),
            false => Tensor::Int32(shape.clone(), fed.clone().into()),
        };
        [(ids.name.clone(), tensor)].into_iter().chain(mask).collect()
    }

    fn difference(&self, folder: &Path, ports: &Ports) -> Result<Option<f32>> {
        let session = open(&folder.join(&ports.file)).map_err(Error::Trial)?;
        let pixels = if ports.pixels.is_some() { self.pixels()? } else { vec![] };
        let mut worst = Some(0.0f32);
        for pair in 0..PAIRS {
            let mut inputs: Vec<(String, Tensor)> = Vec::new();
            if let Some(name) = &ports.pixels {
                inputs.push((name.clone(), pixels[pair].clone()));
            }
            if let Some(ids) = &ports.ids {
                inputs.extend(self.text_inputs(ids, &self.samples.texts[pair]));
            }
            let inputs: Vec<(&str, &Tensor)> =
                inputs.iter().map(|(name, input)| (&name[..], input)).collect();
            let outputs = session.run(&inputs).map_err(Error::Trial)?;
            worst = worst.zip(self.worst(ports, pair, &outputs)).map(|(a, b)| a.max(b));
        }
        Ok(worst)
    }
}

impl Expected {
    /// The largest difference of `outputs`, for one of the pairs, from what they should be.
    fn worst(&self, ports: &Ports, pair: usize, outputs: &[Output]) -> Option<f32> {
        let (scale, bias) = (self.manifest.logit_scale, self.manifest.logit_bias.unwrap_or(0.0));
        let none = Vec::new();
        let row = |rows: &'_ [Vec<f32>]| rows.get(pair).unwrap_or(&none).clone();
        let (image, text) = (row(&self.images), row(&self.texts));
        let cosine: f32 = image.iter().zip(&text).map(|(a, b)| a * b).sum();
        let embeddings = [(&ports.images, image), (&ports.texts, text)];
        let embeddings = embeddings.into_iter().filter_map(|(name, row)| Some((name.as_ref()?, row, 1.0)));
        // Similarities by their scale: they are as exact as the embeddings.
        let logits = ports.logits.iter().map(|name| (name, vec![scale * cosine + bias], scale.max(1.0)));
        let mut worst = 0.0f32;
        for (name, expected, unit) in embeddings.chain(logits) {
            let found = &outputs.iter().find(|output| output.name == *name)?.values;
            if found.len() != expected.len() || !found.iter().all(|n| n.is_finite()) {
                return None;
            }
            let differences = found.iter().zip(&expected).map(|(a, b)| (a - b).abs() / unit);
            worst = differences.fold(worst, f32::max);
        }
        Some(worst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use clip_checkpoint::Checkpoint;
    use clip_model::config::Activation;
    use clip_testkit::{checkpoint, vit};

    /// A model folder with one layer in each tower.
    fn model(root: &Path, image: &str, activation: Activation) -> PathBuf {
        let root = root.join(image);
        std::fs::create_dir(&root).unwrap();
        let config = vit(8, [16, 8, 8, 1, 4], [6, 49408, 8, 2, 1], 2.0, activation);
        let checkpoint = Checkpoint::open(checkpoint(&root, &config)).unwrap();
        crate::export(&checkpoint, root.join("model"), &Options::default(), &mut |_| {}).unwrap();
        root.join("model")
    }

    #[test]
    fn a_graph_that_gives_something_else_is_found() {
        let root = tempfile::tempdir().unwrap();
        let one = model(root.path(), "one", Activation::Gelu);
        let other = model(root.path(), "other", Activation::QuickGelu);
        let ids = Ids { name: "ids".to_owned(), long: false, mask: None, cuts_ends: false };
        let named = |name: &str| Some(name.to_owned());
        let image =
            Ports { pixels: named("image"), images: named("embedding"), ..Ports::of("", "visual.onnx") };
        let text = Ports { ids: Some(ids), texts: named("embedding"), ..Ports::of("", "text.onnx") };
        let compare = |model: &Path, folder: &Path, graph: &Ports| {
            run(&Runner::Here, model, folder, vec![graph.clone()])
        };
        for graph in [&image, &text] {
            compare(&one, &one, graph).unwrap();
            match compare(&one, &other, graph) {
                Err(Error::Laid { file, difference: Some(difference) }) => {
                    assert!(file == graph.file && difference > TOLERANCE, "{file} {difference}");
                }
                other => panic!("{other:?}"),
            }
        }
        let unknown = Ports { images: named("image_embeds"), ..image };
        let error = compare(&one, &one, &unknown).unwrap_err();
        assert!(matches!(error, Error::Laid { difference: None, .. }), "{error:?}");
        let absent = Ports { file: "absent.onnx".to_owned(), ..text };
        assert!(matches!(compare(&one, &one, &absent), Err(Error::Trial(_))));
    }
}
