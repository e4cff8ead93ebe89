"""`panopticon status`: the ledger and the queues of every model version, and the rate of work."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from panopticon.depths import Depths, at_work, total
from panopticon.interfaces import Depth
from panopticon.messages import Lane, rfc_3339
from panopticon.registry.heartbeats import ProcessState
from panopticon.registry.records import VersionState
from panopticon.results.backfills import Backfill, BackfillState
from panopticon.results.undeliverable import NO_VERSION
from workers.backfill.records import has_owner, of_interest
from workers.cli.backfill.report import backfill_json, backfill_table, command_of
from workers.cli.formatting import counted, lasting, table, utc
from workers.cli.session import FiniteRange, Session, json_option, pass_session
from workers.cli.status.processes import process_json, process_table, reason_of
from workers.inspection.status import (
    Snapshot,
    VersionStatus,
    images_per_s,
    lost,
    settle,
    take_snapshot,
    worth_settling,
)
from workers.registry.image_counts import ImageCounter, ImageCounts

SAMPLE_S = 1.0
"""Time between the two readings that give the rate while work is in progress."""
SAMPLE_SEARCH_S = 4.0
"""The same where the rate is that of search, which finds results up to a second late."""

COUNTS = {key: key for key in ("accepted", "stored", "dead", "skipped", "pending", "lost")}
COUNTS_WITHOUT_LEDGER = {"accepted": "accepted", "in_search": "in search", "waiting": "waiting"}
"""Keys of `--json` and the headings of their columns."""
UNDECIDED = "pending or lost, not decidable yet"


@click.command("status")
@click.option("--watch", is_flag=True, help="Show it again and again until Ctrl-C.")
@click.option(
    "--every",
    "every_s",
    type=FiniteRange(min=0.1),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two readings of --watch.",
)
@json_option
@pass_session
def status_command(session: Session, *, watch: bool, every_s: float, as_json: bool) -> None:
    """Show the ledger, queues and rate of every version.

    If images are pending though no message is ready or leased, a second reading `settle_s` later shows
    whether they are lost.
    """
    if watch:
        _watch(session, every_s=every_s, as_json=as_json)
        return
    before, now = read_twice(session)
    if as_json:
        session.print_json(statuses_json(before, now, settle_s=session.settings.settle_s))
    else:
        session.out.print(statuses_shown(before, now, settle_s=session.settings.settle_s))


def read_twice(session: Session) -> tuple[Snapshot | None, Snapshot]:
    """Return two readings if it takes two to know the rate, or which images are lost; else None and one."""
    counter = ImageCounter(session.store, lambda: session.search, now_ms=_now_ms)
    first = take_snapshot(session.store, session.broker, clock=time.monotonic, counter=counter)
    if worth_settling(first):
        wait_s = session.settings.settle_s
        session.err.print(
            f"Images are pending, and no message is ready or leased: reading again in {lasting(wait_s)}.",
            style="dim",
        )
    # The rate of work in progress takes two readings.
    elif any(status.waiting for status in first.versions) or any(
        has_owner(record, now_ms=_now_ms()) for record in first.backfills
    ):
        wait_s = SAMPLE_S if session.store.counts else SAMPLE_SEARCH_S
    else:
        return None, first
    second = settle(
        session.store,
        session.broker,
        first,
        settle_s=wait_s,
        clock=time.monotonic,
        sleep=time.sleep,
        counter=counter,
    )
    return first, second


def statuses_json(before: Snapshot | None, now: Snapshot, *, settle_s: float) -> dict[str, Any]:
    """Return the value that `--json` prints; its keys are stable."""
    return {
        "at": rfc_3339(_now_ms()),
        "models": [_version_json(before, now, status, settle_s) for status in now.versions],
        "queues": {
            "catalogue": _depths_json(now.catalogue),
            "results": _depths_json(now.results),
            "undeliverable": _depths_json(now.undeliverable),
        },
        "dead_messages": now.dead_messages,
        "images": _images_json(now),
        "backfills": [
            backfill_json(record, earlier, now_ms=_now_ms()) for record, earlier in _backfills(before, now)
        ],
        "processes": [process_json(process) for process in now.processes],
    }


def statuses_shown(before: Snapshot | None, now: Snapshot, *, settle_s: float) -> RenderableType:
    """Build the text for people: the ledger, the queues that hold messages, and what to do next."""
    if not now.versions:
        return Text("No model takes uploads: panopticon index PATH, or panopticon worker --model tagger@1")
    parts: list[RenderableType] = [ledger_table(before, now, settle_s=settle_s)]
    if now.images and now.images.documents is not None:
        parts.append(Text(_in_search(now.images), style="dim"))
    parts.append(_queue_table(now) if now.busy else Text("Every queue is empty.", style="dim"))
    backfills = _backfills(before, now)
    if backfills:
        parts.append(backfill_table(backfills, now_ms=_now_ms()))
    if now.processes:
        parts.append(process_table(now.processes, now_ms=_now_ms()))
    parts += [Text(line, style="yellow") for line in _advice(before, now, settle_s)]
    return Group(*parts)


def ledger_table(before: Snapshot | None, now: Snapshot, *, settle_s: float) -> Table:
    """Build the table of versions: accepted = stored + dead + skipped + pending, and the rate during work.

    Where the store cannot count, it has the images in the list of IDs, those that search finds with a result
    of the version, and the messages in its queues.
    """
    speed = ("per s", "done in") if any(status.waiting for status in now.versions) else ()
    columns = COUNTS if any(status.ledger for status in now.versions) else COUNTS_WITHOUT_LEDGER
    ledger = table("model", right=(*columns.values(), *speed))
    for status in now.versions:
        fields = _version_json(before, now, status, settle_s)
        counts = [_number(fields[key], bad=key in ("dead", "lost")) for key in columns]
        rate, eta_s = fields["images_per_s"] if status.waiting else None, fields["eta_s"]
        cells = (f"{rate:,.1f}" if rate is not None else "–", lasting(eta_s) if eta_s is not None else "–")
        state = "" if status.state is VersionState.ACTIVE else f" ({status.state.value})"
        ledger.add_row(f"{status.version}{state}", *counts, *cells[: len(speed)])
    return ledger


def _watch(session: Session, *, every_s: float, as_json: bool) -> None:
    settle_s = session.settings.settle_s
    counter = ImageCounter(session.store, lambda: session.search, now_ms=_now_ms)
    snapshots = [take_snapshot(session.store, session.broker, clock=time.monotonic, counter=counter)]
    # Only a terminal can show each reading in place of the one before.
    in_place = session.out.is_terminal and not as_json
    try:
        with Live(console=session.out, auto_refresh=False) if in_place else nullcontext() as live:
            while True:
                _show_watched(session, live, snapshots, settle_s=settle_s, as_json=as_json)
                time.sleep(every_s)
                snapshots.append(
                    take_snapshot(session.store, session.broker, clock=time.monotonic, counter=counter)
                )
                # Readings before the latest one that is old enough to show lost images are not needed.
                old = [one for one in snapshots if snapshots[-1].at_s - one.at_s >= settle_s]
                snapshots = snapshots[max(len(old) - 1, 0) :]
    except KeyboardInterrupt:
        return


def _show_watched(
    session: Session, live: Live | None, snapshots: list[Snapshot], *, settle_s: float, as_json: bool
) -> None:
    before, now = snapshots[0], snapshots[-1]
    if as_json:
        session.print_json(statuses_json(before, now, settle_s=settle_s), indent=None)
    elif live:
        live.update(statuses_shown(before, now, settle_s=settle_s), refresh=True)
    else:
        session.out.print(f"{utc(_now_ms())} UTC")
        session.out.print(statuses_shown(before, now, settle_s=settle_s))
        # So that a reader sees each reading at its time, and its end is noticed at once.
        sys.stdout.flush()


def _version_json(
    before: Snapshot | None, now: Snapshot, status: VersionStatus, settle_s: float
) -> dict[str, Any]:
    ledger = status.ledger
    missing = lost(before, now, status.version, settle_s=settle_s)
    rate = images_per_s(before, now, status.version) if before else None
    return {
        "name": str(status.version),
        "model": status.version.model,
        "version": status.version.version,
        "state": status.state.value,
        "accepted": _accepted(now, status),
        "stored": ledger.stored if ledger else None,
        "dead": ledger.dead if ledger else None,
        "skipped": ledger.skipped if ledger else None,
        "pending": ledger.pending if ledger else None,
        "lost": missing,
        "note": UNDECIDED if missing is None and ledger else "",
        "images_per_s": rate,
        "eta_s": (ledger.pending if ledger else status.waiting) / rate if status.waiting and rate else None,
        "queue": _depths_json(status.depths),
        "waiting": status.waiting,
        "in_search": status.in_search,
    }


def _accepted(now: Snapshot, status: VersionStatus) -> int | None:
    """Return the number of all known images; None if not all of them are in the list of IDs."""
    if status.ledger:
        return status.ledger.accepted
    return now.images.listed if now.images and not now.images.unlisted else None


def _images_json(now: Snapshot) -> dict[str, Any] | None:
    images = now.images
    if images is None:
        return None
    return {
        "listed": images.listed,
        "listed_at": rfc_3339(images.listed_at_ms),
        "documents": images.documents,
        "lacking": images.lacking(under_way=now.under_way),
        "unlisted": images.unlisted,
        "counted_at": rfc_3339(images.counted_at_ms),
        "problem": images.problem,
    }


def _in_search(images: ImageCounts) -> str:
    documents, listed = counted(images.documents or 0, "document"), counted(images.listed, "image")
    at = utc(images.listed_at_ms)
    return f"Search has {documents} for {listed}, deleted ones included (list of IDs of {at} UTC)."


def _number(value: int | None, *, bad: bool) -> Text:
    if value is None:
        return Text("?", style="yellow")
    return Text(f"{value:,}", style="red" if bad and value else "")


def _queue_table(now: Snapshot) -> Table:
    queues = table("queue", "lane", right=("ready", "held", "retrying"))
    named: list[tuple[str, Depths]] = [(str(status.version), status.depths) for status in now.versions]
    named += [("catalogue", now.catalogue), ("results", now.results), ("undeliverable", now.undeliverable)]
    for name, depths in named:
        for lane, depth in depths.items():
            if depth.total:
                cells = (depth.ready, depth.leased, depth.retrying)
                queues.add_row(name, lane.value, *(f"{count:,}" for count in cells))
    return queues


def _backfills(before: Snapshot | None, now: Snapshot) -> list[tuple[Backfill, Backfill | None]]:
    """Return the backfills that are in progress or ended lately, each with its earlier reading."""
    records = of_interest(now.backfills, now_ms=_now_ms())
    return [(record, before.backfill(record.name) if before else None) for record in records]


def _now_ms() -> int:
    return int(time.time() * 1000)


def _advice(before: Snapshot | None, now: Snapshot, settle_s: float) -> list[str]:
    """Return a line for each thing that a person should do."""
    lines = [line for status in now.versions for line in _advice_on(before, now, status, settle_s)]
    lines += _advice_on_search(now)
    for_indexer = total(now.catalogue) + total(now.results) + total(now.undeliverable)
    # An indexer of an older release has no heartbeat, but holds leases.
    if for_indexer and not now.indexers and not _leased(now.catalogue, now.results, now.undeliverable):
        lines.append(f"{counted(for_indexer, 'message')} and no indexer runs: panopticon indexer")
    if now.dead_messages:
        lines.append(
            f"{counted(now.dead_messages, 'message')} that could not be read: "
            f"panopticon dead list --model {NO_VERSION}"
        )
    return lines + [
        f"No process runs the backfill {record.name}: {command_of(record)}"
        for record in now.backfills
        if record.state is BackfillState.RUNNING and not has_owner(record, now_ms=_now_ms())
    ]


def _advice_on_search(now: Snapshot) -> list[str]:
    images = now.images
    if images is None:
        return []
    lines = [images.problem] if images.problem else []
    # Without a version that uploads reach, no image has to be in search.
    routed = any(status.state.routed for status in now.versions)
    if routed and (missing := images.lacking(under_way=now.under_way)):
        lines.append(
            f"Search lacks {counted(missing, 'image')}, besides those on their way: "
            "panopticon search rebuild --all; panopticon audit --all names what is missing"
        )
    if images.unlisted:
        lines.append(
            f"The list of IDs lacks at least {counted(images.unlisted, 'image')} of an earlier release: "
            "panopticon ids add --from-search"
        )
    return lines


def _advice_on(before: Snapshot | None, now: Snapshot, status: VersionStatus, settle_s: float) -> list[str]:
    missing = lost(before, now, status.version, settle_s=settle_s)
    lines = []
    if missing:
        images = f"{status.version}: {counted(missing, 'image')}"
        # Images that were there before a shadow were never sent to it, so they are not lost.
        if status.state is VersionState.SHADOW:
            remedy = f"panopticon backfill --model {status.version} --all"
            lines.append(f"{images} not run, and on no queue: {remedy}")
        else:
            lines.append(f"{images} lost: panopticon audit --all --fix")
    if missing is None and status.ledger and not status.waiting:
        lines.append(f"{status.version}: {UNDECIDED}")
    workers = now.workers_of(status.version)
    # A worker of an older release has no heartbeat, but holds leases, and moves the ledger.
    moved = bool(before and images_per_s(before, now, status.version))
    # Messages on a retry delay wait for their time, and not for a worker.
    if at_work(status.depths) and not (workers or moved or _leased(status.depths)):
        lines.append(
            f"{status.version}: no worker takes from its queue: panopticon worker --model {status.version}"
        )
    if status.waiting and workers and all(each.state is ProcessState.PARKED for each in workers):
        reasons = dict.fromkeys(reason_of(each) for each in workers)
        lines.append(f"{status.version}: every worker is parked: {'; '.join(reasons)}")
    if status.ledger and status.ledger.dead:
        lines.append(
            f"{status.version}: {counted(status.ledger.dead, 'image')} dead: "
            f"panopticon dead list --model {status.version}"
        )
    return lines


def _leased(*queues: Depths) -> bool:
    return any(depth.leased for lanes in queues for depth in lanes.values())


def _depths_json(depths: Mapping[Lane, Depth]) -> dict[str, dict[str, int]]:
    return {
        lane.value: {"ready": depth.ready, "held": depth.leased, "retrying": depth.retrying}
        for lane, depth in depths.items()
    }
