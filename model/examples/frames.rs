//! Frames to a model's input, for comparison with other programs.
//!
//! Reads one JSON object a line from standard input. `input` is a file with the planes of a frame after each other, all rows padded to their stride, `format`, `width`, `height`, and, where they
//! differ from [`FrameLayout::new`]'s, `strides`, `matrix` (`601`, `709`, `2020`), `full` range, `levels`; `crop` (left, top, width, height) and `orientation`
//! (Exif's number) say what counts of it; `preprocess` has the fields of [`Preprocess`] that are not the defaults.
//!
//! With `output`, a file to write: packed RGB of the model's size. With `rounds`, the seconds of that many calls of `apply_frame` on one thread are printed; with
//! `through_rgb`, those of the way round full-size RGB: converted by hand, then `apply`. Prints one line of JSON for each: `{"seconds":[..]}` or `{"error":".."}`.

use std::io::BufRead;
use std::path::PathBuf;
use std::time::Instant;

use clip_model::Preprocess;
use clip_model::frame::{ColorMatrix, ColorRange, Frame, FrameLayout, PixelFormat, Rect, View};
use clip_model::orientation::Orientation;
use clip_model::preprocess::{Image, Scratch};
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    input: PathBuf,
    format: String,
    width: usize,
    height: usize,
    strides: Option<[usize; 3]>,
    matrix: Option<u16>,
    full: Option<bool>,
    levels: Option<(u16, u16)>,
    crop: Option<[usize; 4]>,
    #[serde(default = "upright")]
    orientation: u64,
    #[serde(default)]
    preprocess: Map<String, Value>,
    output: Option<PathBuf>,
    #[serde(default)]
    rounds: usize,
    #[serde(default)]
    through_rgb: bool,
}

fn upright() -> u64 {
    1
}

type AnyError = Box<dyn std::error::Error>;

fn main() -> Result<(), AnyError> {
    let mut scratch = Scratch::default();
    for line in std::io::stdin().lock().lines() {
        let request: Request = serde_json::from_str(&line?)?;
        match run(&request, &mut scratch) {
            Ok(answer) => println!("{answer}"),
            Err(error) => println!("{}", json!({"error": error.to_string()})),
        }
    }
    Ok(())
}

fn run(request: &Request, scratch: &mut Scratch) -> Result<Value, AnyError> {
    let mut fields = serde_json::to_value(Preprocess::default())?;
    for (name, value) in &request.preprocess {
        fields[name] = value.clone();
    }
    let preprocess: Preprocess = serde_json::from_value(fields)?;
    preprocess.validate()?;
    let bytes = std::fs::read(&request.input)?;
    let layout = layout(request)?;
    let mut rest = &bytes[..];
    let mut planes = Vec::new();
    for plane in 0..layout.format.planes() {
        let rows = layout.format.plane(plane, layout.width, layout.height).map_or(0, |(_, rows)| rows);
        let (plane, behind) =
            rest.split_at_checked(rows * layout.strides[plane]).ok_or("the file is too short")?;
        planes.push(plane);
        rest = behind;
    }
    let crop = request.crop.map(|[left, top, width, height]| Rect { left, top, width, height });
    let orientation = Orientation::from_exif(request.orientation).ok_or("an unknown orientation")?;
    let frame = Frame::new(layout, &planes)?.seen(View { crop, orientation })?;
    let mut tensor = vec![0.0; 3 * preprocess.size * preprocess.size];
    if let Some(output) = &request.output {
        let mut rgb = vec![0; tensor.len()];
        preprocess.fit_frame(&frame, scratch, &mut rgb)?;
        std::fs::write(output, rgb)?;
    }
    let mut seconds = Vec::new();
    for _ in 0..request.rounds {
        let started = Instant::now();
        if request.through_rgb {
            preprocess.apply(&by_hand(&frame)?, &mut tensor)?;
        } else {
            preprocess.apply_frame(&frame, scratch, &mut tensor)?;
        }
        seconds.push(started.elapsed().as_secs_f64());
    }
    Ok(json!({ "seconds": seconds }))
}

fn layout(request: &Request) -> Result<FrameLayout, AnyError> {
    let mut layout = FrameLayout::new(request.format.parse()?, request.width, request.height)?;
    layout.strides = request.strides.unwrap_or(layout.strides);
    layout.levels = request.levels.unwrap_or(layout.levels);
    layout.color.matrix = match request.matrix {
        None => layout.color.matrix,
        Some(601) => ColorMatrix::Bt601,
        Some(709) => ColorMatrix::Bt709,
        Some(2020) => ColorMatrix::Bt2020,
        Some(other) => return Err(format!("matrix {other}, expected 601, 709 or 2020").into()),
    };
    if let Some(full) = request.full {
        layout.color.range = if full { ColorRange::Full } else { ColorRange::Limited };
    }
    Ok(layout)
}

/// NV12 to RGB as one writes it who needs it, in integers, two rows at a time; other formats as they are defined.
fn by_hand(frame: &Frame) -> Result<Image, AnyError> {
    let layout = frame.layout();
    if layout.format != PixelFormat::Nv12 || frame.view() != View::default() {
        return Ok(frame.to_image()?);
    }
    let map = layout.color.to_rgb();
    let fixed = map.matrix.map(|row| row.map(|weight| (weight * 65536.0).round() as i32));
    let offset = map.offset.map(|offset| offset as i32);
    let mut rgb = vec![0; 3 * layout.width * layout.height];
    for (y, out) in rgb.chunks_exact_mut(3 * layout.width).enumerate() {
        let luma = &frame.plane(0)[y * layout.strides[0]..][..layout.width];
        let chroma = &frame.plane(1)[y / 2 * layout.strides[1]..];
        for ((luma, chroma), out) in luma.chunks(2).zip(chroma.as_chunks::<2>().0).zip(out.chunks_mut(6)) {
            let (u, v) = (i32::from(chroma[0]) - offset[1], i32::from(chroma[1]) - offset[2]);
            for (y, out) in luma.iter().zip(out.as_chunks_mut::<3>().0) {
                let y = i32::from(*y) - offset[0];
                *out = fixed
                    .map(|row| ((row[0] * y + row[1] * u + row[2] * v + 32768) >> 16).clamp(0, 255) as u8);
            }
        }
    }
    Ok(Image::new(layout.width, layout.height, rgb)?)
}
