//! What encoders are run on, here or in another process.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;

use clip_model::preprocess::Image;
use clip_model::templates::Template;
use serde::{Deserialize, Serialize};

/// Labels, and the templates that they are put into.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    /// The labels, at least one.
    pub labels: Vec<String>,
    /// The templates; none for labels that stand for themselves.
    pub templates: Vec<Template>,
}

impl Labels {
    /// The templates as texts, with `{}` for the label.
    pub fn template_texts(&self) -> Vec<String> {
        self.templates.iter().map(Template::to_string).collect()
    }
}

/// What encoders are run on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inputs {
    /// For the image encoder.
    pub images: Vec<Image>,
    /// For the text encoder.
    pub texts: Vec<String>,
    /// A label set, also for the text encoder.
    pub labels: Option<Labels>,
    /// Runs of the image encoder, one image each, that its time is taken of; with none it is 0.
    pub timed: usize,
    /// Whether nothing is wanted but the first number beyond float16, of graphs that give their peaks.
    pub peaks: bool,
    /// Whether the folder's classifier, if it has one, is run too.
    pub classifier: bool,
    /// Whether the folder's camera, if it has one, is run on frames that show the images.
    pub camera: bool,
    /// Whether encoders that are plans are run by the graphs that these were built of.
    pub graphs: bool,
    /// The library of TensorRT, or its folder, that runs plans; the one that the system finds when it is None.
    pub tensorrt: Option<PathBuf>,
}

/// The line before the images.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    /// Width and height of each image.
    sizes: Vec<[usize; 2]>,
    texts: Vec<String>,
    /// The labels and their templates.
    labels: Option<(Vec<String>, Vec<String>)>,
    timed: usize,
    peaks: bool,
    classifier: bool,
    camera: bool,
    graphs: bool,
    tensorrt: Option<PathBuf>,
}

impl Inputs {
    /// Writes them for [`Inputs::read`]: a line of JSON, then the bytes of the images.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let header = Header {
            sizes: self.images.iter().map(|image| [image.width(), image.height()]).collect(),
            texts: self.texts.clone(),
            labels: self.labels.as_ref().map(|set| (set.labels.clone(), set.template_texts())),
            timed: self.timed,
            peaks: self.peaks,
            classifier: self.classifier,
            camera: self.camera,
            graphs: self.graphs,
            tensorrt: self.tensorrt.clone(),
        };
        serde_json::to_writer(&mut *out, &header)?;
        out.write_all(b"\n")?;
        self.images.iter().try_for_each(|image| out.write_all(image.rgb()))?;
        out.flush()
    }

    /// Reads what [`Inputs::write`] has written, and nothing beyond.
    ///
    /// # Errors
    /// Those of `input`, and where it is something else.
    pub fn read(input: &mut impl BufRead) -> io::Result<Inputs> {
        let mut line = String::new();
        input.read_line(&mut line)?;
        let Header { sizes, texts, labels, timed, peaks, classifier, camera, graphs, tensorrt } =
            serde_json::from_str(&line)?;
        let image = |[width, height]: [usize; 2]| {
            let mut rgb = vec![0; 3 * width * height];
            input.read_exact(&mut rgb)?;
            Image::new(width, height, rgb).map_err(io::Error::other)
        };
        let images = sizes.into_iter().map(image).collect::<io::Result<_>>()?;
        let labels = labels.map(|(labels, templates)| {
            let templates = templates.iter().map(|template| template.parse()).collect::<Result<_, _>>();
            templates.map(|templates| Labels { labels, templates })
        });
        let labels = labels.transpose().map_err(io::Error::other)?;
        Ok(Inputs { images, texts, labels, timed, peaks, classifier, camera, graphs, tensorrt })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_read_as_they_were_written() {
        let image =
            |width, height| Image::new(width, height, (0..3 * width * height).map(|i| i as u8).collect());
        let images = vec![image(3, 2).unwrap(), image(1, 5).unwrap()];
        let labels = Labels { labels: vec!["cat".to_owned()], templates: vec!["a {}".parse().unwrap()] };
        let texts = vec!["a\n\"cat\"".to_owned(), String::new()];
        let inputs = Inputs {
            images,
            texts,
            labels: Some(labels),
            timed: 7,
            peaks: true,
            classifier: true,
            camera: true,
            graphs: true,
            tensorrt: Some("/opt/tensorrt".into()),
        };
        let mut written = Vec::new();
        inputs.write(&mut written).unwrap();
        written.extend(b"rest");
        let mut input = written.as_slice();
        assert_eq!(Inputs::read(&mut input).unwrap(), inputs);
        assert_eq!(input, b"rest");
        assert!(Inputs::read(&mut &written[..written.len() - 10]).is_err());
        assert!(Inputs::read(&mut &b""[..]).is_err());
    }
}
