"""Reading and writing the tars of pictures and captions that the models here are trained on (standard library only)."""

import argparse
import io
import os
import tarfile
from pathlib import Path


def folders(description, part):
    """The command line of a script that cuts `part` of the data folder into shards: that part's folder, and the output's."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    beside = Path(__file__).parent.parent.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("CLIP_DATA", beside)))
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    if not (options.data / part).is_dir():
        parser.error(f"{options.data / part} is not there: give the data folder with --data")
    options.output.mkdir(parents=True, exist_ok=True)
    return options.data / part, options.output


def samples(path):
    """(key, {extension: content}) of each sample of a tar, which may be compressed."""
    files = {}
    with tarfile.open(path) as tar:
        for member in tar:
            key, _, extension = member.name.partition(".")
            files.setdefault(key, {})[extension] = tar.extractfile(member).read()
    yield from files.items()


def write(path, chosen):
    """Writes (key, extension, picture, captions) as a tar, and nothing under its name until it is whole. Returns their number."""
    temporary = path.with_suffix(".tmp")
    count = 0
    with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
        for key, extension, picture, captions in chosen:
            text = "".join(caption + "\n" for caption in captions).encode()
            for name, content in ((f"{key}.{extension}", picture), (f"{key}.txt", text)):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            count += 1
    temporary.rename(path)
    print(f"{path}: {count} samples")
    return count
