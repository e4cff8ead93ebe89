"""Groups of commands whose modules are imported when a command is called: `--help` stays quick."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

COMMANDS: Mapping[str, str] = {
    "index": "workers.cli.index",
    "submit": "workers.cli.submit",
    "worker": "workers.cli.work",
    "indexer": "workers.cli.work",
    "search": "workers.cli.search",
    "search rebuild": "workers.cli.rebuild",
    "show": "workers.cli.show",
    "status": "workers.cli.status",
    "audit": "workers.cli.audit",
    "backfill": "workers.cli.backfill",
    "backfill list": "workers.cli.backfills",
    "backfill show": "workers.cli.backfills",
    "backfill pause": "workers.cli.backfills",
    "backfill resume": "workers.cli.backfills",
    "backfill cancel": "workers.cli.backfills",
    "dead": "workers.cli.dead",
    "erase": "workers.cli.erase",
    "models": "workers.cli.models",
    "models list": "workers.cli.models",
    "models show": "workers.cli.models",
    "models check": "workers.cli.models",
    "models diff": "workers.cli.diff",
    "models new": "workers.cli.new_model",
    "models add": "workers.cli.versions",
    "models shadow": "workers.cli.versions",
    "models activate": "workers.cli.versions",
    "models rollback": "workers.cli.versions",
    "models deactivate": "workers.cli.versions",
    "models retire": "workers.cli.retire",
    "models history": "workers.cli.versions",
    "policy": "workers.cli.policy",
    "doctor": "workers.cli.doctor",
    "settings": "workers.cli.settings",
}
"""Words → the module in which `<last word>_command` stands."""


class LazyGroup(click.Group):
    """The commands of `COMMANDS` that begin with `prefix`, in their order."""

    def __init__(self, *args: Any, prefix: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._prefix = prefix

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        names = [name.removeprefix(self._prefix) for name in COMMANDS if name.startswith(self._prefix)]
        return [name for name in names if " " not in name]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Two words where there is such a command, so that a command beside it may take any words itself."""
        two = " ".join(args[:2])
        known = f"{self._prefix}{two}" in COMMANDS
        return super().resolve_command(ctx, [two, *args[2:]] if known else args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        module = COMMANDS.get(f"{self._prefix}{cmd_name}")
        if module is None:
            return None
        command: click.Command = getattr(import_module(module), f"{cmd_name.split()[-1]}_command")
        return command
