//! Small towers with random weights, quantized and run by ONNX Runtime.

use std::collections::HashSet;
use std::path::Path;

use clip_model::config::{Activation, ImageTower, ResNet};
use clip_model::shapes::summarize;
use clip_model::{Config, Preprocess};
use clip_testkit::{parameter, uniform, vit};

use super::calibrate::Calibrated;
use super::plan::Plan;
use super::*;
use crate::graph::{self, Form};
use crate::onnx::{Data, Element, Graph, Node};
use crate::run::Tensor;
use crate::testing::Parameters;
use crate::tower::Tower;

const EMBED_DIM: usize = 16;

fn configs() -> Vec<Config> {
    let vit = vit(EMBED_DIM, [16, 4, 48, 3, 16], [9, 50, 32, 2, 2], 4.0, Activation::QuickGelu);
    let resnet = ResNet { image_size: 64, layers: [2, 1, 1, 1], width: 8, head_width: 32 };
    vec![vit.clone(), Config { image: ImageTower::ResNet(resnet), ..vit }]
}

fn parameters(config: &Config) -> Parameters {
    Parameters(summarize(config).tensors.into_iter().map(parameter).collect())
}

fn form(dialect: Dialect) -> Form {
    Form { for_integers: dialect == Dialect::Cpu, ..Form::default() }
}

fn image_for(config: &Config, dialect: Dialect) -> Graph {
    graph::encoder(Tower::Image, config, &Preprocess::default(), form(dialect))
}

fn image(config: &Config) -> Graph {
    image_for(config, Dialect::Cpu)
}

/// Images, and texts of every length.
fn inputs(config: &Config) -> (Vec<Tensor>, Vec<Tensor>) {
    let side = config.image.image_size();
    let pixels = |i: usize| uniform(&format!("image {i}"), 2 * 3 * side * side, -2.0, 2.0);
    let text = |length: usize| {
        let ids = uniform(&format!("text {length}"), length, 0.0, 49.0);
        let ids = ids.into_iter().map(|id| id as i32).chain([49]);
        Tensor::Int32(vec![1, length + 1], ids.collect())
    };
    ((0..4).map(|i| Tensor::Float32(vec![2, 3, side, side], pixels(i))).collect(), (1..9).map(text).collect())
}

fn run(graph: &Graph, weights: &Parameters, inputs: &[Tensor]) -> Vec<f32> {
    let folder = tempfile::tempdir().unwrap();
    Scratch { source: weights, folder: folder.path() }.run(graph, inputs).unwrap().concat()
}

fn lowest_cosine(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let rows = a.chunks_exact(EMBED_DIM).zip(b.chunks_exact(EMBED_DIM));
    rows.map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>()).fold(1.0, f32::min)
}

fn calibrated(graph: Graph, weights: &Parameters, inputs: &[Tensor], settings: &Int8) -> Calibrated {
    let folder = tempfile::tempdir().unwrap();
    let scratch = Scratch { source: weights, folder: folder.path() };
    let result = Calibrated::new(graph, scratch, inputs, settings, &mut |_| {}).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    result
}

fn rewritten(calibrated: &Calibrated, weights: &Parameters, float: &HashSet<String>) -> Graph {
    calibrated.quantized(Scratch { source: weights, folder: Path::new("") }, float).unwrap()
}

fn quantized(graph: Graph, weights: &Parameters, inputs: &[Tensor], settings: &Int8) -> Graph {
    rewritten(&calibrated(graph, weights, inputs, settings), weights, &HashSet::new())
}

fn count(graph: &Graph, op: &str) -> usize {
    graph.nodes.iter().filter(|n| n.op == op).count()
}

#[test]
fn embeddings_stay_close_by_every_method_in_both_dialects() {
    for config in configs() {
        let weights = parameters(&config);
        let (images, texts) = inputs(&config);
        for dialect in [Dialect::Cpu, Dialect::Trt] {
            let text = graph::encoder(Tower::Text, &config, &Preprocess::default(), form(dialect));
            for (graph, inputs) in [(image_for(&config, dialect), &images), (text, &texts)] {
                let exact = run(&graph, &weights, inputs);
                for method in [Method::MinMax, Method::Percentile(99.9)] {
                    let settings = Int8 { method, dialect, ..Int8::default() };
                    let graph = quantized(graph.clone(), &weights, inputs, &settings);
                    let cosine = lowest_cosine(&run(&graph, &weights, inputs), &exact);
                    let what = format!("{method:?} {dialect:?} {:?}: {cosine}", config.image);
                    assert!(cosine > 0.97, "{what}");
                    assert!(cosine < 1.0 - 1e-7, "{what}: nothing was quantized");
                    assert!(count(&graph, "QuantizeLinear") > 5, "{what}");
                }
            }
        }
    }
}

