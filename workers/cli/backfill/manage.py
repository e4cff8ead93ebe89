"""`panopticon backfill list`, `show`, `pause`, `resume` and `cancel`: manage backfills from any terminal."""

from __future__ import annotations

import time

import click
from rich.text import Text

from panopticon.results.backfills import Backfill, BackfillState
from workers.backfill.records import FROM_LIST, all_backfills, change_state, has_owner, known_backfill
from workers.cli.backfill.report import backfill_json, backfill_table, command_of, counts
from workers.cli.formatting import block, utc
from workers.cli.session import Session, json_option, pass_session
from workers.runtime.terminal_text import printable


@click.command("backfill list")
@json_option
@pass_session
def list_command(session: Session, *, as_json: bool) -> None:
    """List every backfill, the latest first."""
    records, now_ms = all_backfills(session.store.backfills), _now_ms()
    if as_json:
        session.print_json({"backfills": [backfill_json(record, None, now_ms=now_ms) for record in records]})
    elif records:
        session.out.print(backfill_table([(record, None) for record in records], now_ms=now_ms))
        session.out.print("Next: panopticon status --watch, for rates", style="dim")
    else:
        session.out.print("No backfill yet: panopticon backfill --model NAME@V --ids FILE")


@click.command("backfill show")
@click.argument("name", metavar="NAME")
@json_option
@pass_session
def show_command(session: Session, *, name: str, as_json: bool) -> None:
    """Show one backfill: its progress, its author and the process that runs it."""
    record = known_backfill(name, session.store.backfills)
    if as_json:
        session.print_json(backfill_json(record, None, now_ms=_now_ms()))
        return
    session.out.print(backfill_table([(record, None)], now_ms=_now_ms()))
    lines = [
        ("begun (UTC)", f"{utc(record.begun_at_ms)}, by {printable(record.by)}"),
        ("changed (UTC)", utc(record.changed_at_ms)),
        ("found", counts(record)),
        ("run by", printable(record.owner) if has_owner(record, now_ms=_now_ms()) else "no process"),
        ("IDs", f"SHA-256 {record.ids_sha256}" if record.ids_sha256 else _drawn(record)),
        ("last ID processed", printable(record.after) or "–"),
    ]
    session.out.print(block(lines))
    _warn_if_unowned(session, record)


@click.command("backfill pause")
@click.argument("name", metavar="NAME")
@pass_session
def pause_command(session: Session, *, name: str) -> None:
    """Submit nothing more until it is resumed, even if its process is started again."""
    change_state(name, BackfillState.PAUSED, session.store.backfills, now_ms=_now_ms())
    session.out.print(Text(f"{name} is paused. Next: panopticon backfill resume {name}"))


@click.command("backfill resume")
@click.argument("name", metavar="NAME")
@pass_session
def resume_command(session: Session, *, name: str) -> None:
    """Continue a paused backfill."""
    record = change_state(name, BackfillState.RUNNING, session.store.backfills, now_ms=_now_ms())
    session.out.print(Text(f"{name} continues after {record.cursor:,} of {record.total:,} IDs."))
    _warn_if_unowned(session, record)


@click.command("backfill cancel")
@click.argument("name", metavar="NAME")
@pass_session
def cancel_command(session: Session, *, name: str) -> None:
    """Cancel a backfill for good; submitted images stay on the queue."""
    record = change_state(name, BackfillState.CANCELLED, session.store.backfills, now_ms=_now_ms())
    session.out.print(Text(f"{name} is cancelled: {record.cursor:,} of {record.total:,} IDs were processed."))


def _drawn(record: Backfill) -> str:
    return "drawn from the list of all images" if record.source == FROM_LIST else "drawn from search"


def _warn_if_unowned(session: Session, record: Backfill) -> None:
    if not record.state.ended and not has_owner(record, now_ms=_now_ms()):
        session.out.print(Text(f"No process runs it; start one: {command_of(record)}", style="yellow"))


def _now_ms() -> int:
    return int(time.time() * 1000)
