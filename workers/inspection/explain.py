"""Why an output says what it says: its elements by name, and what the present policy makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from panopticon.cards.archived import element_names
from panopticon.errors import UsageError
from panopticon.interfaces import Archive
from panopticon.policy.policy import Reason
from panopticon.registry.records import ModelEntry, VersionEntry
from panopticon.results.outputs import Output
from workers.registry.policy_cache import resolve_policy
from workers.registry.records import Registered

TOP = 5
"""Elements named of a vector, and of what was dropped."""


class LabelsFrom(StrEnum):
    """Where the names of an output's elements were found."""

    REGISTRY = "registry"
    DIGEST = "digest"
    """Kept in the archive under the output's own digest."""
    NOWHERE = "nowhere"
    """They are numbered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One output, explained."""

    output: Output
    entry: VersionEntry | None
    """None if the registry does not know the version."""
    revision: int | None
    """The catalogue's; None where it does not know the image."""
    labels_from: LabelsFrom
    top: tuple[tuple[str, float], ...]
    """The greatest elements by name, greatest first."""
    reasons: tuple[Reason, ...] = ()
    """Of every element and rolled-up term by the present policy, greatest first; empty if none applies."""
    note: str = ""
    """Why no policy applies."""

    @property
    def policy_number(self) -> int | None:
        """Of the policy that made the reasons."""
        return self.entry.policy_number if self.entry and not self.note else None

    @property
    def kept(self) -> tuple[Reason, ...]:
        return tuple(reason for reason in self.reasons if reason.kept)

    @property
    def dropped(self) -> tuple[Reason, ...]:
        return tuple(reason for reason in self.reasons if not reason.kept)

    @property
    def current(self) -> bool:
        """Whether it is of the catalogue's revision."""
        return self.output.key.revision == self.revision


def explain(output: Output, registered: Registered, archive: Archive, *, revision: int | None) -> Explanation:
    """By the present policy of its version, if it is by the digest that is registered.

    An output by any other digest may mean something else by each element, so no policy is applied to it.
    Raises: Unavailable.
    """
    version = output.key.version_name
    model, entry = registered.get(version, (None, None))
    if model is None or entry is None:
        note = f"the registry does not know {version}"
        return _by_own_digest(output, None, archive, revision=revision, note=note)
    if output.digest != entry.digest:
        note = f"{version} is registered with another digest, {entry.digest}"
        return _by_own_digest(output, entry, archive, revision=revision, note=note)
    reasons, note = _reasons(output, model, entry, archive)
    return Explanation(
        output=output,
        entry=entry,
        revision=revision,
        labels_from=LabelsFrom.REGISTRY,
        top=_top(output, entry.labels),
        reasons=reasons,
        note=note,
    )


def _reasons(
    output: Output, model: ModelEntry, entry: VersionEntry, archive: Archive
) -> tuple[tuple[Reason, ...], str]:
    """And why there are none: a version that was registered before cards were kept cannot be resolved."""
    try:
        return tuple(resolve_policy(model, entry, archive).evaluator.explain(output.vector)), ""
    except UsageError as error:
        return (), str(error)


def _by_own_digest(
    output: Output, entry: VersionEntry | None, archive: Archive, *, revision: int | None, note: str
) -> Explanation:
    kept = archive.get(output.digest)
    return Explanation(
        output=output,
        entry=entry,
        revision=revision,
        labels_from=LabelsFrom.DIGEST if kept else LabelsFrom.NOWHERE,
        top=_top(output, element_names(kept) if kept else ()),
        note=note,
    )


def _top(output: Output, names: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
    order = np.argsort(-output.vector.astype(np.float64), kind="stable")[:TOP]
    return tuple(
        (names[index] if index < len(names) else f"#{index}", float(output.vector[index])) for index in order
    )
