"""Has TensorRT for RTX read the exported graphs and make engines of them, by clip-export and by NVIDIA's own Python binding;
exits with 1 on a refusal.

    python tests/parity/tensorrt.py target/release/examples [--rounds N] [--only MODEL...] [--all]

It builds for GPUs that are named rather than present, so that this needs none; nothing is run. The graphs are both encoders and a classifier in half
precision and in 8-bit integers (`--dialect trt`) of models/emoji-tiny, and with random weights of three of OpenAI's architectures and of
SigLIP's base (ViT-L/14 in 8-bit integers with `--all` alone), as strongly typed networks: for three compute capabilities together, and
portable ones. Times are those of reading the graph and building, in turns; medians of the rounds. Networks and engines must be as large as
the binding's. It is left out, with a line that says so, where `scripts/deps.sh tensorrt` found no package for this platform.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TENSORRT = ROOT / ".deps" / "tensorrt"
sys.path.append(str(TENSORRT))

import torch

import random_models
import siglip

SEED = 2103_00020
MODELS = ["emoji-tiny", "SigLIP", "RN50", "ViT-B-32", "ViT-L-14"]
CAPABILITIES = [86, 89, 120]
MOST = 8
VARIANTS = ["fp16", "int8"]
# ViT-L/14 is ViT-B/32 in large, and takes as long as all others together.
SAMPLED = {"ViT-L-14": ["fp16"]}
# Also the classifier, as DeepStream feeds it.
CLASSIFIER = ["--labels", ROOT / "models" / "emoji-tiny" / "everyday-100.txt", "--classifier", "--classifier-input", "pixels"]
# How far the size of an engine may be from that of the binding: they differ in names and padding.
SIZE = 0.02
CALIBRATION = [
    *("--calibration-images", ROOT / "examples" / "images"),
    *("--calibration-texts", ROOT / "models" / "emoji-tiny" / "everyday-100.txt"),
    *("--calibration-count", "4"),
    # Random weights and four pictures say nothing about accuracy; so every product is in integers, however it may lose.
    *("--min-cosine=-1", "--min-mean-cosine=-1", "--min-top1=0"),
]


def checkpoint(name: str, folder: Path) -> tuple[Path, int]:
    """A checkpoint, and the longest text of its model."""
    if name == "SigLIP":
        siglip.save_hugging_face(folder / name, False, 224, base=True)
        return folder / name, siglip.BASE_CONTEXT_LENGTH
    if (ROOT / "models" / name).exists():
        description = json.loads((ROOT / "models" / name / "open_clip_config.json").read_text())
        return ROOT / "models" / name, description["model_cfg"]["text_cfg"]["context_length"]
    config = random_models.openai_config(name)
    size = config["vision_cfg"]["image_size"]
    pictures = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(SEED))
    model = random_models.build(config, SEED, pictures)
    random_models.write_checkpoint(model, config, folder / name)
    return folder / name, config["text_cfg"].get("context_length", 77)


def clip_export(program: Path, *arguments) -> dict:
    command = [str(part) for part in (program, *arguments, "--json")]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {result.returncode}: {result.stderr.strip()[-2000:]}")
    return json.loads(result.stdout)["manifest"]


def plans(manifest: dict) -> dict[str, dict]:
    """The encoders and the classifier, which are engines, by the names of their graphs."""
    encoders = [manifest["image"], manifest["text"], manifest["classifier"]["encoder"]]
    return {encoder["engine"]["graph"]["file"]: encoder for encoder in encoders}


class Engines:
    """TensorRT's builder, and what it complained about."""

    def __init__(self, trt):
        class Logger(trt.ILogger):
            def __init__(self):
                trt.ILogger.__init__(self)
                self.lines = []

            def log(self, severity, message):
                if severity <= trt.ILogger.Severity.WARNING:
                    self.lines.append(message)

        self.trt, self.logger = trt, Logger()

    def build(self, path: Path, length: int) -> tuple[int, int, float]:
        """The engine's size in bytes, how many layers quantize, and seconds; ValueError with TensorRT's words where it refuses."""
        since = time.monotonic()
        trt = self.trt
        self.logger.lines.clear()
        builder = trt.Builder(self.logger)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, self.logger)
        if not parser.parse_from_file(str(path)):
            errors = [parser.get_error(i) for i in range(parser.num_errors)]
            raise ValueError("; ".join(f"{e.node_operator()} {e.node_name()}: {e.desc()}" for e in errors))
        quantizing = sum(network.get_layer(i).type == trt.LayerType.QUANTIZE for i in range(network.num_layers))
        config = builder.create_builder_config()
        config.clear_flag(trt.BuilderFlag.TF32)
        config.num_compute_capabilities = len(CAPABILITIES)
        for place, capability in enumerate(CAPABILITIES):
            config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{capability}"), place)
        profile = builder.create_optimization_profile()
        for number in range(network.num_inputs):
            value = network.get_input(number)
            # Pictures differ in their number alone, texts in their length too.
            free = [(1, MOST, MOST), (1, min(16, length), length)]
            sizes = [free[axis] if size < 0 else (size,) * 3 for axis, size in enumerate(value.shape)]
            profile.set_shape(value.name, *zip(*sizes))
        config.add_optimization_profile(profile)
        engine = builder.build_serialized_network(network, config)
        if engine is None or self.logger.lines:
            raise ValueError("; ".join(self.logger.lines) or "no engine, and no reason given")
        return engine.nbytes, quantizing, time.monotonic() - since


