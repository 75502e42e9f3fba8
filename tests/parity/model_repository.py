"""Reads the configurations of `clip-export --triton` by Triton's own protobuf; exits with 1 where one is not as its graph is.

    python tests/parity/model_repository.py target/release/examples

models/emoji-tiny and a SigLIP with random weights become models of a repository, with any batch and with a fixed one, on each device.
config.pbtxt is parsed as the message ModelConfig that Triton's client comes with, and compared with the ONNX file beside it.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import DataType, ModelConfig, ModelInput, ModelInstanceGroup

import siglip

ROOT = Path(__file__).resolve().parents[2]
LABELS = ROOT / "models" / "emoji-tiny" / "everyday-100.txt"
TYPES = {onnx.TensorProto.FLOAT: "TYPE_FP32", onnx.TensorProto.UINT8: "TYPE_UINT8", onnx.TensorProto.INT32: "TYPE_INT32"}
NUMPY = {"TYPE_FP32": np.float32, "TYPE_UINT8": np.uint8, "TYPE_INT32": np.int32}
KINDS = {"auto": "KIND_AUTO", "cpu": "KIND_CPU", "gpu": "KIND_GPU"}

failures: list[str] = []


def check(holds: bool, what: str) -> None:
    if not holds:
        failures.append(what)
        print(f"    FAILED: {what}")


def sizes(value) -> list[int]:
    return [size.dim_value if size.HasField("dim_value") else -1 for size in value.type.tensor_type.shape.dim]


def warm_up(model: Path, config: ModelConfig) -> None:
    """Runs the requests that Triton runs before the first."""
    session = onnxruntime.InferenceSession(model / "1" / "model.onnx", providers=["CPUExecutionProvider"])
    for sample in config.model_warmup:
        inputs = {}
        for name, given in sample.inputs.items():
            dtype = NUMPY[DataType.Name(given.data_type)]
            one = np.zeros(given.dims, dtype)
            if given.WhichOneof("input_data_type") == "input_data_file":
                one = np.fromfile(model / "warmup" / given.input_data_file, dtype).reshape(given.dims)
            inputs[name] = np.stack([one] * sample.batch_size) if config.max_batch_size else one
        rows = session.run(None, inputs)[0]
        check(np.isfinite(rows).all(), f"{config.name}: its warm-up {sample.name} gives numbers that are not finite")


def compare(model: Path, batch: int | None, device: str) -> None:
    config = text_format.Parse((model / "config.pbtxt").read_text(), ModelConfig())
    graph = onnx.load(model / "1" / "model.onnx", load_external_data=False).graph
    check(config.name == model.name, f"{model.name} is called {config.name}")
    check((config.platform, config.backend) == ("onnxruntime_onnx", "onnxruntime"), f"{model.name}: {config.platform}, {config.backend}")
    check((model / "1" / config.default_model_filename).exists(), f"{model.name}: there is no {config.default_model_filename}")
    check((config.max_batch_size > 0) == (batch is None), f"{model.name}: max_batch_size {config.max_batch_size}")
    skipped = 1 if config.max_batch_size else 0
    for told, real in [(config.input, graph.input), (config.output, graph.output)]:
        check(len(told) == len(real) == 1, f"{model.name}: {len(told)} tensors for {len(real)}")
        check(told[0].name == real[0].name, f"{model.name}: {told[0].name} for {real[0].name}")
        check(DataType.Name(told[0].data_type) == TYPES[real[0].type.tensor_type.elem_type], f"{model.name}: type of {real[0].name}")
        check(list(told[0].dims) == sizes(real[0])[skipped:], f"{model.name}: {list(told[0].dims)} for {sizes(real[0])}")
        check(skipped == 0 or sizes(real[0])[0] == -1, f"{model.name}: a batch that is fixed")
    if config.input[0].format != ModelInput.FORMAT_NONE:
        channels = {ModelInput.FORMAT_NCHW: 0, ModelInput.FORMAT_NHWC: 2}[config.input[0].format]
        check(config.input[0].dims[channels] == 3, f"{model.name}: format of {list(config.input[0].dims)}")
    check([ModelInstanceGroup.Kind.Name(group.kind) for group in config.instance_group] == [KINDS[device]], f"{model.name}: instances")
    check(config.version_policy.latest.num_versions == 1, f"{model.name}: versions")
    check(config.HasField("dynamic_batching") == (batch is None), f"{model.name}: dynamic batching")
    if batch is None:
        preferred = list(config.dynamic_batching.preferred_batch_size)
        check(max(preferred) <= config.max_batch_size, f"{model.name}: it prefers {preferred}")
        check(config.dynamic_batching.max_queue_delay_microseconds > 0, f"{model.name}: nothing waits")
    if model.name.endswith("_classifier"):
        labels = (model / config.output[0].label_filename).read_text().splitlines()
        check(len(labels) == config.output[0].dims[-1], f"{model.name}: {len(labels)} labels")
    warm_up(model, config)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", type=Path, help="the folder of the built examples; the programs lie in the one above")
    program = parser.parse_args().examples.parent / "clip-export"
    read = 0
    with tempfile.TemporaryDirectory(prefix="clip-parity-") as temporary:
        root = Path(temporary)
        siglip.save_hugging_face(root / "siglip", False, 32)
        cases = [
            ("emoji", ROOT / "models" / "emoji-tiny", ["--external-data"], None, "auto"),
            ("emoji bytes", ROOT / "models" / "emoji-tiny", ["--uint8-input", "--precision", "fp16"], None, "gpu"),
            ("emoji fixed", ROOT / "models" / "emoji-tiny", ["--batch", "4"], 4, "cpu"),
            ("siglip", root / "siglip", [], None, "cpu"),
        ]
        for name, checkpoint, options, batch, device in cases:
            command = [program, checkpoint, "-o", root / "model", "--force", "--name", name, "--labels", LABELS, "--classifier", *options]
            command += ["--triton", root / "repository", "--triton-device", device]
            result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
            if result.returncode != 0:
                raise RuntimeError(f"clip-export ended with {result.returncode}: {result.stderr.strip()[-2000:]}")
            models = [Path(line) for line in result.stdout.splitlines()[1:]]
            assert len(models) == 3, models
            for model in models:
                compare(model, batch, device)
                read += 1
    print(f"{read} configurations, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
