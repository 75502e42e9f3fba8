//! A classifier for other programs, with what they want to know about it.

use clip_model::files;
use clip_model::labels::StoredLabels;
use clip_model::manifest::{Classifier, DataFile, Encoder, Engine, Input, Values};

use super::described::Described;
use super::folder::Folder;
use super::{deepstream, gstreamer};
use crate::error::Result;
use crate::graph::{self, Head, IMAGE, PROBABILITIES};
use crate::onnx::Graph;
use crate::options::Numbers;

/// Names of its files: the graph, and its weights where they lie beside it.
const FILES: [&str; 2] = ["classifier.onnx", "classifier.onnx.data"];

/// Its labels, one a line.
const LABELS: &str = "labels.txt";

/// Adds a classifier made of the image tower's graph, in whatever number format, and of a label set; `values` are what it
/// takes.
///
/// # Errors
/// [`Error::Write`](crate::Error::Write); [`Error::Model`](crate::Error::Model) for the small files.
pub fn add_classifier(
    folder: &mut Folder<'_>,
    tower: Graph,
    stored: StoredLabels,
    values: Values,
    numbers: Numbers,
) -> Result<()> {
    let (checkpoint, manifest, batch) = (folder.checkpoint, &folder.manifest, folder.form.batch);
    let (config, preprocess) = (&checkpoint.config, &checkpoint.preprocess);
    let StoredLabels { labels, embeddings, .. } = stored;
    let head = Head { embeddings, logit_scale: manifest.logit_scale, logit_bias: manifest.logit_bias };
    let graph = graph::classifier(tower, config, preprocess, values, folder.form, head);
    let (file, sha256, data) = folder.write(&graph, FILES)?;
    let put = |file: &str, text: &str| -> Result<DataFile> {
        let sha256 = files::write_hashed(&folder.path.join(file), text.as_bytes())?;
        Ok(DataFile { file: file.to_owned(), sha256 })
    };
    let input = Input::new(IMAGE, values.element());
    let (engine, precision, output) = (Engine::Onnx {}, numbers.precision(), PROBABILITIES.to_owned());
    let encoder = Encoder { file, sha256, data, engine, precision, input, batch, output };
    let lines = put(LABELS, &format!("{}\n", labels.join("\n")))?;
    let mut classifier = Classifier { encoder, values, labels: lines, settings: Vec::new() };
    let described = Described { classifier: &classifier, preprocess, numbers, labels: &labels };
    let settings = [gstreamer::settings(&described), deepstream::settings(&described)].concat();
    classifier.settings = settings.iter().map(|(file, text)| put(file, text)).collect::<Result<_>>()?;
    folder.manifest.classifier = Some(classifier);
    Ok(())
}
