"""`panopticon policy show` and `history`: the present policy of a version, and every one before it."""

from __future__ import annotations

from typing import Any

import click
from rich.text import Text

from panopticon.errors import UsageError
from panopticon.messages import rfc_3339
from panopticon.models import parse_version
from panopticon.registry.records import PolicyRecord
from workers.cli.formatting import table, utc
from workers.cli.policy.arguments import version_argument
from workers.cli.session import Session, json_option, pass_session
from workers.registry.records import read_version
from workers.runtime.streams import write_data
from workers.runtime.terminal_text import printable


@click.command("show")
@version_argument
@click.option(
    "--number",
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of an earlier policy, from the history [default: the present one].",
)
@json_option
@pass_session
def show_command(session: Session, *, name: str, number: int | None, as_json: bool) -> None:
    """Print the policy of a version as TOML, ready to be edited."""
    version = parse_version(name)
    _, entry = read_version(version, session.store.registry)
    wanted = entry.policy_number if number is None else number
    record = next((record for record in entry.policies if record.number == wanted), None)
    if record is None:
        raise UsageError(f"{version} has no policy {wanted}; the present one is {entry.policy_number}")
    if as_json:
        session.print_json({"model": str(version), **_record_json(record), "toml": record.toml})
        return
    reason = f": {record.reason}" if record.reason else ""
    author = printable(f"policy {record.number}, since {utc(record.at_ms)} UTC, by {record.by}{reason}")
    session.err.print(Text(f"# {version}, {author}", style="dim"))
    write_data(record.toml if record.toml.endswith("\n") else f"{record.toml}\n")


@click.command("history")
@version_argument
@json_option
@pass_session
def history_command(session: Session, *, name: str, as_json: bool) -> None:
    """List every policy of a version, with its author and reason."""
    version = parse_version(name)
    _, entry = read_version(version, session.store.registry)
    if as_json:
        records = [{**_record_json(record), "toml": record.toml} for record in entry.policies]
        session.print_json({"model": str(version), "number": entry.policy_number, "policies": records})
        return
    shown = table("number", "UTC", "by", flowing=("reason",))
    for record in reversed(entry.policies):
        shown.add_row(
            str(record.number), utc(record.at_ms), printable(record.by), Text(printable(record.reason))
        )
    session.out.print(shown)
    session.out.print(f"Next: panopticon policy show {version} --number N", style="dim")


def _record_json(record: PolicyRecord) -> dict[str, Any]:
    return {
        "number": record.number,
        "at": rfc_3339(record.at_ms),
        "by": record.by,
        "reason": record.reason,
    }
