"""Model cards: the description of one model version, read from `card.toml` and the files next to it."""

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
"""The entry point group of preprocessing plug-ins."""
SAVED_MODEL_SUFFIXES = (".keras", ".h5")
SHIPPED = Path(__file__).parents[1] / "models"


class CardError(UsageError):
    """A card, or a file that it names, is missing or invalid."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Preprocessing(_Section):
    """The steps from an image to the model's input: the central square × `crop`, resized to the input size.

    A `plugin` replaces both steps.
    """

    crop: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Side of the central square as a share of the image's short side."""
    resize: Literal["bicubic", "bilinear", "lanczos", "box"] = "bicubic"
    plugin: str = ""
    """Name of an entry point in the group `panopticon.preprocessing`; empty for no plug-in."""
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """Keyword arguments for the plug-in."""

    @model_validator(mode="after")
    def _is_one_way(self) -> Self:
        if self.plugin and (self.crop, self.resize) != (1.0, "bicubic"):
            raise ValueError("crop and resize have no effect with a plugin: leave them out")
        if self.options and not self.plugin:
            raise ValueError("options: they belong to a plugin, and none is named")
        return self

    @cached_property
    def custom(self) -> EntryPointPlugin | None:
        """The plug-in; None if the card names none. Raises: CardError if it is not installed."""
        if not self.plugin:
            return None
        try:
            return find_entry_point(PREPROCESSING_PLUGINS, self.plugin)
        except ImportError as error:
            raise CardError(f"preprocessing.plugin: {error}") from None

    @property
    def description(self) -> str:
        """A description for people. Raises: CardError, as `custom` does."""
        return f"plug-in {self.custom}" if self.custom else f"centre square × {self.crop:g}, {self.resize}"

    @property
    def digest_input(self) -> dict[str, Any]:
        """The fields that affect the model's output."""
        if self.custom is None:
            return {"crop": self.crop, "resize": self.resize}
        return {
            "plugin": self.plugin,
            "distribution": self.custom.distribution,
            "version": self.custom.version,
            "options": self.options,
        }


class Scaling(_Section):
    """Pixel × `multiply` + `add`. Each is one number, or one for each channel in the model's own order."""

    model_config = ConfigDict(allow_inf_nan=False)

    multiply: float | tuple[float, float, float] = 1.0
    add: float | tuple[float, float, float] = 0.0


class Input(_Section):
    """The model's input: (N, height_px, width_px, 3) uint8 RGB, 0 to 255. Its first layer scales the pixels.

    A saved model that takes floats gets layers that put the channels in `order` and then apply `scaling`.
    """

    width_px: Annotated[int, Field(ge=1, le=4096)]
    height_px: Annotated[int, Field(ge=1, le=4096)]
    scaling: Scaling | None = None
    order: Literal["RGB", "BGR"] = "RGB"

    @property
    def adapted(self) -> bool:
        """Return whether layers for `scaling` or `order` are put in front of the model."""
        return self.scaling is not None or self.order != "RGB"

    @property
    def digest_input(self) -> dict[str, Any]:
        """The fields that affect the model's output, without those that have their default value."""
        return self.model_dump(exclude_defaults=True)


class OutputSpec(_Section):
    """The model's output: (N, D). D is the number of labels (tagging) or of names (scoring)."""

    dtype: Literal["float16", "float32"] = "float32"
    """Type of the stored elements."""
    names: tuple[str, ...] = ()
    """Scoring: the name of each element."""
    labels: str = ""
    """Tagging: a CSV file next to the card; columns label, synset, ancestors (broader terms, `|` between)."""


class Weights(_Section):
    """The source of the weights: a file next to the card, or one inside an installed distribution."""

    file: str
    """Path relative to the card, or to site-packages if `distribution` is given."""
    distribution: str = ""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    licence: str = ""
    """Licence of the weights: an SPDX identifier if there is one."""


class Engines(_Section):
    """The engines that may run the model."""

    allowed: Annotated[tuple[str, ...], Field(min_length=1)] = ("litert", "keras")
    """Names, or `module:Class` for a custom engine; the first is the default on a CPU."""
    tolerance: Annotated[float, Field(gt=0)] = 1e-3
    """Greatest absolute difference in any element between two engines, or a stored vector and plain Keras."""


class Needs(_Section):
    """The resources that the model needs."""

    memory_mb: Annotated[int, Field(ge=0)] = 0
    """Memory of one loaded model process, in MB."""
    python: str = ""
    """Interpreter of the model's process, relative to the card; empty for the interpreter of this program."""
    gpu_memory_mb: Annotated[int, Field(ge=0)] = 0
    """Share of a GPU's memory that one model process may take, in MB; 0 for as much as the library takes."""
    hardware: str = "cpu"
    images_per_s: Annotated[float, Field(ge=0)] = 0
    """Throughput of the engine alone, measured on `hardware`."""


