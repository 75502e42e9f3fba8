"""A supervised linear head on photo-tiny's image embeddings, beside its zero-shot classification (needs torch and numpy).

    clip-export models/photo-tiny -o photo-tiny
    .deps/venv/bin/python models/photo-tiny/linear.py photo-tiny --shards shards [--clip-run target/release/clip-run]

For CIFAR-10 and for the flowers: logistic regression (L-BFGS) on the embeddings of all training pictures, as section 3.2 of the
paper fits it. The strength of the penalty is chosen on a tenth of the training pictures, which are then learned too.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

import tars  # noqa: E402

# Penalties on the squared weights of the mean loss, from none worth the name to one that rules.
PENALTIES = [10.0**exponent for exponent in range(-7, -1)]
# Pictures that one call of clip-run takes: its command line has a limit.
PICTURES = 5000


def embeddings(clip_run, model, shard):
    """Embeddings [N, D] of a shard's pictures, and the last word of each first caption: its class."""
    with tempfile.TemporaryDirectory() as folder:
        files, names, parts = [], [], []
        for number, (_, sample) in enumerate(tars.samples(shard)):
            file = Path(folder) / f"{number}.jpg"
            file.write_bytes(sample["jpg"])
            files.append(file.name)
            names.append(sample["txt"].decode().splitlines()[0].rstrip(".").split()[-1])
        for start in range(0, len(files), PICTURES):
            command = [clip_run, "embed", model, "-o", "e.npy", "--force", "--images", *files[start : start + PICTURES]]
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
            parts.append(np.load(Path(folder) / "e.npy"))
    return torch.from_numpy(np.concatenate(parts)), names


def fit(features, classes, count, penalty):
    """Weights [D, count] and biases of the logistic regression with the lowest loss and penalty."""
    weights = torch.zeros(features.shape[1], count, requires_grad=True)
    biases = torch.zeros(count, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, biases], max_iter=300, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        total = torch.nn.functional.cross_entropy(features @ weights + biases, classes) + penalty * weights.square().sum()
        total.backward()
        return total

    optimizer.step(loss)
    return weights.detach(), biases.detach()


def accuracy(head, features, classes):
    weights, biases = head
    return ((features @ weights + biases).argmax(1) == classes).float().mean().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="the folder that clip-export made")
    parser.add_argument("--shards", type=Path, required=True, help="what shards.py cut")
    parser.add_argument("--clip-run", type=Path, default=Path("target/release/clip-run"))
    options = parser.parse_args()
    clip_run, model = options.clip_run.resolve(), options.model.resolve()
    for name in ("cifar10", "flowers"):
        features, names = embeddings(clip_run, model, options.shards / f"train-{name}.tar")
        known = sorted(set(names))
        classes = torch.tensor([known.index(n) for n in names])
        held_out = torch.arange(len(classes)) % 10 == 0
        found = {}
        for penalty in PENALTIES:
            head = fit(features[~held_out], classes[~held_out], len(known), penalty)
            found[penalty] = accuracy(head, features[held_out], classes[held_out])
        best = max(found, key=found.get)
        head = fit(features, classes, len(known), best)
        test, names = embeddings(clip_run, model, options.shards / f"val-{name}.tar")
        score = accuracy(head, test, torch.tensor([known.index(n) for n in names]))
        print(f"{name}: {100 * score:.1f} % of {len(names)} pictures (penalty {best:g}, {100 * found[best]:.1f} % held out)")


if __name__ == "__main__":
    main()
