"""Compares the token ids of clip-model with those of open_clip and transformers; exits with 1 at any difference.

    python tests/parity/tokenizer.py target/release/examples [--data ../shared/data] [--all-characters]

Three comparisons, each on the same strings, at CLIP's context length of 77:
  openai        the built-in tokenizer          against open_clip.tokenize
  tokenizer.json from the built-in's to_json    against transformers' CLIPTokenizerFast made from OpenAI's own file
  trained       a vocabulary trained here       against transformers, and against open_clip.get_tokenizer('local-dir:...') on a
                folder in OpenCLIP's layout, after each of its ways to clean a text
and the last with the models that come with the source.

Among the strings are real ones that were decoded in a wrong encoding here. ftfy's repair of those is a guess, whose rules differ a
little from version to version: REPAIRED of them must have equal ids, and all other strings.
"""

import argparse
import contextlib
import html.entities
import json
import os
import random
import subprocess
import sys
import tarfile
import tempfile
import unicodedata
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import ftfy
import ftfy.bad_codecs
import ftfy.chardata
import open_clip
import open_clip.tokenizer
from transformers import CLIPTokenizerFast

CONTEXT_LENGTH = 77
SEED = 2103_00020
# The smallest share of equal ids among strings that were decoded in a wrong encoding; 99.0 % was measured.
REPAIRED = 0.989
CLEANINGS = ("whitespace", "lower", "canonicalize")


def captions(data: Path) -> list[str]:
    """Every line of every caption file, label list and template in the data folder, without repetition."""
    found = {}
    for archive in sorted(data.rglob("*.tar")) + sorted(data.rglob("*.tar.gz")):
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.name.endswith(".txt"):
                    text = tar.extractfile(member).read().decode()
                    found.update(dict.fromkeys(text.split("\n")))
    for path in sorted(data.rglob("*.jsonl")):
        for line in path.read_text().splitlines():
            emoji = json.loads(line)
            found[emoji["emoji"]] = None
            found[f"{emoji['emoji']}{emoji['emoji']} {emoji['name']}!{emoji['emoji']}"] = None
    for path in sorted((data / "clip").rglob("*.txt")):
        found.update(dict.fromkeys(path.read_text().splitlines()))
    return [text for text in found if text]


def made_up(rng: random.Random) -> list[str]:
    """Accents, scripts, emoji sequences, control characters, HTML, long text, random characters."""
    ranges = {
        "ascii": [(0x20, 0x7E)],
        "latin": [(0x20, 0x7E), (0xA0, 0x24F), (0x300, 0x36F), (0x1E00, 0x1EFF)],
        "greek and cyrillic": [(0x20, 0x20), (0x370, 0x52F), (0x1F00, 0x1FFF)],
        "semitic and indic": [(0x20, 0x20), (0x590, 0x6FF), (0x900, 0xDFF)],
        "cjk": [(0x20, 0x20), (0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xFF01, 0xFFEF)],
        "symbols": [(0x2000, 0x2BFF), (0x20, 0x7E), (0x1F300, 0x1FAFF), (0xFE00, 0xFE0F), (0x1F1E6, 0x1F1FF)],
        "controls": [(0, 0x20), (0x61, 0x7A), (0x7F, 0xA0), (0x2000, 0x200F), (0x2028, 0x202F), (0x2060, 0x206F)],
        "anything": [(0, 0xD7FF), (0xE000, 0x10FFFF)],
        "ligatures, widths, quotes": [(0x61, 0x7A), (0x130, 0x1CC), (0xFB00, 0xFB06), (0x2018, 0x201F), (0xFF01, 0xFF9F)],
    }

    def characters(name: str, count: int) -> str:
        return "".join(chr(rng.randint(*rng.choice(ranges[name]))) for _ in range(count))

    strings = [characters(name, rng.randint(1, 40)) for name in ranges for _ in range(1000)]

    entities = sorted(html.entities.html5)
    for _ in range(3000):
        pieces = []
        for _ in range(rng.randint(1, 6)):
            entity = rng.choice(entities)
            pieces.append(
                rng.choice(
                    [
                        f"&{entity}",
                        f"&{entity.upper()}",
                        f"&amp;{entity}",
                        f"&amp;amp;{entity}",
                        f"&#{rng.randint(0, 0x2000)};",
                        f"&#x{rng.randint(0, 0x120000):x};",
                        f"&#{rng.randint(0, 300)} ",
                        f"&{entity[: rng.randint(0, len(entity))]}",
                        characters("ascii", 4),
                        rng.choice(["<b>", "\n", "&#", "&", ";", "&#x", "\x1b[31m", "\x1b["]),
                    ]
                )
            )
        strings.append("".join(pieces))

    words = "it's we'll I'd They're 've 'S 'ſ the a photo of <start_of_text> <end_of_text> <|endoftext|> <|startoftext|> "
    words += "<ſtart_of_text> </w> 3rd 1st 2024 ½ Ⅷ ２ ΣΑΣ ΟΔΥΣΣΕΥΣ İstanbul STRASSE ß ŉ ﬁ K Å naïve résumé “no” ‘yes’ … — 👩‍👩‍👧‍👦 🇬🇧 👍🏽 "
    words += "don’t !!! ??? <end_of_text>! x<start_of_text>y \x00 \x1c \x85 \xa0 \u3000 \u200b e\u0301 \ufeff"
    words = words.split(" ")
    for _ in range(3000):
        strings.append(rng.choice(["", " "]).join(rng.choice(words) for _ in range(rng.randint(1, 30))))
    # Over-long: many words, one word, and around the limit itself.
    strings += [" ".join(["dog"] * count) for count in (74, 75, 76, 77, 78, 10_000)]
    strings += [letters * count for letters in ("a", "ha", "!", "é", "👍") for count in (1, 47, 48, 49, 100, 2000)]
    strings += ["", " ", "\n", "&nbsp;", "\u3000", "\x00", "a" * 76 + " b"]
    return strings


