"""Policies: turn a stored vector into the tags and scores of a document, without inference."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from panopticon.cards.cards import LabelRow
from panopticon.errors import UsageError
from panopticon.messages import Tag
from panopticon.policy.rollup import RolledTerm, RollUp, rolled_terms

_TOML_WORDS = {"tuple_type": "it must be a list", "dict_type": "it must be a table"}
"""Type of a pydantic error → message in the terms of TOML, where pydantic names Python types."""

Threshold = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]
_NAME = re.compile(r"(?=.*\S)[^\x00-\x1f\x7f-\x9f]{1,255}")


def _check_name(value: str) -> str:
    """Return a name that search accepts and a person can read. Raises: ValueError for any other."""
    if not _NAME.fullmatch(value):
        raise ValueError("it must be 1 to 255 characters, not all blank and none a control character")
    return value


ShownName = Annotated[str, AfterValidator(_check_name)]


class PolicyError(UsageError):
    """Raised for a policy that is invalid, or that names something its version does not have."""

    def __init__(self, what: str, *, path: tuple[str, ...] = ()) -> None:
        """`path`: the keys that lead to the error, perhaps with a list item last; empty if it has none."""
        super().__init__(f"policy: {what}")
        self.what = what
        self.path = path


class Policy(BaseModel):
    """The rules for which elements of a vector are shown, and by which names. Scores are always shown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: Threshold = 0.1
    """Tags with a lower probability are dropped."""
    thresholds: dict[str, Threshold] = Field(default_factory=dict)
    """Label or rolled-up term → its own threshold, in place of `threshold`."""
    top_k: Annotated[int, Field(ge=1, le=1000, strict=True)] = 5
    """Maximum number of tags, rolled-up terms included."""
    hidden: tuple[str, ...] = ()
    """Tags that are never shown; they may still be broader terms of others."""
    renamed: dict[str, ShownName] = Field(default_factory=dict)
    """Label, rolled-up term or score → the name that it is shown by."""
    rollup: dict[str, RollUp] = Field(default_factory=dict)
    """Broader term → the rule by which it becomes a tag of its own, from the labels under it."""


def read_policy(text: str) -> Policy:
    """Parse a policy's TOML. Raises: PolicyError naming the key."""
    try:
        return policy_of(tomllib.loads(text))
    except PolicyError:
        raise
    except ValueError as error:
        raise PolicyError(str(error)) from None
    except RecursionError:
        raise PolicyError("nested too deeply") from None


def policy_of(fields: Mapping[str, Any]) -> Policy:
    """Return the policy with these keys. Raises: PolicyError naming the first key with an error."""
    try:
        return Policy(**fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    path = tuple(step for step in first["loc"] if isinstance(step, str))
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        raise PolicyError(f"unknown key {key!r}; known: {', '.join(Policy.model_fields)}", path=path)
    what = _TOML_WORDS.get(first["type"], first["msg"].removeprefix("Value error, "))
    raise PolicyError(f"{key}: {what}", path=path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The tags and scores of one vector after a policy."""

    tags: tuple[Tag, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """The explanation of why one element of a vector, or one rolled-up term, is shown or not."""

    name: str
    """The name in the card."""
    shown_as: str
    """The name that the policy gives it."""
    value: float
    kept: bool
    why: str
    """A reason such as `below its threshold 0.5`; empty if it is kept under its own name."""


class PolicyEvaluator:
    """One policy, prepared for the vectors of one model version."""

    def __init__(self, policy: Policy, *, task: str, labels: Sequence[LabelRow]) -> None:
        """Raise PolicyError if two scores would have the same name, or a rolled-up term is unknown."""
        self._task = task
        self._policy = policy
        self._terms = rolled_terms(policy.rollup, labels)
        _check_known(policy.rollup, self._terms)
        self._elements = (*(row.label for row in labels), *(term.name for term in self._terms))
        self._names = tuple(policy.renamed.get(name, name) for name in self._elements)
        self._ancestors = (*(row.ancestors for row in labels), *(term.ancestors for term in self._terms))
        if task == "scoring":
            _check_distinct(self._names)
        # No value reaches the threshold of a hidden element.
        self._thresholds = np.array(
            [
                np.inf if name in policy.hidden else policy.thresholds.get(name, policy.threshold)
                for name in self._elements
            ],
            dtype=np.float64,
        )

    def evaluate(self, vector: NDArray[Any]) -> Evaluation:
        """Return the tags, most probable first and equal ones in the order of the labels, or the scores.

        `vector`: (D,), as stored.
        """
        values = self._values(vector)
        if self._task == "scoring":
            return Evaluation(scores=dict(zip(self._names, values.tolist(), strict=True)))
        tags = [
            Tag(
                label=self._names[index],
                # An output of the model may exceed 1 by rounding.
                probability=min(float(values[index]), 1.0),
                ancestors=self._ancestors[index],
            )
            for index in self._best(values)
        ]
        return Evaluation(tags=tuple(tags))

    def explain(self, vector: NDArray[Any]) -> list[Reason]:
        """Explain every element and rolled-up term, the greatest value first.

        Those that are kept are the ones that `evaluate` returns. `vector`: (D,), as stored.
        """
        values = self._values(vector)
        kept = frozenset(range(len(values)) if self._task == "scoring" else self._best(values))
        order = np.argsort(-values, kind="stable").tolist()
        reasons = []
        for index in order:
            name, shown_as, value = self._elements[index], self._names[index], float(values[index])
            renamed = f"renamed to {shown_as!r}" if shown_as != name else ""
            why = renamed if index in kept else self._why_dropped(name, value)
            reasons.append(Reason(name=name, shown_as=shown_as, value=value, kept=index in kept, why=why))
        return reasons

    def _values(self, vector: NDArray[Any]) -> NDArray[np.float64]:
        """Return the values of the elements, then of the rolled-up terms."""
        values = np.asarray(vector, dtype=np.float64)
        if not self._terms:
            return values
        return np.concatenate([values, [term.probability(values) for term in self._terms]])

    def _best(self, values: NDArray[np.float64]) -> list[int]:
        """Return the indexes of the `top_k` greatest values that reach their thresholds, greatest first."""
        kept = np.flatnonzero(values >= self._thresholds)
        best: list[int] = kept[np.argsort(-values[kept], kind="stable")][: self._policy.top_k].tolist()
        return best

    def _why_dropped(self, name: str, value: float) -> str:
        policy = self._policy
        if name in policy.hidden:
            return "hidden"
        if name in policy.thresholds and value < policy.thresholds[name]:
            return f"below its threshold {policy.thresholds[name]:g}"
        if name not in policy.thresholds and value < policy.threshold:
            return f"below the threshold {policy.threshold:g}"
        return f"not among the {policy.top_k} most probable"


def _check_known(rollup: Mapping[str, RollUp], terms: Sequence[RolledTerm]) -> None:
    known = {term.name for term in terms}
    unknown = next((name for name in rollup if name not in known), None)
    if unknown is not None:
        raise PolicyError(f"rollup: no label has the broader term {unknown!r}", path=("rollup", unknown))


def _check_distinct(names: Sequence[str]) -> None:
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise PolicyError(f"renamed: two scores would both be called {twice!r}")
