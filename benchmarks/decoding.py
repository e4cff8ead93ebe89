"""Measure the CPU of decoding one picture: `python -m benchmarks.decoding [--against TREE] [FILE …]`.

Prints one JSON object: the milliseconds of CPU for each format and size of generated pictures, or for each
file that is named. With `--against`, the code of another checkout decodes the same pictures, in turns with
this one, and the ratio of the two is printed, so that the speed of the machine does not matter.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.photos import make_photos

HERE = Path(__file__).parents[1]
SIZES = ((500, 375), (1600, 1200), (4000, 3000))
FORMATS: Mapping[str, Mapping[str, Any]] = {
    "JPEG": {"quality": 85},
    "progressive JPEG": {"quality": 85, "progressive": True},
    "PNG": {"compress_level": 1},
    "WEBP": {"quality": 80, "method": 0},
    "TIFF": {"compression": "tiff_lzw"},
    "BMP": {},
    "AVIF": {"quality": 60, "speed": 10},
}
"""Options for Pillow, by the name to print; its last word is Pillow's name of the format."""
LEAST_S = 0.2
"""The least CPU of one measurement."""

_DECODE = """
import sys, time
from pathlib import Path
from panopticon.cards.cards import Input, Preprocessing
from panopticon.images.decoding import decode
encoded, least_s = Path(sys.argv[1]).read_bytes(), float(sys.argv[2])
def once():
    begun_s = time.process_time()
    decode(encoded, input=Input(width_px=224, height_px=224), preprocessing=Preprocessing(crop=0.875))
    return time.process_time() - begun_s
once()
spent_s = []
while sum(spent_s) < least_s or len(spent_s) < 3:
    spent_s.append(once())
print(1000 * min(spent_s))
"""
"""Runs in a process of its own, with the code of either checkout."""


def pictures(folder: Path) -> Iterator[tuple[str, Path]]:
    """Make one picture of every format and size, and yield its name and place."""
    for width_px, height_px in SIZES:
        (base,) = make_photos(folder / "base", count=1, width_px=width_px, height_px=height_px)
        image = Image.open(base).convert("RGB")
        for name, options in FORMATS.items():
            path = folder / f"{name} {width_px}x{height_px}"
            image.save(path, name.rpartition(" ")[2], **options)
            yield path.name, path


def cpu_ms(path: Path, tree: Path) -> float:
    """Return the least CPU that the code of a checkout takes to decode a file."""
    environ = {**os.environ, "PYTHONPATH": str(tree)}
    child = subprocess.run(
        [sys.executable, "-c", _DECODE, str(path), str(LEAST_S)],
        env=environ,
        cwd=tree,
        check=True,
        text=True,
        stdout=subprocess.PIPE,
    )
    return float(child.stdout)


def measure(path: Path, *, against: Path | None, rounds: int) -> dict[str, float]:
    """Decode a file in every round, and in pairs if there is another checkout; the ratio is the median."""
    pairs = [(cpu_ms(path, HERE), cpu_ms(path, against) if against else 0.0) for _ in range(rounds)]
    measured = {"cpu_ms": round(min(here for here, _ in pairs), 2)}
    if against:
        measured["against_cpu_ms"] = round(min(there for _, there in pairs), 2)
        measured["ratio"] = round(statistics.median(here / there for here, there in pairs), 3)
    return measured


def named(files: Sequence[Path], folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield what to decode: the files, or generated pictures if there are none."""
    if files:
        yield from ((path.name, path.resolve()) for path in files)
    else:
        yield from pictures(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="pictures of any format")
    parser.add_argument("--against", type=Path, metavar="TREE", help="another checkout of this repository")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", metavar="WORD", help="only pictures whose name has this word")
    options = parser.parse_args()
    against = options.against.resolve() if options.against else None
    with tempfile.TemporaryDirectory() as name:
        measured = {
            picture: measure(path, against=against, rounds=options.rounds)
            for picture, path in named(options.files, Path(name))
            if options.only in picture
        }
    print(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
