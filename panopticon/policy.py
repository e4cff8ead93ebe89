"""Policy: from a stored vector to the tags and scores of a document, without inference."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from panopticon.cards import LabelRow
from panopticon.errors import UsageError
from panopticon.messages import Tag

Threshold = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]


class Policy(BaseModel):
    """Which elements of a vector are shown, and under which names. Every score of a scoring model is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: Threshold = 0.1
    """Tags with a lower probability are dropped."""
    thresholds: dict[str, Threshold] = Field(default_factory=dict)
    """By label, instead of `threshold`."""
    top_k: Annotated[int, Field(ge=1, le=1000, strict=True)] = 5
    """At most so many tags."""
    hidden: tuple[str, ...] = ()
    """Tags never shown; they may still be broader terms of others."""
    renamed: dict[str, str] = Field(default_factory=dict)
    """Label or score → what it is called instead."""


def read_policy(text: str) -> Policy:
    """Parse a policy's TOML. Raises: UsageError naming the key."""
    try:
        return Policy(**tomllib.loads(text))
    except ValidationError as error:
        raise UsageError(_refusal(error)) from None
    except ValueError as error:
        raise UsageError(f"policy: {error}") from None
    except RecursionError:
        raise UsageError("policy: nested too deeply") from None


def _refusal(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    key = ".".join(map(str, fault["loc"]))
    if fault["type"] == "extra_forbidden":
        return f"policy: unknown key {key!r}; known: {', '.join(Policy.model_fields)}"
    return f"policy: {key}: {fault['msg']}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a document says by one policy."""

    tags: tuple[Tag, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)


class Judge:
    """One policy made ready for one model version's vectors."""

    def __init__(self, policy: Policy, *, task: str, labels: Sequence[LabelRow]) -> None:
        """Raises: UsageError if two scores would have one name."""
        self._task = task
        self._top_k = policy.top_k
        self._labels = tuple(labels)
        self._names = tuple(policy.renamed.get(row.label, row.label) for row in labels)
        if task == "scoring":
            _check_distinct(self._names)
        self._thresholds = np.array([_threshold(policy, row.label) for row in labels], dtype=np.float64)

    def verdict(self, vector: NDArray[Any]) -> Verdict:
        """`vector`: (D,), as stored. Tags come most probable first, equals in the order of the labels."""
        values = np.asarray(vector, dtype=np.float64)
        if self._task == "scoring":
            return Verdict(scores=dict(zip(self._names, values.tolist(), strict=True)))
        kept = np.flatnonzero(values >= self._thresholds)
        best = kept[np.argsort(-values[kept], kind="stable")][: self._top_k]
        return Verdict(tags=tuple(self._tag(int(index), float(values[index])) for index in best))

    def _tag(self, index: int, probability: float) -> Tag:
        ancestors = self._labels[index].ancestors
        return Tag(label=self._names[index], probability=min(probability, 1.0), ancestors=ancestors)


def _check_distinct(names: Sequence[str]) -> None:
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise UsageError(f"policy: renamed: two scores would both be called {twice!r}")


def _threshold(policy: Policy, label: str) -> float:
    return np.inf if label in policy.hidden else policy.thresholds.get(label, policy.threshold)