/// What each dialect asks for, in every product of the graph.
#[test]
fn dialects_are_kept() {
    for config in configs() {
        let weights = parameters(&config);
        let (images, _) = inputs(&config);
        for dialect in [Dialect::Cpu, Dialect::Trt] {
            let settings = Int8 { dialect, ..Int8::default() };
            let graph = quantized(image_for(&config, dialect), &weights, &images, &settings);
            let elements: HashSet<Element> = graph.initializers.iter().map(|i| i.data.element()).collect();
            assert_eq!(elements.contains(&Element::Int32), dialect == Dialect::Cpu, "integer biases");
            assert_eq!(elements.contains(&Element::UInt8), dialect == Dialect::Cpu, "unsigned activations");
            for initializer in graph.initializers.iter().filter(|i| i.name.ends_with("_zero")) {
                if let Data::Int8(zeros) = &initializer.data {
                    assert!(zeros.iter().all(|&z| z == 0), "{}", initializer.name);
                }
            }
            let dequantized = |name: &String| {
                let by = graph.nodes.iter().find(|n| n.outputs.contains(name));
                by.is_some_and(|n| n.op == "DequantizeLinear")
            };
            for node in graph.nodes.iter().filter(|n| matches!(n.op, "Gemm" | "Conv")) {
                let count = if dialect == Dialect::Cpu { node.inputs.len() } else { 2 };
                assert!(node.inputs[..count].iter().all(dequantized), "{node:?}");
            }
            // A convolutional network stays in integers between its products, too.
            for node in graph.nodes.iter().filter(|n| n.op == "AveragePool") {
                assert!(dequantized(&node.inputs[0]), "{node:?}");
                assert_eq!(dialect, Dialect::Trt, "{node:?}");
            }
        }
    }
}

#[test]
fn named_products_stay_in_float() {
    let config = &configs()[0];
    let weights = parameters(config);
    let (images, _) = inputs(config);
    let calibrated = calibrated(image(config), &weights, &images, &Int8::default());
    let products = calibrated.products();
    let float: HashSet<String> = products[..products.len() - 1].iter().cloned().collect();
    let one = rewritten(&calibrated, &weights, &float);
    assert_eq!(count(&one, "QuantizeLinear"), 1);
    let exact = run(&image(config), &weights, &images);
    let every = rewritten(&calibrated, &weights, &HashSet::new());
    let of = |graph: &Graph| lowest_cosine(&run(graph, &weights, &images), &exact);
    assert!(of(&one) > of(&every), "{} {}", of(&one), of(&every));
}

/// A product whose weights 8 bits cannot hold is found and left in float, and hardly any other with it.
#[test]
fn the_search_leaves_in_float_what_integers_cannot_hold() {
    let config = &configs()[0];
    let mut weights = parameters(config);
    let harmful = "visual.transformer.resblocks.1.attn.out_proj.weight";
    let values = &mut weights.0.iter_mut().find(|v| v.name == harmful).unwrap().data;
    // Each row has one weight that leaves no steps for the others, on a channel that they cancel.
    for row in values.chunks_exact_mut(48) {
        row[0] = 300.0;
        row[1] = -300.0;
    }
    let (images, _) = inputs(config);
    let folder = tempfile::tempdir().unwrap();
    let settings = Int8 { method: Method::MinMax, ..Int8::default() };
    let scratch = Scratch { source: &weights, folder: folder.path() };
    let found =
        |least| search(image(config), scratch, [&images, &images], &settings, least, &mut |_| {}).unwrap();
    let all = found(-1.0);
    assert!(all.float.is_empty());
    let better = found(all.cosine + 0.5 * (1.0 - all.cosine));
    assert!(better.cosine > all.cosine && !better.float.is_empty());
    assert_eq!(better.float[0].weight, harmful, "{:?}", better.float);
    let products = Plan::new(&image(config), &HashSet::new()).products.len();
    assert!(better.float.len() < products / 2, "{:?}", better.float);
    let integers = |node: &&Node| node.op == "Gemm" && node.inputs[1].ends_with("_dequantized");
    let integers = better.graph.nodes.iter().filter(integers).count();
    assert_eq!(integers, products - better.float.len());
}

/// One channel of a layer norm far above the others: without smoothing its range blurs them.
#[test]
fn smoothing_keeps_what_outlier_channels_would_blur() {
    let config = &configs()[0];
    let mut weights = parameters(config);
    for values in weights.0.iter_mut().filter(|v| v.name.ends_with("ln_2.weight")) {
        values.data[5] = 200.0;
    }
    // Weights that read the channel are small, as in trained networks: the product stays what it was.
    for values in
        weights.0.iter_mut().filter(|v| v.name.starts_with("visual") && v.name.ends_with("c_fc.weight"))
    {
        let width = values.shape[1];
        values.data.iter_mut().skip(5).step_by(width).for_each(|v| *v /= 200.0);
    }
    let (images, _) = inputs(config);
    let graph = image(config);
    let exact = run(&graph, &weights, &images);
    let [plain, smoothed] = [0.0, 0.5].map(|smoothing| {
        let settings = Int8 { smoothing, method: Method::MinMax, ..Int8::default() };
        let graph = quantized(graph.clone(), &weights, &images, &settings);
        lowest_cosine(&run(&graph, &weights, &images), &exact)
    });
    assert!(1.0 - smoothed < 0.5 * (1.0 - plain), "{plain} {smoothed}");
}

#[test]
fn numbers_that_are_not_finite_are_named() {
    let config = &configs()[0];
    let mut weights = parameters(config);
    weights.0.iter_mut().find(|v| v.name == "visual.conv1.weight").unwrap().data[0] = f32::NAN;
    let (images, _) = inputs(config);
    let folder = tempfile::tempdir().unwrap();
    let graph = image(config);
    let scratch = Scratch { source: &weights, folder: folder.path() };
    let failed = Calibrated::new(graph, scratch, &images, &Int8::default(), &mut |_| {});
    let message = failed.map(|_| ()).unwrap_err().to_string();
    assert!(message.contains("is not finite"), "{message}");
}