def wrongly_decoded(rng: random.Random, real: list[str]) -> list[str]:
    """Text as it comes from programs that took UTF-8 for another encoding, once and twice, whole and damaged."""
    phrases = [
        "café", "naïve résumé", "l’été à Zürich", "“quoted” text…", "women’s hat", "Ελληνικά κείμενα", "Привет, мир", "日本語のテキスト",
        "한국어", "שלום עולם", "مرحبا", "đặc biệt", "Łódź żółw", "Dvořák", "Ñandú ¿qué?", "smørrebrød", "€ 5 – 10 £", "👍🏽 photo", "½ cup", "20 °C",
        "© 2020 ® ™", "coração ação", "à la carte, voilà", "«guillemets»", "100 µm", "‘a’ œuvre", "Ødegård", "İstanbul ışık", "São Tomé & Príncipe",
    ]
    beyond_ascii = [text for text in real if not text.isascii()]
    phrases += rng.sample(beyond_ascii, min(400, len(beyond_ascii)))
    found = {}
    for text in phrases:
        for encoding in ftfy.chardata.CHARMAP_ENCODINGS:
            try:
                wrong = text.encode().decode(encoding)
            except UnicodeDecodeError:
                continue
            at = rng.randrange(len(wrong))
            damaged = wrong[:at] + rng.choice(["\ufffd", "?", ""]) + wrong[at + 1 :]
            found.update(dict.fromkeys([wrong, f"a photo of {wrong}", wrong.replace("\xa0", " "), f"{wrong} {text}", damaged, wrong.lower()]))
            with contextlib.suppress(UnicodeDecodeError):
                found[wrong.encode().decode(encoding)] = None
    return list(found)


def all_characters() -> list[str]:
    """Every character that Python's version of Unicode knows, twenty to a string, between letters and alone."""
    known = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) not in ("Cn", "Cs", "Co")]
    return [
        " ".join(f"x{c}X{c} {c}" for c in known[start : start + 10]) for start in range(0, len(known), 10)
    ]


def unassigned(text: str) -> bool:
    """Whether `text`, or what open_clip's cleaning makes of it, has a character that Python's Unicode does not know.

    What is a letter, a lower case or a composition there depends on the versions of Python and of the packages `regex`
    and `ftfy`, which need not agree with each other: Python 3.11 has Unicode 14, `regex` a later one, and for code points
    without a character (U+3F5A6) it says "letter".
    """
    clean = open_clip.tokenizer._clean_lower
    return any(unicodedata.category(c) == "Cn" for c in text) or any(unicodedata.category(c) == "Cn" for c in clean(text))