class CardLimits(_Section):
    """Limits that a comparison with the previous version must meet before this version may be activated.

    A limit that is left out is taken from the setting of the same name; see `activation.Limits`.
    """

    min_coverage: Annotated[float, Field(ge=0, le=1)] | None = None
    min_agreement: Annotated[float, Field(ge=0, le=1)] | None = None
    min_jaccard: Annotated[float, Field(ge=0, le=1)] | None = None
    max_ks: Annotated[float, Field(ge=0, le=1)] | None = None
    max_waiting: Annotated[int, Field(ge=0)] | None = None
    min_images: Annotated[int, Field(ge=1)] | None = None


class Golden(_Section):
    """An image, and the values that the model must return for it."""

    image: str
    """A file next to the card, or `package:path` inside an importable package (skipped if there is none)."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    expected: dict[str, float]
    """Element name → value; elements left out are not checked."""
    tolerance: Annotated[float, Field(gt=0)] = 0.02


class LabelRow(_Section):
    """The names of one element of the output vector."""

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
    """Changes since the previous version."""
    unsuitable: str = ""
    """Images for which the model is unsuitable, and things that it cannot see."""
    architecture: str = ""
    """`module:function` that builds the Keras model (`build(card) -> keras.Model`), for keras and litert.

    Empty if `weights.file` is a whole saved model."""
    architecture_revision: Annotated[int, Field(ge=1)] = 1
    """A number to raise whenever the arithmetic of the builder, or of a custom engine, changes."""
    input: Input
    preprocessing: Preprocessing = Preprocessing()
    output: OutputSpec
    weights: Weights | None = None
    engines: Engines = Engines()
    needs: Needs = Needs()
    policy: dict[str, Any] = Field(default_factory=dict)
    """The policy that the version gets when it is registered; see `policy.Policy`."""
    limits: CardLimits = CardLimits()
    golden: tuple[Golden, ...] = ()
    folder: Path
    """Folder of the card file; not part of the digest."""

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
        """The model and the version, as in `tagger@1`."""
        return VersionName(model=self.name, version=self.version)

    @property
    def own_python(self) -> Path | None:
        """The interpreter that the card names for the model's process; None if it names none."""
        # A link into a virtual environment must stay a link, or the interpreter does not find its packages.
        return self.folder.absolute() / self.needs.python if self.needs.python else None

    @property
    def is_saved_model(self) -> bool:
        """Return whether the weights file is a whole Keras model, so that no builder is needed."""
        file = self.weights.file if self.weights else ""
        # Keras writes weights without their model into files of the second kind.
        is_whole = file.endswith(SAVED_MODEL_SUFFIXES) and not file.endswith(".weights.h5")
        return is_whole and not self.architecture and self._on_keras

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
        """SHA-256 of `digest_input`, in hexadecimal."""
        return hashlib.sha256(self.digest_input).hexdigest()

    @property
    def digest_input(self) -> bytes:
        """Canonical JSON of everything that affects the model's output."""
        # Without a builder or a saved model, a custom engine computes the output.
        builder = self.architecture or self.engines.allowed[0]
        return canonical_json(
            {
                "architecture": [
                    "saved model" if self.is_saved_model else builder,
                    self.architecture_revision,
                ],
                "task": self.task,
                "input": self.input.digest_input,
                "preprocessing": self.preprocessing.digest_input,
                "dtype": self.output.dtype,
                "elements": [[row.label, row.synset] for row in self.labels],
                "weights_sha256": self.weights.sha256 if self.weights else None,
            }
        ).encode()

    @property
    def archived_bytes(self) -> bytes:
        """Canonical JSON of the card and its labels with their broader terms, for the store's archive."""
        labels = [row.model_dump() for row in self.labels]
        return canonical_json(
            {"card": self.model_dump(mode="json", exclude={"folder"}), "labels": labels}
        ).encode()


def canonical_json(value: Any) -> str:
    """Encode as JSON with sorted keys, no spaces and ASCII only, so that equal values give equal texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def read_card(path: Path) -> ModelCard:
    """Read `card.toml`. Raises: CardError naming the file and the mistake in it."""
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
            rows = [
                LabelRow(
                    label=row["label"],
                    synset=row.get("synset", ""),
                    ancestors=tuple(term for term in row.get("ancestors", "").split("|") if term),
                )
                for row in csv.DictReader(file)
            ]
    except KeyError as error:
        raise CardError(f"labels file {path}: no column {error}") from None
    except (OSError, ValueError, csv.Error) as error:
        raise CardError(f"labels file {path}: {error}") from None
    return _distinct(f"labels file {path}", rows)


def _distinct(where: str, rows: list[LabelRow]) -> tuple[LabelRow, ...]:
    """Refuse equal labels, because policies and golden examples name an element by its label."""
    most_common = Counter(row.label for row in rows).most_common(1)
    if most_common and most_common[0][1] > 1:
        raise CardError(f"{where}: {most_common[0][0]!r} occurs twice")
    return tuple(rows)
