"""`panopticon doctor`: check the health of every configured component."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import click
from rich.text import Text

from panopticon.credentials import masked
from panopticon.interfaces import Finding, Health
from storage.originals import open_originals
from workers.cli.formatting import counted, table
from workers.cli.session import Session, json_option
from workers.doctor.checks import examine
from workers.runtime.terminal_text import printable

EXIT_FAILED = 1
STYLES = {Health.OK: "green", Health.WARN: "yellow", Health.FAIL: "red"}


@click.command("doctor")
@json_option
@click.pass_context
def doctor_command(context: click.Context, *, as_json: bool) -> None:
    """Check the health of every configured component.

    A line shows how to fix each problem. Exit code 1 if a check fails.
    """
    session: Session = context.obj
    settings = session.settings
    findings = list(examine(settings, partial(open_originals, settings), now_s=time.time))
    if as_json:
        session.print_json(_json(findings))
    else:
        _print(session, findings)
    context.exit(EXIT_FAILED if any(finding.health is Health.FAIL for finding in findings) else 0)


def _json(findings: Sequence[Finding]) -> dict[str, Any]:
    return {
        "ok": all(finding.health is not Health.FAIL for finding in findings),
        "checks": [
            {
                "check": finding.check,
                "health": finding.health.value,
                "seen": masked(finding.seen),
                "advice": masked(finding.advice),
            }
            for finding in findings
        ],
    }


def _print(session: Session, findings: Sequence[Finding]) -> None:
    checks = table("", "check", flowing=("seen",))
    for finding in findings:
        seen = Text(printable(masked(finding.seen)))
        if finding.advice:
            seen.append(f" → {printable(masked(finding.advice))}", style="bold")
        checks.add_row(
            Text(finding.health.value, style=STYLES[finding.health]), printable(finding.check), seen
        )
    session.out.print(checks)
    counts = Counter(finding.health for finding in findings)
    failed = f"{counts[Health.FAIL]:,} failed, {counted(counts[Health.WARN], 'warning')}"
    worst = next((health for health in (Health.FAIL, Health.WARN) if counts[health]), Health.OK)
    session.out.print(Text(f"{counted(len(findings), 'check')}: {failed}.", style=STYLES[worst]))
