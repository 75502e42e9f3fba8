//! From a camera's frames, as they lie in memory, to embeddings in one graph: an image tower with all of the preprocessing in front of it.
//!
//! Resizing and changing colours are both linear, so that they may change places: each plane is resized by itself, by two
//! products with constant matrices, and becomes colours at the model's size. What the frame holds besides the pixels that count (padding, what is
//! cropped) is cut off first; the matrices turn and mirror, too.

use clip_model::Preprocess;
use clip_model::frame::PixelFormat;
use clip_model::manifest::Values;
use clip_model::preprocess::vertical_first;

use super::form::{Form, IMAGE};
use super::front;
use super::resampling::{self, Matrix};
use crate::camera::{Camera, Group};
use crate::onnx::Attribute::{Int, Ints};
use crate::onnx::{Axis, Data, Element, Graph};

/// The graph from [`Camera::inputs`], uint8 `[batch, rows, stride]`, to the embedding. `tower` is the image tower's, in whatever number
/// format: its nodes stay what they are. With `half`, the products are in half precision; colours and all behind them are in single.
pub fn camera(tower: Graph, preprocess: &Preprocess, camera: &Camera, form: Form, half: bool) -> Graph {
    let [first, others @ ..] = camera.inputs() else { return tower };
    let shape = |plane: usize| {
        let layout = &camera.layout;
        let rows = layout.format.plane(plane, layout.width, layout.height).map_or(0, |(_, rows)| rows);
        vec![form.batch_axis("batch"), Axis::Fixed(rows), Axis::Fixed(layout.strides[plane])]
    };
    let mut graph = tower.with_front(IMAGE, (Element::UInt8, shape(0)), |graph, plane| {
        let mut planes = vec![plane.to_owned()];
        for (plane, name) in (1..).zip(others) {
            planes.push(graph.input(name, Element::UInt8, shape(plane)));
        }
        let mut front = Front { graph, preprocess, camera, half };
        let levels = front.levels(&planes);
        if form.bytes {
            // Such a tower casts, normalises and transposes itself: a cast of what is float32 already changes nothing.
            return graph.node("Transpose", &[&levels], vec![("perm", Ints(vec![0, 2, 3, 1]))]);
        }
        front::normalised(graph, preprocess, Values::Pixels, &levels)
    });
    graph.rename(IMAGE, first);
    graph.name = "camera".to_owned();
    graph
}

/// What makes pixels of planes.
struct Front<'a> {
    graph: &'a mut Graph,
    preprocess: &'a Preprocess,
    camera: &'a Camera,
    half: bool,
}

