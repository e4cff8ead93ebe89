"""`panopticon audit`: find images that were lost or are missing in search, and submit them again."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from panopticon.errors import UsageError
from panopticon.interfaces import Store
from panopticon.models import parse_version
from panopticon.registry.records import VersionEntry
from panopticon.results.outputs import VersionName
from workers.cli.formatting import counted, lasting, rfc_3339, table
from workers.cli.session import Session, json_option, read_ids
from workers.inspection.audit import REPAIRABLE, WRONG, Audit, AuditResult, AuditStatus
from workers.inspection.original_file import missing_files
from workers.registry.records import all_versions
from workers.runtime.terminal_text import printable
from workers.submission.folder_history import entries_below, ids_of, is_missing
from workers.submission.folders import Scanner

EXIT_WRONG = 1


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
@click.option("--fix", is_flag=True, help="Submit images again that are lost or not in search.")
@json_option
@click.pass_context
def audit_command(
    context: click.Context,
    *,
    paths: tuple[str, ...],
    ids_file: str | None,
    models: tuple[str, ...],
    fix: bool,
    as_json: bool,
) -> None:
    """Check image by image that nothing was lost. Name files and folders, or give image IDs with --ids.

    Exit code 1 if an image is lost, is stored but not in search, or was never accepted. With --fix, the
    accepted ones are submitted again, and only the others lead to exit code 1.
    """
    session: Session = context.obj
    versions = _versions(session, models)
    image_ids = _image_ids(paths, ids_file, session.store)
    missing = missing_files(image_ids, session.store)
    audit = Audit(store=session.store, search=session.search, broker=session.broker, versions=versions)
    results = audit.results(image_ids, settle=lambda: _settle(session))
    submitted = audit.submit_again(results, now_ms=int(time.time() * 1000)) if fix else None
    if as_json:
        session.print_json({**_audit_json(image_ids, versions, results, submitted), "files_missing": missing})
    else:
        _print(session, image_ids, versions, results, submitted)
        if missing:
            gone = f"{counted(len(missing), 'photo')} without a file on this machine, such as {missing[0]}"
            session.out.print(
                f"{gone}; to mark photos as deleted: panopticon index FOLDER --prune", style="yellow"
            )
    # An image that was submitted again is on its way.
    left = [v for v in results if v.status in WRONG and not (fix and v.status in REPAIRABLE)]
    context.exit(EXIT_WRONG if left else 0)


def _image_ids(paths: Sequence[str], ids_file: str | None, store: Store) -> list[str]:
    """Return each image ID once, in order. Raises: UsageError if none is given."""
    if not paths and ids_file is None:
        raise UsageError(
            "nothing to audit; name files or folders, or give --ids FILE with one image ID a line"
        )
    scanner = Scanner()
    for path in paths:
        scanner.add(os.fsencode(path))
    listed = read_ids(ids_file) if ids_file is not None else []
    found = ids_of(store.folders, [file.path for file in scanner.result.files])
    below = entries_below(store.folders, [os.path.realpath(os.fsencode(path)) for path in paths])
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


def _audit_json(
    image_ids: Sequence[str],
    versions: dict[VersionName, VersionEntry],
    results: Sequence[AuditResult],
    submitted: int | None,
) -> dict[str, Any]:
    tallies = _tallies(results)
    return {
        "at": rfc_3339(int(time.time() * 1000)),
        "ok": not any(result.status in WRONG for result in results),
        "images": len(image_ids),
        "models": [
            {"name": str(name), **{status.value: tallies[name, status] for status in AuditStatus}}
            for name in versions
        ],
        "submitted": submitted,
        "verdicts": [
            {
                "image_id": result.image_id,
                "model": str(result.version),
                "verdict": result.status.value,
                "revision": result.revision,
                "reason": result.reason,
                "in_search": result.in_search,
            }
            for result in results
        ],
    }


def _tallies(results: Sequence[AuditResult]) -> Counter[tuple[VersionName, AuditStatus]]:
    return Counter((result.version, result.status) for result in results)


def _print(
    session: Session,
    image_ids: Sequence[str],
    versions: dict[VersionName, VersionEntry],
    results: Sequence[AuditResult],
    submitted: int | None,
) -> None:
    session.out.print(_tally_table(versions, results))
    for result in results:
        if result.status in WRONG:
            word = result.status.value.replace("_", " ")
            session.out.print(
                Text(f"{word:<13}  {result.version}  {printable(result.image_id)}", style="red")
            )
    for line, style in _conclusions(image_ids, results, submitted):
        session.out.print(Text(line, style=style))


def _tally_table(versions: dict[VersionName, VersionEntry], results: Sequence[AuditResult]) -> Table:
    """Build the table of counts, with a column for every status that occurs, and always one for `lost`."""
    tallies = _tallies(results)
    statuses = [
        status
        for status in AuditStatus
        if status is AuditStatus.LOST or any(tallies[name, status] for name in versions)
    ]
    tally_table = table("model", right=tuple(status.value.replace("_", " ") for status in statuses))
    for name in versions:
        tally_table.add_row(str(name), *(f"{tallies[name, status]:,}" for status in statuses))
    return tally_table


def _conclusions(
    image_ids: Sequence[str], results: Sequence[AuditResult], submitted: int | None
) -> list[tuple[str, str]]:
    """Return the last lines, each with its style."""
    wrong = [result for result in results if result.status in WRONG]
    undecided = sum(1 for result in results if result.open)
    lines = []
    if undecided:
        line = f"{undecided:,} pending or lost, not decidable yet: work is still in progress"
        lines.append((line, "yellow"))
    if submitted is not None:
        lines.append((f"{counted(submitted, 'message')} submitted again, lane backfill", "green"))
    elif any(result.status in REPAIRABLE for result in wrong):
        lines.append(("Next: the same command with --fix", "yellow"))
    if any(result.status is AuditStatus.UNKNOWN for result in wrong):
        lines.append(
            ("Images that were never accepted have to be submitted first: panopticon submit PATH", "yellow")
        )
    if not wrong and not undecided:
        lines.append((f"{counted(len(image_ids), 'image')} audited, none lost.", "green"))
    return lines
