"""The processes that run, as `panopticon status` shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from panopticon.credentials import masked
from panopticon.messages import rfc_3339
from panopticon.registry.heartbeats import Heartbeat, ProcessState
from workers.cli.formatting import lasting, table
from workers.runtime.terminal_text import printable

STYLES = {ProcessState.PARKED: "yellow", ProcessState.STARTING: "dim"}
DIGEST_CHARS = 12


def process_table(processes: Sequence[Heartbeat], *, now_ms: int) -> Table:
    """Build the table of workers and indexers: what each runs, its state, and since when."""
    shown = table("process", "host:pid", "engine", "digest", right=("per s", "seen"), flowing=("state",))
    for each in processes:
        shown.add_row(
            each.works_on,
            Text(printable(each.place)),
            each.engine or "–",
            each.digest[:DIGEST_CHARS] or "–",
            f"{each.images_per_s:,.1f}",
            f"{lasting(max(now_ms - each.at_ms, 0) / 1000)} ago",
            Text(state_of(each, now_ms=now_ms), style=STYLES.get(each.state, "")),
        )
    return shown


def state_of(process: Heartbeat, *, now_ms: int) -> str:
    """Return its state, such as `parked for 3 min: source: the bucket photos refuses access`."""
    since = f"{process.state} for {lasting(max(now_ms - process.since_ms, 0) / 1000)}"
    return f"{since}: {reason_of(process)}" if process.reason else since


def reason_of(process: Heartbeat) -> str:
    """Return why it is parked, such as `source: connection refused`, or its remark, without credentials."""
    prefix = f"{process.component}: " if process.component else ""
    return printable(masked(f"{prefix}{process.reason}"))


def process_json(process: Heartbeat) -> dict[str, Any]:
    """Return what `--json` prints of a process; keys are stable."""
    return {
        "role": process.role.value,
        "version": process.version or None,
        "host": process.host,
        "pid": process.pid,
        "digest": process.digest or None,
        "engine": process.engine or None,
        "state": process.state.value,
        "component": process.component or None,
        "reason": masked(process.reason),
        "since": rfc_3339(process.since_ms),
        "images_per_s": process.images_per_s,
        "started_at": rfc_3339(process.started_at_ms),
        "at": rfc_3339(process.at_ms),
    }
