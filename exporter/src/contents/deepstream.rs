//! A classifier as the configuration of DeepStream's `nvinfer`.

use clip_model::Preprocess;
use clip_model::manifest::{Precision, Values};
use clip_model::preprocess::ResizeMode;

use super::described::Described;
use crate::int8::{Dialect, Int8};
use crate::options::Numbers;

/// Names of the configuration, and of the labels as `nvinfer` reads them.
const FILES: [&str; 2] = ["config_infer_classifier.txt", "labels_deepstream.txt"];

/// Images of a batch when the graph takes any number.
const BATCH: usize = 8;

/// Names and contents of the files; none where `nvinfer` cannot give the graph what it takes, or TensorRT does not read it.
///
/// `nvinfer` gives float32 `[B, 3, S, S]`: the levels of a channel, 0 to 255, less that channel's offset, times one factor for
/// all channels. So it can normalise for SigLIP, whose channels have one standard deviation; for CLIP, whose have three, it can
/// only leave that to the graph.
pub fn settings(described: &Described<'_>) -> Vec<(String, String)> {
    let Described { classifier, preprocess, numbers, labels } = described;
    let for_cpus = matches!(numbers, Numbers::Int8(Int8 { dialect: Dialect::Cpu, .. }));
    let Some((factor, offsets)) = scaling(classifier.values, preprocess).filter(|_| !for_cpus) else {
        return Vec::new();
    };
    let (encoder, side) = (&classifier.encoder, preprocess.size);
    let offsets = offsets.map(|offset| offset.to_string()).join(";");
    let (mode, engine) = match encoder.precision {
        Precision::Fp32 => (0, "nvinfer builds it from the graph"),
        Precision::Fp16 => (
            2,
            "nvinfer builds it from the graph, and TensorRT before 11 may then compute in half what the graph keeps in single",
        ),
        Precision::Int8 => (
            1,
            "nvinfer asks for a file of ranges, which\n# this graph does not need, as it says its own: build the engine beforehand",
        ),
    };
    let cut = match preprocess.resize_mode {
        ResizeMode::Shortest => {
            "The model was trained on the square at the centre of a picture: nvinfer takes the whole frame, squeezed.\n# Cut the square out before (nvvideoconvert src-crop)."
        }
        ResizeMode::Squash => "The whole frame is squeezed into the square, as in training.",
    };
    let [config, labels_file] = FILES;
    let text = format!(
        "# {file} for DeepStream's nvinfer.
#
# {cut}
# Its filters are not those that pictures are resized with in training and in clip-run: expect probabilities that differ
# a little from clip-run's.
#
# An engine that was built beforehand is named by model-engine-file; without one, {engine}.

[property]
gpu-id=0
# 1: whole frames; 2: the objects that a detector before it has found
process-mode=1
# a classifier
network-type=1
# 0 fp32, 1 int8, 2 fp16
network-mode={mode}
onnx-file={file}
# model-engine-file=classifier.plan
batch-size={batch}
infer-dims=3;{side};{side}
# RGB, channels first
model-color-format=0
network-input-order=0
# what goes in is net-scale-factor * (level - offset of the channel)
net-scale-factor={factor}
offsets={offsets}
maintain-aspect-ratio=0
# bilinear
scaling-filter=1
output-blob-names={output}
# one line, with a semicolon between labels (a comma in place of a label's own)
labelfile-path={labels_file}
# the least probability that is reported, of the likeliest label alone
classifier-threshold=0.2
",
        file = encoder.file,
        batch = encoder.batch.unwrap_or(BATCH),
        output = encoder.output,
    );
    let names: Vec<String> = labels.iter().map(|label| label.replace(';', ",")).collect();
    vec![(config.to_owned(), text), (labels_file.to_owned(), format!("{}\n", names.join(";")))]
}

/// The factor and the offset of each channel that make of levels what the graph takes, if there are such.
fn scaling(values: Values, preprocess: &Preprocess) -> Option<(f64, [f64; 3])> {
    let Preprocess { mean, std, .. } = preprocess;
    match values {
        Values::Pixels => Some((1.0, [0.0; 3])),
        Values::Normalised if std.iter().all(|value| value == &std[0]) => {
            Some((1.0 / (255.0 * f64::from(std[0])), mean.map(|mean| 255.0 * f64::from(mean))))
        }
        Values::Normalised | Values::Bytes => None,
    }
}