impl Front<'_> {
    /// Pixels of the model's size, whole numbers from 0 to 255 as float32 `[batch, 3, S, S]`; `[batch, 1, S, S]` of frames without colours.
    fn levels(&mut self, planes: &[String]) -> String {
        let groups = self.camera.groups();
        let resized: Vec<String> = groups.iter().map(|group| self.resized(group, planes)).collect();
        let mut pixels = self.joined(&resized);
        if self.half {
            pixels = self.cast(&pixels, Element::Float32);
        }
        if self.camera.layout.format.is_yuv() {
            let to_rgb = self.camera.layout.color.to_rgb();
            let weights = to_rgb.matrix.iter().flatten().map(|&weight| weight as f32).collect();
            let offset = |row: &[f64; 3]| row.iter().zip(to_rgb.offset).map(|(a, x)| a * x).sum::<f64>();
            let offsets = to_rgb.matrix.iter().map(|row| -offset(row) as f32).collect();
            let weights = self.graph.constant("to_rgb".to_owned(), vec![3, 3, 1, 1], Data::Float32(weights));
            let offsets = self.graph.constant("to_rgb_offset".to_owned(), vec![3], Data::Float32(offsets));
            let kernel = vec![("kernel_shape", Ints(vec![1, 1]))];
            pixels = self.graph.node("Conv", &[&pixels, &weights, &offsets], kernel);
        }
        if self.camera.view.orientation.swaps_sides() {
            pixels = self.graph.node("Transpose", &[&pixels], vec![("perm", Ints(vec![0, 1, 3, 2]))]);
        }
        self.whole(&pixels, false)
    }

    /// The samples of a group at the model's size, `[batch, kinds, S, S]`; rows and columns as in the frame.
    fn resized(&mut self, group: &Group, planes: &[String]) -> String {
        let Camera { layout, view } = *self.camera;
        let (part, swaps) = (view.part(&layout), view.orientation.swaps_sides());
        let seen = if swaps { [part.height, part.width] } else { [part.width, part.height] };
        let axes = self.preprocess.resampling(seen[0], seen[1]);
        let [of_columns, of_rows] = if swaps { [axes[1], axes[0]] } else { axes };
        let matrix = |resampling, before, axis: usize| {
            let (reversed, pixels) = (self.camera.reversed()[axis], group.pixels[axis]);
            Matrix::new(resampling::Axis { resampling, before, reversed, pixels })
        };
        let (columns, rows) = (matrix(of_columns, part.left, 0), matrix(of_rows, part.top, 1));
        let samples: Vec<String> = group
            .first
            .iter()
            .map(|first| self.samples(planes, *first, group.step, &columns, &rows))
            .collect();
        let mut value = self.joined(&samples);
        let [x, y] = [(&columns, true), (&rows, false)].map(|(matrix, of_columns)| {
            let sizes = [matrix.outputs, matrix.samples.len()];
            match of_columns {
                true => self.numbers("columns", vec![sizes[1], sizes[0]], matrix.columns()),
                false => self.numbers("rows", sizes.to_vec(), matrix.rows()),
            }
        });
        // Columns of pixels are seen as rows where sides are swapped.
        let columns_first = vertical_first(axes) == swaps;
        for pass in [columns_first, !columns_first] {
            value = match pass {
                true => self.graph.node("MatMul", &[&value, &x], vec![]),
                false => self.graph.node("MatMul", &[&y, &value], vec![]),
            };
            if pass == columns_first {
                value = match self.rounds_between() {
                    true => self.whole(&value, self.half),
                    false => self.cut_to_pixels(&value, self.half),
                };
            }
        }
        value
    }

    /// Whether numbers are rounded between the two passes, as Pillow does: of pixels, of which the result is then Pillow's own. Of what becomes
    /// pixels later Pillow rounds something else, and to round here would only add to that.
    fn rounds_between(&self) -> bool {
        let format = self.camera.layout.format;
        !format.is_yuv() && format != PixelFormat::Gray16
    }

    /// One kind of sample, as far as it counts: `[batch, 1, rows, columns]`.
    fn samples(
        &mut self,
        planes: &[String],
        (plane, first): (usize, usize),
        step: usize,
        columns: &Matrix,
        rows: &Matrix,
    ) -> String {
        let deep = self.camera.layout.format == PixelFormat::Gray16;
        let element = if self.half && !deep { Element::Float16 } else { Element::Float32 };
        let plane = self.cast(&planes[plane], element);
        let at = |sample: usize, byte: usize| (first + byte + sample * step) as i64;
        let mut cut = |byte: usize| {
            let starts = [rows.samples.start as i64, at(columns.samples.start, byte)];
            let ends = [rows.samples.end as i64, at(columns.samples.end, byte) + 1 - step as i64];
            self.sliced(&plane, starts, ends, step as i64)
        };
        let low = cut(0);
        let samples = if deep {
            let high = cut(1);
            self.brightness(&low, &high)
        } else {
            low
        };
        let axis = self.integers("first_axis", &[1]);
        self.graph.node("Unsqueeze", &[&samples, &axis], vec![])
    }

    /// 0 to 255, of the two bytes of levels; whole numbers, as the processor makes them before it resizes.
    fn brightness(&mut self, low: &str, high: &str) -> String {
        let (black, white) = self.camera.layout.levels;
        let factor = 255.0 / (f64::from(white) - f64::from(black));
        let mut number = |name: &str, value: f64| {
            self.graph.constant(name.to_owned(), vec![], Data::Float32(vec![value as f32]))
        };
        let [factor, higher, summand] =
            [("level", factor), ("high_level", 256.0 * factor), ("black", -f64::from(black) * factor)]
                .map(|(name, value)| number(name, value));
        let low = self.graph.node("Mul", &[low, &factor], vec![]);
        let high = self.graph.node("Mul", &[high, &higher], vec![]);
        let sum = self.graph.node("Add", &[&low, &high], vec![]);
        let level = self.graph.node("Add", &[&sum, &summand], vec![]);
        let level = self.whole(&level, false);
        if self.half { self.cast(&level, Element::Float16) } else { level }
    }

    /// Rows `starts[0]..ends[0]` and every `step`th of the bytes `starts[1]..ends[1]` of `[batch, rows, stride]`.
    fn sliced(&mut self, plane: &str, starts: [i64; 2], ends: [i64; 2], step: i64) -> String {
        let parts = [("starts", starts), ("ends", ends), ("axes", [1, 2]), ("steps", [1, step])];
        let [starts, ends, axes, steps] = parts.map(|(name, values)| self.integers(name, &values));
        self.graph.node("Slice", &[plane, &starts, &ends, &axes, &steps], vec![])
    }

    /// Rounded and cut to what a byte can hold.
    fn whole(&mut self, value: &str, half: bool) -> String {
        let rounded = self.graph.node("Round", &[value], vec![]);
        self.cut_to_pixels(&rounded, half)
    }

    fn cut_to_pixels(&mut self, value: &str, half: bool) -> String {
        let [least, most] = [("least", 0.0), ("most", 255.0)].map(|(name, bound)| {
            let data = Data::Float32(vec![bound]);
            let (name, data) = match half {
                true => (format!("{name}_float16"), Data::Half(Box::new(data))),
                false => (name.to_owned(), data),
            };
            self.graph.constant(name, vec![], data)
        });
        self.graph.node("Clip", &[value, &least, &most], vec![])
    }

    fn joined(&mut self, values: &[String]) -> String {
        match values {
            [one] => one.clone(),
            several => {
                let several: Vec<&str> = several.iter().map(String::as_str).collect();
                self.graph.node("Concat", &several, vec![("axis", Int(1))])
            }
        }
    }

    fn cast(&mut self, value: &str, element: Element) -> String {
        self.graph.node("Cast", &[value], vec![("to", Int(element as i64))])
    }

    fn numbers(&mut self, name: &str, shape: Vec<usize>, numbers: Vec<f32>) -> String {
        let data = Data::Float32(numbers);
        let data = if self.half { Data::Half(Box::new(data)) } else { data };
        self.graph.constant(name.to_owned(), shape, data)
    }

    fn integers(&mut self, name: &str, values: &[i64]) -> String {
        self.graph.constant(name.to_owned(), vec![values.len()], Data::Int64(values.to_vec()))
    }
}
