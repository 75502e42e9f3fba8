"""Writes the two tables that the tokenizer embeds, beside this script.

    python3 model/src/tokenizer/tables.py path/to/bpe_simple_vocab_16e6.txt.gz

openai_merges.bin   the 48,894 merges of OpenAI's CLIP vocabulary (github.com/openai/CLIP, MIT License,
                    Copyright (c) 2021 OpenAI, see model/LICENSE-OPENAI-CLIP) in order, each as two little-endian 16-bit token ids.
                    Ids 0-255 are the bytes in OpenAI's order, 256-511 the same at the end of a word,
                    512 + i is what merge i makes.
html_entities.txt   HTML 5's named character references as Python's html.entities.html5 has them:
                    `name characters`, one a line, sorted; names may end in a semicolon or not.
"""

import gzip
import html.entities
import struct
import sys
from pathlib import Path

MERGES = 49152 - 256 - 2  # what CLIP uses of the file's 262,144


def byte_symbols() -> list[str]:
    """The printable stand-ins of the 256 bytes, in the order of their token ids."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    return [chr(b) for b in printable] + [chr(256 + n) for n in range(256 - len(printable))]


def merges(path: Path) -> bytes:
    symbols = byte_symbols()
    ids = {symbol: i for i, symbol in enumerate(symbols + [s + "</w>" for s in symbols])}
    table = b""
    for line in gzip.open(path, "rt", encoding="utf-8").read().split("\n")[1 : MERGES + 1]:
        left, right = line.split()
        table += struct.pack("<HH", ids[left], ids[right])
        assert left + right not in ids, "two merges make the same token"
        ids[left + right] = len(ids)
    assert len(ids) == 49406
    return table


def entities() -> str:
    lines = [f"{name} {characters}\n" for name, characters in sorted(html.entities.html5.items())]
    # A value may itself be a line feed or a tab: both are written as escapes.
    return "".join(line[:-1].replace("\n", "\\n").replace("\t", "\\t") + "\n" for line in lines)


if __name__ == "__main__":
    here = Path(__file__).parent
    (here / "openai_merges.bin").write_bytes(merges(Path(sys.argv[1])))
    (here / "html_entities.txt").write_text(entities(), encoding="utf-8")
