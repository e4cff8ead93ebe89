"""`panopticon tokens`: make, list and revoke the bearer tokens of the HTTP service."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from panopticon.errors import UsageError
from workers.cli.formatting import table
from workers.cli.session import Session, json_option, pass_session
from workers.runtime.streams import write_data
from workers.serving.access.token_file import Scope, add_token, read_tokens, revoke_token


@click.group("tokens")
def tokens_command() -> None:
    """Make, list and revoke the bearer tokens of the HTTP service.

    They are in the file that the setting `tokens_file` names, as hashes.
    """


@tokens_command.command("add")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([scope.value for scope in Scope]),
    multiple=True,
    required=True,
    help="What the token allows; any number of times.",
)
@click.option(
    "--expires",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"]),
    metavar="YYYY-MM-DD",
    help="Begin of the day (UTC) from which on the token is void [default: never].",
)
@pass_session
def add_command(session: Session, *, name: str, scopes: Sequence[str], expires: datetime | None) -> None:
    """Make a token and print it, once: the file has only its hash."""
    now = datetime.now(UTC)
    ends = None if expires is None else expires.replace(tzinfo=UTC)
    if ends is not None and ends <= now:
        raise UsageError(f"--expires {ends:%Y-%m-%dT%H:%M:%SZ} is over; give a later date, or none")
    path = _file(session)
    token = add_token(path, name, frozenset(map(Scope, scopes)), expires=ends, now=now)
    write_data(f"{token}\n")
    allowed = ", ".join(sorted(scopes))
    session.err.print(
        f"token {name} ({allowed}) added to {path}; it cannot be shown again", markup=False, style="dim"
    )


@tokens_command.command("list")
@json_option
@pass_session
def list_command(session: Session, *, as_json: bool) -> None:
    """List the tokens: names, scopes and times."""
    now = datetime.now(UTC)
    entries = read_tokens(_file(session))
    rows = [
        {
            "name": entry.name,
            "scopes": sorted(entry.scopes),
            "created": _shown(entry.created),
            "expires": _shown(entry.expires),
            "expired": entry.is_expired(now),
        }
        for entry in entries
    ]
    if as_json:
        session.print_json({"tokens": rows})
        return
    if not rows:
        session.out.print("no tokens; panopticon tokens add NAME --scope analyze makes one")
        return
    shown = table("token", "scopes", "created", "expires")
    for row, entry in zip(rows, entries, strict=True):
        ends = f"{row['expires'] or 'never'}{' (expired)' if row['expired'] else ''}"
        shown.add_row(entry.name, ", ".join(sorted(entry.scopes)), _shown(entry.created), ends)
    session.out.print(shown)


@tokens_command.command("revoke")
@click.argument("name")
@pass_session
def revoke_command(session: Session, *, name: str) -> None:
    """Remove a token. Running services refuse it within a few seconds."""
    path = _file(session)
    revoke_token(path, name)
    session.out.print(f"token {name} removed from {path}; running services refuse it in 2 s", markup=False)


def _file(session: Session) -> Path:
    path = session.settings.tokens_file
    if path is None:
        raise UsageError(
            "the setting tokens_file is empty; set it to the file that holds the tokens, such as "
            "/etc/panopticon/tokens.toml"
        )
    return path


def _shown(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
