"""`panopticon policy preview`: the changes that a policy would make, from stored outputs."""

from __future__ import annotations

import shlex
from typing import Any

import click
from rich.text import Text

from panopticon.models import parse_version
from panopticon.policy.policy import Evaluation, PolicyEvaluator
from panopticon.results.outputs import VersionName
from workers.cli.formatting import counted, table
from workers.cli.policy.arguments import file_argument, refuse_two_stdins, source_name, version_argument
from workers.cli.session import Session, json_option, pass_session, read_ids, read_text
from workers.comparison.policies import Preview, preview
from workers.comparison.sample import draw_sample
from workers.registry.policies import changeable_version, checked_policy
from workers.registry.policy_cache import label_rows, resolve_policy
from workers.runtime.terminal_text import printable

SHOWN_TAGS = 10
SHOWN_EXAMPLES = 5


@click.command("preview")
@version_argument
@file_argument
@click.option(
    "--sample",
    "size",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    metavar="N",
    help="Number of images to sample.",
)
@click.option(
    "--ids",
    "ids_file",
    metavar="FILE|-",
    help="File of image IDs, one per line; - is standard input [default: draw a sample].",
)
@json_option
@pass_session
def preview_command(
    session: Session, *, name: str, file: str, size: int, ids_file: str | None, as_json: bool
) -> None:
    """Show what a policy would change in a sample of images. Changes nothing, and runs no model."""
    version = parse_version(name)
    refuse_two_stdins(file, ids_file)
    policy = checked_policy(read_text(file), source=source_name(file), version=version, store=session.store)
    ids = read_ids(ids_file) if ids_file else draw_sample(session.search, version.part, size).image_ids
    model, entry = changeable_version(version, session.store)
    labels = label_rows(model, entry, session.store.archive)
    found = preview(
        version,
        before=resolve_policy(model, entry, session.store.archive).evaluator,
        after=PolicyEvaluator(policy, task=model.task, labels=labels),
        image_ids=ids,
        outputs=session.store.outputs,
    )
    if as_json:
        session.print_json({"model": str(version), "number": entry.policy_number, **_preview_json(found)})
    else:
        _print_preview(session, version, file, found)


def _preview_json(found: Preview) -> dict[str, Any]:
    return {
        "images": found.images,
        "changed": len(found.changed),
        "tags": [{"name": tag.name, "gained": tag.gained, "lost": tag.lost} for tag in found.tags],
        "examples": [
            {
                "image_id": one.image_id,
                "before": _evaluation_json(one.before),
                "after": _evaluation_json(one.after),
            }
            for one in found.changed[:SHOWN_EXAMPLES]
        ],
        "unknown": list(found.unknown),
    }


def _evaluation_json(evaluation: Evaluation) -> dict[str, Any]:
    return {"tags": [tag.model_dump() for tag in evaluation.tags], "scores": dict(evaluation.scores)}


def _print_preview(session: Session, version: VersionName, file: str, found: Preview) -> None:
    session.out.print(f"{len(found.changed):,} of {counted(found.images, 'image')} would change.")
    if found.unknown:
        session.out.print(f"{counted(len(found.unknown), 'ID')} without a stored output of {version}.")
    if found.tags:
        shown = table("tag", right=("gained", "lost"))
        for tag in found.tags[:SHOWN_TAGS]:
            shown.add_row(Text(printable(tag.name)), f"{tag.gained:,}", f"{tag.lost:,}")
        session.out.print(shown)
    if len(found.tags) > SHOWN_TAGS:
        session.out.print(f"and {counted(len(found.tags) - SHOWN_TAGS, 'tag')} more (--json)", style="dim")
    for one in found.changed[:SHOWN_EXAMPLES]:
        session.out.print(Text(printable(one.image_id), style="bold"))
        session.out.print(Text(f"  before  {_values(one.before)}", style="red"))
        session.out.print(Text(f"  after   {_values(one.after)}", style="green"))
    session.out.print(f"Next: panopticon policy apply {version} {shlex.quote(file)}", style="dim")


def _values(evaluation: Evaluation) -> str:
    values = [f"{tag.label} {tag.probability:.2f}" for tag in evaluation.tags]
    values += [f"{name} {value:.3g}" for name, value in sorted(evaluation.scores.items())]
    return printable(" · ".join(values)) or "nothing"
