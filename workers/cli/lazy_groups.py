"""Groups of commands that import a command's module only when it is called, so that the start is quick."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from workers.runtime.stop_signals import quiet_interrupts

COMMANDS: Mapping[str, str] = {
    "index": "workers.cli.index.command",
    "submit": "workers.cli.submit",
    "classify": "workers.cli.classify.command",
    "worker": "workers.cli.worker",
    "indexer": "workers.cli.indexer",
    "serve": "workers.cli.serve",
    "search": "workers.cli.search.find",
    "search rebuild": "workers.cli.search.rebuild",
    "show": "workers.cli.show.command",
    "status": "workers.cli.status.command",
    "audit": "workers.cli.audit",
    "backfill": "workers.cli.backfill.run",
    "backfill list": "workers.cli.backfill.manage",
    "backfill show": "workers.cli.backfill.manage",
    "backfill pause": "workers.cli.backfill.manage",
    "backfill resume": "workers.cli.backfill.manage",
    "backfill cancel": "workers.cli.backfill.manage",
    "ids": "workers.cli.ids.group",
    "ids list": "workers.cli.ids.commands",
    "ids add": "workers.cli.ids.commands",
    "dead": "workers.cli.dead.commands",
    "erase": "workers.cli.erase",
    "models": "workers.cli.models.view",
    "models list": "workers.cli.models.view",
    "models show": "workers.cli.models.view",
    "models check": "workers.cli.models.view",
    "models diff": "workers.cli.models.diff.command",
    "models new": "workers.cli.models.new",
    "models add": "workers.cli.models.states",
    "models shadow": "workers.cli.models.states",
    "models activate": "workers.cli.models.states",
    "models rollback": "workers.cli.models.states",
    "models deactivate": "workers.cli.models.states",
    "models retire": "workers.cli.models.retire",
    "models history": "workers.cli.models.states",
    "policy": "workers.cli.policy.group",
    "policy show": "workers.cli.policy.show",
    "policy history": "workers.cli.policy.show",
    "policy check": "workers.cli.policy.check",
    "policy preview": "workers.cli.policy.preview",
    "policy apply": "workers.cli.policy.apply",
    "tokens": "workers.cli.tokens.commands",
    "doctor": "workers.cli.doctor",
    "settings": "workers.cli.settings",
}
"""The module of each command; it holds `<last word>_command`."""


class LazyGroup(click.Group):
    """A group of the commands in `COMMANDS` that begin with `prefix`, in their order."""

    def __init__(self, *args: Any, prefix: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._prefix = prefix

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        names = [name.removeprefix(self._prefix) for name in COMMANDS if name.startswith(self._prefix)]
        return [name for name in names if " " not in name]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Prefer a command of two words (`search rebuild`) to one that takes the second as an argument."""
        two = " ".join(args[:2])
        known = f"{self._prefix}{two}" in COMMANDS
        return super().resolve_command(ctx, [two, *args[2:]] if known else args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        module = COMMANDS.get(f"{self._prefix}{cmd_name}")
        if module is None:
            return None
        with quiet_interrupts():
            command: click.Command = getattr(import_module(module), f"{cmd_name.split()[-1]}_command")
        return command
