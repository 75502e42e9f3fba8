"""Writes tokenizer_golden.jsonl beside this script: strings, and their ids by open_clip.tokenize.

    python model/tests/tokenizer_golden.py

One JSON object a line: text, ids (without padding). Made with open_clip 3.3.0, ftfy 6.3.1, regex 2026.11.15.
"""

import json
from pathlib import Path

import open_clip

STRINGS = [
    "a photo of a cat",
    "A  Photo\tof\n a CAT. ",
    "",
    " \u3000\n",
    "it's we'll they'RE i'd we've i'm don't",
    "3 dogs, 12 cats & 1/2 a pizza!!!",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "fish &amp; chips &lt;3 &amp;amp; caf&eacute; &EACUTE; &notit; &#39;quoted&#x27; &#128;",
    "it’s “curly” — ‘very’ …",
    "café cafe\u0301 naïve résumé ÅNGSTRÖM İstanbul STRASSE straße ΟΔΥΣΣΕΥΣ",
    "Привет, мир! 日本語のテキスト 中文 한국어 العربية हिन्दी",
    "ＬＯＵＤ　ＮＯＩＳＥＳ Ｕﾀｰﾝ ﬂuﬃeﬆ",
    "👍 👍🏽 👩‍👩‍👧‍👦 🇬🇧🇫🇷 #️⃣ ❤️",
    "a\x00b\x07c \x1b[31mred\x1b[0m \x7f \x85 \x1c \ufeff",
    "<start_of_text> within <end_of_text> text <End_Of_Text>!",
    "!!!<end_of_text>",
    "<|startoftext|> <|endoftext|> </w>",
    "'ſ <ſtart_of_text> a\u0345b",
    "<b>bold</b> &EACUTE;",
    "\u200bzero\u200bwidth \u00adsoft\u00adhyphen",
    "½ Ⅷ ２ ① x² H₂O",
    " ".join(["dog"] * 75),
    " ".join(["dog"] * 76),
    " ".join(["word"] * 1_000),
    "a" * 500,
    "ha" * 300 + "!",
    "é" * 100,
]

if __name__ == "__main__":
    tokenizer = open_clip.tokenizer._tokenizer
    lines = []
    for text in STRINGS:
        length = min(len(tokenizer.encode(text)) + 2, 77)
        ids = open_clip.tokenize(text)[0, :length].tolist()
        lines.append(json.dumps({"text": text, "ids": ids}) + "\n")
    (Path(__file__).parent / "tokenizer_golden.jsonl").write_text("".join(lines))