def ours(program: str, arguments: list[str], strings: list[str]) -> list[list[int]]:
    lines = "".join(json.dumps(text) + "\n" for text in strings)
    result = subprocess.run([program, *arguments], input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in result.stdout.splitlines()]


def open_clip_ids(strings: list[str]) -> list[list[int]]:
    """Ids by open_clip's own tokenizer, without padding."""
    tokenizer = open_clip.tokenizer._tokenizer
    rows = []
    for text in strings:
        ids = tokenizer(text, context_length=CONTEXT_LENGTH)[0].tolist()
        # Padding is 0, which is also the token of an exclamation mark within a word: its place tells them apart.
        length = min(len(tokenizer.encode(text)) + 2, CONTEXT_LENGTH)
        assert not any(ids[length:])
        rows.append(ids[:length])
    return rows


def local_dir_ids(folder: Path, strings: list[str], clean: str | None = None) -> list[list[int]]:
    """Ids by the tokenizer that open_clip finds in a folder in its layout, without padding."""
    kwargs = {"clean": clean} if clean else {}
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}", context_length=CONTEXT_LENGTH, **kwargs)
    return [unpadded(ids) for ids in tokenizer(strings).tolist()]


def unpadded(ids: list[int]) -> list[int]:
    """Up to the first of the last ids where these are all the same: behind the end comes the end again."""
    length = len(ids)
    while length > 1 and ids[length - 2] == ids[-1]:
        length -= 1
    return ids[:length]


def compare(name: str, strings: list[str], found: list[list[int]], expected: list[list[int]]) -> int:
    assert len(strings) == len(found) == len(expected), (len(strings), len(found), len(expected))
    wrong = [i for i in range(len(strings)) if found[i] != expected[i]]
    print(f"{name}: {len(strings):,} strings, {len(wrong):,} differ")
    for i in wrong[:5]:
        print(f"    {strings[i][:100]!r}\n        ours     {found[i][:30]}\n        expected {expected[i][:30]}")
    return len(wrong)


def transformers_ids(tokenizer, strings: list[str]) -> list[list[int]]:
    return tokenizer(strings, max_length=CONTEXT_LENGTH, truncation=True, padding=False)["input_ids"]


def reference_clip_tokenizer() -> CLIPTokenizerFast:
    """transformers' fast CLIP tokenizer, made of OpenAI's file as open_clip carries it, not of anything of ours."""
    simple = open_clip.tokenizer._tokenizer
    vocab = dict(simple.encoder)
    vocab["<|startoftext|>"] = vocab.pop("<start_of_text>")
    vocab["<|endoftext|>"] = vocab.pop("<end_of_text>")
    return CLIPTokenizerFast(vocab=vocab, merges=list(simple.bpe_ranks))


def write_folder(folder: Path, tokenizer_json: str) -> None:
    """A tokenizer as transformers and open_clip find it in a folder."""
    (folder / "tokenizer.json").write_text(tokenizer_json)
    config = {"tokenizer_class": "CLIPTokenizer", "bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>"}
    config |= {"unk_token": "<|endoftext|>", "pad_token": "<|endoftext|>", "model_max_length": CONTEXT_LENGTH}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    text = {"context_length": CONTEXT_LENGTH, "hf_tokenizer_name": "tokenizer.json"}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": {"text_cfg": text}}))


def is_repaired(text: str) -> bool:
    return ftfy.fix_text(text) != ftfy.fix_text(text, fix_encoding=False)


