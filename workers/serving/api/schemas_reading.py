"""Parameters and answers of the endpoints that read store and search, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_CONDITIONS = 50
"""Labels, and ranges of scores, in one query: each costs a look-up in every document that has the others."""

Repeated = Annotated[tuple[str, ...], Field(max_length=MAX_CONDITIONS)]


class SearchParameters(BaseModel):
    """The query string of `GET /v1/search`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    all_of: Repeated = Field(
        default=(), alias="all", description=f"label that has to match; repeatable, up to {MAX_CONDITIONS}"
    )
    any_of: Repeated = Field(
        default=(),
        alias="any",
        description=f"label, at least one of these has to match; repeatable, up to {MAX_CONDITIONS}",
    )
    min_probability: float = Field(
        default=0.0, ge=0, le=1, allow_inf_nan=False, description="minimum probability per label, 0 to 1"
    )
    score: Repeated = Field(
        default=(),
        description="range of a score, NAME=LOW..HIGH, both ends included, either may be left out;"
        f" repeatable, up to {MAX_CONDITIONS}",
    )
    order: str | None = Field(
        default=None,
        description="probability, newest or score:NAME, highest or latest first;"
        " without it probability with labels, else newest",
    )
    limit: int = Field(default=20, ge=1, le=1000, description="number of images on a page, 1 to 1000")
    cursor: str = Field(default="", description="cursor of the previous page, with the same question")


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FoundTag(_Answer):
    """A label that policy kept, and the part of the search document that has it."""

    label: str
    probability: float
    ancestors: list[str]
    """Broader terms that find the image too."""
    part: str


class FoundImage(_Answer):
    """An image that a search found."""

    image_id: str
    image_uri: str | None
    revision: int
    occurred_at: str | None
    """RFC 3339; null if it is not known."""
    tags: list[FoundTag]
    """The likeliest first."""
    scores: dict[str, float]


class SearchAnswer(_Answer):
    """A page of what a search found."""

    images: list[FoundImage]
    cursor: str | None
    """The cursor of the next page; null on the last one."""
    parts: list[str]
    """The parts, one for each version, that the page was answered from."""


class ImageVersion(_Answer):
    """The status of an image with one model version."""

    model: str
    state: str | None
    """The state of the version; null if the registry does not know it."""
    answers: bool
    verdict: str
    revision: int | None
    in_search: bool | None
    why: str
    next: str | None
    """A command that an operator can type about it."""


class CatalogueRow(_Answer):
    """The image as the catalogue has it."""

    revision: int
    image_uri: str
    event: str
    occurred_at: str | None


class FileMove(_Answer):
    """A former place of the file."""

    former_uri: str
    noticed_at: str | None


class ImageFile(_Answer):
    """The file of the original, as the machine of the service sees it."""

    missing: bool
    moves: list[FileMove]


class Element(_Answer):
    """An element of a vector."""

    name: str
    value: float


class PolicyReason(_Answer):
    """The decision of policy on one element, and its reason."""

    name: str
    shown_as: str
    value: float
    why: str


class StoredOutput(_Answer):
    """The output of one version for one revision, explained by the present policy."""

    model: str
    state: str | None
    revision: int
    current: bool
    digest: str
    registered_digest: str | None
    engine: str
    libraries: str
    source_sha256: str
    width_px: int
    height_px: int
    produced_at: str | None
    dtype: str
    elements: int
    labels_from: Literal["registry", "digest", "nowhere"]
    top: list[Element]
    policy_number: int | None
    kept: list[PolicyReason]
    dropped: list[PolicyReason]
    dropped_count: int
    note: str


class StoredFailure(_Answer):
    """A failure of one version for one revision."""

    image_id: str
    model: str
    revision: int
    state: str
    reason: str
    detail: str
    attempts: int
    last_at: str | None
    next_try_at: str | None
    message: str
    rungs: int
    """The number of retry delays."""
    next: str | None


class DocumentTag(_Answer):
    """A tag in the search document."""

    label: str
    probability: float
    ancestors: list[str]


class DocumentPart(_Answer):
    """The part of the search document that one version contributes."""

    model: str | None
    answers: bool
    behind: list[str]
    revision: int
    policy_number: int
    tags: list[DocumentTag]
    scores: dict[str, float]


class StoredDocument(_Answer):
    """The image's document in search."""

    revision: int
    deleted: bool
    occurred_at: str | None
    parts: dict[str, DocumentPart]


class ImageAnswer(_Answer):
    """Everything that is stored about one image."""

    image_id: str
    standings: list[ImageVersion]
    catalogue: CatalogueRow | None
    file: ImageFile | None
    outputs: list[StoredOutput]
    failures: list[StoredFailure]
    search: StoredDocument | None
