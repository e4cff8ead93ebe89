"""A comparison of two versions as one HTML page, which needs nothing beside it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from panopticon.errors import UsageError
from panopticon.registry.activation import Limits, passed_by
from workers.cli.formatting import utc
from workers.cli.models.diff.text import figure_rows, headline, number, remarks
from workers.comparison.thumbnails import SIDE_PX, Photo
from workers.comparison.versions import Report
from workers.runtime.terminal_text import printable

TEMPLATE = "page.html"


def write_page(file: Path, report: Report, photos: Sequence[Photo], limits: Limits) -> None:
    """`photos`: one for each of the worst images, in order. Raises: UsageError if it cannot be written."""
    try:
        file.write_text(render(report, photos, limits), "utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error}") from None


def render(report: Report, photos: Sequence[Photo], limits: Limits) -> str:
    """The page. Whatever a model or an upload named is text in it, never markup."""
    environment = Environment(
        loader=PackageLoader("workers.cli.models.diff", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["printable"] = printable
    whole = report.whole
    page: str = environment.get_template(TEMPLATE).render(
        report=whole,
        report_sha256=report.record.report_sha256,
        headline=headline(whole),
        made=utc(whole["at_ms"]),
        remarks=list(remarks(whole)),
        figures=list(figure_rows(whole, limits)),
        passed=passed_by(report.record, limits),
        cards=[_card(one, photo) for one, photo in zip(whole["worst"], photos, strict=True)],
        side_px=SIDE_PX,
    )
    return page


def _card(one: Mapping[str, Any], photo: Photo) -> dict[str, Any]:
    """One image: the photo, and what either version says of it."""
    before, after = one["before"], one["after"]
    return {
        **one,
        "photo": f"data:image/jpeg;base64,{b64encode(photo.jpeg).decode()}" if photo.jpeg else "",
        "problem": photo.problem,
        "before": _tags(before, other=after),
        "after": _tags(after, other=before),
        "scores": [_score(name, before.get(name), after.get(name)) for name in {**before, **after}],
    }


def _tags(numbers: Mapping[str, float], *, other: Mapping[str, float]) -> list[dict[str, Any]]:
    return [{"name": name, "value": value, "only_here": name not in other} for name, value in numbers.items()]


def _score(name: str, before: float | None, after: float | None) -> dict[str, Any]:
    shift = None if before is None or after is None else after - before
    return {"name": name, "before": before, "after": after, "shift": shift}
