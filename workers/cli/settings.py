"""`panopticon settings`: every setting, what it is now, and what it means."""

from __future__ import annotations

from typing import Any

import click
from rich.text import Text

from panopticon.settings import PREFIX, describe
from workers.cli.formatting import masked, table
from workers.cli.session import Session, json_option, pass_session


@click.command("settings")
@json_option
@pass_session
def settings_command(session: Session, *, as_json: bool) -> None:
    """Every setting, its value and its default. Command line > environment > panopticon.toml > default."""
    rows = _rows(session)
    if as_json:
        session.print_json({"settings": rows})
        return
    shown = table("setting", flowing=("value", "meaning"))
    for row in rows:
        value = Text(row["value"] or "–", style="" if row["value"] == row["default"] else "bold green")
        shown.add_row(row["key"], value, Text(_meaning(row), style="dim"))
    session.out.print(shown)
    session.out.print(
        f"Set one by --set key=value, {PREFIX}KEY=value, or key = value in panopticon.toml", style="dim"
    )


def _rows(session: Session) -> list[dict[str, Any]]:
    return [
        {
            "key": row.key,
            "value": masked(_written(getattr(session.settings, row.key))),
            "default": row.default,
            "description": row.description,
        }
        for row in describe()
    ]


def _meaning(row: dict[str, Any]) -> str:
    changed = row["value"] != row["default"]
    return f"{row['description']} (default: {row['default'] or 'none'})" if changed else row["description"]


def _written(value: object) -> str:
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
