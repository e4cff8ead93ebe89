"""`panopticon models retire`: a version takes no images any more, for good."""

from __future__ import annotations

import click
from rich.text import Text

from panopticon.models import parse_version
from panopticon.settings import Settings
from workers.cli.formatting import counted
from workers.cli.models.states import entry_json, reason_option, versions_of
from workers.cli.session import Session, json_option
from workers.maintenance.retire import Retired, Retiring, settled_s
from workers.queues import broker_of

EXIT_QUEUES_STAY = 1


@click.command("retire")
@click.argument("name", metavar="NAME@V")
@click.option("--discard", is_flag=True, help="Throw away what waits for it; those images count as skipped.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@reason_option
@json_option
@click.pass_context
def retire_command(
    context: click.Context, *, name: str, discard: bool, yes: bool, reason: str, as_json: bool
) -> None:
    """Take a version out of service: its backfills cancelled, fed no more, worked off, retired, its queues
    deleted.

    Its outputs stay. Interrupted, the same command goes on. Exit code 1 while its queues cannot be deleted.
    """
    session: Session = context.obj
    version, versions = parse_version(name), versions_of(session, reason)
    versions.check_retirable(version)
    if not yes:
        click.confirm(f"Retire {name}? It cannot be fed again.", abort=True, err=True)
    settings = session.settings
    retiring = Retiring(
        versions=versions,
        settings=settings,
        backfills=session.store.backfills,
        open_broker=lambda: broker_of(settings),
    )
    retired = retiring.retire(version, discard=discard, waiting=_Waiting(session, name))
    if as_json:
        told = {"discarded": retired.discarded, "queues_deleted": retired.dropped}
        session.print_json({**entry_json(versions.read(version.model)), **told})
    else:
        _print(session, name, retired)
    context.exit(0 if retired.dropped else EXIT_QUEUES_STAY)


class _Waiting:
    """Says what is waited for, once and whenever it has become less."""

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self._name = name
        self._least: int | None = None

    def __call__(self, left: int) -> None:
        if self._least is not None and left >= self._least:
            return
        self._least = left
        self._session.err.print(
            f"{counted(left, 'message')} to be worked off by a worker of {self._name}, or say --discard",
            style="dim",
        )


def _print(session: Session, name: str, retired: Retired) -> None:
    discarded = f"; {counted(retired.discarded, 'message')} thrown away" if retired.discarded else ""
    session.out.print(Text(f"{name} is retired{discarded}.", style="green"))
    if not retired.dropped:
        session.out.print(
            Text(
                "Its queues are still there: a worker is subscribed, or a message of it may wait in a retry "
                f"queue, where none is left {_retries_end_after_s(session.settings):,.0f} s after retiring. "
                f"Then at the latest: panopticon models retire {name} --discard --yes",
                style="yellow",
            )
        )


def _retries_end_after_s(settings: Settings) -> float:
    return max(settings.retry_delays_s, default=0.0) + settled_s(settings)
