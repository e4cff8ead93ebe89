"""Model cards: what one model version is, read from `card.toml` and the files beside it."""

from __future__ import annotations

import csv
import hashlib
import json
import tomllib
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from panopticon.errors import UsageError
from panopticon.plugins import EntryPointPlugin, find_entry_point
from panopticon.results.outputs import VersionName

PREPROCESSING_PLUGINS = "panopticon.preprocessing"
"""The entry point group of custom preprocessing."""
SAVED_MODEL_SUFFIXES = (".keras", ".h5")
SHIPPED = Path(__file__).parents[1] / "models"


class CardError(UsageError):
    """A card, or a file it names, is not what it should be."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Preprocessing(_Section):
    """From a picture to the model's input: the largest central square × `crop`, resized to the input size.

    A `plugin` takes the place of both.
    """

    crop: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the short side that is kept, cut from the centre."""
    resize: Literal["bicubic", "bilinear", "lanczos", "box"] = "bicubic"
    plugin: str = ""
    """An entry point's name in the group `panopticon.preprocessing`."""
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """Handed to the plug-in as keyword arguments."""

    @model_validator(mode="after")
    def _is_one_way(self) -> Self:
        if self.plugin and (self.crop, self.resize) != (1.0, "bicubic"):
            raise ValueError("crop and resize are not looked at where a plugin does the work: leave them out")
        if self.options and not self.plugin:
            raise ValueError("options: they are a plugin's, and none is named")
        return self

    @cached_property
    def custom(self) -> EntryPointPlugin | None:
        """The plug-in; None where none is named. Raises: CardError if it is not installed."""
        if not self.plugin:
            return None
        try:
            return find_entry_point(PREPROCESSING_PLUGINS, self.plugin)
        except ImportError as error:
            raise CardError(f"preprocessing.plugin: {error}") from None

    @property
    def description(self) -> str:
        """For people: what it does. Raises: CardError, as `custom`."""
        return f"plug-in {self.custom}" if self.custom else f"centre square × {self.crop:g}, {self.resize}"

    @property
    def digest_input(self) -> dict[str, Any]:
        """What of it decides the output."""
        if self.custom is None:
            return {"crop": self.crop, "resize": self.resize}
        return {
            "plugin": self.plugin,
            "distribution": self.custom.distribution,
            "version": self.custom.version,
            "options": self.options,
        }


class Scaling(_Section):
    """Pixel × `multiply` + `add`, one number or one for each channel in the model's own order."""

    model_config = ConfigDict(allow_inf_nan=False)

    multiply: float | tuple[float, float, float] = 1.0
    add: float | tuple[float, float, float] = 0.0


class Input(_Section):
    """(N, height_px, width_px, 3) uint8 RGB, 0 to 255. Scaling is the model's own first layer.

    A saved model that takes floats is given that layer: by `scaling`, after the channels are put in `order`.
    """

    width_px: Annotated[int, Field(ge=1, le=4096)]
    height_px: Annotated[int, Field(ge=1, le=4096)]
    scaling: Scaling | None = None
    order: Literal["RGB", "BGR"] = "RGB"

    @property
    def adapted(self) -> bool:
        """Whether something is put before the model."""
        return self.scaling is not None or self.order != "RGB"

    @property
    def digest_input(self) -> dict[str, Any]:
        """What of it decides the output: what is left at its default is not named."""
        return self.model_dump(exclude_defaults=True)


class OutputSpec(_Section):
    """The model's output: (N, D). D is the number of labels (tagging) or of names (scoring)."""

    dtype: Literal["float16", "float32"] = "float32"
    """As stored."""
    names: tuple[str, ...] = ()
    """Scoring: what each element is called."""
    labels: str = ""
    """Tagging: a CSV file beside the card; columns label, synset, ancestors (broader terms, `|` between)."""


class Weights(_Section):
    """Where the source weights come from: a file beside the card, or one inside an installed distribution."""

    file: str
    """Relative to the card, or to site-packages where `distribution` is given."""
    distribution: str = ""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    licence: str = ""
    """Under which they may be used, an SPDX identifier where there is one."""


class Engines(_Section):
    allowed: Annotated[tuple[str, ...], Field(min_length=1)] = ("litert", "keras")
    """Names, or `module:Class` for an engine of one's own; the first is the default on a CPU."""
    tolerance: Annotated[float, Field(gt=0)] = 1e-3
    """Greatest absolute difference in any element: between engines, or a stored vector and bare Keras."""


class Needs(_Section):
    """What running it takes."""

    memory_mb: Annotated[int, Field(ge=0)] = 0
    """Of one loaded model process."""
    hardware: str = "cpu"
    images_per_s: Annotated[float, Field(ge=0)] = 0
    """As measured of the engine alone, on the hardware named."""


class CardLimits(_Section):
    """What a comparison with the version before must come to before this one may be activated.

    What is left out, the settings of the same names say; see `activation.Limits`.
    """

    min_coverage: Annotated[float, Field(ge=0, le=1)] | None = None
    min_agreement: Annotated[float, Field(ge=0, le=1)] | None = None
    min_jaccard: Annotated[float, Field(ge=0, le=1)] | None = None
    max_ks: Annotated[float, Field(ge=0, le=1)] | None = None
    max_waiting: Annotated[int, Field(ge=0)] | None = None


