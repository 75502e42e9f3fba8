//! What was measured, as a table or as JSON.

use std::io::{self, Write};

use anyhow::Result;
use clip_program::Kept;
use clip_runtime::{Clip, EngineInfo, Precision};
use serde_json::{Value, json};

use super::case::Case;
use super::machine::Machine;
use super::measure::{Plan, Times};
use super::start::Start;

pub struct Report<'a> {
    pub clip: &'a Clip,
    pub machine: Machine,
    pub plan: Plan,
    pub spins: bool,
    pub rows: Vec<(&'a Case<'a>, &'a Times)>,
    pub start: Option<Start>,
    /// Of this process, bytes.
    pub peak_memory: Option<u64>,
}

impl Report<'_> {
    pub fn print(&self, in_json: bool) -> Result<()> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        match in_json {
            true => writeln!(out, "{}", self.json()),
            false => self.write(&mut out),
        }
        .and_then(|()| out.flush())
        .on_stdout()
    }

    /// What runs each encoder that the folder has.
    fn engines(&self) -> impl Iterator<Item = (&'static str, &EngineInfo, Option<Precision>)> {
        let clip = self.clip;
        let image = clip.image_engine().map(|engine| ("image", engine, clip.image_precision()));
        let text = clip.text_engine().map(|engine| ("text", engine, clip.text_precision()));
        image.into_iter().chain(text)
    }

    fn json(&self) -> Value {
        let engine = |(_, engine, precision): (_, &EngineInfo, Option<Precision>)| {
            json!({
                "engine": engine.name,
                "version": engine.version,
                "device": engine.device.name(),
                "device_name": engine.device_name,
                "precision": precision.map(Precision::name),
            })
        };
        let mut runs_on = serde_json::Map::new();
        runs_on.extend(self.engines().map(|found| (found.0.to_owned(), engine(found))));
        runs_on.extend([("threads", json!(self.clip.threads())), ("spinning", json!(self.spins))].map(named));
        let row = |(case, times): &(&Case<'_>, &Times)| {
            let [p50, p95, p99] = [50, 95, 99].map(|percent| rounded(1e3 * times.percentile(percent)));
            let [min, max] =
                [times.calls.first(), times.calls.last()].map(|found| found.map(|s| rounded(1e3 * s)));
            let [low, high] =
                [times.rates.first(), times.rates.last()].map(|found| found.map(|&rate| rounded(rate)));
            json!({
                "what": case.kind(),
                "input": case.name(),
                "batch": case.batch,
                "callers": case.callers,
                "calls": times.calls.len(),
                "milliseconds": { "p50": p50, "p95": p95, "p99": p99, "min": min, "max": max },
                "per_second": { "median": rounded(times.rate()), "min": low, "max": high },
            })
        };
        let start = self.start.as_ref().map(|start| {
            json!({
                "processes": start.processes,
                "open_ms": rounded(1e3 * start.open),
                "labels_ms": start.labels.map(|seconds| rounded(1e3 * seconds)),
                "first_ms": rounded(1e3 * start.first),
                "total_ms": rounded(1e3 * start.total),
            })
        });
        json!({
            "model": self.clip.name(),
            "clip_run": env!("CARGO_PKG_VERSION"),
            "machine": self.machine,
            "runs_on": runs_on,
            "settings": { "seconds": self.plan.seconds, "rounds": self.plan.rounds },
            "measurements": self.rows.iter().map(row).collect::<Vec<_>>(),
            "start": start,
            "peak_memory_bytes": {
                "start": self.start.as_ref().and_then(|start| start.peak_memory),
                "all": self.peak_memory,
            },
        })
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let Machine { cpu, features, processors } = &self.machine;
        writeln!(out, "model        {}", self.clip.name())?;
        for (tower, EngineInfo { name, version, device, device_name, .. }, precision) in self.engines() {
            let precision = precision.map_or("", Precision::name);
            let on =
                device_name.as_ref().map_or_else(|| device.to_string(), |name| format!("{device}, {name}"));
            writeln!(out, "{tower:<12} {precision}, {name} {version} on {on}")?;
        }
        let sleep = if self.spins { "spin before they sleep" } else { "sleep when they wait" };
        let threads = self.clip.threads();
        writeln!(out, "threads      {threads}, which {sleep}")?;
        writeln!(out, "machine      {cpu} ({}), {processors} processors", features.join(" "))?;
        let Plan { seconds, rounds } = self.plan;
        writeln!(
            out,
            "measured     {seconds} s a row, in {rounds} rounds; clip-run {}",
            env!("CARGO_PKG_VERSION")
        )?;
        if !self.rows.is_empty() {
            let names = self.rows.iter().map(|(case, _)| case.name().chars().count());
            let width = names.max().unwrap_or(0).max(5);
            let head = "batch  callers     p50 ms     p95 ms     p99 ms    per second  (lowest to highest)";
            writeln!(out, "\n{:<8} {:<width$}  {head}", "", "input")?;
            self.rows.iter().try_for_each(|row| write_row(out, width, row))?;
        }
        if let Some(start) = &self.start {
            write_start(out, start)?;
        }
        let mb = |bytes: Option<u64>| bytes.map(|bytes| format!("{:.0} MB", bytes as f64 / 1e6));
        let fresh = mb(self.start.as_ref().and_then(|start| start.peak_memory));
        let parts =
            [(fresh, "a fresh process"), (mb(self.peak_memory), "all measurements, their inputs included")];
        let parts: Vec<String> =
            parts.into_iter().filter_map(|(mb, of)| Some(format!("{} for {of}", mb?))).collect();
        if !parts.is_empty() {
            writeln!(out, "\npeak memory  {}", parts.join(", "))?;
        }
        Ok(())
    }
}

/// To four digits behind the point: a clock tells no more.
fn rounded(value: f64) -> f64 {
    (1e4 * value).round() / 1e4
}

fn named((name, value): (&str, Value)) -> (String, Value) {
    (name.to_owned(), value)
}

fn write_row(out: &mut impl Write, width: usize, (case, times): &(&Case<'_>, &Times)) -> io::Result<()> {
    let (kind, name, batch, callers) = (case.kind(), case.name(), case.batch, case.callers);
    write!(out, "{kind:<8} {name:<width$}  {batch:>5}  {callers:>7}")?;
    for percent in [50, 95, 99] {
        write!(out, " {:>10.2}", 1e3 * times.percentile(percent))?;
    }
    let ends = times.rates.first().zip(times.rates.last()).unwrap_or((&f64::NAN, &f64::NAN));
    writeln!(out, "  {:>12.1}  ({:.1} to {:.1})", times.rate(), ends.0, ends.1)
}

fn write_start(out: &mut impl Write, start: &Start) -> io::Result<()> {
    let Start { open, labels, first, total, processes, .. } = start;
    write!(out, "\nstart        {:.1} ms to the first result: {:.1} ms to open", 1e3 * total, 1e3 * open)?;
    if let Some(labels) = labels {
        write!(out, ", {:.1} ms for three labels", 1e3 * labels)?;
    }
    writeln!(
        out,
        ", {:.1} ms for the first; medians of {processes} processes, files in the system's cache",
        1e3 * first
    )
}
