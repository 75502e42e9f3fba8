//! Whole towers with random weights, run by ONNX Runtime and compared with plain loops.

use std::collections::BTreeSet;

use clip_model::config::{Activation, EndOfText, Family, ImageTower, ResNet, TextTower, ViT};
use clip_model::shapes::summarize;
use clip_model::{Config, Preprocess, clip};
use clip_testkit::Values;
use clip_testkit::cases::{Array, Reference};
use clip_testkit::{parameter, uniform};

use crate::graph::form::COMBINED;
use crate::graph::{Form, IDS, IMAGE, combined, encoder};
use crate::onnx::{Data, Element, Graph, Node, Rows};
use crate::run::Session;
use crate::testing::{self, assert_close};
use crate::tower::Tower;

const TOLERANCE: f32 = 1e-5;

const EMBED_DIM: usize = 6;

/// Image size, patch size, width, layers, head width.
fn vit(
    [image_size, patch_size, width, layers, head_width]: [usize; 5],
    activation: Activation,
) -> ImageTower {
    ImageTower::ViT(ViT {
        image_size,
        patch_size,
        width,
        layers,
        head_width,
        mlp_ratio: 2.0,
        activation,
        norm_epsilon: 1e-5,
    })
}

fn resnet(image_size: usize, layers: [usize; 4]) -> ImageTower {
    ImageTower::ResNet(ResNet { image_size, layers, width: 4, head_width: 32 })
}

/// Context length, width, heads, layers.
fn text_tower([context_length, width, heads, layers]: [usize; 4], activation: Activation) -> TextTower {
    TextTower {
        context_length,
        vocab_size: 50,
        width,
        heads,
        layers,
        mlp_ratio: 4.0,
        activation,
        ..TextTower::openai(width)
    }
}

/// Both towers in sizes that differ in everything, with every activation, and one with other layer norms and another end of
/// text.
fn configs() -> Vec<Config> {
    use Activation::{Gelu, GeluTanh, QuickGelu};
    let config = |family, image, text| {
        let logit_bias = family == Family::SigLip;
        Config { family, embed_dim: EMBED_DIM, image, text, logit_bias }
    };
    let (clip, siglip) = (Family::Clip, Family::SigLip);
    let mut other = config(clip, vit([8, 4, 12, 2, 4], Gelu), text_tower([6, 8, 2, 2], Gelu));
    if let ImageTower::ViT(v) = &mut other.image {
        v.norm_epsilon = 0.05;
    }
    (other.text.norm_epsilon, other.text.end) = (0.2, EndOfText::Id(30));
    let mut biased = config(clip, vit([8, 4, 8, 1, 4], QuickGelu), text_tower([6, 8, 2, 1], QuickGelu));
    biased.logit_bias = true;
    vec![
        other,
        biased,
        config(clip, vit([8, 4, 12, 2, 4], QuickGelu), text_tower([7, 8, 2, 2], QuickGelu)),
        config(clip, vit([9, 3, 8, 1, 8], Gelu), text_tower([5, 6, 1, 1], Gelu)),
        config(clip, vit([4, 4, 8, 3, 2], QuickGelu), text_tower([9, 16, 4, 3], QuickGelu)),
        config(clip, resnet(64, [2, 1, 1, 1]), text_tower([3, 8, 2, 1], Gelu)),
        config(clip, resnet(32, [1, 2, 1, 2]), text_tower([4, 8, 1, 2], QuickGelu)),
        config(siglip, vit([8, 4, EMBED_DIM, 2, 3], GeluTanh), text_tower([7, 8, 2, 2], GeluTanh)),
        config(siglip, vit([11, 3, EMBED_DIM, 1, 2], Gelu), text_tower([4, 12, 3, 1], GeluTanh)),
    ]
}

fn image(config: &Config, preprocess: &Preprocess, form: Form) -> Graph {
    encoder(Tower::Image, config, preprocess, form)
}

fn text(config: &Config, form: Form) -> Graph {
    encoder(Tower::Text, config, &Preprocess::default(), form)
}

