//! The curves that a log holds.

use serde_json::Value;

/// Points of a curve at most: more are not seen.
const POINTS: usize = 1000;

/// Curves in one picture.
#[derive(Debug, PartialEq)]
pub struct Panel {
    /// What they show.
    pub title: &'static str,
    /// The curves; at least one, each of one point or more.
    pub curves: Vec<Curve>,
}

/// A figure over the steps.
#[derive(Debug, PartialEq)]
pub struct Curve {
    /// What it is called where there are several.
    pub name: String,
    /// Step and value.
    pub points: Vec<(f64, f64)>,
    /// The running mean, for figures that jump.
    pub smooth: Option<Vec<(f64, f64)>>,
}

/// Titles of the figures of steps, how the log names them, and whether they jump.
const FIGURES: [(&str, &str, bool); 5] = [
    ("loss", "loss", true),
    ("learning rate", "lr", false),
    ("logit scale", "logit_scale", false),
    ("gradient norm", "gradient_norm", true),
    ("samples/s", "samples_per_second", true),
];

/// Names of a validation's figures, and where they are in its total; of retrieval, what is found first.
const VALIDATION: [(&str, &str); 4] = [
    ("top-1", "/top1/value"),
    ("top-5", "/top5/value"),
    ("image→text", "/image_to_text/r1/value"),
    ("text→image", "/text_to_image/r1/value"),
];

/// The panels of a log of JSON lines; those without a figure are left out.
pub fn panels(log: &str) -> Vec<Panel> {
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let mut panels = Vec::new();
    for (title, name, jumps) in FIGURES {
        let points = points(&lines, |line| line[name].as_f64());
        let smooth = (jumps && points.len() > 20).then(|| smooth(&points));
        let curve = Curve { name: name.to_owned(), points, smooth };
        panels.push(Panel { title, curves: vec![curve] });
    }
    let of_validation = |name: &str, place: &str| {
        let points = points(&lines, |line| line["validation"]["total"].pointer(place)?.as_f64());
        Curve { name: name.to_owned(), points, smooth: None }
    };
    panels[0].curves.push(of_validation("validation", "/loss"));
    let validation = VALIDATION.map(|(name, place)| of_validation(name, place));
    panels.push(Panel { title: "validation", curves: validation.into() });
    for panel in &mut panels {
        panel.curves.retain(|curve| !curve.points.is_empty());
    }
    panels.retain(|panel| !panel.curves.is_empty());
    panels
}

/// The finite values of the lines that have one, by step; thinned out where there are very many.
fn points(lines: &[Value], value: impl Fn(&Value) -> Option<f64>) -> Vec<(f64, f64)> {
    let point = |line: &Value| Some((line["step"].as_f64()?, value(line).filter(|v| v.is_finite())?));
    let all: Vec<(f64, f64)> = lines.iter().filter_map(point).collect();
    let every = all.len().div_ceil(POINTS).max(1);
    // The last one says how it ended.
    let is_kept = |n: usize| n.is_multiple_of(every) || n + 1 == all.len();
    all.iter().enumerate().filter(|(n, _)| is_kept(*n)).map(|(_, point)| *point).collect()
}

/// Means over a window of a twentieth of the curve around each point.
fn smooth(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let half = (points.len() / 40).max(2);
    let mean = |n: usize| {
        let window = &points[n.saturating_sub(half)..(n + half + 1).min(points.len())];
        window.iter().map(|point| point.1).sum::<f64>() / window.len() as f64
    };
    points.iter().enumerate().map(|(n, point)| (point.0, mean(n))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_curves() {
        let mut log = String::from("{\"step\":0,\"resumed\":[]}\nno json\n");
        for step in 1..=3000 {
            let loss = if step % 2 == 0 { 1.0 } else { 3.0 };
            log.push_str(&format!("{{\"step\":{step},\"loss\":{loss},\"lr\":null}}\n"));
        }
        log.push_str("{\"step\":3000,\"validation\":{\"shards\":[],\"total\":{\"loss\":2.5,\"top1\":{\"value\":0.3}}}}\n");
        let panels = panels(&log);
        let titles: Vec<&str> = panels.iter().map(|panel| panel.title).collect();
        assert_eq!(titles, ["loss", "validation"]);
        let [loss, of_validation] = &panels[0].curves[..] else { panic!("{panels:?}") };
        assert_eq!(of_validation.points, [(3000.0, 2.5)]);
        assert!((900..=1001).contains(&loss.points.len()), "{}", loss.points.len());
        assert_eq!(loss.points.last(), Some(&(3000.0, 1.0)));
        let smooth = loss.smooth.as_ref().unwrap();
        assert!(smooth.iter().all(|point| (1.8..2.2).contains(&point.1)), "{smooth:?}");
        let [top1] = &panels[1].curves[..] else { panic!("{panels:?}") };
        assert_eq!(top1.name, "top-1");
        assert!((top1.points[0].1 - 0.3).abs() < 1e-12);
    }
}