class Golden(_Section):
    """An image and what the model must say of it."""

    image: str
    """A file beside the card, or `package:path` inside an importable package (skipped where it is not)."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    expected: dict[str, float]
    """Element name → value; elements left out are not looked at."""
    tolerance: Annotated[float, Field(gt=0)] = 0.02


class LabelRow(_Section):
    label: str
    synset: str = ""
    ancestors: tuple[str, ...] = ()


class ModelCard(BaseModel):
    """One model version. Equal digests mean equal outputs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern="^[a-z][a-z0-9]{0,31}$")]
    version: Annotated[int, Field(ge=1)]
    task: Literal["tagging", "scoring"]
    summary: str
    changes: str
    """What changed since the version before."""
    unsuitable: str = ""
    """Which images it is not for, and what it cannot see."""
    architecture: str = ""
    """`module:function` that builds the Keras model (`build(card) -> keras.Model`), for keras and litert.

    Left out where `weights.file` is a whole saved model."""
    architecture_revision: Annotated[int, Field(ge=1)] = 1
    """Raised whenever the arithmetic of the builder, or of an engine of one's own, changes."""
    input: Input
    preprocessing: Preprocessing = Preprocessing()
    output: OutputSpec
    weights: Weights | None = None
    engines: Engines = Engines()
    needs: Needs = Needs()
    policy: dict[str, Any] = Field(default_factory=dict)
    """The policy with which the version is registered; see `policy.Policy`."""
    limits: CardLimits = CardLimits()
    golden: tuple[Golden, ...] = ()
    folder: Path
    """Where the card lies; not part of the digest."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if not self.architecture and self._on_keras and not self.is_saved_model:
            raise ValueError(
                "architecture: the engines keras and litert need a builder, "
                "or a whole saved model as weights.file"
            )
        if self.input.adapted and not self.is_saved_model:
            raise ValueError("input: scaling and order are for saved models; a builder does both by itself")
        if self.task == "tagging" and not self.output.labels:
            raise ValueError("output.labels: a tagging model needs a labels file")
        if self.task == "scoring" and not self.output.names:
            raise ValueError("output.names: a scoring model needs the names of its elements")
        return self

    @property
    def version_name(self) -> VersionName:
        return VersionName(model=self.name, version=self.version)

    @property
    def is_saved_model(self) -> bool:
        """Whether the weights file is the whole Keras model, so that nothing has to build it."""
        file = self.weights.file if self.weights else ""
        archived_bytes = file.endswith(SAVED_MODEL_SUFFIXES) and not file.endswith(".weights.h5")
        return archived_bytes and not self.architecture and self._on_keras

    @property
    def _on_keras(self) -> bool:
        return bool({"keras", "litert"} & set(self.engines.allowed))

    @cached_property
    def labels(self) -> tuple[LabelRow, ...]:
        """One row per element of the output vector. Raises: CardError."""
        if self.task == "scoring":
            return _distinct(
                f"{self.version_name}: output.names", [LabelRow(label=name) for name in self.output.names]
            )
        return _read_labels(self.folder / self.output.labels)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of `deciding`."""
        return hashlib.sha256(self.digest_input).hexdigest()

    @property
    def digest_input(self) -> bytes:
        """Canonical JSON of everything that decides the output."""
        return canonical_json(self._digest_fields()).encode()

    @property
    def archived_bytes(self) -> bytes:
        """Canonical JSON of the card and its labels with their broader terms, to be kept for ever."""
        labels = [row.model_dump() for row in self.labels]
        return canonical_json(
            {"card": self.model_dump(mode="json", exclude={"folder"}), "labels": labels}
        ).encode()

    @property
    def _built_by(self) -> str:
        if self.is_saved_model:
            return "saved model"
        return self.architecture or self.engines.allowed[0]

    def _digest_fields(self) -> dict[str, Any]:
        return {
            "architecture": [self._built_by, self.architecture_revision],
            "task": self.task,
            "input": self.input.digest_input,
            "preprocessing": self.preprocessing.digest_input,
            "dtype": self.output.dtype,
            "elements": [[row.label, row.synset] for row in self.labels],
            "weights_sha256": self.weights.sha256 if self.weights else None,
        }


def canonical_json(value: Any) -> str:
    """Sorted keys, no spaces, ASCII only: one text for one value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def read_card(path: Path) -> ModelCard:
    """Read `card.toml`. Raises: CardError naming the file and what is wrong in it."""
    try:
        fields = tomllib.loads(path.read_text("utf-8"))
        return ModelCard(**{**fields, "folder": path.parent})
    except FileNotFoundError:
        raise CardError(f"no model card at {path}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CardError(f"model card {path}: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"{step}." for step in first["loc"]).rstrip(".")
        wrong = first["msg"].removeprefix("Value error, ")
        raise CardError(
            f"model card {path}: {where}: {wrong}" if where else f"model card {path}: {wrong}"
        ) from None


def _read_labels(path: Path) -> tuple[LabelRow, ...]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [_label_row(row) for row in csv.DictReader(file)]
    except KeyError as error:
        raise CardError(f"labels file {path}: it has no column {error}") from None
    except (OSError, ValueError, csv.Error) as error:
        raise CardError(f"labels file {path}: {error}") from None
    return _distinct(f"labels file {path}", rows)


def _label_row(row: dict[str, str]) -> LabelRow:
    ancestors = tuple(term for term in row.get("ancestors", "").split("|") if term)
    return LabelRow(label=row["label"], synset=row.get("synset", ""), ancestors=ancestors)


def _distinct(where: str, rows: list[LabelRow]) -> tuple[LabelRow, ...]:
    """Policies and golden examples name an element by its label, so no two may share one."""
    most_common = Counter(row.label for row in rows).most_common(1)
    if most_common and most_common[0][1] > 1:
        raise CardError(f"{where}: {most_common[0][0]!r} stands there twice")
    return tuple(rows)