def compare(program: Path, engines: Engines, name: str, variant: str, rounds: int, source: Path, length: int, folder: Path) -> int:
    """Builds the engines of a model in both ways, prints what they came to, and gives back how many failed."""
    options = ["--rtx", "--trt-batch", f"1:{MOST}:{MOST}", "--trt-text-length", f"1:16:{length}"]
    named = [*options, "--sm", ",".join(map(str, CAPABILITIES))]
    manifest = clip_export(program, source, "-o", folder, "--trt", variant, *named, *CALIBRATION, *CLASSIFIER)
    ours = {graph: [encoder] for graph, encoder in plans(manifest).items()}
    theirs = {graph: [] for graph in ours}
    failures = 0
    for round in range(rounds):
        for graph in ours:
            try:
                theirs[graph].append(engines.build(folder / graph, length))
            except ValueError as error:
                print(f"  {name:10} {variant:5} {graph:11} FAILED in the binding: {error}", flush=True)
                return failures + 1
        if round + 1 < rounds:
            for graph, encoder in plans(clip_export(program, "engines", folder, *named)).items():
                ours[graph].append(encoder)
    sizes = {graph: (folder / encoders[0]["file"]).stat().st_size for graph, encoders in ours.items()}
    portable = plans(clip_export(program, "engines", folder, *options))
    for graph, encoders in ours.items():
        seconds = statistics.median(encoder["engine"]["build"]["milliseconds"] / 1e3 for encoder in encoders)
        memory = max(encoder["engine"]["build"]["peak_memory"] for encoder in encoders)
        their_seconds = statistics.median(built[2] for built in theirs[graph])
        size, (their_size, quantizing, _) = sizes[graph], theirs[graph][0]
        wrong = []
        if (quantizing > 0) != (variant == "int8"):
            wrong.append(f"the network has {quantizing} layers that quantize")
        if abs(size - their_size) > SIZE * their_size:
            wrong.append(f"the binding's engine has {their_size} bytes")
        if encoders[0]["engine"]["compute_capabilities"] != CAPABILITIES or "compute_capabilities" in portable[graph]["engine"]:
            wrong.append("the manifest names other compute capabilities")
        failures += len(wrong)
        portable_size = (folder / portable[graph]["file"]).stat().st_size
        cells = [name, variant, graph.removesuffix(".onnx"), f"{(folder / graph).stat().st_size / 1e6:.1f} MB", f"{size / 1e6:.1f} MB",
                 f"{portable_size / 1e6:.1f} MB", f"{seconds:.2f} s", f"{their_seconds:.2f} s", f"{memory / 1e6:.0f} MB"]
        print(f"| {' | '.join(cells)} |{'   FAILED: ' + '; '.join(wrong) if wrong else ''}", flush=True)
    return failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", type=Path, help="the folder of the built examples; the programs lie in the one above")
    parser.add_argument("--rounds", type=int, default=1, help="builds of each engine, by clip-export and by the binding")
    parser.add_argument("--only", nargs="+", choices=MODELS, default=MODELS, help="the models")
    parser.add_argument("--all", action="store_true", help="both formats of the largest model, too")
    arguments = parser.parse_args()
    program = arguments.examples.parent / "clip-export"
    if not TENSORRT.exists():
        if (platform.system(), platform.machine()) == ("Linux", "x86_64"):
            print("error: TensorRT for RTX is not there: make .deps/tensorrt brings it")
            return 1
        print("skipped: TensorRT for RTX, which has no package for this platform")
        return 0
    import tensorrt_rtx_bindings as trt

    started = time.monotonic()
    engines, failures = Engines(trt), 0
    print(f"engines for batches of 1 to {MOST}, TensorRT for RTX {trt.__version__}; {arguments.rounds} rounds")
    print(f"| model | format | encoder | graph | engine for {', '.join(map(str, CAPABILITIES))} | portable | clip-export | Python binding | memory |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in arguments.only:
        with tempfile.TemporaryDirectory(prefix="clip-parity-") as folder:
            source, length = checkpoint(name, Path(folder))
            for variant in VARIANTS if arguments.all else SAMPLED.get(name, VARIANTS):
                failures += compare(program, engines, name, variant, arguments.rounds, source, length, Path(folder) / variant)
    print(f"{failures} failures, {time.monotonic() - started:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
