"""A comparison of two versions as one self-contained HTML page."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from panopticon.errors import UsageError
from panopticon.registry.activation import Limits, exceeded_by
from panopticon.registry.comparison import Difference
from workers.cli.formatting import utc
from workers.cli.models.diff.text import figure_rows, headline, number, remarks
from workers.comparison.report import Report
from workers.comparison.thumbnails import SIDE_PX, Photo
from workers.runtime.terminal_text import printable

TEMPLATE = "page.html"


def write_page(file: Path, report: Report, photos: Sequence[Photo], limits: Limits) -> None:
    """Write the page, with one photo for each of the worst images, in order.

    Raises: UsageError if the file cannot be written.
    """
    try:
        file.write_text(render(report, photos, limits), "utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error}") from None


def render(report: Report, photos: Sequence[Photo], limits: Limits) -> str:
    """Return the page. Names that come from a model or an upload are text in it, never markup."""
    environment = Environment(
        loader=PackageLoader("workers.cli.models.diff", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["printable"] = printable
    page: str = environment.get_template(TEMPLATE).render(
        report=report,
        report_sha256=report.record.report_sha256,
        headline=headline(report),
        made=utc(report.author.at_ms),
        remarks=list(remarks(report)),
        figures=list(figure_rows(report, limits)),
        exceeded=exceeded_by(report.record, limits),
        cards=[_card(one, photo) for one, photo in zip(report.worst, photos, strict=True)],
        side_px=SIDE_PX,
    )
    return page


def _card(difference: Difference, photo: Photo) -> dict[str, Any]:
    """Return one image for the template: its photo, and the results of both versions."""
    before, after = difference.before, difference.after
    return {
        "difference": difference,
        "photo": f"data:image/jpeg;base64,{b64encode(photo.jpeg).decode()}" if photo.jpeg else "",
        "problem": photo.problem,
        "before": _tags(before, other=after),
        "after": _tags(after, other=before),
        "scores": [_score(name, before.get(name), after.get(name)) for name in {**before, **after}],
    }


def _tags(values: Mapping[str, float], *, other: Mapping[str, float]) -> list[dict[str, Any]]:
    return [{"name": name, "value": value, "only_here": name not in other} for name, value in values.items()]


def _score(name: str, before: float | None, after: float | None) -> dict[str, Any]:
    shift = None if before is None or after is None else after - before
    return {"name": name, "before": before, "after": after, "shift": shift}
