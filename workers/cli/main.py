"""The program `panopticon`: its options, its groups of commands, and what it does with errors."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from panopticon.errors import Unavailable, UsageError
from workers.cli.session import Session

EXIT_USAGE = 2
EXIT_UNAVAILABLE = 69

_COMMANDS = {
    "index": "workers.cli.index",
    "submit": "workers.cli.submit",
    "worker": "workers.cli.work",
    "indexer": "workers.cli.work",
    "search": "workers.cli.search",
    "search rebuild": "workers.cli.rebuild",
    "show": "workers.cli.show",
    "status": "workers.cli.status",
    "audit": "workers.cli.audit",
    "dead": "workers.cli.dead",
    "erase": "workers.cli.erase",
    "models": "workers.cli.models",
    "doctor": "workers.cli.doctor",
    "settings": "workers.cli.settings",
}


class LazyGroup(click.Group):
    """Imports a command's module when the command is called: `--help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return [name for name in _COMMANDS if " " not in name]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Two words where there is such a command, so that a command beside it may take any words itself."""
        two = " ".join(args[:2])
        return super().resolve_command(ctx, [two, *args[2:]] if two in _COMMANDS else args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module = __import__(_COMMANDS[cmd_name], fromlist=[cmd_name])
        command: click.Command = getattr(module, f"{cmd_name.split()[-1]}_command")
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="panopticon")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file [default: ./panopticon.toml].")
@click.option("--database", metavar="URL", help="SQLite database, such as sqlite:///photos.db.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Any setting (see `settings`).")
@click.pass_context
def cli(context: click.Context, config: Path | None, database: str | None, sets: tuple[str, ...]) -> None:
    """Index every photo, lose none."""
    flags: dict[str, Any] = dict(_key_value(pair) for pair in sets)
    if database is not None:
        flags["database"] = database
    context.obj = Session(flags, file=config)


def _key_value(pair: str) -> tuple[str, str]:
    key, equals, value = pair.partition("=")
    if not equals:
        raise UsageError(f"--set takes KEY=VALUE, not {pair!r}")
    return key.strip(), value


def main() -> None:
    """A person's mistake is one line and exit code 2, a part that is down one line and 69; a bug is loud."""
    # TensorFlow's own chatter would bury our one line; its errors still show.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        sys.exit(cli(standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_USAGE)
    except click.Abort:
        sys.exit(130)
    except UsageError as error:
        click.echo(f"panopticon: {error}", err=True)
        sys.exit(EXIT_USAGE)
    except Unavailable as error:
        click.echo(f"panopticon: {error}", err=True)
        sys.exit(EXIT_UNAVAILABLE)
    except BrokenPipeError:
        sys.exit(141)


if __name__ == "__main__":
    main()
