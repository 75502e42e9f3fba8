//! Small towers with random weights, quantized and run by ONNX Runtime.

use std::collections::HashSet;

use clip_model::cases::{parameter, uniform};
use clip_model::config::{Activation, ImageTower, ResNet, TextTower, ViT};
use clip_model::shapes::summarize;
use clip_model::{Config, Preprocess};
use clip_runtime::graph;

use super::*;
use crate::onnx::{Data, Element, Graph};
use crate::testing::Parameters;
use crate::tower::{self, Form};

const EMBED_DIM: usize = 16;

fn configs() -> Vec<Config> {
    let text =
        TextTower { context_length: 9, vocab_size: 50, width: 32, heads: 2, layers: 2, mlp_ratio: 4.0 };
    let vit = ViT { image_size: 16, patch_size: 4, width: 48, layers: 3, head_width: 16, mlp_ratio: 4.0 };
    let resnet = ResNet { image_size: 64, layers: [2, 1, 1, 1], width: 8, head_width: 32 };
    [ImageTower::ViT(vit), ImageTower::ResNet(resnet)]
        .map(|image| Config {
            embed_dim: EMBED_DIM,
            image,
            text: text.clone(),
            activation: Activation::QuickGelu,
        })
        .to_vec()
}

fn parameters(config: &Config) -> Parameters {
    Parameters(summarize(config).tensors.into_iter().map(parameter).collect())
}

fn image(config: &Config) -> Graph {
    tower::image(config, &Preprocess::default(), Form { patches_as_rows: true, ..Form::default() })
}

/// Images, and texts of every length.
fn inputs(config: &Config) -> (Vec<Input>, Vec<Input>) {
    let side = config.image.image_size();
    let pixels = |i: usize| uniform(&format!("image {i}"), 2 * 3 * side * side, -2.0, 2.0);
    let text = |length: usize| {
        let ids = uniform(&format!("text {length}"), length, 0.0, 49.0);
        let ids = ids.into_iter().map(|id| id as i32).chain([49]);
        Input::Int32(vec![1, length + 1], ids.collect())
    };
    ((0..4).map(|i| Input::Float32(vec![2, 3, side, side], pixels(i))).collect(), (1..9).map(text).collect())
}

fn run(graph: &Graph, weights: &Parameters, inputs: &[Input]) -> Vec<f32> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graph.onnx");
    calibrate::write(graph, weights, &path).unwrap();
    let mut session = graph::Graph::open(&path, 1).unwrap();
    let name = graph.inputs[0].name.as_str();
    inputs.iter().flat_map(|input| session.run(&[(name, input)]).unwrap().remove(0).values).collect()
}

fn lowest_cosine(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let rows = a.chunks_exact(EMBED_DIM).zip(b.chunks_exact(EMBED_DIM));
    rows.map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>()).fold(1.0, f32::min)
}

fn quantized(graph: Graph, weights: &Parameters, inputs: &[Input], settings: &Settings) -> (Graph, Plan) {
    let folder = tempfile::tempdir().unwrap();
    let result = quantize(graph, weights, inputs, settings, folder.path(), &mut |_| {}).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    result
}

#[test]
fn embeddings_stay_close_by_every_method_in_both_dialects() {
    for config in configs() {
        let weights = parameters(&config);
        let (images, texts) = inputs(&config);
        for (graph, inputs) in [(image(&config), images), (tower::text(&config, Form::default()), texts)] {
            let exact = run(&graph, &weights, &inputs);
            for method in [Method::MinMax, Method::Percentile(99.9), Method::Entropy, Method::Mse] {
                for dialect in [Dialect::Cpu, Dialect::Trt] {
                    let settings = Settings { method, dialect, ..Settings::default() };
                    let (graph, plan) = quantized(graph.clone(), &weights, &inputs, &settings);
                    let cosine = lowest_cosine(&run(&graph, &weights, &inputs), &exact);
                    let what = format!("{method:?} {dialect:?} {:?}: {cosine}", config.image);
                    // Few numbers make a ragged distribution, of which entropy keeps too little.
                    let least = if method == Method::Entropy { 0.7 } else { 0.97 };
                    assert!(cosine > least, "{what}");
                    assert!(cosine < 1.0 - 1e-7, "{what}: nothing was quantized");
                    assert!(plan.products.len() > 5, "{what}");
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
            let settings = Settings { dialect, ..Settings::default() };
            let (graph, plan) = quantized(image(&config), &weights, &images, &settings);
            let elements: HashSet<Element> = graph.initializers().iter().map(|i| i.data.element()).collect();
            assert_eq!(elements.contains(&Element::Int32), dialect == Dialect::Cpu, "integer biases");
            assert_eq!(elements.contains(&Element::UInt8), dialect == Dialect::Cpu, "unsigned activations");
            for initializer in graph.initializers().iter().filter(|i| i.name.ends_with("_zero")) {
                if let Data::Int8(zeros) = &initializer.data {
                    assert!(zeros.iter().all(|&z| z == 0), "{}", initializer.name);
                }
            }
            let dequantized = |name: &String| {
                let by = graph.nodes().iter().find(|n| n.outputs.contains(name));
                by.is_some_and(|n| n.op == "DequantizeLinear")
            };
            for node in graph.nodes().iter().filter(|n| matches!(n.op, "Gemm" | "Conv")) {
                assert!(plan.products.contains(&node.name));
                let count = if dialect == Dialect::Cpu { node.inputs.len() } else { 2 };
                assert!(node.inputs[..count].iter().all(dequantized), "{node:?}");
            }
            // A convolutional network stays in integers between its products, too.
            for node in graph.nodes().iter().filter(|n| n.op == "AveragePool") {
                assert!(dequantized(&node.inputs[0]), "{node:?}");
            }
        }
    }
}

#[test]
fn named_products_stay_in_float() {
    let config = &configs()[0];
    let weights = parameters(config);
    let (images, _) = inputs(config);
    let graph = image(config);
    let all = Plan::new(&graph, &HashSet::new()).products;
    let float: HashSet<String> = all[..all.len() - 1].iter().cloned().collect();
    let settings = Settings { float, smoothing: 0.0, ..Settings::default() };
    let (one, plan) = quantized(graph.clone(), &weights, &images, &settings);
    assert_eq!(plan.products, all[all.len() - 1..]);
    assert_eq!(one.nodes().iter().filter(|n| n.op == "QuantizeLinear").count(), 1);
    let exact = run(&graph, &weights, &images);
    let (every, _) = quantized(graph, &weights, &images, &Settings::default());
    let of = |graph: &Graph| lowest_cosine(&run(graph, &weights, &images), &exact);
    assert!(of(&one) > of(&every), "{} {}", of(&one), of(&every));
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
        let settings = Settings { smoothing, method: Method::MinMax, ..Settings::default() };
        let (graph, _) = quantized(graph.clone(), &weights, &images, &settings);
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
    let failed = quantize(graph, &weights, &images, &Settings::default(), folder.path(), &mut |_| {});
    let message = failed.map(|_| ()).unwrap_err().to_string();
    assert!(message.contains("is not finite"), "{message}");
}
