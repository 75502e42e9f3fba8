//! Frames of every format through the graph, against the same converted at full size and resized as Pillow does.

use clip_model::Preprocess;
use clip_model::frame::{Color, ColorMatrix, ColorRange, FrameLayout, PixelFormat, Rect, View};
use clip_model::orientation::Orientation;
use clip_model::preprocess::{Image, Interpolation, ResizeMode};

use crate::camera::Camera;
use crate::graph::{EMBEDDING, Form, IMAGE, camera};
use crate::onnx::{Axis, Element, Graph};
use crate::run::{Tensor, frame};
use crate::testing;

const SIDE: usize = 32;

/// Pixels as they are: what goes into a tower comes out.
fn preprocess() -> Preprocess {
    Preprocess { size: SIDE, mean: [0.0; 3], std: [1.0 / 255.0; 3], ..Preprocess::default() }
}

/// A tower that changes nothing.
fn tower() -> Graph {
    let mut graph = Graph::new("visual", 17);
    let shape = [Axis::Named("batch"), Axis::Fixed(3), Axis::Fixed(SIDE), Axis::Fixed(SIDE)];
    let input = graph.input(IMAGE, Element::Float32, shape.to_vec());
    let same = graph.node("Identity", &[&input], vec![]);
    graph.output(&same, EMBEDDING, Element::Float32, shape.to_vec());
    graph
}

/// Waves, edges and a little noise.
fn picture() -> Image {
    let (width, height) = (150, 110);
    let pixel = |i: usize| {
        let (x, y) = ((i % width) as f64, (i / width) as f64);
        let block = if (i % width / 20 + i / width / 16).is_multiple_of(2) { 50.0 } else { 0.0 };
        let noise = (i * 7919 % 13) as f64;
        [(0.07, 0.03), (-0.04, 0.09), (0.11, 0.06)]
            .map(|(fx, fy)| (95.0 + 75.0 * (x * fx + y * fy).sin() + block + noise).clamp(0.0, 255.0) as u8)
    };
    Image::new(width, height, (0..width * height).flat_map(pixel).collect()).unwrap()
}

/// The largest difference in levels, and the share of pixels that differ by more than one.
fn difference(one: &Camera, preprocess: &Preprocess, half: bool) -> (f32, f32) {
    let planes = frame::planes(one, &picture());
    let expected = preprocess.fit(&frame::frame(one, &planes).unwrap().to_image().unwrap()).unwrap();
    let graph = camera(tower(), preprocess, one, Form::default(), half);
    let mut session = testing::open(&graph, Vec::new());
    let inputs = one.inputs().iter().zip(planes).enumerate();
    let inputs = inputs.map(|(plane, (name, bytes))| {
        let stride = one.layout.strides[plane];
        ((*name).to_owned(), Tensor::UInt8(vec![1, bytes.len() / stride, stride], bytes))
    });
    let found = testing::run(&mut session, inputs.collect());
    let expected = (0..3).flat_map(|c| expected.rgb().iter().skip(c).step_by(3).map(|&v| f32::from(v)));
    let apart: Vec<f32> = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).collect();
    assert_eq!(apart.len(), 3 * SIDE * SIDE);
    let far = apart.iter().filter(|&&d| d > 1.01).count();
    (apart.iter().copied().fold(0.0, f32::max), far as f32 / apart.len() as f32)
}

fn layout(format: PixelFormat, width: usize, height: usize, padding: usize) -> FrameLayout {
    let layout = FrameLayout::new(format, width, height).unwrap();
    FrameLayout { strides: layout.strides.map(|stride| stride + padding), ..layout }
}

/// Of bytes that are pixels already, what is left is a tie in fixed point. Of others, the reference rounds at full size, and this does not.
fn check(camera: &Camera, preprocess: &Preprocess) {
    for half in [false, true] {
        let (most, far) = difference(camera, preprocess, half);
        let exact = !half && !camera.layout.format.is_yuv() && camera.layout.format != PixelFormat::Gray16;
        let (bound, share) = if exact { (1.01, 0.0) } else { (2.01, 0.005) };
        assert!(most < bound && far <= share, "{camera:?} half {half}: {most} levels, {far} above one");
    }
}

#[test]
fn every_format_gives_pillows_pixels() {
    for format in PixelFormat::all() {
        for (width, height, padding) in [(97, 61, 0), (64, 128, 7), (33, 40, 31), (20, 300, 3), (500, 41, 1)]
        {
            let layout = layout(format, width, height, padding);
            check(&Camera { layout, view: View::default() }, &preprocess());
        }
    }
}

#[test]
fn every_turn_and_crop_is_in_the_matrices() {
    use PixelFormat::{Gray16, I420, Nv12, Rgb, Uyvy};
    let turns = (1..=8).map(|value| Orientation::from_exif(value).unwrap());
    for (turn, format) in turns.flat_map(|turn| [Rgb, Nv12, I420, Uyvy, Gray16].map(|format| (turn, format)))
    {
        for (left, top, width, height) in [(0, 0, 121, 75), (1, 3, 60, 70), (37, 20, 83, 33), (3, 5, 9, 70)] {
            let view = View { crop: Some(Rect { left, top, width, height }), orientation: turn };
            check(&Camera { layout: layout(format, 121, 75, 5), view }, &preprocess());
        }
    }
}

#[test]
fn colours_levels_and_filters_are_those_asked_for() {
    let orientation = Orientation::TurnedRight;
    for matrix in [ColorMatrix::Bt601, ColorMatrix::Bt709, ColorMatrix::Bt2020] {
        for range in [ColorRange::Limited, ColorRange::Full] {
            let layout =
                FrameLayout { color: Color { matrix, range }, ..layout(PixelFormat::Nv12, 90, 51, 6) };
            check(&Camera { layout, view: View { orientation, crop: None } }, &preprocess());
        }
    }
    for levels in [(1000, 3000), (60_000, 200)] {
        let layout = FrameLayout { levels, ..layout(PixelFormat::Gray16, 90, 51, 1) };
        check(&Camera { layout, view: View::default() }, &preprocess());
    }
    let squashed = Preprocess { resize_mode: ResizeMode::Squash, ..preprocess() };
    let linear = Preprocess { interpolation: Interpolation::Bilinear, ..preprocess() };
    for preprocess in [squashed, linear] {
        check(&Camera { layout: layout(PixelFormat::Nv21, 80, 50, 0), view: View::default() }, &preprocess);
    }
}
