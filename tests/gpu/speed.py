"""Latency and throughput of ViT-B/32's image tower with random weights: clip-runtime by ONNX Runtime on the GPU beside PyTorch
(open_clip), eager and by torch.compile, in one run.

From 8-bit pixels of the tower's size in the host's memory to normalised embeddings there, normalising and both copies included.
Candidates take turns in an order that is shuffled in every round; medians over the rounds. fp32 is without TF32. torch.compile's
mode is reduce-overhead, which keeps CUDA graphs, each shape compiled by itself.
"""

import random
import sys
import time

import check
import embeddings
import models
import place
import section

sys.path.insert(0, str(place.BASE / "tests" / "bench"))

NAME = "ViT-B-32"
# Rounds for each batch.
BATCHES = {1: 60, 8: 40, 32: 25, 128: 15}
WARM = 5
SEED = 2103_00020
# Seconds before the end after which nothing is compiled any more.
COMPILING = 45
# Of the host, for decoding and normalising.
THREADS = 8
INT8 = "int8: ONNX Runtime leaves integers on GPUs to TensorRT; these are times of what its CUDA provider does instead"


def run(arguments, figures: dict) -> None:
    embeddings.needs_gpu_library(arguments.device)
    batches = {1: 3, 8: 2} if arguments.device == "cpu" else BATCHES
    figures |= {"model": NAME, "rows": [], "left_out": []}
    peers = Peers(arguments, figures)
    ours = {}

    def without(what: str, reason: object) -> None:
        figures["left_out"].append({"what": what, "reason": str(reason)})
        print(f"  {what}: left out: {reason}", flush=True)

    try:
        for precision in ("fp16", "int8", "fp32"):
            name = f"libclip {precision}"
            try:
                ours[name] = program(models.folder(NAME, precision, arguments.out), arguments.device)
                if precision == "int8":
                    print(f"  {INT8}")
            except (check.Failed, RuntimeError) as error:
                without(name, error)
                continue
            for batch, rounds in batches.items():
                if time.monotonic() > arguments.deadline - 5:
                    without(f"{precision}, batch {batch}", "out of time")
                    continue
                # INT8 is of use where it is faster than fp16.
                names = [name, "libclip fp16"] if precision == "int8" else [name]
                candidates = {n: lambda n=n: ours[n].time({"images": batch}) for n in names if n in ours}
                try:
                    if precision != "int8":
                        candidates |= peers.candidates(precision, batch, without)
                    times = take_turns(candidates, rounds, arguments.deadline)
                except (RuntimeError, OSError) as error:
                    without(f"{precision}, batch {batch}", error)
                    if ours[name].process.poll() is not None:
                        break
                    continue
                figures["rows"].append({"precision": precision, "batch": batch, "seconds": times})
                show(precision, batch, times)
            if precision == "int8" and name in ours:
                ours.pop(name).close()
    finally:
        for one in ours.values():
            one.close()
    if not any("libclip fp16" in row["seconds"] for row in figures["rows"]):
        raise check.Failed("no time of ours in fp16: see above")


def program(folder, device: str):
    """Our program, alive, after a first run."""
    import os

    os.environ |= place.environment(ORT_DYLIB_PATH=place.ONNXRUNTIME_GPU)
    from compare import Program

    threads = min(THREADS, os.cpu_count() or 1)
    started = Program(place.EXAMPLES / "time_runtime", folder, threads, "onnx", device)
    started.time({"images": 1})
    return started


class Peers:
    """open_clip's model in both number formats, eager and compiled."""

    def __init__(self, arguments, figures: dict):
        import open_clip
        import torch

        self.torch, self.device, self.deadline, self.figures = torch, arguments.device, arguments.deadline, figures
        model, config = models.build(NAME)
        self.size = config["vision_cfg"]["image_size"]
        self.visual = model.visual
        self.statistics = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
        # A shape of a number format each; beyond its limit it would run eager without a word.
        torch._dynamo.config.recompile_limit = 64
        self.compiles = True
        self.towers = {}

    def candidates(self, precision: str, batch: int, without) -> dict:
        torch = self.torch
        dtype = {"fp16": torch.float16, "fp32": torch.float32}[precision]
        if precision not in self.towers:
            import copy

            eager = copy.deepcopy(self.visual).to(self.device, dtype).eval()
            self.towers[precision] = eager, torch.compile(eager, mode="reduce-overhead", dynamic=False)
        eager, compiled = self.towers[precision]
        pixels = torch.randint(256, (batch, self.size, self.size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(SEED))
        mean, std = (torch.tensor(values, device=self.device).view(3, 1, 1) for values in self.statistics)

        def encode(tower):
            with torch.inference_mode():
                tensor = pixels.to(self.device).permute(0, 3, 1, 2).float().div_(255).sub_(mean).div_(std)
                rows = tower(tensor.to(dtype).contiguous()).float()
                return torch.nn.functional.normalize(rows, dim=-1).cpu()

        found = {"PyTorch eager": self.timed(lambda: encode(eager))}
        expected = encode(eager)
        what = f"torch.compile, {precision}, batch {batch}"
        if not self.compiles:
            without(what, "it failed before")
        elif time.monotonic() > self.deadline - COMPILING:
            without(what, "no time left to compile")
        else:
            started = time.monotonic()
            try:
                rows = encode(compiled)
                cosine = float((rows * expected).sum(1).min())
                if not cosine > 0.999:
                    raise RuntimeError(f"its embeddings have a cosine of {cosine:.5f} to eager's")
                found["torch.compile"] = self.timed(lambda: encode(compiled))
                print(f"  {what}: compiled in {time.monotonic() - started:.0f} s", flush=True)
            # Whatever a compiler may raise.
            except Exception as error:
                self.compiles = False
                without(what, (str(error).strip().splitlines() or [type(error).__name__])[0])
        return found

    @staticmethod
    def timed(function):
        def measure() -> float:
            started = time.perf_counter()
            function()
            return time.perf_counter() - started

        return measure


def take_turns(candidates: dict, rounds: int, deadline: float) -> dict[str, list[float]]:
    order = list(candidates)
    for name in order:
        for _ in range(WARM):
            candidates[name]()
    shuffle = random.Random(SEED)
    times = {name: [] for name in candidates}
    for number in range(rounds):
        shuffle.shuffle(order)
        for name in order:
            times[name].append(candidates[name]())
        if number >= 2 and time.monotonic() > deadline:
            break
    return times


def show(precision: str, batch: int, times: dict[str, list[float]]) -> None:
    cells = [f"{name} {section.cell(seconds, batch)}" for name, seconds in times.items()]
    print(f"  {precision}, batch {batch}, {len(next(iter(times.values())))} rounds: {'; '.join(cells)}", flush=True)


if __name__ == "__main__":
    check.finish("speed", run, __doc__)
