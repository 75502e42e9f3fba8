"""Has TensorRT's own parser read the exported graphs and its builder make engines of them; exits with 1 on a refusal.

    python tests/parity/tensorrt.py target/release/examples

TensorRT for RTX builds for a GPU that is named rather than present, so that this needs none; nothing is run. The graphs
are those in half precision and in 8-bit integers (`--dialect trt`), both towers and a classifier, of models/emoji-tiny, and with random weights of two of
OpenAI's architectures and of a small SigLIP, as strongly typed networks: the precisions written in the graph are kept. It is left
out, with a line that says so, where `scripts/deps.sh tensorrt` found no package for this platform.
"""

import argparse
import json
import platform
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
ARCHITECTURES = ["ViT-B-32", "RN50"]
CAPABILITY = "SM86"
MOST = 8
# Also the classifier, as DeepStream feeds it.
CLASSIFIER = ["--labels", ROOT / "models" / "emoji-tiny" / "everyday-100.txt", "--classifier", "--classifier-input", "pixels"]
VARIANTS = {"fp16": ["--precision", "fp16"], "int8": ["--precision", "int8", "--dialect", "trt"]}
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
        siglip.save_hugging_face(folder / name, False, 64)
        return folder / name, siglip.CONTEXT_LENGTH
    if (ROOT / "models" / name).exists():
        description = json.loads((ROOT / "models" / name / "open_clip_config.json").read_text())
        return ROOT / "models" / name, description["model_cfg"]["text_cfg"]["context_length"]
    config = random_models.openai_config(name)
    size = config["vision_cfg"]["image_size"]
    pictures = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(SEED))
    model = random_models.build(config, SEED, pictures)
    random_models.write_checkpoint(model, config, folder / name)
    return folder / name, config["text_cfg"].get("context_length", 77)


def export(program: Path, source: Path, folder: Path, options: list) -> None:
    command = [program, source, "-o", folder, *options, *CLASSIFIER, *CALIBRATION]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"clip-export {options} ended with {result.returncode}: {result.stderr.strip()[-2000:]}")


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

    def build(self, path: Path, length: int) -> tuple[int, int]:
        """The engine's size in bytes, and how many layers quantize; ValueError with TensorRT's words where it refuses."""
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
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, CAPABILITY), 0)
        profile = builder.create_optimization_profile()
        for number in range(network.num_inputs):
            value = network.get_input(number)
            # Pictures differ in their number alone, texts in their length too.
            free = [(1, MOST, MOST), (2, length, length)]
            sizes = [free[axis] if size < 0 else (size,) * 3 for axis, size in enumerate(value.shape)]
            profile.set_shape(value.name, *zip(*sizes))
        config.add_optimization_profile(profile)
        engine = builder.build_serialized_network(network, config)
        if engine is None or self.logger.lines:
            raise ValueError("; ".join(self.logger.lines) or "no engine, and no reason given")
        return engine.nbytes, quantizing


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", type=Path, help="the folder of the built examples; the programs lie in the one above")
    program = parser.parse_args().examples.parent / "clip-export"
    if not TENSORRT.exists():
        if (platform.system(), platform.machine()) == ("Linux", "x86_64"):
            print("error: TensorRT for RTX is not there: make .deps/tensorrt brings it")
            return 1
        print("skipped: TensorRT for RTX, which has no package for this platform")
        return 0
    import tensorrt_rtx_bindings as trt

    started = time.monotonic()
    engines, failures = Engines(trt), 0
    print(f"engines for {CAPABILITY}, batches of 1 to {MOST}, TensorRT for RTX {trt.__version__}")
    for name in ["emoji-tiny", "SigLIP", *ARCHITECTURES]:
        with tempfile.TemporaryDirectory(prefix="clip-parity-") as folder:
            source, length = checkpoint(name, Path(folder))
            for variant, options in VARIANTS.items():
                exported = Path(folder) / variant
                export(program, source, exported, options)
                for path in sorted(exported.glob("*.onnx")):
                    since = time.monotonic()
                    label = f"  {name:12} {variant:6} {path.name:15}"
                    try:
                        size, quantizing = engines.build(path, length)
                        if (quantizing > 0) != (variant == "int8"):
                            raise ValueError(f"the network has {quantizing} layers that quantize")
                    except ValueError as error:
                        failures += 1
                        print(f"{label} FAILED: {error}", flush=True)
                        continue
                    graph = path.stat().st_size
                    seconds = time.monotonic() - since
                    print(f"{label} {graph / 1e6:6.1f} MB, engine {size / 1e6:6.1f} MB, {quantizing:3} quantizing layers, {seconds:4.1f} s", flush=True)
    print(f"{failures} failures, {time.monotonic() - started:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
