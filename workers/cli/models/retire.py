"""`panopticon models retire`: take a version out of service for good."""

from __future__ import annotations

import click
from rich.text import Text

from panopticon.models import parse_version
from workers.cli.formatting import counted
from workers.cli.models.states import entry_json, reason_option, versions_of
from workers.cli.session import Session, json_option
from workers.maintenance.retire import Retired, Retiring, settled_s
from workers.queues import broker_of

EXIT_QUEUES_STAY = 1


@click.command("retire")
@click.argument("name", metavar="NAME@V")
@click.option("--discard", is_flag=True, help="Discard its waiting messages; their images count as skipped.")
@click.option("--yes", is_flag=True, help="Retire without asking for confirmation.")
@reason_option
@json_option
@click.pass_context
def retire_command(
    context: click.Context, *, name: str, discard: bool, yes: bool, reason: str, as_json: bool
) -> None:
    """Take a version out of service for good. Its outputs stay.

    Cancels its backfills, stops routing uploads to it, waits until its workers have processed the waiting
    messages, retires it, and deletes its queues. If it is interrupted, run the same command again to
    continue. Exit code 1 while its queues cannot be deleted.
    """
    session: Session = context.obj
    version, versions = parse_version(name), versions_of(session, reason)
    versions.check_retirable(version)
    if not yes:
        click.confirm(f"Retire {name}? It can never take images again.", abort=True, err=True)
    settings = session.settings
    retiring = Retiring(
        versions=versions,
        settings=settings,
        backfills=session.store.backfills,
        open_broker=lambda: broker_of(settings),
    )
    retired = retiring.retire(version, discard=discard, waiting=_Waiting(session, name))
    if as_json:
        outcome = {"discarded": retired.discarded, "queues_deleted": retired.dropped}
        session.print_json({**entry_json(versions.read(version.model)), **outcome})
    else:
        _print(session, name, retired)
    context.exit(0 if retired.dropped else EXIT_QUEUES_STAY)


class _Waiting:
    """Prints how many messages are left: once, and whenever the number has fallen."""

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self._name = name
        self._least: int | None = None

    def __call__(self, left: int) -> None:
        if self._least is not None and left >= self._least:
            return
        self._least = left
        self._session.err.print(
            f"{counted(left, 'message')} left for a worker of {self._name}; to skip them, use --discard",
            style="dim",
        )


def _print(session: Session, name: str, retired: Retired) -> None:
    discarded = f"; {counted(retired.discarded, 'message')} discarded" if retired.discarded else ""
    session.out.print(Text(f"{name} is retired{discarded}.", style="green"))
    if not retired.dropped:
        retries_end_after_s = max(session.settings.retry_delays_s, default=0.0) + settled_s(session.settings)
        session.out.print(
            Text(
                "Its queues still exist: a worker is subscribed, or a message waits in a retry queue, which "
                f"is empty at the latest {retries_end_after_s:,.0f} s after retiring. Then run: "
                f"panopticon models retire {name} --discard --yes",
                style="yellow",
            )
        )
