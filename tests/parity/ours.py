"""Our programs, as the comparisons with the Python reference call them."""

import json
import subprocess
from pathlib import Path


class Ours:
    """Programs and examples, and a folder that what they write goes into."""

    def __init__(self, examples: Path, folder: Path):
        self.examples, self.folder, self.count = examples, folder, 0

    def fresh(self) -> Path:
        self.count += 1
        return self.folder / f"ours{self.count}"

    def run(self, program: str, *arguments, stdin: str | None = None) -> subprocess.CompletedProcess:
        """A program by its name, or an example."""
        built = self.examples.parent / program
        command = [str(part) for part in (built if built.is_file() else self.examples / program, *arguments)]
        return subprocess.run(command, input=stdin, capture_output=True, text=True)

    def succeed(self, program: str, *arguments, stdin: str | None = None) -> str:
        result = self.run(program, *arguments, stdin=stdin)
        if result.returncode != 0:
            raise RuntimeError(f"{program} {' '.join(map(str, arguments))} ended with {result.returncode}: {result.stderr.strip()[-2000:]}")
        return result.stdout

    def export(self, checkpoint: Path, *options) -> Path:
        exported = self.fresh()
        self.succeed("clip-export", checkpoint, "-o", exported, *options)
        return exported

    def convert(self, checkpoint: Path, layout: str, *options) -> Path:
        return self.export(checkpoint, "--to", layout, *options)

    def embed(self, exported: Path, pictures: list[Path], texts: list[str]) -> list:
        """The embeddings of pictures and texts, by runtime/examples/embed.rs."""
        requests = [{"images": list(map(str, pictures))}, {"texts": texts}]
        lines = self.succeed("embed", exported, stdin="".join(json.dumps(request) + "\n" for request in requests))
        return [json.loads(line) for line in lines.splitlines()]