fn parameters(config: &Config) -> Vec<Values> {
    config.validate().unwrap();
    summarize(config).tensors.into_iter().map(parameter).collect()
}

fn encode_texts(session: &mut Session, texts: &[&[i32]]) -> Vec<f32> {
    let ids = testing::ids(&[texts.len(), texts[0].len()], texts.concat());
    testing::run(session, vec![(IDS.to_owned(), ids)])
}

/// Each of them in every way in which a graph can be spelled.
fn spelled_configs() -> impl Iterator<Item = (Config, Form)> {
    let spelled = |config: Config| {
        [false, true].map(|for_integers| (config.clone(), Form { for_integers, ..Form::default() }))
    };
    configs().into_iter().flat_map(spelled)
}

fn image_of(config: &Config) -> Graph {
    image(config, &Preprocess::default(), Form::default())
}

/// Three pictures of noise.
fn images(config: &Config) -> Vec<Vec<f32>> {
    let side = config.image.image_size();
    (0..3).map(|i| uniform(&format!("image {i}"), 3 * side * side, -2.0, 2.0)).collect()
}

fn encode_images(session: &mut Session, config: &Config, images: &[Vec<f32>]) -> Vec<f32> {
    let side = config.image.image_size();
    let input = testing::numbers(&[images.len(), 3, side, side], images.concat());
    testing::run(session, vec![(IMAGE.to_owned(), input)])
}

/// The lengths of texts that a tower takes.
fn lengths(config: &Config) -> std::ops::RangeInclusive<usize> {
    let longest = config.text.context_length;
    let shortest = if config.family == Family::Clip { 1 } else { longest };
    shortest..=longest
}

/// A text of `length` ids, the last of which is its end.
fn text_ids(config: &Config, length: usize) -> Vec<i32> {
    let highest = config.text.vocab_size - 1;
    let mut ids = uniform(&format!("text {length}"), length, 0.0, highest as f32);
    ids[length - 1] = match config.text.end {
        EndOfText::Highest => highest as f32,
        EndOfText::Id(id) => id as f32,
    };
    ids.into_iter().map(|id| id as i32).collect()
}

fn expected_text(config: &Config, parameters: &[Values], ids: &[i32]) -> Vec<f32> {
    let ids = Array::new(&[ids.len()], ids.iter().map(|&id| id as f32).collect());
    clip::encode_text(&Reference::new(parameters), config, &ids).data
}

#[test]
fn images_are_embedded_as_by_plain_loops_alone_and_in_a_batch() {
    for (config, form) in spelled_configs() {
        let parameters = parameters(&config);
        let side = config.image.image_size();
        let graph = image(&config, &Preprocess::default(), form);
        let mut session = testing::open(&graph, parameters.clone());
        let images = images(&config);
        let together = encode_images(&mut session, &config, &images);
        for (i, image) in images.iter().enumerate() {
            let array = Array::new(&[3, side, side], image.clone());
            let expected = clip::encode_image(&Reference::new(&parameters), &config, &array).data;
            let what = format!("image {i} of {:?}, {form:?}", config.image);
            assert_close(&together[EMBED_DIM * i..][..EMBED_DIM], &expected, TOLERANCE, &what);
            let alone = encode_images(&mut session, &config, std::slice::from_ref(image));
            assert_close(&alone, &expected, TOLERANCE, &what);
        }
    }
}

