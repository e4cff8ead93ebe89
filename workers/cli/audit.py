"""`panopticon audit`: find images that were lost or are missing in search, and submit them again."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from panopticon.errors import UsageError
from panopticon.messages import rfc_3339
from panopticon.models import parse_version
from panopticon.registry.records import VersionEntry
from panopticon.results.outputs import VersionName
from workers.cli.all_images import Walk, after_option, all_option, refuse_after
from workers.cli.formatting import counted, lasting, table, utc
from workers.cli.session import Session, json_option, read_ids
from workers.inspection.audit import REPAIRABLE, WRONG, Audit, AuditResult, AuditStatus
from workers.inspection.original_file import missing_files
from workers.registry.records import all_versions
from workers.runtime.terminal_text import printable
from workers.submission.folder_history import entries_below, ids_of, is_missing
from workers.submission.walk import Scanner

EXIT_WRONG = 1
SEGMENT = 100_000
"""The number of images of --all that are looked up, and settled, together."""
MAX_NAMED = 1_000
"""The most results of --all that are named; the others are only counted."""


@dataclass(kw_only=True)
class _Tally:
    """The findings of an audit so far."""

    images: int = 0
    counts: Counter[tuple[VersionName, AuditStatus]] = field(default_factory=Counter)
    named: list[AuditResult] = field(default_factory=list)
    """The results that are listed: every one, or those of --all that are not as they should be."""
    unnamed: int = 0
    """The results of --all that are left out of `named`, since there are too many."""
    undecided: int = 0
    delayed: int = 0
    """The results of images that wait on a retry delay."""
    delayed_until_ms: int = 0
    """The time at which the last of these delays is over."""
    files_missing: list[str] = field(default_factory=list)
    """Images without a file on this machine, `MAX_NAMED` at most."""
    files_missing_total: int = 0
    repairable: list[AuditResult] = field(default_factory=list)
    """The results that --fix repairs: every one, or as many of --all as one segment has."""
    submitted: int | None = None
    """The messages that --fix submitted; None without it."""

    def add(self, results: Sequence[AuditResult], *, images: int, every: bool) -> None:
        """Count the results of some images. `every`: they are a part of all images."""
        self.images += images
        self.counts.update((result.version, result.status) for result in results)
        self.undecided += sum(1 for result in results if result.open)
        delays_ms = [result.next_try_at_ms for result in results if result.next_try_at_ms]
        self.delayed += len(delays_ms)
        self.delayed_until_ms = max([self.delayed_until_ms, *delays_ms])
        # Most of all images are as they should be, and any number of them would not fit into memory.
        named = [each for each in results if each.status in WRONG or each.open] if every else results
        room = MAX_NAMED - len(self.named) if every else len(named)
        self.named += named[:room]
        self.unnamed += len(named[room:])
        repairable = [each for each in results if each.status in REPAIRABLE]
        self.repairable += repairable[: SEGMENT - len(self.repairable) if every else None]

    def number(self, statuses: Container[AuditStatus]) -> int:
        """Return how many results have one of these statuses."""
        return sum(count for (_, status), count in self.counts.items() if status in statuses)

    @property
    def left(self) -> int:
        """The results that are wrong, without those that were submitted again and are on their way."""
        return self.number(WRONG) - (0 if self.submitted is None else len(self.repairable))


@click.command("audit")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option(
    "--ids", "ids_file", metavar="FILE|-", help="File of image IDs, one a line; - for standard input."
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME@V",
    help="Model version to audit, any number of times [default: all that receive images].",
)
@all_option
@after_option
@click.option("--fix", is_flag=True, help="Submit images again that are lost or not in search.")
@json_option
@click.pass_context
def audit_command(
    context: click.Context,
    *,
    paths: tuple[str, ...],
    ids_file: str | None,
    models: tuple[str, ...],
    every: bool,
    after: str,
    fix: bool,
    as_json: bool,
) -> None:
    """Check image by image that nothing was lost. Name files and folders, or give --ids or --all.

    Exit code 1 if an image is lost, is stored but not in search, or was never accepted. With --fix, the
    accepted ones are submitted again, and only the others lead to exit code 1.
    """
    session: Session = context.obj
    refuse_after(after, every=every)
    if every and (paths or ids_file is not None):
        raise UsageError("--all audits every image; give no paths and no --ids with it")
    versions = _versions(session, models)
    audit = Audit(store=session.store, search=session.search, broker=session.broker, versions=versions)
    tally = _Tally()
    if every:
        with Walk(session, after=after, page=SEGMENT) as walk:
            for segment in walk.pages():
                _audit(session, audit, segment, tally, every=True)
    else:
        _audit(session, audit, _image_ids(session, paths, ids_file), tally, every=False)
    if fix:
        # Only now: with its messages in a queue, nothing that comes later could be decided.
        tally.submitted = audit.submit_again(tally.repairable, now_ms=int(time.time() * 1000))
    if as_json:
        session.print_json(_audit_json(versions, tally))
    else:
        _print(session, versions, tally)
    context.exit(EXIT_WRONG if tally.left else 0)


def _audit(session: Session, audit: Audit, image_ids: Sequence[str], tally: _Tally, *, every: bool) -> None:
    """Add the results of these images to the tally."""
    missing = missing_files(image_ids, session.store)
    tally.files_missing += missing[: MAX_NAMED - len(tally.files_missing)]
    tally.files_missing_total += len(missing)
    results = audit.results(image_ids, settle=lambda: _settle(session))
    tally.add(results, images=len(image_ids), every=every)


def _image_ids(session: Session, paths: Sequence[str], ids_file: str | None) -> list[str]:
    """Return each image ID once, in order. Raises: UsageError if none is given."""
    if not paths and ids_file is None:
        raise UsageError(
            "nothing to audit; name files or folders, or give --ids FILE with one image ID a line, or --all"
        )
    scanner = Scanner(session.walk_rules())
    for path in paths:
        scanner.add(os.fsencode(path))
    listed = read_ids(ids_file) if ids_file is not None else []
    found = ids_of(session.store.folders, [file.path for file in scanner.result.files])
    below = entries_below(session.store.folders, [os.path.realpath(os.fsencode(path)) for path in paths])
    gone = [entry.image_id for entry in below if entry.present and is_missing(entry.path)]
    ids = [*found, *gone, *listed]
    if not ids:
        raise UsageError("no photo was found in these paths, so nothing was audited")
    return list(dict.fromkeys(ids))


def _versions(session: Session, models: Sequence[str]) -> dict[VersionName, VersionEntry]:
    """Return the named versions, or all that receive images. Raises: UsageError if there are none."""
    known = {name: entry for name, (_, entry) in all_versions(session.store.registry).items()}
    if not known:
        raise UsageError(
            "no model is registered yet, so nothing can be audited; begin with: panopticon index PATH"
        )
    if not models:
        routed = {name: entry for name, entry in known.items() if entry.state.routed}
        if not routed:
            raise UsageError(
                f"no version receives images; name one with --model: {', '.join(map(str, known))}"
            )
        return routed
    wanted = [parse_version(text) for text in models]
    for name in wanted:
        if name not in known:
            raise UsageError(f"unknown model version {name}; registered: {', '.join(map(str, known))}")
    return {name: known[name] for name in wanted}


def _settle(session: Session) -> None:
    wait_s = session.settings.settle_s
    session.err.print(f"Images are missing: checking again in {lasting(wait_s)}.", style="dim")
    time.sleep(wait_s)


def _audit_json(versions: Mapping[VersionName, VersionEntry], tally: _Tally) -> dict[str, Any]:
    return {
        "at": rfc_3339(int(time.time() * 1000)),
        "ok": not tally.number(WRONG),
        "images": tally.images,
        "models": [
            {"name": str(name), **{status.value: tally.counts[name, status] for status in AuditStatus}}
            for name in versions
        ],
        "submitted": tally.submitted,
        "verdicts": [
            {
                "image_id": result.image_id,
                "model": str(result.version),
                "verdict": result.status.value,
                "revision": result.revision,
                "reason": result.reason,
                "next_try_at": rfc_3339(result.next_try_at_ms),
                "in_search": result.in_search,
            }
            for result in tally.named
        ],
        "not_named": tally.unnamed,
        "files_missing": tally.files_missing,
    }


def _print(session: Session, versions: Mapping[VersionName, VersionEntry], tally: _Tally) -> None:
    session.out.print(_tally_table(versions, tally))
    for result in tally.named:
        if result.status in WRONG:
            word = result.status.value.replace("_", " ")
            session.out.print(
                Text(f"{word:<13}  {result.version}  {printable(result.image_id)}", style="red")
            )
    for line, style in _conclusions(tally):
        session.out.print(Text(line, style=style))


def _tally_table(versions: Mapping[VersionName, VersionEntry], tally: _Tally) -> Table:
    """Build the table of counts, with a column for every status that occurs, and always one for `lost`."""
    statuses = [
        status
        for status in AuditStatus
        if status is AuditStatus.LOST or any(tally.counts[name, status] for name in versions)
    ]
    tally_table = table("model", right=tuple(status.value.replace("_", " ") for status in statuses))
    for name in versions:
        tally_table.add_row(str(name), *(f"{tally.counts[name, status]:,}" for status in statuses))
    return tally_table


def _conclusions(tally: _Tally) -> list[tuple[str, str]]:
    """Return the last lines, each with its style."""
    lines = []
    if tally.unnamed:
        lines.append((f"{counted(tally.unnamed, 'more result')} not named here", "yellow"))
    if tally.files_missing:
        images = counted(tally.files_missing_total, "photo")
        line = f"{images} without a file on this machine, such as {printable(tally.files_missing[0])}"
        lines.append((f"{line}; to mark photos as deleted: panopticon index FOLDER --prune", "yellow"))
    if tally.delayed:
        line = f"{tally.delayed:,} pending on a retry delay, the last until {utc(tally.delayed_until_ms)} UTC"
        lines.append((line, "yellow"))
    if tally.undecided:
        line = f"{tally.undecided:,} pending or lost, not decidable yet: work is still in progress"
        lines.append((line, "yellow"))
    if tally.submitted is not None:
        lines.append((f"{counted(tally.submitted, 'message')} submitted again, lane backfill", "green"))
        if more := tally.number(REPAIRABLE) - len(tally.repairable):
            line = f"{more:,} more are left: repeat the command once the queues are empty"
            lines.append((f"{line}, or: panopticon search rebuild --all", "yellow"))
    elif tally.number(REPAIRABLE):
        lines.append(("Next: the same command with --fix", "yellow"))
    if tally.number({AuditStatus.UNKNOWN}):
        lines.append(
            ("Images that were never accepted have to be submitted first: panopticon submit PATH", "yellow")
        )
    if not tally.number(WRONG) and not tally.undecided:
        lines.append((f"{counted(tally.images, 'image')} audited, none lost.", "green"))
    return lines
