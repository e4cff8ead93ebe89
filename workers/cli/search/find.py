"""`panopticon search`: find photos by the tags and scores of the active models."""

from __future__ import annotations

import difflib
import math
import shlex
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, TypedDict, Unpack

import click
from rich.padding import Padding
from rich.text import Text

from panopticon.cards.cards import CardError
from panopticon.errors import UsageError
from panopticon.messages import Tag
from panopticon.models import find_card
from panopticon.policy.policy import read_policy
from panopticon.results.documents import SearchDocument, fold_label
from panopticon.results.outputs import CatalogueImage
from panopticon.results.search import Order, Query, ScoreRange, SearchPage
from workers.cli.formatting import place, rfc_3339
from workers.cli.session import FiniteRange, Session, json_option, pass_session
from workers.registry.active import Active, active_versions, parts_of
from workers.runtime.terminal_text import printable

SUGGESTIONS = 5
"""Known labels that are suggested for an unknown one, at most."""


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
    active = active_versions(session.store.registry)
    query = _query(active, options)
    page = session.search.query(query)
    rows = session.store.catalogue.get([document.image_id for document in page.documents])
    if as_json:
        session.print_json(_page_json(page, rows))
        return
    for document in page.documents:
        _print_document(session, document, page.parts, rows.get(document.image_id))
    if not page.documents:
        _explain_nothing(session, query, active)
    if page.cursor:
        # On standard error, because the results may be piped.
        more = f"More: the same command with --cursor {shlex.quote(page.cursor)}"
        session.err.print(Text(more, style="dim"))


def _query(active: Active, options: QueryOptions) -> Query:
    """Raises: UsageError for an unknown score, or an order or range that cannot be read."""
    labels, known_scores = options["labels"], _score_names(active)
    order, order_score = _order(options["order"], labels, known_scores)
    return Query(
        parts=parts_of(active),
        all_of=() if options["any_of"] else labels,
        any_of=labels if options["any_of"] else (),
        min_probability=options["min_probability"],
        scores=tuple(_score_range(text, known_scores) for text in options["scores"]),
        order=order,
        order_score=order_score,
        limit=options["limit"],
        cursor=options["cursor"],
    )


def _order(text: str | None, labels: Sequence[str], known: Sequence[str]) -> tuple[Order, str]:
    if text is None:
        return (Order.PROBABILITY if labels else Order.NEWEST), ""
    kind, _, name = text.partition(":")
    if kind == "score" and name:
        return Order.SCORE, _known_score(name, known)
    if text == "probability" and not labels:
        raise UsageError("--order probability needs a label to be probable; name one, or use --order newest")
    if text in ("probability", "newest"):
        return Order(text), ""
    raise UsageError(f"--order is {text!r}; it must be probability, newest or score:NAME")


def _score_range(text: str, known: Sequence[str]) -> ScoreRange:
    name, equals, bounds = text.partition("=")
    low, dots, high = bounds.partition("..")
    try:
        if not (equals and dots):
            raise ValueError(bounds)
        minimum, maximum = (float(bound) if bound.strip() else None for bound in (low, high))
        if math.isnan(minimum or 0) or math.isnan(maximum or 0):
            raise ValueError(bounds)
    except ValueError:
        raise UsageError(f"--score is {text!r}; write it as sharpness=0.2..0.8, 0.2.. or ..0.8") from None
    if minimum is not None and maximum is not None and minimum > maximum:
        raise UsageError(
            f"--score is {text!r}: {low.strip()} is greater than {high.strip()}, so nothing can be found;"
            f" write the lower end first: {name.strip()}={high.strip()}..{low.strip()}"
        )
    return ScoreRange(name=_known_score(name.strip(), known), minimum=minimum, maximum=maximum)


def _known_score(name: str, known: Sequence[str]) -> str:
    if name not in known:
        raise UsageError(f"unknown score {name!r}; known: {', '.join(known) or 'none'}")
    return name


def _score_names(active: Active) -> list[str]:
    """Return the names under which the scores of the active versions are shown."""
    return sorted(
        read_policy(version.policy_toml).renamed.get(label, label)
        for entry, version in active.values()
        if entry.task == "scoring"
        for label in version.labels
    )


def _tags(document: SearchDocument, parts: Iterable[str]) -> list[tuple[str, Tag]]:
    found = [
        (name, tag) for name in parts if (part := document.parts.get(name)) is not None for tag in part.tags
    ]
    return sorted(found, key=lambda named: -named[1].probability)


def _scores(document: SearchDocument, parts: Iterable[str]) -> dict[str, float]:
    return {
        name: value
        for part_name in parts
        if (part := document.parts.get(part_name)) is not None
        for name, value in part.scores.items()
    }


def _page_json(page: SearchPage, rows: dict[str, CatalogueImage]) -> dict[str, Any]:
    return {
        "images": [
            {
                "image_id": document.image_id,
                "image_uri": row.image_uri if row else None,
                "revision": document.revision,
                "occurred_at": rfc_3339(document.occurred_at_ms),
                "tags": [{**tag.model_dump(), "part": part} for part, tag in _tags(document, page.parts)],
                "scores": _scores(document, page.parts),
            }
            for document in page.documents
            for row in [rows.get(document.image_id)]
        ],
        "cursor": page.cursor or None,
        "parts": list(page.parts),
    }


def _print_document(
    session: Session, document: SearchDocument, parts: Sequence[str], row: CatalogueImage | None
) -> None:
    where = place(row.image_uri) if row and row.image_uri else ""
    # The ID of a file adds nothing to its path.
    shown_id = printable(document.image_id)
    image_id = "" if not where or document.image_id.startswith("file-") else f"  {shown_id}"
    session.out.print(Text.assemble((where or shown_id, "bold"), (image_id, "dim")))
    tags = [f"{printable(tag.label)} {tag.probability:.2f}" for _, tag in _tags(document, parts)]
    scores = [f"{printable(name)} {value:.3g}" for name, value in sorted(_scores(document, parts).items())]
    if tags:
        session.out.print(_indented(tags, style="green"))
    if scores:
        session.out.print(_indented(scores, style="cyan"))


def _indented(words: Sequence[str], *, style: str) -> Padding:
    return Padding(Text(" · ".join(words), style=style), (0, 0, 0, 2), expand=False)


def _explain_nothing(session: Session, query: Query, active: Active) -> None:
    """Name the labels that no active model has, each with known labels that resemble it."""
    session.out.print("Nothing found." if not query.cursor else "No more photos.")
    known = _known_labels(session, active)
    for label in (*query.all_of, *query.any_of):
        folded = fold_label(label)
        if folded in known:
            continue
        # Labels that are spelt alike, then those of several words that have it as one, the shortest first.
        close = difflib.get_close_matches(folded, known, n=SUGGESTIONS, cutoff=0.7)
        within = sorted((key for key in known if folded in key.split()), key=len)
        near = [known[key] for key in dict.fromkeys((*close, *within))][:SUGGESTIONS]
        hint = f"; did you mean: {', '.join(map(printable, near))}" if near else ""
        session.out.print(Text(f"No active model has the label {label!r}{hint}", style="yellow"))


def _known_labels(session: Session, active: Active) -> dict[str, str]:
    """Return the labels of the active tagging versions and their broader terms: folded → as written."""
    labels: list[str] = []
    for name, (entry, version) in active.items():
        if entry.task == "tagging":
            labels += version.labels
            # The broader terms are in the card, which need not be on this machine.
            with suppress(CardError):
                rows = find_card(name, session.settings.models_dir).labels
                labels += (term for row in rows for term in row.ancestors)
    return {fold_label(label): label for label in labels}
