"""Event files of clip-train's writer, read by TensorBoard: events.py FOLDER-OF-EXAMPLES"""

import math
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def float32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def write(program, folder, first, later):
    """Writes a run and those that went on with it, each with its first step."""
    lines = lambda run: "".join(f"{step} {tag} {value!r}\n" for step, tag, value in run)
    text = lines(first) + "".join(f"{step}\n{lines(run)}" for step, run in later)
    subprocess.run([program, folder], input=text, text=True, check=True)


def read(folder):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: events.Scalars(tag) for tag in events.Tags()["scalars"]}


def main():
    program = Path(sys.argv[1]) / "events"
    first = [(step, tag, value) for step in range(300) for tag, value in
             [("train/loss", 5.5 * math.exp(-step / 90)), ("train/lr", 1e-3 * step / 300), ("ä/Ω", -float(step)),
              ("small", 1e-38), ("large", 3.4e38 * step / 300)]]
    # Goes on at a save: what the first run had done after it is done again, with other values, and counts once.
    second = [(step, "train/loss", 1.0 / step) for step in range(280, 320)]
    kept = [value for value in first if value[0] < 280]

    with tempfile.TemporaryDirectory() as folder:
        start = time.time()
        write(program, folder, first, [(280, second)])
        end = time.time()
        files = sorted(Path(folder).iterdir())
        assert len(files) == 2, f"expected two files, found {[file.name for file in files]}"
        found = read(folder)

        expected = {}
        for step, tag, value in kept + second:
            expected.setdefault(tag, []).append((step, float32(value)))
        assert set(found) == set(expected), f"tags {sorted(found)}, expected {sorted(expected)}"
        for tag, values in expected.items():
            assert [(event.step, event.value) for event in found[tag]] == values, f"{tag} differs"
            assert all(start - 1 <= event.wall_time <= end + 1 for event in found[tag]), f"wall time of {tag}"

        # The comparison can fail: TensorBoard drops a record whose checksum is wrong, and what follows.
        content = bytearray(files[0].read_bytes())
        content[len(content) // 2] ^= 1
        files[0].write_bytes(content)
        assert len(read(folder)["train/loss"]) < len(expected["train/loss"]), "a changed byte was not noticed"

    print(f"events: {len(kept) + len(second)} values in {len(expected)} curves and 2 files, all equal")


if __name__ == "__main__":
    main()
