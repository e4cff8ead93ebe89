"""The text of a new card to fill in; `panopticon models check` names every line that is left."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from panopticon.handover.check_card import PLACEHOLDER
from panopticon.results.outputs import VersionName

_TEMPLATE = """\
# The description of one model version. Replace every placeholder in capitals: `panopticon models check` names
# the lines that are left, and measures the rate. docs/model-handover.md explains each key.

name = {name}
version = {version}
task = {task}
summary = "{fill_in}"  # what it recognises in a photo, in one line
changes = {changes}
unsuitable = "{fill_in}"  # the images that it is not for, and what it cannot see
{architecture}
[input]
width_px = {width_px}
height_px = {height_px}
{adapted}
[preprocessing]
crop = 1.0  # share of the short side that is kept, cut from the centre
resize = "bicubic"  # or bilinear, lanczos, box: the one used in training

[output]
dtype = "float32"  # of the stored outputs; float16 takes half the space
{elements}

[weights]
file = {file}
sha256 = {sha256}
licence = "{fill_in}"  # of the weights, such as Apache-2.0

[engines]
allowed = ["litert", "keras"]  # the first is the default on a CPU
tolerance = 0.001  # greatest difference between the two, in any element

[needs]
memory_mb = 0  # {fill_in}: of one loaded model process
hardware = "{fill_in}"  # on which the rate was measured
images_per_s = 0  # {fill_in}: of the engine alone, on that hardware
{policy}"""

_ARCHITECTURE = """
architecture = "{fill_in}"  # package.module:function, called with the card, gives the keras.Model
architecture_revision = 1  # increment it whenever that function's arithmetic changes
"""

_ADAPTED = """\
scaling = {{ multiply = 1.0, add = 0.0 }}  # {fill_in}: pixel × multiply + add, as in training
order = "RGB"  # or "BGR"
"""

_POLICY = """
[policy]
threshold = 0.1  # tags with a lower probability are dropped
top_k = 5  # maximum number of tags of an image
"""

_GOLDEN = """
[[golden]]
image = {image}
sha256 = {sha256}
expected = {{}}  # {fill_in}: element = value, such as {{ "cat" = 0.97 }}
tolerance = 0.02
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that a card names: its path relative to the card, and its digest."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedModel:
    """The properties of a saved Keras model; sizes that it leaves open are None."""

    file: File
    width_px: int | None
    height_px: int | None
    elements: int | None
    takes: str
    """The dtype of its input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCard:
    """The properties of a version from which its new card is written."""

    version_name: VersionName
    task: Literal["tagging", "scoring"]
    saved: SavedModel | None
    golden: Sequence[File]

    @property
    def names(self) -> list[str]:
        """Return a placeholder for each element of the output; two if their number is unknown."""
        elements = (self.saved.elements if self.saved else None) or 2
        return [f"{PLACEHOLDER} {number}" for number in range(1, elements + 1)]


def card_text(new: NewCard) -> str:
    """Return the text of `card.toml`, which is a valid card before it is filled in."""
    saved, version = new.saved, new.version_name.version
    named = {
        "fill_in": PLACEHOLDER,
        "name": _quoted(new.version_name.model),
        "version": version,
        "task": _quoted(new.task),
        "changes": _quoted("The first version.")
        if version == 1
        else f'"{PLACEHOLDER}"  # since the previous version',
        "architecture": "" if saved else _ARCHITECTURE.format(fill_in=PLACEHOLDER),
        "width_px": _size(saved.width_px if saved else None),
        "height_px": _size(saved.height_px if saved else None),
        "adapted": _ADAPTED.format(fill_in=PLACEHOLDER) if saved and saved.takes != "uint8" else "",
        "elements": 'labels = "labels.csv"  # one row for each element, in the order of the output'
        if new.task == "tagging"
        else f"names = {json.dumps(new.names)}  # in the order of the output",
        "file": _quoted(saved.file.path) if saved else f'"{PLACEHOLDER}"  # relative to this card',
        "sha256": _quoted(saved.file.sha256) if saved else _unknown_sha256("the file"),
        "policy": _POLICY if new.task == "tagging" else "",
    }
    golden = "".join(map(_golden, new.golden)) or _golden(None)
    return _TEMPLATE.format(**named) + golden


def labels_text(new: NewCard) -> str:
    """Return the text of `labels.csv`, with one row for each element of the output, in order."""
    return "".join(f"{row}\n" for row in ("label,synset,ancestors", *(f"{name},," for name in new.names)))


def _golden(file: File | None) -> str:
    return _GOLDEN.format(
        fill_in=PLACEHOLDER,
        image=_quoted(file.path) if file else f'"{PLACEHOLDER}"  # an image in the folder of this card',
        sha256=_quoted(file.sha256) if file else _unknown_sha256("the image"),
    )


def _size(size_px: int | None) -> str:
    return str(size_px) if size_px else f"224  # {PLACEHOLDER}: input size of the model"


def _unknown_sha256(what: str) -> str:
    return f'"{"0" * 64}"  # {PLACEHOLDER}: sha256sum of {what}'


def _quoted(text: str) -> str:
    """Return the text as a basic string of TOML; every string of JSON is one."""
    return json.dumps(text, ensure_ascii=False)
