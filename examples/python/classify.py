"""Classifies pictures with a model folder, as examples/c/classify.c does:

    python3 examples/python/classify.py MODEL_FOLDER LABELS_FILE|- IMAGE...

LABELS_FILE has one label a line; - stands for the labels that are stored in the folder. Prints the three labels that fit each
picture best, with their probabilities.
"""

import sys
from pathlib import Path

import clip


def main():
    if len(sys.argv) < 4:
        print(f"usage: {sys.argv[0]} MODEL_FOLDER LABELS_FILE|- IMAGE...", file=sys.stderr)
        return 2
    folder, names, *paths = sys.argv[1:]
    try:
        model = clip.Model(folder)
        if names == "-":
            labels = model.stored_labels()
        else:
            # Some editors begin a file with a byte order mark.
            lines = Path(names).read_text(encoding="utf-8-sig").splitlines()
            labels = model.labels([line.strip() for line in lines if line.strip()])
    except (clip.Error, OSError, UnicodeError) as error:
        print(f"{folder}, {names}: {error}", file=sys.stderr)
        return 1
    failed = 0
    for path in paths:
        try:
            found = model.classify(model.read(path), labels, top=3)
        except clip.Error as error:
            print(f"{path}: {error} ({error.name})", file=sys.stderr)
            failed = 1
            continue
        print(path)
        for match in found:
            print(f"  {100 * match.probability:5.1f} %  {match.label}")
    return failed


sys.exit(main())
