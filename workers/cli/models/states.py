"""`panopticon models add`, `shadow`, `activate`, `rollback`, `deactivate` and `history`."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import click
from rich.text import Text

from panopticon.errors import UsageError
from panopticon.messages import rfc_3339
from panopticon.models import find_card, parse_version
from panopticon.registry.activation import limits_of, refuse_unfit
from panopticon.registry.records import ModelEntry, RegistryEvent
from panopticon.registry.transitions import known_version
from workers.cli.formatting import table, utc
from workers.cli.session import Session, json_option, pass_creating_session, pass_session
from workers.registry.change_state import Versions
from workers.runtime.identity import who
from workers.runtime.terminal_text import printable

MAX_REASON_CHARS = 500
"""Reasons stay short, because every worker reads the whole history every few seconds."""


def _refuse_long(_context: click.Context, _option: click.Parameter, reason: str) -> str:
    if len(reason) > MAX_REASON_CHARS:
        raise UsageError(f"--reason has {len(reason):,} characters; at most {MAX_REASON_CHARS} are allowed")
    return reason


reason_option: Callable[[Any], Any] = click.option(
    "--reason",
    default="",
    metavar="TEXT",
    callback=_refuse_long,
    help="Reason of the change, for the history [default: none].",
)


@click.command("add")
@click.argument("name", metavar="NAME@V")
@reason_option
@json_option
@pass_creating_session
def add_command(session: Session, *, name: str, reason: str, as_json: bool) -> None:
    """Register a version. Uploads do not reach it yet, and it answers no queries."""
    card = find_card(parse_version(name), session.settings.models_dir)
    entry = versions_of(session, reason).add(card)
    _print_change(
        session, entry, f"{name} is registered.", next_=f"panopticon models shadow {name}", as_json=as_json
    )


@click.command("shadow")
@click.argument("name", metavar="NAME@V")
@reason_option
@json_option
@pass_session
def shadow_command(session: Session, *, name: str, reason: str, as_json: bool) -> None:
    """Let every upload reach a version from now on. It answers no queries yet."""
    entry = versions_of(session, reason).shadow(parse_version(name))
    next_ = f"panopticon worker --model {name}; panopticon backfill --model {name} --from-search"
    _print_change(session, entry, f"{name} is a shadow: uploads reach it.", next_=next_, as_json=as_json)


@click.command("activate")
@click.argument("name", metavar="NAME@V")
@click.option("--force", is_flag=True, help="Activate even if a limit is exceeded or no comparison exists.")
@reason_option
@json_option
@pass_session
def activate_command(session: Session, *, name: str, force: bool, reason: str, as_json: bool) -> None:
    """Let a version answer queries from now on, in one step. Uploads still reach the former version.

    It needs a recent comparison within the limits: panopticon models diff OLD NEW.
    """
    if force and not reason:
        raise UsageError("--force needs --reason TEXT, which is kept in the history")
    card = find_card(parse_version(name), session.settings.models_dir)
    versions = versions_of(session, reason)
    if force:
        entry = versions.activate(card)
    else:
        entry = versions.activate(card, refuse_unfit=partial(_refuse_unfit, session, card.version))
    _print_switch(session, entry, as_json=as_json)


@click.command("rollback")
@click.argument("model", metavar="NAME")
@reason_option
@json_option
@pass_session
def rollback_command(session: Session, *, model: str, reason: str, as_json: bool) -> None:
    """Let the formerly active version answer queries again, in one step. Uploads reached it all the time."""
    _print_switch(session, versions_of(session, reason).roll_back(model), as_json=as_json)


@click.command("deactivate")
@click.argument("model", metavar="NAME")
@reason_option
@json_option
@pass_session
def deactivate_command(session: Session, *, model: str, reason: str, as_json: bool) -> None:
    """Let no version answer: queries find nothing of this model any more. No document is rewritten."""
    entry = versions_of(session, reason).deactivate(model)
    done = f"No version of {model} answers queries; uploads still reach {model}@{entry.former_version}."
    _print_change(session, entry, done, next_=f"panopticon models rollback {model}", as_json=as_json)


@click.command("history")
@click.argument("model", metavar="NAME")
@json_option
@pass_session
def history_command(session: Session, *, model: str, as_json: bool) -> None:
    """List every change of a model: who changed what, when and why."""
    entry = versions_of(session).read(model)
    if as_json:
        session.print_json({"model": model, "history": [_event_json(event) for event in entry.history]})
        return
    shown = table("when (UTC)", flowing=("who", "what", "why"))
    for event in entry.history:
        cells = (printable(cell) for cell in (event.by, event.what, event.reason))
        shown.add_row(utc(event.at_ms), *map(Text, cells))
    session.out.print(shown)


def _refuse_unfit(session: Session, number: int, entry: ModelEntry) -> None:
    known = known_version(entry, number)
    limits = limits_of(session.settings, session.store.archive.get(known.card_sha256))
    refuse_unfit(entry, entry.former_to(number), number, limits, now_ms=int(time.time() * 1000))


def versions_of(session: Session, reason: str = "") -> Versions:
    """Return the operations on versions, on behalf of the present user and with this reason."""
    return Versions(
        store=session.store,
        broker=session.broker,
        by=who(),
        reason=reason,
        warn=lambda line: session.err.print(Text(line, style="yellow")),
    )


def entry_json(entry: ModelEntry) -> dict[str, Any]:
    """Return a model's entry without labels, policies and reports; keys are stable."""
    return {
        "model": entry.model,
        "active": str(entry.active) if entry.active else None,
        "former": f"{entry.model}@{entry.former_version}" if entry.former_version is not None else None,
        "versions": {f"{entry.model}@{version.version}": version.state.value for version in entry.versions},
        "last": _event_json(entry.history[-1]) if entry.history else None,
    }


def _event_json(event: RegistryEvent) -> dict[str, Any]:
    return {"at": rfc_3339(event.at_ms), "by": event.by, "what": event.what, "reason": event.reason}


def _print_switch(session: Session, entry: ModelEntry, *, as_json: bool) -> None:
    done, next_ = f"{entry.active} answers queries from now on", ""
    if entry.former_version is not None:
        done += f"; uploads still reach {entry.model}@{entry.former_version}"
        next_ = f"panopticon models rollback {entry.model}"
    _print_change(session, entry, f"{done}.", next_=next_, as_json=as_json)


def _print_change(session: Session, entry: ModelEntry, done: str, *, next_: str, as_json: bool) -> None:
    if as_json:
        session.print_json(entry_json(entry))
        return
    session.out.print(Text(done, style="green"))
    if next_:
        session.out.print(Text(f"Next: {next_}", style="dim"))
