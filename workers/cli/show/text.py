"""The report of `panopticon show` as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.text import Text

from panopticon.registry.records import VersionState
from panopticon.results.documents import Part
from panopticon.results.outputs import CatalogueImage
from workers.cli.dead.failure_view import print_failure
from workers.cli.formatting import block, headed, place, utc
from workers.cli.session import Session
from workers.inspection.audit import AuditStatus
from workers.inspection.explain import TOP, Explanation, LabelsFrom
from workers.inspection.image_report import ImageReport
from workers.inspection.image_status import ImageStatus, next_step, part_owner
from workers.inspection.original_file import OriginalFile
from workers.runtime.terminal_text import printable, shown

Lines = list[tuple[str, str | Text]]

STYLES: Mapping[AuditStatus, str] = {
    AuditStatus.STORED: "green",
    AuditStatus.DEAD: "red",
    AuditStatus.PENDING: "yellow",
}


def print_report(session: Session, report: ImageReport) -> None:
    """Print the status with each model version first, then the evidence, component by component."""
    record = report.record
    session.out.print(Text(printable(record.image_id), style="bold"))
    session.out.print(block((str(status.version), _result(status)) for status in report.statuses))
    for step in dict.fromkeys(status.next_step for status in report.statuses if status.next_step):
        session.out.print(Text(f"Next: {printable(step)}", style="dim"))
    _print_row(session, record.row, report.original)
    for explanation in report.explanations:
        _print_output(session, explanation)
    for failure in record.open_failures:
        print_failure(session, failure, next_step=next_step(failure))
    _print_document(session, report)


def _result(status: ImageStatus) -> Text:
    """Return the status and its reason; the state of the version too, unless it is active."""
    missing = status.result.in_search is False
    style = "yellow" if missing else STYLES.get(status.result.status, "dim")
    joint = ", " if status.result.status is AuditStatus.STORED else ": "
    text = Text.assemble((status.result.status.value, style), joint, printable(status.why))
    state = status.entry.state if status.entry else None
    if state not in (VersionState.ACTIVE, None):
        text.append(f" ({state})", "dim")
    return text


def _print_row(session: Session, row: CatalogueImage | None, original: OriginalFile | None) -> None:
    if row is None:
        session.out.print(headed("catalogue", [("nothing", "the catalogue does not know this image yet")]))
        return
    lines: Lines = [
        ("where", place(row.image_uri) or "–"),
        ("revision", f"{row.revision}, {row.event}"),
        ("date", f"{utc(row.occurred_at_ms)} UTC" if row.occurred_at_ms else "not known"),
    ]
    if original and original.missing and not row.deleted:
        lines.append(("file", Text("there is no such file on this machine", style="yellow")))
    for entry in original.moves if original else ():
        lines.append(("moved", f"from {shown(entry.former_path)}, noticed {utc(entry.moved_at_ms)} UTC"))
    session.out.print(headed("catalogue", lines))


def _print_output(session: Session, explanation: Explanation) -> None:
    output = explanation.output
    lines: Lines = [
        *_answer_lines(explanation),
        ("vector", f"{len(output.vector):,} × {output.vector.dtype.name}"),
        ("picture", f"{output.width_px} × {output.height_px} px"),
        ("sha256", output.source_sha256),
        ("made by", f"{output.engine}, {output.libraries}"),
        ("digest", output.digest),
        ("when", f"{utc(output.produced_at_ms)} UTC"),
    ]
    key, entry = output.key, explanation.entry
    older = explanation.revision is not None and key.revision < explanation.revision
    than = f", older than the catalogue's {explanation.revision}" if older else ""
    state = entry.state.value if entry else "not registered"
    heading = f"{key.version_name} · {state} · stored · revision {key.revision}{than}"
    session.out.print(headed(heading, lines, style="green" if explanation.current else "dim"))


def _answer_lines(explanation: Explanation) -> Iterator[tuple[str, str]]:
    yield "says", printable(" · ".join(f"{name} {value:.3g}" for name, value in explanation.top))
    if explanation.note:
        yield "policy", printable(f"none applies: {explanation.note}")
        yield "labels", _LABELS[explanation.labels_from]
        return
    words = [
        f"{reason.name} {reason.value:.3g}" + (f" ({reason.why})" if reason.why else "")
        for reason in explanation.kept
    ]
    kept = printable(" · ".join(words)) or "nothing"
    # With nothing dropped or renamed, the list would only repeat the vector.
    if not any(reason.why for reason in explanation.reasons):
        kept = "all of it"
    yield f"policy {explanation.policy_number}", f"keeps {kept}"
    for number, reason in enumerate(explanation.dropped[:TOP]):
        yield "" if number else "drops", printable(f"{reason.name} {reason.value:.3g}, {reason.why}")
    more = len(explanation.dropped) - TOP
    if more > 0:
        yield "", f"and {more:,} more"


_LABELS: Mapping[LabelsFrom, str] = {
    LabelsFrom.REGISTRY: "those of the registry",
    LabelsFrom.DIGEST: "those kept under the output's own digest",
    LabelsFrom.NOWHERE: "none are stored under the output's digest, so its elements are numbered",
}


def _print_document(session: Session, report: ImageReport) -> None:
    document = report.record.document
    if document is None:
        heading = "search · no document"
    else:
        heading = f"search · revision {document.revision}" + (" · deleted" if document.deleted else "")
    lines: Lines = [(str(status.version), _in_search(status)) for status in report.statuses]
    parts = document.parts if document else {}
    unregistered = [name for name in sorted(parts) if part_owner(name, report.registered) is None]
    lines += [(name, _part(parts[name], "not registered")) for name in unregistered]
    session.out.print(headed(heading, lines or [("nothing", "no document of this image")]))


def _in_search(status: ImageStatus) -> Text:
    """Return a version's part of the document, and why the part is out of date if it is."""
    if status.part is None:
        return Text(f"nothing: {status.result.status.value}, {printable(status.why)}", style="dim")
    state = "answers" if status.answers else status.entry.state.value if status.entry else ""
    text = _part(status.part, state)
    for how in status.behind:
        text.append(f"\n{how}", "yellow")
    return text


def _part(part: Part, state: str) -> Text:
    words = [f"{tag.label} {tag.probability:.2f}" for tag in part.tags]
    words += [f"{name} {value:.3g}" for name, value in sorted(part.scores.items())]
    origin = f"{state}, revision {part.revision}, policy {part.policy_number}: "
    return Text(origin + printable(" · ".join(words) or "nothing above its thresholds"))
