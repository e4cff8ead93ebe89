"""Explaining one output: its elements by name, and the result of the present policy for each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from panopticon.cards.archived import element_names
from panopticon.errors import UsageError
from panopticon.interfaces import Archive
from panopticon.policy.policy import Reason
from panopticon.registry.records import VersionEntry
from panopticon.results.outputs import Output
from workers.registry.policy_cache import resolve_policy
from workers.registry.records import Registered

TOP = 5
"""The number of elements shown of a vector, and of those that the policy dropped."""


class LabelsFrom(StrEnum):
    """The source of the names of an output's elements."""

    REGISTRY = "registry"
    DIGEST = "digest"
    """The archive, which keeps them under the output's own digest."""
    NOWHERE = "nowhere"
    """No source has them, so the elements are numbered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One output, explained."""

    output: Output
    entry: VersionEntry | None
    """None if the registry does not know the version."""
    revision: int | None
    """The catalogue's revision; None if the catalogue does not know the image."""
    labels_from: LabelsFrom
    top: tuple[tuple[str, float], ...]
    """The greatest elements with their names, greatest first."""
    reasons: tuple[Reason, ...] = ()
    """Reasons of the present policy for every element and rolled-up term, greatest first; empty if no policy
    applies."""
    note: str = ""
    """Explains why no policy applies; empty if one does."""

    @property
    def policy_number(self) -> int | None:
        """The number of the policy that gave the reasons; None if no policy applies."""
        return self.entry.policy_number if self.entry and not self.note else None

    @property
    def kept(self) -> tuple[Reason, ...]:
        return tuple(reason for reason in self.reasons if reason.kept)

    @property
    def dropped(self) -> tuple[Reason, ...]:
        return tuple(reason for reason in self.reasons if not reason.kept)

    @property
    def current(self) -> bool:
        """True if the output is of the catalogue's revision."""
        return self.output.key.revision == self.revision


def explain(output: Output, registered: Registered, archive: Archive, *, revision: int | None) -> Explanation:
    """Explain an output by the present policy of its version, if its digest is the registered one.

    Under another digest each element may have another meaning, so no policy is applied to such an output.
    `revision` is the catalogue's. Raises: Unavailable.
    """
    version = output.key.version_name
    model, entry = registered.get(version, (None, None))
    if model is None or entry is None:
        note = f"the registry does not know {version}"
        return _by_own_digest(output, None, archive, revision=revision, note=note)
    if output.digest != entry.digest:
        note = f"{version} is registered with another digest, {entry.digest}"
        return _by_own_digest(output, entry, archive, revision=revision, note=note)
    try:
        reasons, note = tuple(resolve_policy(model, entry, archive).evaluator.explain(output.vector)), ""
    except UsageError as error:
        # A version registered by an older program has no archived card, so its policy cannot be resolved.
        reasons, note = (), str(error)
    return Explanation(
        output=output,
        entry=entry,
        revision=revision,
        labels_from=LabelsFrom.REGISTRY,
        top=_top(output, entry.labels),
        reasons=reasons,
        note=note,
    )


def _by_own_digest(
    output: Output, entry: VersionEntry | None, archive: Archive, *, revision: int | None, note: str
) -> Explanation:
    archived = archive.get(output.digest)
    return Explanation(
        output=output,
        entry=entry,
        revision=revision,
        labels_from=LabelsFrom.DIGEST if archived else LabelsFrom.NOWHERE,
        top=_top(output, element_names(archived) if archived else ()),
        note=note,
    )


def _top(output: Output, names: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
    order = np.argsort(-output.vector.astype(np.float64), kind="stable")[:TOP]
    return tuple(
        (names[index] if index < len(names) else f"#{index}", float(output.vector[index])) for index in order
    )
