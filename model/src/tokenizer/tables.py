"""Writes the three tables that the tokenizer embeds, beside this script.

    python3 model/src/tokenizer/tables.py path/to/bpe_simple_vocab_16e6.txt.gz     (with ftfy 6.1.1)

openai_merges.bin   the 48,894 merges of OpenAI's CLIP vocabulary (github.com/openai/CLIP, MIT License,
                    Copyright (c) 2021 OpenAI, see model/LICENSE-OPENAI-CLIP) in order, each as two little-endian 16-bit token ids.
                    Ids 0-255 are the bytes in OpenAI's order, 256-511 the same at the end of a word,
                    512 + i is what merge i makes.
html_entities.txt   HTML 5's named character references as Python's html.entities.html5 has them:
                    `name characters`, one a line, sorted; names may end in a semicolon or not.
mojibake.json       what ftfy takes for text that was decoded in the wrong encoding, as patterns of Rust's crate regex, and the
                    encodings it tries: the code points of the bytes 0x80 to 0xff, from Python's codecs. The patterns are those
                    of ftfy 6.1.1 (github.com/rspeer/python-ftfy, MIT License, see model/LICENSE-FTFY), to which windows-1257
                    is added here, as ftfy 6.3 knows it.
"""

import gzip
import html.entities
import json
import re
import struct
import sys
import unicodedata
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


def compact(pattern: str) -> str:
    """A verbose pattern of Python's without comments and white space outside of its classes, as crate regex reads it."""
    # A class, a comment, white space, or any other character, whichever comes first: comments hold brackets, too.
    pieces = re.findall(r"(\[[^\]]*\])|#.*|[ \n]|(.)", pattern)
    plain = "".join(class_ or character for class_, character in pieces)
    # Python's \w is a letter, a number or an underscore, its \s has four separators besides Unicode's white space.
    return plain.replace(r"\w", r"[\p{L}\p{N}_]").replace(r"\s", r"[\s\x1c-\x1f]")


def encoding(name: str) -> dict:
    """The code points of the bytes 0x80 to 0xff. In a sloppy encoding, bytes without a character stand for themselves."""
    high = bytes(range(0x80, 0x100))
    decoded = high.decode(name.removeprefix("sloppy-"), errors="replace")
    return {"name": name, "high": [byte if c == "\ufffd" else ord(c) for byte, c in zip(high, decoded)]}


def extended(pattern: str, classes: dict[str, str], more: dict[str, str]) -> str:
    """`pattern`, which was made of `classes`, with `more` characters in them."""
    for name, characters in more.items():
        new = "".join(c for c in characters if not re.search(f"[{classes[name]}]", c))
        pattern = pattern.replace(classes[name], classes[name] + new)
    return pattern


def mojibake() -> str:
    from ftfy.badness import BADNESS_RE, MOJIBAKE_CATEGORIES
    from ftfy.chardata import CHARMAP_ENCODINGS, UTF8_CLUES, UTF8_DETECTOR_RE

    names = list(CHARMAP_ENCODINGS)
    names.insert(names.index("sloppy-windows-1254") + 1, "sloppy-windows-1257")
    baltic = {byte: chr(c) for byte, c in enumerate(encoding("sloppy-windows-1257")["high"], 0x80)}
    # Letters with marks, but for those that make faces, as ftfy sorts them.
    upper, lower, faces = [], [], []
    for c in baltic.values():
        round_letter = unicodedata.normalize("NFD", c)[0] in "OUou"
        if c.isupper() and c > "\xff":
            (faces if round_letter else upper).append(c)
        if c.islower() and c > "\xff" and not round_letter:
            lower.append(c)
    more = {"upper_accented": "".join(upper), "lower_accented": "".join(lower), "kaomoji": "".join(faces)}
    bad = extended(BADNESS_RE.pattern, MOJIBAKE_CATEGORIES, more).rstrip()
    # What ftfy 6.3 looks for besides: windows-1257's U+2000 and on, degrees of a letter, opening marks within a word.
    accented = {name: MOJIBAKE_CATEGORIES[name] + more[name] for name in ("upper_accented", "lower_accented")}
    opening = MOJIBAKE_CATEGORIES["start_punctuation"]
    bad += "|\u0101\u20ac|[\xc2\xc3\xce\xd0]\u0153|[{upper_accented}]\xb0".format(**accented)
    bad += f"|[{''.join(accented.values())}][{opening}]\\w"

    def of_bytes(first: int, last: int) -> str:
        return "".join(baltic[byte] for byte in range(first, last + 1))

    more = {"utf8_first_of_2": of_bytes(0xC2, 0xDF), "utf8_first_of_3": of_bytes(0xE0, 0xEF), "utf8_first_of_4": baltic[0xF0]}
    letters = "".join(c for c in of_bytes(0x80, 0xBF) if c.isalpha())
    more |= {"utf8_continuation": letters, "utf8_continuation_strict": letters}
    detector = compact(extended(UTF8_DETECTOR_RE.pattern, UTF8_CLUES, more))
    not_behind, sequence = re.fullmatch(r"\(\?<!(\[[^\]]*\])\)\((.*)\)\+", detector).groups()
    table = {"bad": compact(bad), "sequence": sequence, "not_behind": not_behind, "encodings": [encoding(name) for name in names]}
    return "{\n" + ",\n".join(f'"{name}": {json.dumps(value)}' for name, value in table.items()) + "\n}\n"


if __name__ == "__main__":
    here = Path(__file__).parent
    (here / "openai_merges.bin").write_bytes(merges(Path(sys.argv[1])))
    (here / "html_entities.txt").write_text(entities(), encoding="utf-8")
    (here / "mojibake.json").write_text(mojibake())
