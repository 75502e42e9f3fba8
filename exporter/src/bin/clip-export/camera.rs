//! `--camera`: the image encoder for the frames of one camera, as they lie in memory.

use std::fmt::Display;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use clip_exporter::Camera;
use clip_model::frame::{Color, ColorMatrix, ColorRange, FrameLayout, PixelFormat, Rect, View};
use clip_model::orientation::Orientation;

/// The camera that there is a graph for, if any.
#[derive(Debug, Args)]
pub struct CameraArguments {
    /// Also write camera.onnx, the image encoder with all preprocessing in front of it, for frames of this format and size as the camera
    /// delivers them, with these bytes from row to row in each plane (of the first plane alone, the others follow from it), as nv12:1920x1080:2048:
    /// its planes in, an embedding out. Formats: rgb, bgr, rgba, bgra, rgbp, gray8, gray16, nv12, nv21, i420, yuyv, uyvy. For GPUs, which
    /// then take frames from their own memory; processors resize with a tenth of the work, and do without it
    #[arg(long, value_name = "FORMAT:WxH[:PITCH[,PITCH...]]", value_parser = layout)]
    camera: Option<FrameLayout>,

    /// Which colours the camera's Y, U and V are: bt601, bt709 or bt2020, then limited or full
    /// [default: bt601-limited of up to 576 rows, else bt709-limited]
    #[arg(long, value_name = "MATRIX-RANGE", requires = "camera", value_parser = color)]
    camera_color: Option<Color>,

    /// What is black and what is white of gray16; the first may be the larger one [default: 0:65535]
    #[arg(long, value_name = "BLACK:WHITE", requires = "camera", value_parser = levels)]
    camera_levels: Option<(u16, u16)>,

    /// The part of the camera's frames that counts, in the frame as it lies in memory [default: all of it]
    #[arg(long, value_name = "LEFT,TOP,WIDTHxHEIGHT", requires = "camera", value_parser = rect)]
    camera_crop: Option<Rect>,

    /// How the camera's frames are turned to be looked at
    #[arg(long, value_name = "TURN", requires = "camera")]
    camera_turn: Option<Turn>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Turn {
    /// As they are
    None,
    /// By a quarter clockwise
    Right,
    /// By half
    Half,
    /// By a quarter counterclockwise
    Left,
    /// Left and right change places
    Mirror,
    /// Top and bottom change places
    Flip,
    /// Rows become columns
    Transpose,
    /// Mirrored on the other diagonal
    Transverse,
}

impl From<Turn> for Orientation {
    fn from(turn: Turn) -> Orientation {
        match turn {
            Turn::None => Orientation::Normal,
            Turn::Right => Orientation::TurnedRight,
            Turn::Half => Orientation::UpsideDown,
            Turn::Left => Orientation::TurnedLeft,
            Turn::Mirror => Orientation::MirroredSideways,
            Turn::Flip => Orientation::MirroredUpDown,
            Turn::Transpose => Orientation::Transposed,
            Turn::Transverse => Orientation::Transversed,
        }
    }
}

impl CameraArguments {
    /// The camera.
    pub fn camera(&self) -> Option<Camera> {
        let layout = self.camera?;
        let layout = FrameLayout {
            color: self.camera_color.unwrap_or(layout.color),
            levels: self.camera_levels.unwrap_or(layout.levels),
            ..layout
        };
        let orientation = self.camera_turn.map(Orientation::from).unwrap_or_default();
        Some(Camera { layout, view: View { crop: self.camera_crop, orientation } })
    }

