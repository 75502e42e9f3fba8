//! `config.pbtxt`: a model's configuration, in the text form of Triton's message `ModelConfig`
//! (<https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto>).

use std::fmt::Write;

use clip_model::manifest::{Element, Layout};

use super::Device;
use super::model::{Backend, Model, Warmup};

/// How every one begins that is written here.
pub const MARK: &str = "# Written by clip-export";

/// Sizes at which a batch is run at once, of those that are not above the most.
const PREFERRED: [usize; 3] = [8, 16, 32];

/// Microseconds that a request waits for others.
const PATIENCE: usize = 1000;

/// The configuration of `model`, on `device`. A plan only runs on a GPU.
pub fn text(model: &Model<'_>, device: Device) -> String {
    let (encoder, backend) = (model.encoder, Backend::of(&model.encoder.file));
    let kind = match (backend, device) {
        (Backend::TensorRt, _) | (_, Device::Gpu) => "KIND_GPU",
        (_, Device::Cpu) => "KIND_CPU",
        (_, Device::Auto) => "KIND_AUTO",
    };
    // A batch that is fixed is an axis like the others.
    let batch: Vec<Option<usize>> = encoder.batch.into_iter().map(Some).collect();
    let input = [&batch[..], &model.input].concat();
    let output = [&batch[..], &[Some(model.output)]].concat();
    let (element, format) = (data_type(encoder.input.element), format(model));
    let labels = model.labels.map_or(String::new(), |file| format!("    label_filename: {}\n", quoted(file)));
    let notes: String = model.notes.iter().map(|line| format!("# {line}\n")).collect();

    let mut text = format!("{MARK}.\n{notes}\nname: {}\n", quoted(&model.name));
    // Writing into a string cannot fail.
    let _ = write!(
        text,
        "platform: {}
backend: {}
default_model_filename: {}
max_batch_size: {}
input [
  {{
    name: {}
    data_type: {element}
{format}    dims: {}
  }}
]
output [
  {{
    name: {}
    data_type: TYPE_FP32
    dims: {}
{labels}  }}
]
instance_group [
  {{
    count: 1
    kind: {kind}
  }}
]
version_policy {{
  latest {{
    num_versions: 1
  }}
}}
",
        quoted(backend.platform()),
        quoted(backend.name()),
        quoted(backend.file()),
        model.most,
        quoted(&encoder.input.name),
        list(&input),
        quoted(&encoder.output),
        list(&output),
    );
    if model.most > 0 {
        let preferred: Vec<_> = PREFERRED.into_iter().filter(|size| *size <= model.most).map(Some).collect();
        let _ = write!(
            text,
            "dynamic_batching {{\n  preferred_batch_size: {}\n  max_queue_delay_microseconds: {PATIENCE}\n}}\n",
            list(&preferred)
        );
    }
    model.warmups.iter().for_each(|warmup| text.push_str(&self::warmup(model, warmup, element)));
    text
}

fn warmup(model: &Model<'_>, warmup: &Warmup, element: &str) -> String {
    let data = match warmup.ids {
        Some(_) => format!("input_data_file: {}", quoted(warmup.name)),
        None => "zero_data: true".to_owned(),
    };
    let dims = model.encoder.batch.into_iter().chain(warmup.dims.iter().copied()).map(Some);
    format!(
        "model_warmup {{
  name: {}
  batch_size: {}
  inputs {{
    key: {}
    value {{
      data_type: {element}
      dims: {}
      {data}
    }}
  }}
}}
",
        quoted(warmup.name),
        warmup.batch,
        quoted(&model.encoder.input.name),
        list(&dims.collect::<Vec<_>>()),
    )
}

fn data_type(element: Element) -> &'static str {
    match element {
        Element::Float32 => "TYPE_FP32",
        Element::Uint8 => "TYPE_UINT8",
        Element::Int32 => "TYPE_INT32",
    }
}

/// The line that says how an image lies. With a fixed batch there is one axis more than Triton counts in an image.
fn format(model: &Model<'_>) -> &'static str {
    match model.encoder.input.layout {
        _ if model.encoder.batch.is_some() => "",
        Layout::Nchw => "    format: FORMAT_NCHW\n",
        Layout::Nhwc => "    format: FORMAT_NHWC\n",
        Layout::Planes | Layout::Tokens => "",
    }
}

/// Sizes, with -1 where any is taken.
fn list(sizes: &[Option<usize>]) -> String {
    let size = |size: &Option<usize>| size.map_or_else(|| "-1".to_owned(), |size| size.to_string());
    format!("[ {} ]", sizes.iter().map(size).collect::<Vec<_>>().join(", "))
}

/// A string of protobuf's text form.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
