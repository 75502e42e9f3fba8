//! The curves of a run as a picture, `DIR/curves.svg`, drawn from its log: it needs a browser, and follows its light or dark
//! colours.

mod axis;
mod series;

use std::fmt::Write;
use std::path::Path;

use clip_model::files;

use crate::error::{Error, Result};
use crate::log;
use axis::Axis;
use series::{Panel, panels};

/// The name of the picture in the output folder.
pub const FILE: &str = "curves.svg";

/// Width and height of a panel with its labels, pixels.
const PANEL: (f64, f64) = (440.0, 240.0);

/// Space around the curves of a panel: left, right, top, bottom.
const MARGIN: [f64; 4] = [60.0, 24.0, 34.0, 36.0];

/// Panels side by side.
const COLUMNS: usize = 2;

/// Colours of curves in [`STYLE`].
const COLOURS: usize = 4;

const STYLE: &str = "<style>
text { font: 12px system-ui, sans-serif; fill: #59636e; }
.title { font-weight: 600; font-size: 13px; fill: #1f2328; }
.back { fill: #ffffff; }
.grid { stroke: #d8dee4; stroke-width: 1; }
.raw, .mean { fill: none; stroke-linejoin: round; stroke-linecap: round; stroke-width: 1.6; }
.raw { opacity: 0.3; stroke-width: 1; }
.c0 { stroke: #0969da; } .c1 { stroke: #bc4c00; } .c2 { stroke: #1a7f37; } .c3 { stroke: #8250df; }
.f0 { fill: #0969da; } .f1 { fill: #bc4c00; } .f2 { fill: #1a7f37; } .f3 { fill: #8250df; }
@media (prefers-color-scheme: dark) {
  text { fill: #9198a1; } .title { fill: #e6edf3; } .back { fill: #0d1117; } .grid { stroke: #2a313c; }
  .c0 { stroke: #58a6ff; } .c1 { stroke: #f0883e; } .c2 { stroke: #3fb950; } .c3 { stroke: #bc8cff; }
  .f0 { fill: #58a6ff; } .f1 { fill: #f0883e; } .f2 { fill: #3fb950; } .f3 { fill: #bc8cff; }
}
</style>
";

/// Draws the curves of the run in `out`, in place of older ones. A log without figures gives none.
///
/// # Errors
/// [`Error::Io`] when the log cannot be read or the picture not written.
pub fn draw(out: &Path) -> Result<()> {
    let panels = panels(&files::read_text(&out.join(log::FILE))?);
    if panels.is_empty() {
        return Ok(());
    }
    let path = out.join(FILE);
    let svg = picture(&panels);
    files::write_atomically(&path, |out| std::io::Write::write_all(out, svg.as_bytes())).map_err(Error::from)
}

fn picture(panels: &[Panel]) -> String {
    let (width, height) = (PANEL.0 * COLUMNS as f64, PANEL.1 * panels.len().div_ceil(COLUMNS) as f64);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n{STYLE}\
         <rect width=\"100%\" height=\"100%\" class=\"back\"/>\n"
    );
    for (number, panel) in panels.iter().enumerate() {
        let (x, y) = ((number % COLUMNS) as f64 * PANEL.0, (number / COLUMNS) as f64 * PANEL.1);
        draw_panel(&mut svg, panel, x, y);
    }
    svg.push_str("</svg>\n");
    svg
}

/// A panel whose upper left corner is at `x`, `y`.
fn draw_panel(svg: &mut String, panel: &Panel, x: f64, y: f64) {
    let [left, right, top, bottom] = MARGIN;
    let (x0, x1, y0, y1) = (x + left, x + PANEL.0 - right, y + top, y + PANEL.1 - bottom);
    let points = || panel.curves.iter().flat_map(|curve| &curve.points);
    let steps = Axis::of(points().map(|point| point.0));
    let values = Axis::of(points().map(|point| point.1));
    let place = |(step, value): (f64, f64)| {
        (x0 + steps.place(step) * (x1 - x0), y1 - values.place(value) * (y1 - y0))
    };
    let _ =
        writeln!(svg, "<text class=\"title\" x=\"{x0}\" y=\"{}\">{}</text>", y + 20.0, escaped(panel.title));
    for (value, label) in values.marks() {
        let at = place((0.0, value)).1;
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{x0}\" x2=\"{x1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            x0 - 8.0,
            at + 4.0
        );
    }
    for (step, label) in steps.marks() {
        let at = place((step, 0.0)).0;
        let _ =
            writeln!(svg, "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>", y1 + 18.0);
    }
    let mut legend = x1;
    for (number, curve) in panel.curves.iter().enumerate() {
        let colour = number % COLOURS;
        let mut line = |class: &str, points: &[(f64, f64)]| {
            let path: Vec<String> =
                points.iter().map(|&point| place(point)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let _ = writeln!(svg, "<polyline class=\"{class} c{colour}\" points=\"{}\"/>", path.join(" "));
        };
        match &curve.smooth {
            Some(smooth) => {
                line("raw", &curve.points);
                line("mean", smooth);
            }
            None => line("mean", &curve.points),
        }
        // A curve of one point is no line.
        if let [point] = curve.points[..] {
            let (x, y) = place(point);
            let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" class=\"f{colour}\"/>");
        }
        if panel.curves.len() > 1 {
            let _ = writeln!(
                svg,
                "<text x=\"{legend:.1}\" y=\"{}\" text-anchor=\"end\" class=\"f{colour}\">{}</text>",
                y + 20.0,
                escaped(&curve.name)
            );
            legend -= 7.0 * curve.name.chars().count() as f64 + 12.0;
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_becomes_a_picture_and_an_empty_one_none() {
        let out = tempfile::tempdir().unwrap();
        std::fs::write(out.path().join(log::FILE), "").unwrap();
        draw(out.path()).unwrap();
        assert!(!out.path().join(FILE).exists());
        let lines: String = (1..=40)
            .map(|step| {
                format!(
                    "{{\"step\":{step},\"loss\":{},\"lr\":0.001,\"logit_scale\":14.3,\"gradient_norm\":1.5,\"samples_per_second\":90.0}}\n",
                    4.0 - 0.05 * step as f64
                )
            })
            .collect();
        let validation =
            "{\"step\":40,\"validation\":{\"total\":{\"shard\":\"a<b.tar\",\"top1\":{\"value\":0.5}}}}\n";
        std::fs::write(out.path().join(log::FILE), lines + validation).unwrap();
        draw(out.path()).unwrap();
        let svg = std::fs::read_to_string(out.path().join(FILE)).unwrap();
        for title in ["loss", "learning rate", "logit scale", "gradient norm", "samples/s", "validation"] {
            assert!(svg.contains(&format!(">{title}<")), "{title}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("a<b") && svg.ends_with("</svg>\n"), "{svg}");
        assert!(svg.contains("prefers-color-scheme: dark"));
    }
}
