//! Graphs for another program are run beside those that they were made of, on generated inputs.

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::expected::Expected;
use super::ports::Ports;
use crate::error::{Error, Result};
use crate::run::{Runner, apart};

/// What a program is called with, as [`Runner::Apart`], to compare graphs by [`answer`].
pub const ARGUMENT: &str = "compare-apart";

/// The largest difference of two numbers. They come out of the same nodes; what is different is the length of texts.
const TOLERANCE: f32 = 1e-5;

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

impl Request {
    /// The largest difference of two numbers, for each graph; None where one is no number.
    fn differences(&self) -> Result<Vec<Option<f32>>> {
        let expected = Expected::of(&self.model)?;
        self.graphs.iter().map(|ports| expected.difference(&self.folder, ports)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::ports::Ids;
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
