"""The report at the end of `panopticon index`: photos, failures, the ledger, the rate, what to try next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from panopticon.cards.cards import ModelCard
from panopticon.chunks import CHUNK, chunks
from panopticon.errors import Rejected
from panopticon.interfaces import SearchIndex, Store
from panopticon.messages import Tag
from panopticon.results.documents import SearchDocument
from panopticon.results.ledger import Ledger
from panopticon.results.outputs import Failure, FailureState, VersionName
from storage.originals.files import path_of
from workers.cli.folders.changes import folder_lines, folders_json
from workers.cli.folders.skipped import shortened, walk_report
from workers.cli.formatting import counted, place, table
from workers.runtime.terminal_text import printable, shell_word, shown
from workers.submission.index_plan import Plan, ledgers
from workers.submission.submit import Entry, Submission
from workers.submission.walk import name_used

MAX_FAILURES_SHOWN = 20
MAX_NAME_CHARS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The work of one call of the command."""

    plan: Plan
    """The work that there was to do at its start."""
    finished: int
    """Outputs and failures that this call produced."""
    deleted: int | None = None
    """Images that were marked as deleted; None if that was not asked for."""
    begun_ms: int
    """The time of its start, in milliseconds since 1970."""
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
            "other_files": dict(self._submission.skipped),
            "skipped": {
                kind.value: {
                    "files": skipped.files,
                    "folders": skipped.folders,
                    "example": shown(skipped.example),
                }
                for kind, skipped in self._submission.skipped_kinds.items()
            },
            "unreadable": list(self._submission.unreadable),
            "without_photos": list(self._submission.without_photos),
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

    @property
    def all_stored(self) -> bool:
        """Return whether every photo has an output of every version, and everything could be read."""
        pending = self._run.plan.unfinished > self._run.finished
        return not (self._submission.unreadable or pending or next(self._failures(), None))

    def as_text(self, *, max_photos: int) -> RenderableType:
        """Return the report for people, with at most `max_photos` photos."""
        about_folders = list(walk_report(self._submission))
        about_folders += map(Text, folder_lines(self._submission.folders, self._run.deleted))
        if not self._submission.entries:
            return Group(*about_folders, Text("Nothing to do: no photo was found."))
        if about_folders:
            about_folders = ["", *about_folders, ""]
        parts = [self._photo_table(max_photos), *self._failure_table(), *about_folders]
        return Group(*parts, *self._ledger_table(), Text(self._summary()), *self._next_commands())

    def _ledgers(self) -> dict[VersionName, Ledger]:
        return ledgers(self._store, self._versions)

    def _photos(self) -> Iterator[tuple[Entry, SearchDocument | None]]:
        for chunk in chunks(self._submission.entries, CHUNK):
            documents = self._search.get([entry.image_id for entry in chunk])
            yield from ((entry, documents.get(entry.image_id)) for entry in chunk)

    def _failures(self) -> Iterator[Failure]:
        """Yield the failures that stand in place of an output of these versions, image by image."""
        for chunk in chunks(self._submission.entries, CHUNK):
            order = {entry.image_id: number for number, entry in enumerate(chunk)}
            keys = {version.key(e.image_id, e.revision) for e in chunk for version in self._versions}
            failures = self._store.outputs.failures_of(list(order))
            dead = [f for f in failures if f.state is FailureState.DEAD and f.key in keys]
            # A replay may have succeeded where an earlier attempt failed.
            ids = list({failure.key.image_id for failure in dead})
            stored = {key for version in self._versions for key in self._store.outputs.get(ids, version)}
            left = (failure for failure in dead if failure.key not in stored)
            yield from sorted(left, key=lambda failure: order[failure.key.image_id])

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
            tags = ", ".join(
                f"{escape(printable(tag.label))} [dim]{tag.probability:.2f}[/dim]"
                for tag in self._tags(document)
            )
            scores = self._scores(document)
            cells = [f"{scores[name]:.3g}" if name in scores else "–" for name in self._score_names]
            photos.add_row(self._name(entry.image_uri or entry.image_id), tags or "[dim]–[/dim]", *cells)
        left = len(self._submission.entries) - max_photos
        return Group(photos, Text(f"… and {counted(left, 'more photo')}\n")) if left > 0 else photos

    def _failure_table(self) -> list[RenderableType]:
        """Return the table of refused photos, a line for each, in a list that is empty if there are none."""
        by_image = groupby(self._failures(), key=lambda failure: failure.key.image_id)
        refused = [list(failures) for _, failures in islice(by_image, MAX_FAILURES_SHOWN + 1)]
        if not refused:
            return []
        failed = table("refused", "reason", flowing=("detail", "by"))
        uris = {entry.image_id: entry.image_uri for entry in self._submission.entries}
        for failures in refused[:MAX_FAILURES_SHOWN]:
            first = failures[0]
            by = sorted(str(failure.key.version_name) for failure in failures)
            failed.add_row(
                self._name(uris.get(first.key.image_id) or first.key.image_id),
                Text(printable(first.reason)),
                Text(printable(shortened(first.detail))),
                "all models" if len(by) == len(self._versions) else ", ".join(by),
            )
        more = "… and more: panopticon dead list\n" if len(refused) > MAX_FAILURES_SHOWN else ""
        return [failed, Text(more)] if more else [failed]

    def _name(self, uri: str) -> Text:
        """Return the path of a file below what the person named, or any other URI without its query."""
        try:
            return Text(shortened(shown(name_used(path_of(uri), self._submission.roots)), MAX_NAME_CHARS))
        except Rejected:
            return Text(shortened(place(uri), MAX_NAME_CHARS))

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
        refused = min(sum(failure.last_at_ms >= run.begun_ms for failure in self._failures()), run.finished)
        done = [counted(run.finished - refused, "output")] if run.finished > refused else []
        done += [counted(refused, "refusal")] if refused else []
        rate = f"{' and '.join(done)} in {run.seconds:.1f} s, {run.per_s:.1f} a second"
        return f"{rate}, including the start of the models; {before}.\n"

    def _next_commands(self) -> list[RenderableType]:
        tags = [tag for _, document in self._photos() for tag in self._tags(document)]
        best = max(tags, key=lambda tag: tag.probability).label if tags else "animal"
        commands = [f"panopticon search {shell_word(best)}"]
        commands += [f"panopticon show {entry.image_id}" for entry in self._submission.entries[:1]]
        return [Text("Next:"), *(Text(f"  {command}") for command in [*commands, "panopticon status"])]
