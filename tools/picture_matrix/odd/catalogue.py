"""The catalogue of odd pictures as a folder: `img/`, `ref/` and `manifest.json`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tools.picture_matrix.picture import Pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class OddPicture:
    """A file that people have, and what is right for it."""

    file: str
    encoded: bytes
    expect: str
    """`stored`, `dead:REASON` or `aside` (another file stands for it), alternatives with `|` between."""
    reference: Pixels | None = None
    """The picture it must look like if it is stored; None if being stored is all."""


def catalogue() -> Iterator[OddPicture]:
    """Make every odd picture, family by family."""
    from tools.picture_matrix.odd import broken, colours, containers, files

    for module in (colours, containers, files, broken):
        yield from module.pictures()


def write_catalogue(folder: Path) -> None:
    """Write the catalogue into a folder, in the format that `checking.check_folder` reads."""
    images, references = folder / "img", folder / "ref"
    images.mkdir(parents=True)
    references.mkdir()
    manifest = []
    for each in catalogue():
        (images / each.file).write_bytes(each.encoded)
        entry = {"file": each.file, "expect": each.expect, "ref": None}
        if each.reference is not None:
            name = hashlib.sha256(each.reference.tobytes() + bytes(each.reference.shape[1] % 251)).hexdigest()
            entry["ref"] = name[:12]
            path = references / f"{name[:12]}.png"
            if not path.exists():
                Image.fromarray(each.reference).save(path, compress_level=1)
        manifest.append(entry)
    names = [entry["file"] for entry in manifest]
    if len(set(names)) != len(names):
        raise ValueError("two odd pictures have the same name")
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), "utf-8")
