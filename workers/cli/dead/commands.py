"""`panopticon dead`: what failed for good, why, and what to do about it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from copy import copy
from datetime import date
from itertools import islice
from typing import Any

import click
from rich.text import Text

from panopticon.errors import UsageError
from panopticon.messages import ImageMessage, Lane, MessageInvalid, decode_image_message
from panopticon.models import parse_version
from panopticon.results.outputs import Failure, FailureState, VersionName
from panopticon.results.undeliverable import NO_VERSION
from workers.cli.dead.failure_view import failure_json, print_failure
from workers.cli.formatting import counted, place, table, utc
from workers.cli.session import Session, json_option, pass_session
from workers.maintenance.dead_letters import (
    Choice,
    Replayed,
    chosen,
    discard,
    replay,
    versions_with_failures,
)
from workers.runtime.terminal_text import printable

Command = Callable[..., Any]

ROOMY_COLUMNS = 120
"""From which on there is room for the details too."""


@click.group("dead")
def dead_command() -> None:
    """Failures: list them, look at one, replay them, or discard them."""


def _filters(command: Command) -> Command:
    """The options that say which failures are meant."""
    command = click.option("--reason", default="", metavar="CODE", help="Such as not_found.")(command)
    command = click.option("--day", default="", metavar="YYYY-MM-DD", help="On which it last failed, UTC.")(
        command
    )
    return click.option("--model", "model", metavar="NAME@V", help="Only this version.")(command)


@dead_command.command("list")
@_filters
@click.option(
    "--state",
    type=click.Choice([state.value for state in FailureState]),
    default=FailureState.DEAD.value,
    show_default=True,
)
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@json_option
@pass_session
def list_command(
    session: Session, *, model: str | None, day: str, reason: str, state: str, limit: int, as_json: bool
) -> None:
    """The failures, newest day first."""
    choice = _choice(session, model=model, day=day, reason=reason, state=FailureState(state))
    found = list(islice(chosen(session.store, choice), limit + 1))
    failures, more = found[:limit], len(found) > limit
    if as_json:
        session.print_json({"failures": [failure_json(failure) for failure in failures], "more": more})
    elif failures:
        _print_list(session, failures, more=more)
    else:
        session.out.print(f"No failures in state {state}.")


@dead_command.command("show")
@click.argument("image_id")
@json_option
@pass_session
def show_command(session: Session, *, image_id: str, as_json: bool) -> None:
    """Every failure of one image, in any state, with its message."""
    failures = session.store.outputs.failures_of([image_id]) if _is_text(image_id) else []
    if not failures:
        raise UsageError(
            f"no failure is kept of image {image_id!r}; panopticon dead list names those with one"
        )
    if as_json:
        session.print_json({"failures": [failure_json(failure) for failure in failures]})
        return
    session.out.print(Text(printable(image_id), style="bold"))
    for failure in failures:
        print_failure(session, failure, with_message=True)
    if any(failure.state is FailureState.DEAD for failure in failures):
        session.out.print(Text(f"\nNext: panopticon dead replay {image_id}", style="dim"))


@dead_command.command("replay")
@click.argument("image_ids", nargs=-1, metavar="[IMAGE_ID]...")
@_filters
@click.option("--all", "everything", is_flag=True, help="Every failure of every version.")
@click.option(
    "--lane", type=click.Choice([lane.value for lane in Lane]), default=Lane.BACKFILL.value, show_default=True
)
@pass_session
def replay_command(
    session: Session,
    *,
    image_ids: tuple[str, ...],
    model: str | None,
    day: str,
    reason: str,
    everything: bool,
    lane: str,
) -> None:
    """Send failed images back to the queue of the version that failed, each by the message it came as."""
    choice = _choice(session, model=model, day=day, reason=reason, image_ids=image_ids)
    _check_some(choice, everything)
    failures = list(chosen(session.store, choice))
    outcome = replay(failures, store=session.store, broker=session.broker, lane=Lane(lane))
    _print_replayed(session, outcome, lane)


@dead_command.command("discard")
@click.argument("image_ids", nargs=-1, metavar="[IMAGE_ID]...")
@_filters
@click.option("--all", "everything", is_flag=True, help="Every failure of every version.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def discard_command(
    session: Session,
    *,
    image_ids: tuple[str, ...],
    model: str | None,
    day: str,
    reason: str,
    everything: bool,
    yes: bool,
) -> None:
    """Mark failures as discarded. They stay readable (list --state discarded), and count as dead no more."""
    choice = _choice(session, model=model, day=day, reason=reason, image_ids=image_ids)
    _check_some(choice, everything)
    failures = list(chosen(session.store, choice))
    if not failures:
        session.out.print("No failures to discard.")
        return
    if not yes:
        click.confirm(
            f"Discard {counted(len(failures), 'failure')} ({_by_reason(failures)})?", abort=True, err=True
        )
    discard(failures, session.store.outputs)
    session.out.print(f"{counted(len(failures), 'failure')} discarded.")


# The name of this command up to 0.1: scripts that use it go on working.
purge_command = copy(discard_command)
purge_command.hidden = True
dead_command.add_command(purge_command, "purge")


def _choice(
    session: Session,
    *,
    model: str | None,
    day: str,
    reason: str,
    image_ids: tuple[str, ...] = (),
    state: FailureState = FailureState.DEAD,
) -> Choice:
    """Raises: UsageError."""
    _check_day(day)
    version = _known_version(session, model) if model is not None else None
    for image_id in image_ids:
        if not _is_text(image_id):
            raise UsageError(f"{image_id!r} is no image ID: it is not UTF-8")
    return Choice(version=version, day=day, reason=reason, image_ids=image_ids, state=state)


def _check_day(day: str) -> None:
    try:
        if day and not re.fullmatch(r"\d{4}-\d\d-\d\d", day):
            raise ValueError(day)
        if day:
            date.fromisoformat(day)
    except ValueError:
        raise UsageError(f"--day is {day!r}; write a day of UTC as 2026-11-21") from None


def _known_version(session: Session, text: str) -> VersionName:
    version, known = parse_version(text), versions_with_failures(session.store)
    if version not in known:
        raise UsageError(f"unknown model version {version}; known: {', '.join(map(str, known))}")
    return version


def _check_some(choice: Choice, everything: bool) -> None:
    if choice.everything and not everything:
        raise UsageError("which failures? name image IDs, --model, --reason or --day, or say --all")
    if everything and not choice.everything:
        raise UsageError("--all means every failure; leave out the image IDs, --model, --reason and --day")


def _is_text(image_id: str) -> bool:
    return image_id.encode("utf-8", "replace").decode() == image_id


def _print_list(session: Session, failures: Sequence[Failure], *, more: bool) -> None:
    roomy = session.out.width >= ROOMY_COLUMNS
    shown = table("last (UTC)", "model", "reason", flowing=("image", "detail") if roomy else ("image",))
    for failure in failures:
        cells = (Text(_image(failure)), Text(printable(failure.detail), style="dim"))
        reason = Text(failure.reason, style="red")
        shown.add_row(
            utc(failure.last_at_ms), str(failure.key.version_name), reason, *cells[: 2 if roomy else 1]
        )
    session.out.print(shown)
    listed = counted(len(failures), "failure")
    session.out.print(f"{listed}: {_by_reason(failures)}" + ("; there are more: --limit" if more else ""))
    session.out.print(
        "Next: panopticon dead show IMAGE_ID, or panopticon dead replay --reason CODE", style="dim"
    )


def _image(failure: Failure) -> str:
    """A file by its path, which says more than its ID; anything else by its ID."""
    message = _message_of(failure)
    is_file = message is not None and (message.image_uri or "").startswith("file:")
    return place(message.image_uri or "") if message and is_file else printable(failure.key.image_id)


def _message_of(failure: Failure) -> ImageMessage | None:
    try:
        return decode_image_message(failure.message)
    except MessageInvalid:
        return None


def _by_reason(failures: Sequence[Failure]) -> str:
    counts = Counter(failure.reason for failure in failures)
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common())


def _print_replayed(session: Session, outcome: Replayed, lane: str) -> None:
    session.out.print(f"{counted(outcome.replayed, 'failure')} sent back, lane {lane}.")
    if outcome.no_messages:
        session.err.print(
            f"{outcome.no_messages:,} left: what came was malformed, so no worker can take it "
            f"(those of {NO_VERSION} never can); panopticon dead discard removes them from the dead",
            style="yellow",
        )
    if outcome.no_queue:
        session.err.print(f"{outcome.no_queue:,} left: their version is retired", style="yellow")
    if outcome.replayed:
        session.out.print("Next: panopticon status", style="dim")
