"""TensorRT, where the machine has one: engines built by clip-export, compared with their graphs, and timed.

Its library is not among what can be carried: no package registry has it. TensorRT for RTX can be carried (the bundle tensorrt-rtx),
but serves no card of a data centre such as the H100. With --device cpu, the doubles stand in, and times mean nothing.
"""

import ctypes
import json
import os
import shutil
import sys

import check
import models
import place
import speed

# Compute capabilities that TensorRT for RTX builds for.
RTX = {86, 89, 120}
NAMES = ["libnvinfer.so.11", "libnvinfer.so.10"]
BATCHES = {1: 60, 8: 40, 32: 25}


def run(arguments, figures: dict) -> None:
    engine, library, more = kind(arguments.device)
    environment = place.environment()
    if more:
        environment["LD_LIBRARY_PATH"] = f"{more}:{environment['LD_LIBRARY_PATH']}"
    if arguments.device == "cpu":
        environment["DOUBLE_ONNXRUNTIME"] = str(place.ONNXRUNTIME)
    device = "cuda:0" if arguments.device == "cpu" else arguments.device
    figures |= {"engine": engine, "library": library, "rows": []}
    programs = {}
    os.environ |= environment
    sys.path.insert(0, str(place.BASE / "tests" / "bench"))
    from compare import Program

    for precision in ("fp16", "int8-trt", "fp32"):
        source = models.folder(speed.NAME, precision, arguments.out)
        folder = arguments.out / "engines" / precision
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(source, folder)
        # Asked for by name, an engine runs both encoders.
        options = ["--trt-encoders", "both", *(["--rtx"] if engine == "rtx" else [])]
        said = check.output([place.PROGRAMS / "clip-export", "engines", folder, "--json", *options], env=environment)
        plan = json.loads(said)["manifest"]["image"]["engine"]
        figures["version"] = plan["version"]
        figures.setdefault("builds", {})[precision] = plan["build"]
        check.output([place.PROGRAMS / "clip-export", "verify", folder], env=environment)
        print(f"  {precision}: built by {engine} {plan['version']} in {plan['build']['milliseconds'] / 1000:.1f} s, and verified", flush=True)
        programs[precision] = Program(place.EXAMPLES / "time_runtime", folder, 2, engine, device)
    try:
        for batch, rounds in BATCHES.items():
            candidates = {n: lambda n=n: programs[n].time({"images": batch}) for n in programs}
            times = speed.take_turns(candidates, 2 if arguments.device == "cpu" else rounds, arguments.deadline)
            figures["rows"].append({"batch": batch, "seconds": times})
            speed.show(engine, batch, times)
    finally:
        for program in programs.values():
            program.close()


def kind(device: str) -> tuple[str, str, str]:
    """The engine's word, its library, and what has to be searched to find it."""
    if device == "cpu":
        return "tensorrt", NAMES[0], f"{place.DOUBLES}:{place.CUDA_DOUBLE}"
    for name in NAMES:
        try:
            ctypes.CDLL(name)
            return "tensorrt", name, ""
        except OSError:
            pass
    import torch

    major, minor = torch.cuda.get_device_capability(device)
    here = f"TensorRT is not here ({', '.join(NAMES)}), and cannot be carried: no package registry has its library"
    card = f"{torch.cuda.get_device_name(device)} (compute capability {major}.{minor})"
    if 10 * major + minor not in RTX:
        raise check.Skipped(f"{here}; TensorRT for RTX does not serve the {card}")
    if not place.RTX.exists():
        raise check.Skipped(f"{here}; TensorRT for RTX would serve the {card}, but the bundle tensorrt-rtx was not unpacked")
    libraries = next(place.RTX.glob("**/libtensorrt_rtx.so*")).parent
    return "rtx", "libtensorrt_rtx.so.1", str(libraries)


if __name__ == "__main__":
    check.finish("engines", run, __doc__)
