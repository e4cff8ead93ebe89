"""Backfills as tables, lines and JSON, for `status`, `backfill list` and the process that runs one."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from panopticon.messages import rfc_3339
from panopticon.results.backfills import Backfill, BackfillState
from workers.backfill.progress import eta_s, ids_per_s
from workers.backfill.records import FROM_LIST, has_owner
from workers.cli.formatting import lasting, table
from workers.runtime.terminal_text import printable


def backfill_json(record: Backfill, before: Backfill | None, *, now_ms: int) -> dict[str, Any]:
    """Return what `--json` prints of a backfill; `before` is an earlier reading. Keys are stable."""
    rate = ids_per_s(before, record)
    return {
        "name": record.name,
        "model": str(record.version_name),
        "state": record.state.value,
        "source": record.source,
        "total": record.total,
        "looked_at": record.cursor,
        "submitted": record.submitted,
        "stored": record.stored,
        "skipped": record.skipped,
        "unknown": record.unknown,
        "ids_per_s": rate,
        "eta_s": eta_s(record, rate),
        "fed": has_owner(record, now_ms=now_ms),
        "runner": record.owner,
        "by": record.by,
        "begun_at": rfc_3339(record.begun_at_ms),
        "changed_at": rfc_3339(record.changed_at_ms),
    }


def backfill_table(records: Sequence[tuple[Backfill, Backfill | None]], *, now_ms: int) -> Table:
    """Return a table with one row for each record; the second of a pair is an earlier reading of the first.

    Names are not cut in a terminal of 80 columns.
    """
    shown = table("backfill", "state", right=("processed", "submitted", "per s", "done in"), flowing=("of",))
    for record, before in records:
        state = Text(record.state.value)
        # Its process has ended without ending the backfill, which goes on once somebody starts it again.
        if record.state is BackfillState.RUNNING and not has_owner(record, now_ms=now_ms):
            state = Text("running, no process", style="yellow")
        shown.add_row(
            record.name,
            state,
            f"{record.cursor:,} / {record.total:,}",
            f"{record.submitted:,}",
            *speed(record, before),
            Text(printable(record.source)),
        )
    return shown


def counts(record: Backfill) -> str:
    """Return the counts of the processed IDs in one line."""
    return (
        f"{record.submitted:,} submitted, {record.stored:,} stored already, "
        f"{record.skipped:,} skipped (deleted or dead), {record.unknown:,} unknown"
    )


def speed(record: Backfill, before: Backfill | None) -> tuple[str, str]:
    """Return the IDs per second and the remaining time, with dashes where they are unknown."""
    rate = ids_per_s(before, record)
    left_s = eta_s(record, rate)
    return (
        f"{rate:,.1f}" if rate is not None else "–",
        lasting(left_s) if left_s is not None else "–",
    )


def command_of(record: Backfill) -> str:
    """Return the command that starts the backfill, and continues it."""
    if record.ids_sha256:
        ids = f"--ids {shlex.quote(record.source)}"
    else:
        ids = "--all" if record.source == FROM_LIST else "--from-search"
    return f"panopticon backfill --model {record.version_name} {ids}"
