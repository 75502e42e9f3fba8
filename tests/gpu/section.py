"""The results as a section of BENCHMARKS.md: only what was measured, on a GPU.

    python section.py results.json BENCHMARKS.md     appends it
"""

import json
import statistics
import sys
from pathlib import Path

import machine

TRANSFERS = """From 8-bit pixels of the tower's size in the host's memory to normalised embeddings there, normalising and both copies included; fp32 without
TF32. torch.compile is in its mode reduce-overhead, which keeps CUDA graphs, compiled for each batch. Medians (lowest to highest), pictures per second.
INT8 is ONNX Runtime's: it leaves integers on GPUs to TensorRT, so that these are times of what its CUDA provider does instead."""


def text(report: dict) -> str:
    """The section; nothing where no GPU was measured."""
    figures = {result["name"]: result["figures"] for result in report["checks"] if "figures" in result}
    passed = {result["name"] for result in report["checks"] if result["status"] == "passed"}
    if report["device"] == "cpu" or not figures:
        return ""
    found = report["machine"]
    lines = [f"## On a GPU: {found.get('gpu', report['device'])}, {found['date']}", "", "    make gpu", "", f"{machine.words(found)}.", ""]
    if rows := figures.get("speed", {}).get("rows"):
        lines += [f"Image tower of {figures['speed']['model']} with random weights. {TRANSFERS}", "", *speed(rows), ""]
        lines += [f"Not measured: {entry['what']} ({entry['reason']})." for entry in figures["speed"]["left_out"]]
        integers = [row for row in rows if row["precision"] == "int8" and "libclip fp16" in row["seconds"]]
        for row in integers:
            faster = ratio(row["seconds"]["libclip int8"], row["seconds"]["libclip fp16"])
            lines.append(f"At batch {row['batch']}, int8 takes fp16's time divided by {faster}.")
        lines.append("")
    if rows := figures.get("engines", {}).get("rows"):
        lines += [f"The same by {figures['engines']['engine']} {figures['engines']['version']}.", "", *engines(rows), ""]
    if rows := figures.get("training", {}).get("rows"):
        lines += ["| training of ViT-B/32, samples per second | clip-train | PyTorch (open_clip's loop) | clip-train is faster by |", "|---|---|---|---|"]
        lines += [training(row) for row in rows] + [""]
    if rows := figures.get("embeddings", {}).get("rows"):
        lines += ["| ONNX Runtime on the GPU against fp32 on the CPU | max abs difference | 1 - cosine |", "|---|---|---|"]
        lines += [
            f"| {row['model']}, {row['precision']}, {row['what']} | {row['difference']:.1e} | {1 - row['cosine']:.1e} |" for row in rows
        ]
        lines.append("")
    for precision in ("fp32", "bf16"):
        if f"train-{precision}" in passed:
            run = figures[f"train-{precision}"]
            lines.append(
                f"A small ResNet trained in {precision}, stopped by a signal and resumed, brought its loss from {run['first_loss']:.2f} to"
                f" {run['last_loss']:.2f} in {run['steps']} steps."
            )
    return "\n".join(lines).replace("\n\n\n", "\n\n").rstrip() + "\n"


def cell(seconds: list[float], batch: int) -> str:
    """`1.52 ms (1.48 to 1.90), 660/s`"""
    low, middle, high = (milliseconds(value) for value in (min(seconds), statistics.median(seconds), max(seconds)))
    return f"{middle} ms ({low} to {high}), {batch / statistics.median(seconds):.0f}/s"


def milliseconds(seconds: float) -> str:
    """Three digits, or all before the point."""
    value = 1000 * seconds
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def ratio(ours: list[float], theirs: list[float]) -> str:
    """Of times of the same round."""
    values = [b / a for a, b in zip(ours, theirs)]
    return f"{statistics.median(values):.2f}x ({min(values):.2f} to {max(values):.2f})"


def speed(rows: list[dict]) -> list[str]:
    peers = ["PyTorch eager", "torch.compile"]
    lines = ["| | batch | libclip (ONNX Runtime) | PyTorch eager | torch.compile | libclip is faster than eager by | than torch.compile by |"]
    lines.append("|---|---|---|---|---|---|---|")
    for row in rows:
        times = row["seconds"]
        ours = times[f"libclip {row['precision']}"]
        cells = [cell(times[peer], row["batch"]) if peer in times else "" for peer in peers]
        ratios = [ratio(ours, times[peer]) if peer in times else "" for peer in peers]
        lines.append(f"| {' | '.join([row['precision'], str(row['batch']), cell(ours, row['batch']), *cells, *ratios])} |")
    return lines


def engines(rows: list[dict]) -> list[str]:
    names = list(rows[0]["seconds"])
    lines = [f"| batch | {' | '.join(names)} |", f"|{'---|' * (1 + len(names))}"]
    return lines + [f"| {' | '.join([str(row['batch']), *(cell(row['seconds'][name], row['batch']) for name in names)])} |" for row in rows]


def training(row: dict) -> str:
    ours, theirs = row["seconds"]["clip-train"], row["seconds"]["PyTorch"]
    pairs = int(row["what"].split(", ")[1].split()[0])
    rates = [f"{pairs / statistics.median(s):.0f}/s ({pairs / max(s):.0f} to {pairs / min(s):.0f})" for s in (ours, theirs)]
    return f"| {row['what']} | {rates[0]} | {rates[1]} | {ratio(ours, theirs)} |"


def main() -> int:
    results, to = map(Path, sys.argv[1:])
    added = text(json.loads(results.read_text()))
    if not added:
        print(f"error: {results} has no figure that was measured on a GPU", file=sys.stderr)
        return 1
    before = to.read_text()
    if added in before:
        print(f"{to} has them already")
        return 0
    to.write_text(before.rstrip("\n") + "\n\n" + added)
    print(f"appended to {to}: {added.splitlines()[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
