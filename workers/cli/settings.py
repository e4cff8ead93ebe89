"""`panopticon settings`: every setting, its value and its meaning."""

from __future__ import annotations

import click
from rich.text import Text

from panopticon.credentials import masked
from panopticon.settings import PREFIX, SECRETS, describe
from workers.cli.formatting import table
from workers.cli.session import Session, json_option, pass_session
from workers.runtime.terminal_text import printable


@click.command("settings")
@json_option
@pass_session
def settings_command(session: Session, *, as_json: bool) -> None:
    """Show every setting, its value and its meaning.

    The command line wins over the environment, that over panopticon.toml, and that over the default.
    """
    values = session.settings.as_environ()
    rows = [
        {
            "key": row.key,
            "value": _shown(row.key, values.get(f"{PREFIX}{row.key.upper()}", "")),
            "default": row.default,
            "description": row.description,
        }
        for row in describe()
    ]
    if as_json:
        session.print_json({"settings": rows})
        return
    settings = table("setting", flowing=("value", "meaning"))
    for row in rows:
        changed, meaning = row["value"] != row["default"], row["description"]
        if changed:
            meaning += f" (default: {row['default'] or 'none'})"
        value = Text(printable(row["value"]) or "–", style="bold green" if changed else "")
        settings.add_row(row["key"], value, Text(meaning, style="dim"))
    session.out.print(settings)
    session.out.print(
        f"Set one by --set key=value, {PREFIX}KEY=value, or key = value in panopticon.toml", style="dim"
    )


def _shown(key: str, value: str) -> str:
    return "***" if key in SECRETS and value else masked(value)