def compare_wrongly_decoded(name: str, found: list[list[int]], expected: list[list[int]]) -> int:
    """Strings that were decoded in a wrong encoding: whether too many of them differ."""
    equal = sum(a == b for a, b in zip(found, expected, strict=True)) / len(found)
    print(f"{name}: {len(found):,} strings that were decoded in a wrong encoding, {equal:.2%} equal")
    return int(equal < REPAIRED)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", type=Path, help="the folder of the built examples, for `tokenize` of crate clip-model")
    root = Path(__file__).resolve().parents[2]
    default = Path(os.environ.get("CLIP_DATA", root.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--all-characters", action="store_true", help="also every character of Unicode (slower)")
    arguments = parser.parse_args()
    program = str(arguments.examples / "tokenize")

    rng = random.Random(SEED)
    real = captions(arguments.data) if arguments.data.is_dir() else []
    if not real:
        print(f"skipped: captions of the data folder ({arguments.data} is not there), see README")
    strings = list(dict.fromkeys(real + made_up(rng)))
    if arguments.all_characters:
        strings += all_characters()
    print(f"{len(strings):,} different strings, {len(real):,} of them from the data folder; seed {SEED}")

    wrong = 0
    everything = strings
    apart = [text for text in everything if unassigned(text)]
    known = set(everything).difference(apart)
    strings = [text for text in everything if text in known and not is_repaired(text)]
    found, expected = ours(program, ["openai"], apart), open_clip_ids(apart)
    differ = sum(a != b for a, b in zip(found, expected))
    print(f"{len(apart):,} strings with code points that Unicode {unicodedata.unidata_version}, Python's, does not have are")
    print(f"    kept apart, since the reference depends on its versions there: {differ:,} of them differ")
    print(f"{len(strings):,} strings are compared")
    built_in = ours(program, ["openai"], strings)
    wrong += compare("openai against open_clip.tokenize", strings, built_in, open_clip_ids(strings))
    guessed = [text for text in everything if text in known and is_repaired(text)]
    print(f"{len(guessed):,} of all strings, {sum(map(is_repaired, real)):,} of them from the data folder, are repaired as wrongly decoded")
    guessed += [text for text in wrongly_decoded(rng, real) if not unassigned(text)]
    wrong += compare_wrongly_decoded("openai", ours(program, ["openai"], guessed), open_clip_ids(guessed))

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        # Of the built-in's file only model and special tokens are compared here: with transformers' normalizer.
        written = json.loads(subprocess.run([program, "write"], capture_output=True, check=True).stdout)
        write_folder(folder, json.dumps(written))
        reference = reference_clip_tokenizer()
        opened = CLIPTokenizerFast.from_pretrained(folder)
        expected = transformers_ids(reference, strings)
        wrong += compare("transformers on our file against transformers on OpenAI's", strings, transformers_ids(opened, strings), expected)
        reference.save_pretrained(folder)
        wrong += compare("transformers' tokenizer.json against transformers", strings, ours(program, [str(folder / "tokenizer.json")], strings), expected)
        reopened = folder / "ours.json"
        reopened.write_text(json.dumps(written, indent=1, ensure_ascii=False))
        wrong += compare("our file, opened again, against openai", strings, ours(program, [str(reopened)], strings), built_in)

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        lines = "".join(json.dumps(text) + "\n" for text in strings[:20_000])
        train = [program, "train", "4000"]
        trained = subprocess.run(train, input=lines, capture_output=True, text=True, check=True).stdout
        again = subprocess.run(train, input=lines, capture_output=True, text=True, check=True).stdout
        print(f"trained: the same vocabulary twice: {trained == again}")
        wrong += trained != again
        write_folder(folder, trained)
        opened = CLIPTokenizerFast.from_pretrained(folder)
        assert (opened.bos_token_id, opened.eos_token_id, len(opened)) == (3998, 3999, 4000)
        found = ours(program, [str(folder / "tokenizer.json")], strings)
        wrong += compare("trained against transformers", strings, found, transformers_ids(opened, strings))
        for clean in CLEANINGS:
            found = [unpadded(ids) for ids in ours(program, [str(folder / "tokenizer.json"), clean], strings)]
            expected = local_dir_ids(folder, strings, clean)
            wrong += compare(f"trained against open_clip's local-dir, {clean}", strings, found, expected)

    for model in sorted(file.parent for file in (root / "models").glob("*/tokenizer.json")):
        # open_clip's own choice of cleaning, which is also that of the checkpoint's layout here.
        arguments = [str(model / "tokenizer.json"), "whitespace"]
        found, repaired = ([unpadded(ids) for ids in ours(program, arguments, texts)] for texts in (strings, guessed))
        wrong += compare(f"{model.name} against open_clip's local-dir", strings, found, local_dir_ids(model, strings))
        wrong += compare_wrongly_decoded(model.name, repaired, local_dir_ids(model, guessed))

    print("equal" if not wrong else f"{wrong:,} differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
