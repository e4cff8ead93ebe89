"""`panopticon dead`: list failures, show their reasons, replay them or discard them."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from copy import copy
from datetime import date
from itertools import islice
from typing import Any, TypedDict, Unpack

import click
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from panopticon.chunks import CHUNK, chunks
from panopticon.errors import UsageError
from panopticon.images.reasons import Reason
from panopticon.messages import Lane, MessageInvalid, decode_image_message
from panopticon.models import parse_version
from panopticon.results.failure_reasons import INDEX_REFUSED, MAY_BEFALL_EVERY_IMAGE
from panopticon.results.outputs import Failure, FailureState
from panopticon.results.undeliverable import BAD_MESSAGE, NO_VERSION
from workers.cli.dead.failure_view import print_failure
from workers.cli.formatting import counted, place, table, utc
from workers.cli.session import PIPED_WIDTH, Session, is_utf_8, json_option, pass_session
from workers.inspection.image_json import failure_json
from workers.maintenance.dead_letters import (
    Choice,
    Replayed,
    chosen,
    discard,
    replay,
    versions_with_failures,
)
from workers.runtime.terminal_text import printable, shell_word

Command = Callable[..., Any]

ROOMY_COLUMNS = 83
"""Width of a terminal beyond the longest ID from which on the list has a column for details."""


KNOWN_REASONS = frozenset(
    {*Reason, *MAY_BEFALL_EVERY_IMAGE, INDEX_REFUSED, BAD_MESSAGE, "killed_process", "timed_out"}
)
"""Reason codes of this program; a server of originals and a plug-in may add others."""


class Filters(TypedDict):
    """The options that select failures, as a person typed them."""

    model: str | None
    day: str
    reason: str


@click.group("dead")
def dead_command() -> None:
    """List failures, look at one, replay them, or discard them."""


def _filters(command: Command) -> Command:
    """Add the options of `Filters`."""
    options = [
        click.option("--model", metavar="NAME@V", help="Model version that failed [default: all]."),
        click.option(
            "--day", default="", metavar="YYYY-MM-DD", help="Day of the last attempt, UTC [default: all]."
        ),
        click.option(
            "--reason", default="", metavar="CODE", help="Reason code such as not_found [default: all]."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@dead_command.command("list")
@_filters
@click.option(
    "--state",
    # An image on a retry delay has not failed yet: `panopticon show` is for it.
    type=click.Choice([state.value for state in FailureState if state is not FailureState.RETRYING]),
    default=FailureState.DEAD.value,
    show_default=True,
    help="State of the failures.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="Number of failures to print.",
)
@json_option
@pass_session
def list_command(
    session: Session, *, state: str, limit: int, as_json: bool, **filters: Unpack[Filters]
) -> None:
    """List failures, newest day first."""
    choice = _choice(session, filters, state=FailureState(state))
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
    """Show every failure of one image, in any state, with its message."""
    found = session.store.outputs.failures_of([image_id]) if is_utf_8(image_id) else []
    failures = [failure for failure in found if failure.state is not FailureState.RETRYING]
    if not failures:
        raise UsageError(
            f"image {image_id!r} has no failure; panopticon dead list names the images that have one"
        )
    if as_json:
        session.print_json({"failures": [failure_json(failure) for failure in failures]})
        return
    session.out.print(Text(printable(image_id), style="bold"))
    for failure in failures:
        print_failure(session, failure, with_message=True)
    if any(failure.state is FailureState.DEAD for failure in failures):
        session.out.print(Text(f"\nNext: panopticon dead replay {shell_word(image_id)}", style="dim"))


@dead_command.command("replay")
@click.argument("image_ids", nargs=-1, metavar="[IMAGE_ID]...")
@_filters
@click.option("--all", "everything", is_flag=True, help="Every failure of every version.")
@click.option(
    "--lane",
    type=click.Choice([lane.value for lane in Lane]),
    default=Lane.BACKFILL.value,
    show_default=True,
    help="Lane of the queue.",
)
@pass_session
def replay_command(
    session: Session,
    *,
    image_ids: tuple[str, ...],
    everything: bool,
    lane: str,
    **filters: Unpack[Filters],
) -> None:
    """Send failed images back to the queue of the version that failed, each with its original message."""
    choice = _choice(session, filters, image_ids=image_ids)
    _check_some(choice, everything)
    failures = list(chosen(session.store, choice))
    outcome = replay(failures, store=session.store, broker=session.broker, lane=Lane(lane))
    _print_replayed(session, outcome, lane)


@dead_command.command("discard")
@click.argument("image_ids", nargs=-1, metavar="[IMAGE_ID]...")
@_filters
@click.option("--all", "everything", is_flag=True, help="Every failure of every version.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@pass_session
def discard_command(
    session: Session,
    *,
    image_ids: tuple[str, ...],
    everything: bool,
    yes: bool,
    **filters: Unpack[Filters],
) -> None:
    """Mark failures as discarded. They can still be listed (--state discarded), but do not count as dead."""
    choice = _choice(session, filters, image_ids=image_ids)
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


# The name of this command up to release 0.1: scripts that use it go on working.
purge_command = copy(discard_command)
purge_command.hidden = True
dead_command.add_command(purge_command, "purge")


def _choice(
    session: Session,
    filters: Filters,
    *,
    image_ids: tuple[str, ...] = (),
    state: FailureState = FailureState.DEAD,
) -> Choice:
    """Raises: UsageError for an unknown version or reason, no date as a day, or an ID without failure."""
    model, day = filters["model"], filters["day"]
    _check_day(day)
    version = None
    if model is not None:
        version, known = parse_version(model), versions_with_failures(session.store)
        if version not in known:
            raise UsageError(f"unknown model version {version}; known: {', '.join(map(str, known))}")
    for image_id in image_ids:
        if not is_utf_8(image_id):
            raise UsageError(f"{image_id!r} is not an image ID: it is not UTF-8")
    _check_ids(session, image_ids)
    _check_reason(session, filters["reason"])
    return Choice(version=version, day=day, reason=filters["reason"], image_ids=image_ids, state=state)


def _check_ids(session: Session, image_ids: Sequence[str]) -> None:
    for chunk in chunks(image_ids, CHUNK):
        failed = {failure.key.image_id for failure in session.store.outputs.failures_of(chunk)}
        for image_id in chunk:
            # One that was replayed already has a failure too, in another state.
            if image_id not in failed:
                raise UsageError(
                    f"image {image_id!r} has no failure; panopticon dead list names the images that have one"
                )


def _check_reason(session: Session, reason: str) -> None:
    """Raise UsageError for a reason that is neither known nor that of any failure, which is mistyped."""
    if not reason or reason in KNOWN_REASONS or re.fullmatch(r"http_\d{3}", reason):
        return
    states = [state for state in FailureState if state is not FailureState.RETRYING]
    present = {found.reason for state in states for found in chosen(session.store, Choice(state=state))}
    if reason not in present:
        near = difflib.get_close_matches(reason, present | KNOWN_REASONS, n=1)
        hint = f"; near it: {str(near[0])!r}" if near else ""
        having = f"; failures have: {', '.join(sorted(map(printable, present)))}" if present else ""
        raise UsageError(f"--reason is {reason!r}, which no failure has{hint}{having}")


def _check_day(day: str) -> None:
    try:
        # `fromisoformat` accepts more spellings than the failures are stored under.
        if day and not re.fullmatch(r"\d{4}-\d\d-\d\d", day):
            raise ValueError(day)
        if day:
            date.fromisoformat(day)
    except ValueError:
        raise UsageError(f"--day is {day!r}; write a day of UTC as 2026-11-21") from None


def _check_some(choice: Choice, everything: bool) -> None:
    if choice.everything and not everything:
        raise UsageError("which failures? name image IDs, --model, --reason or --day, or pass --all")
    if everything and not choice.everything:
        raise UsageError("--all means every failure; leave out the image IDs, --model, --reason and --day")


def _print_list(session: Session, failures: Sequence[Failure], *, more: bool) -> None:
    words = [shell_word(failure.key.image_id) for failure in failures]
    roomy = session.out.width >= ROOMY_COLUMNS + max(map(cell_len, words))
    listing = table("last (UTC)", "model", "reason", "image", flowing=("detail",) if roomy else ())
    for failure, word in zip(failures, words, strict=True):
        last, version = utc(failure.last_at_ms), str(failure.key.version_name)
        reason, detail = Text(printable(failure.reason), style="red"), Text(_detail(failure), style="dim")
        listing.add_row(last, version, reason, Text(word), *[detail] * roomy)
    # A terminal wraps a long line by itself, so that an ID can be copied as one word.
    out = session.out if roomy else Console(highlight=False, emoji=False, width=PIPED_WIDTH)
    out.print(listing)
    listed = counted(len(failures), "failure")
    session.out.print(f"{listed}: {_by_reason(failures)}" + ("; there are more: --limit" if more else ""))
    session.out.print(
        "Next: panopticon dead show IMAGE_ID, or panopticon dead replay --reason CODE", style="dim"
    )


def _detail(failure: Failure) -> str:
    """Return the path of a file, which is more useful than its ID, and what is known of the failure."""
    try:
        message = decode_image_message(failure.message)
    except MessageInvalid:
        message = None
    uri = message.image_uri or "" if message else ""
    path = place(uri) if uri.startswith("file:") else ""
    return "  ".join(filter(None, (path, printable(failure.detail))))


def _by_reason(failures: Sequence[Failure]) -> str:
    counts = Counter(printable(failure.reason) for failure in failures)
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common())


def _print_replayed(session: Session, outcome: Replayed, lane: str) -> None:
    session.out.print(f"{counted(outcome.replayed, 'failure')} sent back, lane {lane}.")
    if outcome.no_messages:
        session.err.print(
            f"{outcome.no_messages:,} not sent: the message is malformed, so no worker can take it "
            f"(as with every failure of {NO_VERSION}); panopticon dead discard takes them off the dead",
            style="yellow",
        )
    if outcome.no_queue:
        session.err.print(f"{outcome.no_queue:,} not sent: their version is retired", style="yellow")
    if outcome.replayed:
        session.out.print("Next: panopticon status", style="dim")
