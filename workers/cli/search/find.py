"""`panopticon search`: find photos by the tags and scores of the active models."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TypedDict, Unpack

import click
from rich.padding import Padding
from rich.text import Text

from panopticon.results.documents import SearchDocument
from panopticon.results.outputs import CatalogueImage
from workers.cli.formatting import place
from workers.cli.session import FiniteRange, Session, json_option, pass_session
from workers.inspection.search import Answer, Question, answer_json, ask, scores_of, tags_of, unknown_labels
from workers.runtime.terminal_text import printable


class QueryOptions(TypedDict):
    """The options of the command that describe the query, as a person typed them."""

    labels: tuple[str, ...]
    any_of: bool
    min_probability: float
    scores: tuple[str, ...]
    order: str | None
    limit: int
    cursor: str


@click.command("search")
@click.argument("labels", nargs=-1, metavar="LABEL...")
@click.option(
    "--any",
    "any_of",
    is_flag=True,
    help="Find photos with any of the labels [default: with all of them].",
)
@click.option(
    "--min-probability",
    type=FiniteRange(0, 1),
    default=0.0,
    show_default=True,
    metavar="P",
    help="Minimum probability per label (0–1).",
)
@click.option(
    "--score",
    "scores",
    multiple=True,
    metavar="NAME=LOW..HIGH",
    help="Range of a score, both ends included; either end may be left out.",
)
@click.option(
    "--order",
    metavar="probability|newest|score:NAME",
    help="Order of the photos, highest or latest first [default: probability with labels, else newest].",
)
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Number of photos to print."
)
@click.option("--cursor", default="", help="Cursor printed with the previous page.")
@json_option
@pass_session
def search_command(session: Session, /, *, as_json: bool, **options: Unpack[QueryOptions]) -> None:
    """Find photos by label, by score, or the newest ones.

    A label finds narrower ones too: `animal` finds a cat.

    `panopticon search rebuild` rebuilds the index; to search for a label of that name, write it after `--`.
    """
    question = _question(options)
    answer = ask(question, store=session.store, search=session.search, prefix="--")
    if as_json:
        session.print_json(answer_json(answer))
        return
    page = answer.page
    for document in page.documents:
        _print_document(session, document, page.parts, answer.rows.get(document.image_id))
    if not page.documents:
        _explain_nothing(session, answer)
    if page.cursor:
        # On standard error, because the results may be piped.
        more = f"More: the same command with --cursor {shlex.quote(page.cursor)}"
        session.err.print(Text(more, style="dim"))


def _question(options: QueryOptions) -> Question:
    labels = options["labels"]
    return Question(
        all_of=() if options["any_of"] else labels,
        any_of=labels if options["any_of"] else (),
        min_probability=options["min_probability"],
        scores=options["scores"],
        order=options["order"],
        limit=options["limit"],
        cursor=options["cursor"],
    )


def _print_document(
    session: Session, document: SearchDocument, parts: Sequence[str], row: CatalogueImage | None
) -> None:
    where = place(row.image_uri) if row and row.image_uri else ""
    # The ID of a file adds nothing to its path.
    shown_id = printable(document.image_id)
    image_id = "" if not where or document.image_id.startswith("file-") else f"  {shown_id}"
    session.out.print(Text.assemble((where or shown_id, "bold"), (image_id, "dim")))
    tags = [f"{printable(tag.label)} {tag.probability:.2f}" for _, tag in tags_of(document, parts)]
    scores = [f"{printable(name)} {value:.3g}" for name, value in sorted(scores_of(document, parts).items())]
    if tags:
        session.out.print(_indented(tags, style="green"))
    if scores:
        session.out.print(_indented(scores, style="cyan"))


def _indented(words: Sequence[str], *, style: str) -> Padding:
    return Padding(Text(" · ".join(words), style=style), (0, 0, 0, 2), expand=False)


def _explain_nothing(session: Session, answer: Answer) -> None:
    """Name the labels that no active model has, each with known labels that resemble it."""
    session.out.print("Nothing found." if not answer.query.cursor else "No more photos.")
    for unknown in unknown_labels(answer, session.settings.models_dir):
        hint = f"; did you mean: {', '.join(map(printable, unknown.near))}" if unknown.near else ""
        session.out.print(Text(f"No active model has the label {unknown.label!r}{hint}", style="yellow"))
