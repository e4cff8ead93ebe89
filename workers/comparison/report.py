"""The report of a comparison of two versions: as a value, as JSON, as archived and as a registry record."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from panopticon.cards.cards import canonical_json
from panopticon.depths import Depths, total
from panopticon.policy.policy import PolicyEvaluator
from panopticon.registry.comparison import Difference, ScoreFigures, TagFigures
from panopticon.registry.records import ReportRecord, VersionEntry
from panopticon.registry.transitions import Author
from panopticon.results.outputs import VersionName


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two versions that are compared, with its present policy."""

    name: VersionName
    entry: VersionEntry
    evaluator: PolicyEvaluator

    def as_json(self) -> dict[str, Any]:
        """Return the identity of the version; keys are stable."""
        return {
            "name": str(self.name),
            "version": self.name.version,
            "state": self.entry.state.value,
            "digest": self.entry.digest,
            "policy_number": self.entry.policy_number,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The images that were selected for a comparison."""

    image_ids: Sequence[str]
    drawn_from: int | None
    """Number of IDs that the sample was drawn from; None for a list of IDs."""
    drawn_from_all: bool = True
    """False if search holds more IDs than the sample was drawn from."""

    @property
    def sha256(self) -> str:
        """Return the digest of the sorted IDs, each ended by a line feed."""
        return hashlib.sha256("".join(f"{one}\n" for one in sorted(self.image_ids)).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Searchable:
    """Numbers of documents in search that have a part of the former version, of the new one, and of both."""

    former: int
    version: int
    both: int

    @property
    def coverage(self) -> float:
        """Return the share of the former version's documents that have the new version's part too.

        Without documents of the former version it is 1.
        """
        return self.both / self.former if self.former else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The comparison of two versions of one model on the same images."""

    author: Author
    task: str
    former: Side
    version: Side
    selection: Selection
    images: int
    """Number of images that were compared."""
    left_out: Mapping[str, int]
    """Reason → number of selected images that could not be compared."""
    searchable: Searchable
    results_queue: Depths
    """Messages on the results queue by lane."""
    tags: TagFigures | None = None
    """None for scoring models, and if no image was compared."""
    scores: ScoreFigures | None = None
    """None for tagging models, and if no image was compared."""
    worst: tuple[Difference, ...] = ()
    """The images that differ most, the most different one first."""

    @property
    def figures(self) -> dict[str, float]:
        """Return the figures that have limits, by name; those of tags or scores only if there are any."""
        figures: dict[str, float] = {"coverage": self.searchable.coverage}
        if self.tags is not None:
            figures |= {"agreement": self.tags.agreement, "jaccard": self.tags.jaccard}
        if self.scores is not None:
            figures["ks"] = self.scores.ks
        return figures | {"waiting": total(self.results_queue)}

    @property
    def record(self) -> ReportRecord:
        """Return the summary for the registry, which refers to the archived report."""
        return ReportRecord(
            at_ms=self.author.at_ms,
            by=self.author.by,
            former=self.former.name.version,
            former_digest=self.former.entry.digest,
            former_policy_number=self.former.entry.policy_number,
            version=self.version.name.version,
            digest=self.version.entry.digest,
            policy_number=self.version.entry.policy_number,
            ids_sha256=self.selection.sha256,
            images=self.images,
            figures={**self.figures, "comparable": self.searchable.both},
            report_sha256=hashlib.sha256(self.archived()).hexdigest(),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the whole report; keys are stable."""
        return {
            "at_ms": self.author.at_ms,
            "by": self.author.by,
            "task": self.task,
            "former": self.former.as_json(),
            "version": self.version.as_json(),
            "ids_sha256": self.selection.sha256,
            "asked": len(self.selection.image_ids),
            "drawn_from": self.selection.drawn_from,
            "drawn_from_all": self.selection.drawn_from_all,
            "images": self.images,
            "left_out": dict(self.left_out),
            "figures": self.figures,
            "searchable": asdict(self.searchable),
            "results_queue": {lane.value: depth.total for lane, depth in self.results_queue.items()},
            # Agreement and Jaccard are among the figures, and so is the greatest statistic of the scores.
            "tags": self.tags
            and {
                "gained": [asdict(count) for count in self.tags.gained],
                "lost": [asdict(count) for count in self.tags.lost],
            },
            "scores": self.scores
            and {
                "shifts": [asdict(shift) for shift in self.scores.shifts],
                "gained": list(self.scores.gained),
                "lost": list(self.scores.lost),
            },
            "worst": [asdict(difference) for difference in self.worst],
        }

    def archived(self) -> bytes:
        """Return the canonical JSON of the report without the results of single images.

        The archive deletes nothing, and any of these images may be erased later.
        """
        report = self.as_json()
        for difference in report["worst"]:
            del difference["before"], difference["after"]
        return canonical_json(report).encode()
