"""Roll-up: make a broader term a tag of its own, from the probabilities of the labels under it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from panopticon.cards.cards import LabelRow


class RollUp(StrEnum):
    """The rule that turns the probabilities of the labels under a term into that of the term."""

    SUM = "sum"
    """Their sum, at most 1: for labels that exclude each other, such as those of a softmax."""
    MAX = "max"
    """Their maximum: for labels that an image may have at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RolledTerm:
    """One term, and the elements of a vector that count towards it."""

    name: str
    how: RollUp
    indexes: NDArray[np.intp]
    ancestors: tuple[str, ...]
    """The other broader terms that all its labels share, in the order of the first label."""

    def probability(self, values: NDArray[Any]) -> float:
        """Return the probability of the term. `values`: (D,).

        Sums are rounded exactly, so that every machine gives the same result.
        """
        under = values[self.indexes].tolist()
        return max(under) if self.how is RollUp.MAX else min(math.fsum(under), 1.0)


def rolled_terms(rollup: Mapping[str, RollUp], labels: Sequence[LabelRow]) -> tuple[RolledTerm, ...]:
    """Return the terms in the order of `rollup`; a term that no label has is left out."""
    terms = []
    for name, how in rollup.items():
        indexes = [index for index, row in enumerate(labels) if name in row.ancestors]
        if not indexes:
            continue
        first, *others = (labels[index].ancestors for index in indexes)
        shared = set(first).intersection(*others) - {name}
        terms.append(
            RolledTerm(
                name=name,
                how=how,
                indexes=np.array(indexes, dtype=np.intp),
                ancestors=tuple(term for term in first if term in shared),
            )
        )
    return tuple(terms)
