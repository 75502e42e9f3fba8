#!/usr/bin/env python3
"""Says what pictures show:  classify.py MODEL_FOLDER LABELS_FILE PICTURE..."""

import sys

import clip

if len(sys.argv) < 4:
    sys.exit(__doc__)
try:
    with clip.Model(sys.argv[1]) as model, open(sys.argv[2], encoding="utf-8") as file:
        labels = model.labels(file.read().split("\n")[:-1])
        for path in sys.argv[3:]:
            label, probability, _ = model.classify(path, labels, top=1)[0]
            print(f"{path}: {label}, {100 * probability:.1f} %")
except (clip.Error, OSError) as error:
    sys.exit(f"classify.py: {error}")
