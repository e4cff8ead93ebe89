"""`panopticon policy`: what is shown of stored outputs, and changing it without running a model."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import click
from rich.text import Text

from panopticon.errors import UsageError
from panopticon.models import parse_version
from panopticon.policy.policy import Evaluation, PolicyEvaluator
from panopticon.registry.records import PolicyRecord, VersionEntry
from panopticon.registry.transitions import Author
from panopticon.results.outputs import VersionName
from workers.cli.formatting import counted, rfc_3339, table, utc
from workers.cli.models.states import reason_option
from workers.cli.session import Session, json_option, pass_session, read_ids, read_text
from workers.comparison.policies import Preview, preview
from workers.comparison.sample import draw_sample
from workers.maintenance.republish import Progress, Republished, Republisher
from workers.registry.policies import (
    AppliedPolicy,
    changeable_version,
    checked_policy,
    is_present_policy,
    put_policy,
)
from workers.registry.policy_cache import label_rows, resolve_policy
from workers.registry.records import read_version
from workers.runtime.identity import who
from workers.runtime.terminal_text import printable

EXIT_LEFT = 1
STDIN_NAME = "standard input"
SHOWN_TAGS = 10
SHOWN_EXAMPLES = 5

Command = Callable[..., Any]


@click.group("policy")
def policy_command() -> None:
    """Thresholds, hidden, renamed and rolled-up tags of a model version: look at them, and change them."""


def _version_argument(command: Command) -> Command:
    return click.argument("name", metavar="NAME@V")(command)


def _file_argument(command: Command) -> Command:
    return click.argument("file", metavar="FILE|-")(command)


def _ids_option(command: Command) -> Command:
    return click.option("--ids", "ids_file", metavar="FILE|-", help="Only these images, one ID a line.")(
        command
    )


@policy_command.command("show")
@_version_argument
@click.option("--number", type=click.IntRange(min=1), help="An earlier one, from its history.")
@json_option
@pass_session
def show_command(session: Session, *, name: str, number: int | None, as_json: bool) -> None:
    """The present policy of a version as TOML, ready to be edited."""
    version = parse_version(name)
    _, entry = read_version(version, session.store.registry)
    record = _record(version, entry, number)
    if as_json:
        session.print_json({"model": str(version), **_record_json(record), "toml": record.toml})
        return
    session.err.print(Text(f"# {version}, {_told(record)}", style="dim"))
    click.echo(record.toml, nl=not record.toml.endswith("\n"))


@policy_command.command("history")
@_version_argument
@json_option
@pass_session
def history_command(session: Session, *, name: str, as_json: bool) -> None:
    """Every policy a version has had, by whom, and why."""
    version = parse_version(name)
    _, entry = read_version(version, session.store.registry)
    if as_json:
        records = [{**_record_json(record), "toml": record.toml} for record in entry.policies]
        session.print_json({"model": str(version), "number": entry.policy_number, "policies": records})
        return
    shown = table("number", "UTC", "by", flowing=("reason",))
    for record in reversed(entry.policies):
        shown.add_row(
            str(record.number), utc(record.at_ms), printable(record.by), Text(printable(record.reason))
        )
    session.out.print(shown)
    session.out.print(f"Next: panopticon policy show {version} --number N", style="dim")


@policy_command.command("check")
@_version_argument
@_file_argument
@json_option
@pass_session
def check_command(session: Session, *, name: str, file: str, as_json: bool) -> None:
    """Read a policy and say whether it holds for a version. Changes nothing."""
    version = parse_version(name)
    policy = checked_policy(read_text(file), source=_source_name(file), version=version, store=session.store)
    _, entry = read_version(version, session.store.registry)
    differs = not is_present_policy(policy, entry)
    if as_json:
        session.print_json(
            {"model": str(version), "ok": True, "differs": differs, "policy": policy.model_dump(mode="json")}
        )
        return
    than = f"{'another than' if differs else 'the same as'} policy {entry.policy_number}"
    session.out.print(Text(f"It holds for {version}, and says {than}.", style="green"))


@policy_command.command("preview")
@_version_argument
@_file_argument
@click.option(
    "--sample", "size", type=click.IntRange(min=1), default=1000, show_default=True, help="So many images."
)
@_ids_option
@json_option
@pass_session
def preview_command(
    session: Session, *, name: str, file: str, size: int, ids_file: str | None, as_json: bool
) -> None:
    """What a policy would change, from stored outputs of a sample of images. Changes nothing."""
    version = parse_version(name)
    _refuse_two_stdins(file, ids_file)
    policy = checked_policy(read_text(file), source=_source_name(file), version=version, store=session.store)
    ids = read_ids(ids_file) if ids_file else draw_sample(session.search, version.part, size).image_ids
    model, entry = changeable_version(version, session.store)
    labels = label_rows(model, entry, session.store.archive)
    seen = preview(
        version,
        before=resolve_policy(model, entry, session.store.archive).evaluator,
        after=PolicyEvaluator(policy, task=model.task, labels=labels),
        image_ids=ids,
        outputs=session.store.outputs,
    )
    if as_json:
        session.print_json({"model": str(version), "number": entry.policy_number, **_preview_json(seen)})
    else:
        _print_preview(session, version, file, seen)


@policy_command.command("apply")
@_version_argument
@_file_argument
@reason_option
@_ids_option
@json_option
@click.pass_context
def apply_command(
    context: click.Context, *, name: str, file: str, reason: str, ids_file: str | None, as_json: bool
) -> None:
    """Make this the policy of a version, and every document anew by it. No model runs.

    It needs a running indexer. Interrupted, the same command goes on. Exit code 1 if documents are left
    that cannot be made anew.
    """
    session: Session = context.obj
    version = parse_version(name)
    _refuse_two_stdins(file, ids_file)
    ids = read_ids(ids_file) if ids_file else None
    author = Author(by=who(), at_ms=int(time.time() * 1000), reason=reason)
    applied = put_policy(
        read_text(file), source=_source_name(file), version=version, author=author, store=session.store
    )
    _tell(session, _applied_line(version, applied))
    republished = _republish(session, version, ids)
    if as_json:
        session.print_json(_applied_json(version, applied, republished))
    else:
        _print_republished(session, version, republished)
    context.exit(EXIT_LEFT if republished.left else 0)


def _republish(session: Session, version: VersionName, ids: Sequence[str] | None) -> Republished:
    def stalled(results: int) -> None:
        waiting, quiet_s = counted(results, "result"), session.settings.settle_s
        _tell(
            session, f"\nNothing was taken for {quiet_s:g} s ({waiting} waiting); start: panopticon indexer"
        )

    total = session.search.count([version.part]) if ids is None else len(ids)
    bar = click.progressbar(length=total, label="Republishing", file=sys.stderr)
    republisher = Republisher(
        version,
        settings=session.settings,
        store=session.store,
        search=session.search,
        results=session.broker.results(),
    )
    _tell(session, f"Waiting {republisher.known_after_s:g} s, until every worker and indexer knows it …")
    try:
        with bar:
            return republisher.republish(ids, progress=Progress(done=bar.update, stalled=stalled))
    except KeyboardInterrupt:
        _tell(session, "\nStopped before every document was renewed; the same command goes on.")
        raise


def _tell(session: Session, line: str) -> None:
    session.err.print(Text(line, style="dim"))


def _source_name(file: str) -> str:
    return STDIN_NAME if file == "-" else file


def _refuse_two_stdins(file: str, ids_file: str | None) -> None:
    """Raises: UsageError."""
    if file == ids_file == "-":
        raise UsageError("standard input cannot hold both the policy and the IDs; put one into a file")


def _record(version: VersionName, entry: VersionEntry, number: int | None) -> PolicyRecord:
    """Raises: UsageError for a number that it never had."""
    wanted = entry.policy_number if number is None else number
    found = next((record for record in entry.policies if record.number == wanted), None)
    if found is None:
        raise UsageError(f"{version} has no policy {wanted}; the present one is {entry.policy_number}")
    return found


def _record_json(record: PolicyRecord) -> dict[str, Any]:
    return {
        "number": record.number,
        "at": rfc_3339(record.at_ms),
        "by": record.by,
        "reason": record.reason,
    }


def _told(record: PolicyRecord) -> str:
    reason = f": {record.reason}" if record.reason else ""
    return printable(f"policy {record.number}, since {utc(record.at_ms)} UTC, by {record.by}{reason}")


def _preview_json(seen: Preview) -> dict[str, Any]:
    return {
        "images": seen.images,
        "changed": len(seen.changed),
        "tags": [{"name": tag.name, "gained": tag.gained, "lost": tag.lost} for tag in seen.tags],
        "examples": [
            {
                "image_id": one.image_id,
                "before": _evaluation_json(one.before),
                "after": _evaluation_json(one.after),
            }
            for one in seen.changed[:SHOWN_EXAMPLES]
        ],
        "unknown": list(seen.unknown),
    }


def _evaluation_json(evaluation: Evaluation) -> dict[str, Any]:
    return {"tags": [tag.model_dump() for tag in evaluation.tags], "scores": dict(evaluation.scores)}


def _print_preview(session: Session, version: VersionName, file: str, seen: Preview) -> None:
    session.out.print(f"{len(seen.changed):,} of {counted(seen.images, 'image')} would change.")
    if seen.unknown:
        session.out.print(f"{counted(len(seen.unknown), 'ID')} without a stored output of {version}.")
    if seen.tags:
        _print_tags(session, seen)
    for one in seen.changed[:SHOWN_EXAMPLES]:
        session.out.print(Text(printable(one.image_id), style="bold"))
        session.out.print(Text(f"  before  {_said(one.before)}", style="red"))
        session.out.print(Text(f"  after   {_said(one.after)}", style="green"))
    session.out.print(f"Next: panopticon policy apply {version} {shlex.quote(file)}", style="dim")


def _print_tags(session: Session, seen: Preview) -> None:
    shown = table("tag", right=("gained", "lost"))
    for tag in seen.tags[:SHOWN_TAGS]:
        shown.add_row(Text(printable(tag.name)), f"{tag.gained:,}", f"{tag.lost:,}")
    session.out.print(shown)
    if len(seen.tags) > SHOWN_TAGS:
        session.out.print(f"and {counted(len(seen.tags) - SHOWN_TAGS, 'tag')} more (--json)", style="dim")


def _said(evaluation: Evaluation) -> str:
    words = [f"{tag.label} {tag.probability:.2f}" for tag in evaluation.tags]
    words += [f"{name} {value:.3g}" for name, value in sorted(evaluation.scores.items())]
    return printable(" · ".join(words)) or "nothing"


def _applied_line(version: VersionName, applied: AppliedPolicy) -> str:
    if applied.changed:
        return f"{version} has policy {applied.number} now."
    return f"{version} has this policy already, as number {applied.number}; nothing of it was changed."


def _applied_json(version: VersionName, applied: AppliedPolicy, republished: Republished) -> dict[str, Any]:
    return {
        "model": str(version),
        "number": applied.number,
        "changed": applied.changed,
        "republished": republished.images,
        "left": list(republished.left),
        "unknown": list(republished.unknown),
    }


def _print_republished(session: Session, version: VersionName, republished: Republished) -> None:
    number = republished.policy_number
    documents = counted(republished.images, "document")
    session.out.print(Text(f"{documents} renewed by policy {number} of {version}.", style="green"))
    if republished.unknown:
        session.out.print(f"{counted(len(republished.unknown), 'ID')} of which search has nothing by it.")
    for image_id in republished.left:
        session.out.print(Text(f"left  {printable(image_id)}", style="red"))
    if republished.left:
        session.out.print(
            "They are by an older policy still, since no output of them is stored, or search refused it: "
            "panopticon show IMAGE_ID",
            style="red",
        )