#[test]
fn one_graph_holds_both_towers_and_compares_them() {
    const SCALE: f32 = 3.5;
    for config in configs() {
        let parameters = parameters(&config);
        let preprocess = Preprocess::default();
        let bias = config.logit_bias.then_some(-2.5);
        let (images, texts) = (3, 2);
        let side = config.image.image_size();
        let length = config.text.context_length;
        let pixels = uniform("images", images * 3 * side * side, -2.0, 2.0);
        let ids = [text_ids(&config, length), text_ids(&config, length)].concat();
        let image = || (IMAGE.to_owned(), testing::numbers(&[images, 3, side, side], pixels.clone()));
        let text = || (IDS.to_owned(), testing::ids(&[texts, length], ids.clone()));

        let form = Form::default();
        let session = testing::open(&combined(&config, &preprocess, SCALE, bias, form), parameters.clone());
        let outputs = session.run(&[(IMAGE, &image().1), (IDS, &text().1)]).unwrap();
        assert_eq!(outputs.iter().map(|o| o.name.as_str()).collect::<Vec<_>>(), COMBINED);
        let [image_rows, text_rows, logits] = [0, 1, 2].map(|i| outputs[i].values.clone());

        let mut session = testing::open(&self::image(&config, &preprocess, form), parameters.clone());
        assert_close(&image_rows, &testing::run(&mut session, vec![image()]), TOLERANCE, "images");
        let mut session = testing::open(&self::text(&config, form), parameters.clone());
        assert_close(&text_rows, &testing::run(&mut session, vec![text()]), TOLERANCE, "texts");
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
        let logit = |a: &[f32], b: &[f32]| dot(a, b) * SCALE + bias.unwrap_or(0.0);
        let texts = || text_rows.chunks(EMBED_DIM);
        let rows = image_rows.chunks(EMBED_DIM).flat_map(|i| texts().map(move |t| logit(i, t)));
        assert_close(&logits, &rows.collect::<Vec<_>>(), TOLERANCE, "logits");
    }
}

#[test]
fn texts_of_every_length_are_embedded_as_by_plain_loops() {
    for (config, form) in spelled_configs() {
        let parameters = parameters(&config);
        let mut session = testing::open(&text(&config, form), parameters.clone());
        for length in lengths(&config) {
            let ids = text_ids(&config, length);
            let expected = expected_text(&config, &parameters, &ids);
            let what = format!("{length} ids of {:?}, {form:?}", config.text);
            assert_close(&encode_texts(&mut session, &[&ids]), &expected, TOLERANCE, &what);
        }
    }
}

#[test]
fn what_follows_the_end_of_a_text_has_no_influence_and_neither_have_other_texts() {
    for (config, form) in spelled_configs() {
        let parameters = parameters(&config);
        let mut session = testing::open(&text(&config, form), parameters.clone());
        let length = config.text.context_length;
        let texts: Vec<Vec<i32>> = lengths(&config).map(|n| text_ids(&config, n)).collect();
        let end = config.text.vocab_size as i32 - 1;
        // Behind the end stand zeros, other ids, or the end again, which some tokenizers pad with.
        for padding in [0, 7, end] {
            let mut padded = texts.clone();
            padded.iter_mut().for_each(|ids| ids.resize(length, padding));
            let rows: Vec<&[i32]> = padded.iter().map(Vec::as_slice).collect();
            let found = encode_texts(&mut session, &rows);
            for (i, ids) in texts.iter().enumerate() {
                let expected = expected_text(&config, &parameters, ids);
                let what = format!("{} ids padded with {padding} of {:?}, {form:?}", ids.len(), config.text);
                assert_close(&found[EMBED_DIM * i..][..EMBED_DIM], &expected, TOLERANCE, &what);
            }
        }
    }
}

/// The tensors of the checkpoint that a constant is made of.
fn sources(data: &Data) -> Vec<String> {
    let norm = |name: &str, parts: &[&str]| parts.iter().map(|part| format!("{name}.{part}")).collect();
    match data {
        Data::Weight(Rows { tensor, rows }) => {
            vec![rows.as_ref().map_or(tensor.clone(), |r| format!("{tensor}[{r:?}"))]
        }
        Data::Folded { weight, .. } => vec![weight.tensor.clone()],
        Data::FoldedBias(name) => norm(name, &["weight", "bias", "running_mean", "running_var"]),
        Data::Scaled { data, .. } => sources(data),
        _ => vec![],
    }
}

