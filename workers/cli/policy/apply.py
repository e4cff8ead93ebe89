"""`panopticon policy apply`: give a version another policy, and rebuild its documents without a model."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import click
from rich.text import Text

from panopticon.models import parse_version
from panopticon.registry.transitions import Author
from panopticon.results.outputs import VersionName
from workers.cli.formatting import counted
from workers.cli.models.states import reason_option
from workers.cli.policy.arguments import file_argument, refuse_two_stdins, source_name, version_argument
from workers.cli.session import Session, json_option, read_ids, read_text
from workers.maintenance.republish import Progress, Republished, Republisher
from workers.registry.policies import put_policy
from workers.runtime.identity import who
from workers.runtime.terminal_text import printable

EXIT_LEFT = 1
"""Some documents could not be rebuilt."""


@click.command("apply")
@version_argument
@file_argument
@reason_option
@click.option(
    "--ids",
    "ids_file",
    metavar="FILE|-",
    help="File of the image IDs whose documents are rebuilt, one per line; - is standard input "
    "[default: all documents].",
)
@json_option
@click.pass_context
def apply_command(
    context: click.Context, *, name: str, file: str, reason: str, ids_file: str | None, as_json: bool
) -> None:
    """Make this the policy of a version, and rebuild its documents with it. No model runs.

    It needs a running indexer. If it is interrupted, run the same command again to continue. Exit code 1 if
    some documents could not be rebuilt.
    """
    session: Session = context.obj
    version = parse_version(name)
    refuse_two_stdins(file, ids_file)
    ids = read_ids(ids_file) if ids_file else None
    author = Author(by=who(), at_ms=int(time.time() * 1000), reason=reason)
    applied = put_policy(
        read_text(file), source=source_name(file), version=version, author=author, store=session.store
    )
    if applied.changed:
        _note(session, f"{version} has policy {applied.number} now.")
    else:
        _note(session, f"{version} has this policy already, as number {applied.number}; it was not changed.")
    republished = _republish(session, version, ids)
    if as_json:
        session.print_json(
            {
                "model": str(version),
                "number": applied.number,
                "changed": applied.changed,
                "republished": republished.images,
                "left": list(republished.left),
                "unknown": list(republished.unknown),
            }
        )
    else:
        _print_republished(session, version, republished)
    context.exit(EXIT_LEFT if republished.left else 0)


def _republish(session: Session, version: VersionName, ids: Sequence[str] | None) -> Republished:
    """Rebuild the documents of these images, or all of the version, with a progress bar."""

    def stalled(results: int) -> None:
        waiting, quiet_s = counted(results, "result"), session.settings.settle_s
        _note(
            session,
            f"\nNo result was consumed for {quiet_s:g} s ({waiting} waiting); start: panopticon indexer",
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
    _note(session, f"Waiting {republisher.known_after_s:g} s, until every worker and indexer uses it …")
    try:
        with bar:
            return republisher.republish(ids, progress=Progress(done=bar.update, stalled=stalled))
    except KeyboardInterrupt:
        _note(session, "\nStopped before every document was rebuilt; run the same command again to continue.")
        raise


def _note(session: Session, line: str) -> None:
    session.err.print(Text(line, style="dim"))


def _print_republished(session: Session, version: VersionName, republished: Republished) -> None:
    number = republished.policy_number
    documents = counted(republished.images, "document")
    session.out.print(Text(f"{documents} rebuilt with policy {number} of {version}.", style="green"))
    if republished.unknown:
        unknown = counted(len(republished.unknown), "ID")
        session.out.print(f"{unknown} without a document of {version} in search.")
    for image_id in republished.left:
        session.out.print(Text(f"left  {printable(image_id)}", style="red"))
    if republished.left:
        session.out.print(
            "These documents still have an older policy, because no output of them is stored or search "
            "refused the result; details: panopticon show IMAGE_ID",
            style="red",
        )