    /// Refuses what would have no effect.
    pub fn check(&self) -> Result<(), clip_program::Usage> {
        let refused = |what: &str| Err(clip_program::Usage(what.to_owned()));
        match self.camera.map(|layout| layout.format) {
            Some(format) if self.camera_color.is_some() && !format.is_yuv() => {
                refused("--camera-color is about Y, U and V, which this --camera does not have: leave it out")
            }
            Some(format) if self.camera_levels.is_some() && format != PixelFormat::Gray16 => {
                refused("--camera-levels is about gray16: leave it out")
            }
            _ => Ok(()),
        }
    }
}

/// `nv12:1920x1080`, `nv12:1920x1080:2048` or `i420:1920x1080:2048,1024,1024`.
fn layout(text: &str) -> Result<FrameLayout, String> {
    let mut parts = text.split(':');
    let (Some(format), Some(size)) = (parts.next(), parts.next()) else {
        return Err("it is a format and a size, as nv12:1920x1080".to_owned());
    };
    let (pitches, rest) = (parts.next(), parts.next());
    if rest.is_some() {
        return Err("it is a format, a size and bytes from row to row, as nv12:1920x1080:2048".to_owned());
    }
    let format: PixelFormat = format.parse().map_err(|e| format!("{format:?} is no format: {e}"))?;
    let [width, height] = numbers(size, 'x').ok_or(format!("{size:?} is no size, as 1920x1080"))?;
    let layout = FrameLayout::new(format, width, height).map_err(|e| e.to_string())?;
    let Some(pitches) = pitches else { return Ok(layout) };
    let planes = format.planes();
    let given: Option<Vec<usize>> = pitches.split(',').map(|pitch| pitch.parse().ok()).collect();
    let mut strides = layout.strides;
    match given.as_deref() {
        // Planes of half the width have half of it.
        Some([first]) => {
            for (own, plane) in layout.strides.into_iter().zip(&mut strides) {
                *plane = if own < layout.strides[0] { first.div_ceil(2).min(first * own) } else { *first };
            }
        }
        Some(all) if all.len() == planes => strides[..planes].copy_from_slice(all),
        _ => {
            return Err(format!(
                "{pitches:?} is not the bytes from row to row of {planes} planes, or of the first alone"
            ));
        }
    }
    let layout = FrameLayout { strides, ..layout };
    layout.check().map_err(|e| e.to_string())?;
    Ok(layout)
}

/// `bt709-limited`
fn color(text: &str) -> Result<Color, String> {
    let bad = || format!("{text:?} is not bt601, bt709 or bt2020, then -limited or -full");
    let (matrix, range) = text.split_once('-').ok_or_else(bad)?;
    let matrix = match matrix {
        "bt601" => ColorMatrix::Bt601,
        "bt709" => ColorMatrix::Bt709,
        "bt2020" => ColorMatrix::Bt2020,
        _ => return Err(bad()),
    };
    let range = match range {
        "limited" => ColorRange::Limited,
        "full" => ColorRange::Full,
        _ => return Err(bad()),
    };
    Ok(Color { matrix, range })
}

/// `1000:30000`
fn levels(text: &str) -> Result<(u16, u16), String> {
    match numbers(text, ':') {
        Some([black, white]) => Ok((black, white)),
        None => Err(format!("{text:?} is not BLACK:WHITE, as 1000:30000")),
    }
}

/// `100,0,1080x1080`
fn rect(text: &str) -> Result<Rect, String> {
    let bad = || format!("{text:?} is not LEFT,TOP,WIDTHxHEIGHT, as 420,0,1080x1080");
    let (place, size) = text.rsplit_once(',').ok_or_else(bad)?;
    let [left, top] = numbers(place, ',').ok_or_else(bad)?;
    let [width, height] = numbers(size, 'x').ok_or_else(bad)?;
    Ok(Rect { left, top, width, height })
}

fn numbers<T: FromStr<Err: Display>>(text: &str, between: char) -> Option<[T; 2]> {
    let (first, second) = text.split_once(between)?;
    Some([first.parse().ok()?, second.parse().ok()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_is_a_format_a_size_and_pitches() {
        let strides = |text: &str| layout(text).map(|layout| layout.strides);
        assert_eq!(strides("nv12:1920x1080"), Ok([1920, 1920, 0]));
        assert_eq!(strides("nv12:1920x1080:2048"), Ok([2048, 2048, 0]));
        assert_eq!(strides("i420:1920x1080:2048"), Ok([2048, 1024, 1024]));
        assert_eq!(strides("rgbp:64x4:80"), Ok([80, 80, 80]));
        assert_eq!(strides("i420:1920x1080:2048,1000,960"), Ok([2048, 1000, 960]));
        assert_eq!(strides("rgb:5x3:16"), Ok([16, 0, 0]));
        for (text, reason) in [
            ("nv12", "a format and a size"),
            ("nv13:4x4", "expected one of rgb"),
            ("nv12:4", "is no size"),
            ("nv12:0x4", "expected 1 to 65536"),
            ("nv12:4x4:3", "the stride of plane 0 is 3 bytes"),
            ("nv12:4x4:8,8,8", "of 2 planes, or of the first alone"),
            ("nv12:4x4:a", "of 2 planes"),
            ("nv12:4x4:8:8", "bytes from row to row"),
        ] {
            let said = layout(text).unwrap_err();
            assert!(said.contains(reason), "{text}: {said}");
        }
    }

    #[test]
    fn the_rest_is_written_as_it_is_told() {
        assert_eq!(color("bt2020-full"), Ok(Color { matrix: ColorMatrix::Bt2020, range: ColorRange::Full }));
        assert!(color("bt709").is_err() && color("709-limited").is_err() && color("bt709-wide").is_err());
        assert_eq!(levels("1000:300"), Ok((1000, 300)));
        assert!(levels("1000").is_err() && levels("0:65536").is_err());
        assert_eq!(rect("420,0,1080x720"), Ok(Rect { left: 420, top: 0, width: 1080, height: 720 }));
        assert!(rect("0,1080x720").is_err() && rect("1,2,3").is_err());
    }
}
