//! A classifier as GStreamer 1.28 wants it described: a file beside the graph that its `onnxinference` reads, so that
//! `classifiertensordec` knows what comes out.

use clip_model::Preprocess;
use clip_model::manifest::Values;

use super::described::Described;

/// Version of the format of such files, since GStreamer 1.28.
const VERSION: &str = "1.0";

/// Name, in GStreamer's registry of tensors, of a list of confidences that are used as they are.
const TENSOR: &str = "classification-generic-softmaxed-out";

/// Name and content of the file; none where GStreamer cannot run the graph, since it gives one picture at a time.
pub fn settings(described: &Described<'_>) -> Vec<(String, String)> {
    let Described { classifier, preprocess, labels, .. } = described;
    let encoder = &classifier.encoder;
    if encoder.batch.is_some_and(|batch| batch != 1) {
        return Vec::new();
    }
    let batch = encoder.batch.map_or(-1, |batch| batch as i64);
    let (side, count) = (preprocess.size, labels.len());
    let dims = match classifier.values {
        Values::Bytes => format!("{batch},{side},{side},3"),
        Values::Normalised | Values::Pixels => format!("{batch},3,{side},{side}"),
    };
    let (file, element) = (&encoder.file, encoder.input.element.name());
    let (input, output, ranges) =
        (&encoder.input.name, &encoder.output, ranges(classifier.values, preprocess));
    let text = format!(
        "# Describes {file} to GStreamer, 1.28 or newer. Frames have to be RGB (planar where channels come first) and
# {side}x{side}; videoconvertscale resizes them, though not with the filter that the model was trained with, and does
# not cut out the centre. The decoder is called classifiertensordec in the plug-in rsanalytics and classifiertensordecoder in
# gst-plugins-bad.
#   ... ! videoconvertscale ! onnxinference model-file={file} ! classifiertensordec labels-file={labels_file} ! ...

[modelinfo]
version={VERSION}
group-id={TENSOR}

[{input}]
id={input}
type={element}
dims={dims}
dir=input
ranges={ranges}

[{output}]
id={TENSOR}
type=float32
dims={batch},{count}
dir=output
",
        labels_file = classifier.labels.file,
    );
    vec![(format!("{file}.modelinfo"), text)]
}

/// What 0 and 255 become, for each channel.
fn ranges(values: Values, preprocess: &Preprocess) -> String {
    let range = |(mean, std): (&f32, &f32)| match values {
        Values::Bytes | Values::Pixels => "0.0,255.0".to_owned(),
        Values::Normalised => {
            let [mean, std] = [mean, std].map(|value| f64::from(*value));
            format!("{},{}", -mean / std, (1.0 - mean) / std)
        }
    };
    preprocess.mean.iter().zip(&preprocess.std).map(range).collect::<Vec<_>>().join(";")
}