#[test]
fn graphs_hold_each_weight_once_and_compute_nothing_twice() {
    for (config, form) in spelled_configs() {
        let mut used = Vec::new();
        for graph in [image(&config, &Preprocess::default(), form), text(&config, form)] {
            let count = |op: &str| graph.nodes.iter().filter(|n| n.op == op).count();
            assert!(count("ArgMax") <= 1 && count("Range") <= 1 && count("Expand") <= 1);
            assert_eq!(count("BatchNormalization"), 0, "all are folded");
            used.extend(graph.initializers.iter().flat_map(|i| sources(&i.data)));
        }
        let count = used.len();
        let whole =
            |name: &String| name.split_once("[").map_or(name.clone(), |(tensor, _)| tensor.to_owned());
        let names: BTreeSet<String> = used.iter().map(whole).collect();
        assert_eq!(used.iter().collect::<BTreeSet<_>>().len(), count, "a weight is there twice");
        // In neither are the logit scale and a single query's key bias, which shifts all scores alike.
        let unused = ["logit_scale", "logit_bias", "visual.attnpool.k_proj.bias"];
        let tensors = summarize(&config).tensors.into_iter().map(|t| t.name);
        assert_eq!(names, tensors.filter(|name| !unused.contains(&name.as_str())).collect());
    }
}

/// Half precision moves embeddings by its rounding, and no node that must not feel it.
#[test]
fn half_precision_rounds_and_no_more() {
    for config in configs() {
        let parameters = parameters(&config);
        let graph = image_of(&config).into_half();
        let halves = graph.initializers.iter().filter(|i| i.data.element() == Element::Float16).count();
        assert!(halves > 4, "{halves} tensors in half precision");
        let exact = |n: &&Node| ["LayerNormalization", "Softmax", "ReduceL2"].contains(&n.op);
        for node in graph.nodes.iter().filter(exact) {
            assert!(node.inputs.iter().all(|i| !i.ends_with("_float16")), "{node:?}");
        }
        let images = images(&config);
        let found = encode_images(&mut testing::open(&graph, parameters.clone()), &config, &images);
        let exact =
            encode_images(&mut testing::open(&image_of(&config), parameters.clone()), &config, &images);
        let ids: Vec<i32> = text_ids(&config, 3.max(*lengths(&config).start()));
        let found_text = encode_texts(
            &mut testing::open(&text(&config, Form::default()).into_half(), parameters.clone()),
            &[&ids],
        );
        let exact_text =
            encode_texts(&mut testing::open(&text(&config, Form::default()), parameters), &[&ids]);
        for (found, exact) in [(found, exact), (found_text, exact_text)] {
            assert_close(&found, &exact, 0.01, "float16");
            assert_ne!(found, exact);
        }
    }
}

/// What a graph gives besides its result is, for every value that would be float16, how large its numbers are.
#[test]
fn peaks_are_those_of_every_tower() {
    for config in configs() {
        let parameters = parameters(&config);
        let length = config.text.context_length;
        let side = config.image.image_size();
        let pixels = testing::numbers(&[1, 3, side, side], images(&config).swap_remove(0));
        let ids = testing::ids(&[1, length], text_ids(&config, length));
        let graphs = [(image_of(&config), IMAGE, pixels), (text(&config, Form::default()), IDS, ids)];
        for (graph, name, input) in graphs {
            let plain = testing::run(
                &mut testing::open(&graph, parameters.clone()),
                vec![(name.to_owned(), input.clone())],
            );
            let products = graph.nodes.iter().filter(|n| n.op == "Gemm" && !n.exact).count();
            let session = testing::open(&graph.with_peaks(), parameters.clone());
            let outputs = session.run(&[(name, &input)]).unwrap();
            assert_close(&outputs[0].values, &plain, TOLERANCE, name);
            let peaks = &outputs[1..];
            assert!(peaks.len() > products, "{} of {products}", peaks.len());
            for peak in peaks {
                assert!(peak.name.starts_with(crate::onnx::PEAK) && peak.values.len() == 1, "{}", peak.name);
                // The causal mask is infinite, and what it is added to.
                assert!(peak.values[0] >= 0.0, "{} {}", peak.name, peak.values[0]);
            }
        }
    }
}
