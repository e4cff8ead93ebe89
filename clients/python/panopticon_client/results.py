"""The answers of the service as values. Each keeps the JSON that it was made of in `raw`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

Json = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An error in an answer (RFC 9457). A text is empty, and a number None, where the answer has none."""

    type: str
    title: str
    status: int
    detail: str
    reason: str
    request_id: str
    retry_after_ms: float | None
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: Json, *, status: int = 0) -> Problem:
        """`status`: that of the answer, for a body that does not repeat it."""
        texts = {key: _text(raw.get(key)) for key in ("type", "title", "detail", "reason", "request_id")}
        given, wait_ms = raw.get("status"), raw.get("retry_after_ms")
        return cls(
            **texts,
            status=given if isinstance(given, int) else status,
            retry_after_ms=wait_ms if isinstance(wait_ms, (int, float)) else None,
            raw=raw,
        )

    def __str__(self) -> str:
        said = self.detail or self.title
        return f"{self.reason}: {said}" if self.reason and said else self.reason or said or "no detail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """One label of a picture."""

    label: str
    probability: float
    ancestors: tuple[str, ...]
    """Broader terms, from the nearest to the broadest."""

    @classmethod
    def of(cls, raw: Json) -> Tag:
        return cls(
            label=raw["label"],
            probability=raw["probability"],
            ancestors=tuple(raw.get("ancestors") or ()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """The answer of one model version about one picture: tags or scores, or an error."""

    name: str
    """Model and version, such as `tagger@1`."""
    model: str
    version: int | None
    digest: str
    engine: str
    policy_number: int | None
    tags: tuple[Tag, ...] | None
    """Most probable first; None if the model gives scores."""
    scores: Mapping[str, float] | None
    vector: tuple[float, ...] | None
    """The stored output, if it was asked for."""
    error: Problem | None
    """Set if this model has not answered; then there are neither tags nor scores."""
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def of(cls, name: str, raw: Json) -> ModelAnswer:
        tags, scores, vector = raw.get("tags"), raw.get("scores"), raw.get("vector")
        model, _, version = name.partition("@")
        return cls(
            name=name,
            model=raw.get("model", model),
            version=raw.get("version", int(version) if version.isdigit() else None),
            digest=_text(raw.get("digest")),
            engine=_text(raw.get("engine")),
            policy_number=raw.get("policy_number"),
            tags=None if tags is None else tuple(map(Tag.of, tags)),
            scores=None if scores is None else dict(scores),
            vector=None if vector is None else tuple(vector),
            error=Problem.of(raw["error"]) if "error" in raw else None,
            raw=raw,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The image of an analysis. A part is None where the service does not know it."""

    sha256: str | None
    bytes: int | None
    width_px: int | None
    height_px: int | None
    uri: str | None
    name: str | None

    @classmethod
    def of(cls, raw: Json) -> Picture:
        return cls(**{key: raw.get(key) for key in cls.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """The answers of all models about one picture; at least one of them has no error."""

    image: Picture
    models: Mapping[str, ModelAnswer]
    """By model and version, such as `tagger@1`."""
    host: str
    """The URL of the host that answered."""
    request_id: str
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: Json, *, host: str, request_id: str) -> Analysis:
        return cls(
            image=Picture.of(raw["image"]),
            models={name: ModelAnswer.of(name, answer) for name, answer in raw["models"].items()},
            host=host,
            request_id=request_id,
            raw=raw,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The limits of what a model admits at once, and the part of them that is taken."""

    max_images: int
    images: int
    max_bytes: int
    bytes: int

    @classmethod
    def of(cls, raw: Json) -> Gate:
        return cls(**{key: raw[key] for key in cls.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model version on the host that answered."""

    name: str
    model: str
    version: int
    digest: str
    state: str
    """`loading`, `ready`, `down` or `unloading`."""
    reason: str
    active: bool
    gate: Gate | None
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: Json) -> Model:
        gate = raw.get("gate")
        return cls(
            name=raw["name"],
            model=raw["model"],
            version=raw["version"],
            digest=raw["digest"],
            state=raw["state"],
            reason=_text(raw.get("reason")),
            active=bool(raw.get("active")),
            gate=None if gate is None else Gate.of(gate),
            raw=raw,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """All that the store has about one image, as `panopticon show --json` prints it."""

    image_id: str
    raw: Json = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPage:
    """The answer to a search."""

    image_ids: tuple[str, ...]
    """In the order that was asked for."""
    cursor: str
    """The parameter `cursor` of the next page; empty on the last one."""
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: Json) -> SearchPage:
        image_ids = tuple(image["image_id"] for image in raw["images"])
        return cls(image_ids=image_ids, cursor=_text(raw.get("cursor")), raw=raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostList:
    """The hosts of a deployment."""

    hosts: tuple[str, ...]
    """Their URLs, without a path."""
    max_age_s: float
    """Seconds for which the list may be used."""
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: Json) -> HostList:
        """Raises: ValueError for an empty list, which no client could use."""
        hosts = tuple(map(base_url, raw["hosts"]))
        if not hosts:
            raise ValueError("the list has no host")
        return cls(hosts=hosts, max_age_s=float(raw["max_age_s"]), raw=raw)


def base_url(text: str) -> str:
    """Return the URL of a host without a slash at its end. Raises: ValueError that names the text."""
    try:
        parts = urlsplit(text)
        is_good = bool(parts.scheme in ("http", "https") and parts.hostname and parts.port != 0)
    except (ValueError, AttributeError, TypeError):
        is_good = False
    if not is_good or "@" in parts.netloc or parts.path.strip("/") or parts.query or parts.fragment:
        # What lies before an @ may be a password.
        shown = repr(text).rpartition("@")[2][:100]
        raise ValueError(f"{shown} is not the URL of a host, such as http://10.0.0.1:8080")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def read(make: Callable[[], T], what: str) -> T:
    """Return `make()`. Raises: ValueError naming what the answer lacks, in one line."""
    try:
        return make()
    except KeyError as error:
        raise ValueError(f"{what} lacks {error}") from None
    except (TypeError, AttributeError):
        raise ValueError(f"{what} has another form") from None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
