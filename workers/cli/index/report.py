"""The report at the end of `panopticon index`: photos, failures, the ledger, the rate, what to try next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from panopticon.cards.cards import ModelCard
from panopticon.chunks import CHUNK, chunks
from panopticon.interfaces import SearchIndex, Store
from panopticon.messages import Tag
from panopticon.results.documents import SearchDocument
from panopticon.results.ledger import Ledger
from panopticon.results.outputs import Failure, FailureState, VersionName
from workers.cli.folder_report import folder_lines, folders_json
from workers.cli.formatting import counted, place, table
from workers.submission.index_plan import Plan, ledgers
from workers.submission.submit import Entry, Submission

MAX_FAILURES_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The work of one call of the command."""

    plan: Plan
    """The work that there was to do at its start."""
    finished: int
    """Outputs and failures that this call produced."""
    deleted: int | None = None
    """Images that were marked as deleted; None if that was not asked for."""
    seconds: float
    """Duration, from the first plan to the last."""

    @property
    def per_s(self) -> float:
        """Return the number of finished outputs and failures a second."""
        return self.finished / self.seconds if self.seconds else 0.0


class IndexReport:
    """Reads documents and failures of a submission's images by ID, and writes them as JSON or text."""

    def __init__(
        self,
        store: Store,
        search: SearchIndex,
        submission: Submission,
        cards: Sequence[ModelCard],
        run: Run,
    ) -> None:
        self._store = store
        self._search = search
        self._submission = submission
        self._versions = [card.version_name for card in cards]
        self._score_names = [name for card in cards if card.task == "scoring" for name in card.output.names]
        self._run = run

    def as_json(self) -> dict[str, Any]:
        """Return the value that `--json` prints; its keys are stable."""
        return {
            "photos": [
                {
                    "image_id": entry.image_id,
                    "image_uri": entry.image_uri,
                    "tags": {tag.label: round(tag.probability, 4) for tag in self._tags(document)},
                    "scores": {name: round(value, 6) for name, value in self._scores(document).items()},
                }
                for entry, document in self._photos()
            ],
            "failures": [
                {
                    "image_id": failure.key.image_id,
                    "model": str(failure.key.version_name),
                    "reason": failure.reason,
                    "detail": failure.detail,
                }
                for failure in self._failures()
            ],
            "left_aside": self._submission.skipped.total(),
            "unreadable": list(self._submission.unreadable),
            "folders": folders_json(self._submission.folders, self._run.deleted),
            "already_indexed": self._run.plan.indexed,
            "already_dead": self._run.plan.dead,
            "finished": self._run.finished,
            "seconds": round(self._run.seconds, 3),
            "per_s": round(self._run.per_s, 2),
            "ledger": {
                str(version): {
                    "accepted": ledger.accepted,
                    "stored": ledger.stored,
                    "dead": ledger.dead,
                    "skipped": ledger.skipped,
                    "pending": ledger.pending,
                }
                for version, ledger in self._ledgers().items()
            },
        }

    def as_text(self, *, max_photos: int) -> RenderableType:
        """Return the report for people, with at most `max_photos` photos."""
        parts = [self._photo_table(max_photos), *self._failure_table(), *self._skipped_lines()]
        return Group(*parts, *self._ledger_table(), Text(self._summary()), *self._next_commands())

    def _ledgers(self) -> dict[VersionName, Ledger]:
        return ledgers(self._store, self._versions)

    def _photos(self) -> Iterator[tuple[Entry, SearchDocument | None]]:
        for chunk in chunks(self._submission.entries, CHUNK):
            documents = self._search.get([entry.image_id for entry in chunk])
            yield from ((entry, documents.get(entry.image_id)) for entry in chunk)

    def _failures(self) -> Iterator[Failure]:
        for chunk in chunks(self._submission.image_ids, CHUNK):
            failures = self._store.outputs.failures_of(chunk)
            yield from (failure for failure in failures if failure.state is FailureState.DEAD)

    def _tags(self, document: SearchDocument | None) -> list[Tag]:
        parts = document.parts if document else {}
        return [
            tag for version in self._versions if version.part in parts for tag in parts[version.part].tags
        ]

    def _scores(self, document: SearchDocument | None) -> dict[str, float]:
        parts = document.parts if document else {}
        own = [parts[version.part] for version in self._versions if version.part in parts]
        return {name: value for part in own for name, value in part.scores.items()}

    def _photo_table(self, max_photos: int) -> RenderableType:
        photos = table("photo", "tags", right=tuple(self._score_names))
        photos.columns[0].no_wrap, photos.columns[1].no_wrap = False, False
        for entry, document in islice(self._photos(), max_photos):
            name = place(entry.image_uri or entry.image_id).rpartition("/")[2]
            tags = ", ".join(
                f"{escape(tag.label)} [dim]{tag.probability:.2f}[/dim]" for tag in self._tags(document)
            )
            scores = self._scores(document)
            cells = [f"{scores[name]:.3g}" if name in scores else "–" for name in self._score_names]
            photos.add_row(escape(name), tags or "[dim]–[/dim]", *cells)
        left = len(self._submission.entries) - max_photos
        return Group(photos, Text(f"… and {counted(left, 'more photo')}\n")) if left > 0 else photos

    def _failure_table(self) -> list[RenderableType]:
        failures = list(islice(self._failures(), MAX_FAILURES_SHOWN + 1))
        if not failures:
            return []
        failed = table("refused", "by", "reason", "detail")
        uris = {entry.image_id: entry.image_uri for entry in self._submission.entries}
        for failure in failures[:MAX_FAILURES_SHOWN]:
            name = place(uris.get(failure.key.image_id) or failure.key.image_id).rpartition("/")[2]
            cells = (escape(name), str(failure.key.version_name), failure.reason, escape(failure.detail[:80]))
            failed.add_row(*cells)
        more = "… and more: panopticon dead list\n" if len(failures) > MAX_FAILURES_SHOWN else ""
        return [failed, Text(more)] if more else [failed]

    def _skipped_lines(self) -> list[RenderableType]:
        lines = folder_lines(self._submission.folders, self._run.deleted)
        lines += [f"cannot read {line}" for line in self._submission.unreadable]
        skipped = self._submission.skipped
        if skipped:
            names = ", ".join(sorted(suffix or "no suffix" for suffix in skipped))
            lines.append(f"{counted(skipped.total(), 'other file')} skipped ({names})")
        return [Text("\n".join([*lines, ""]))] if lines else []

    def _ledger_table(self) -> list[Table]:
        """Return the table of ledgers in a list, which is empty if the store cannot count."""
        ledger_table = table("ledger", right=("accepted", "stored", "dead", "skipped", "pending"))
        for version, ledger in self._ledgers().items():
            counts = (ledger.accepted, ledger.stored, ledger.dead, ledger.skipped, ledger.pending)
            ledger_table.add_row(str(version), *(f"{count:,}" for count in counts))
        return [ledger_table] if ledger_table.rows else []

    def _summary(self) -> str:
        run = self._run
        before = f"{counted(run.plan.indexed, 'photo')} already indexed"
        if run.plan.dead:
            before += f", {run.plan.dead:,} failed before (panopticon dead list)"
        if not run.finished:
            return f"Nothing to do: {before}.\n"
        rate = f"{counted(run.finished, 'output')} in {run.seconds:.1f} s, {run.per_s:.1f} a second"
        return f"{rate}, including the start of the models; {before}.\n"

    def _next_commands(self) -> list[RenderableType]:
        tags = [tag for _, document in self._photos() for tag in self._tags(document)]
        best = max(tags, key=lambda tag: tag.probability).label if tags else "animal"
        commands = [f"panopticon search {shlex.quote(best)}"]
        commands += [f"panopticon show {entry.image_id}" for entry in self._submission.entries[:1]]
        return [Text("Next:"), *(Text(f"  {command}") for command in [*commands, "panopticon status"])]
