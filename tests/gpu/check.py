"""What a check is: a program that prints for people, leaves its figures in OUT/NAME.json, and ends with 0, 1 where something is
wrong, or 77 where it cannot run here."""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

SKIPPED = 77

# For our programs and PyTorch alike: both compute fp32 as fp32.
os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
os.environ["HF_HUB_OFFLINE"] = "1"


class Skipped(Exception):
    """Why the check cannot run here."""


class Failed(Exception):
    """What is wrong."""


def main(name: str, run, description: str) -> int:
    """Runs the check `run(arguments, figures)`, which fills the dictionary."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda:0", help="cuda:N, or cpu to try the check out without a GPU")
    parser.add_argument("--out", type=Path, required=True, help="folder for what is written")
    parser.add_argument("--seconds", type=float, default=600, help="the time there is")
    arguments = parser.parse_args()
    arguments.deadline = time.monotonic() + arguments.seconds
    figures = {}
    try:
        run(arguments, figures)
        status = 0
    except Skipped as reason:
        print(f"skipped: {reason}")
        return SKIPPED
    except Failed as error:
        print(f"FAILED: {error}")
        status = 1
    finally:
        # Also when something else goes wrong, what was measured stays.
        if figures:
            (arguments.out / f"{name}.json").write_text(json.dumps(figures, indent=1))
    return status


def output(command: list, **settings) -> str:
    """What a program prints on standard output; Failed, with what it says, when it fails."""
    command = [str(part) for part in command]
    result = subprocess.run(command, capture_output=True, text=True, **settings)
    if result.returncode != 0:
        said = (result.stderr.strip() or result.stdout.strip())[-1500:]
        raise Failed(f"{' '.join(command[:3])} ... ended with {result.returncode}: {said}")
    return result.stdout


def finish(name: str, run, description: str) -> None:
    sys.exit(main(name, run, description))
