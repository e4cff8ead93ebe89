"""The report on one image as JSON, as `panopticon show --json` prints it and the HTTP service answers."""

from __future__ import annotations

from typing import Any

from panopticon.messages import rfc_3339
from panopticon.policy.policy import Reason
from panopticon.results.documents import Part
from panopticon.results.outputs import Failure
from storage.originals.files import uri_of
from workers.inspection.explain import TOP, Explanation
from workers.inspection.image_report import ImageReport
from workers.inspection.image_status import ImageStatus, next_step, part_owner
from workers.inspection.original_file import OriginalFile


def report_json(report: ImageReport) -> dict[str, Any]:
    """Return the JSON of a report; its keys are stable."""
    record, row, document = report.record, report.record.row, report.record.document
    return {
        "image_id": record.image_id,
        "standings": [_status_json(status) for status in report.statuses],
        "catalogue": row
        and {
            "revision": row.revision,
            "image_uri": row.image_uri,
            "event": row.event,
            "occurred_at": rfc_3339(row.occurred_at_ms),
        },
        "file": _file_json(report.original),
        "outputs": [_output_json(explanation) for explanation in report.explanations],
        "failures": [
            {
                **failure_json(failure),
                "rungs": report.retry_delays,
                "next": next_step(failure) or None,
            }
            for failure in record.open_failures
        ],
        "search": document
        and {
            "revision": document.revision,
            "deleted": document.deleted,
            "occurred_at": rfc_3339(document.occurred_at_ms),
            "parts": {name: _part_json(name, part, report) for name, part in document.parts.items()},
        },
    }


def failure_json(failure: Failure) -> dict[str, Any]:
    """Return a failure as JSON, with its message as text; bytes that are not UTF-8 are escaped."""
    return {
        "image_id": failure.key.image_id,
        "model": str(failure.key.version_name),
        "revision": failure.key.revision,
        "state": failure.state.value,
        "reason": failure.reason,
        "detail": failure.detail,
        "attempts": failure.attempts,
        "last_at": rfc_3339(failure.last_at_ms),
        "next_try_at": rfc_3339(failure.retry_at_ms),
        "message": failure.message.decode("utf-8", "backslashreplace"),
    }


def _file_json(original: OriginalFile | None) -> dict[str, Any] | None:
    if original is None:
        return None
    return {
        "missing": original.missing,
        "moves": [
            {"former_uri": uri_of(entry.former_path), "noticed_at": rfc_3339(entry.moved_at_ms)}
            for entry in original.moves
        ],
    }


def _status_json(status: ImageStatus) -> dict[str, Any]:
    result = status.result
    return {
        "model": str(status.version),
        "state": status.entry.state.value if status.entry else None,
        "answers": status.answers,
        "verdict": result.status.value,
        "revision": result.revision,
        "in_search": result.in_search,
        "why": status.why,
        "next": status.next_step or None,
    }


def _output_json(explanation: Explanation) -> dict[str, Any]:
    output, entry = explanation.output, explanation.entry
    return {
        "model": str(output.key.version_name),
        "state": entry.state.value if entry else None,
        "revision": output.key.revision,
        "current": explanation.current,
        "digest": output.digest,
        "registered_digest": entry.digest if entry else None,
        "engine": output.engine,
        "libraries": output.libraries,
        "source_sha256": output.source_sha256,
        "width_px": output.width_px,
        "height_px": output.height_px,
        "produced_at": rfc_3339(output.produced_at_ms),
        "dtype": output.vector.dtype.name,
        "elements": len(output.vector),
        "labels_from": explanation.labels_from.value,
        "top": [{"name": name, "value": value} for name, value in explanation.top],
        "policy_number": explanation.policy_number,
        "kept": [_reason_json(reason) for reason in explanation.kept],
        "dropped": [_reason_json(reason) for reason in explanation.dropped[:TOP]],
        "dropped_count": len(explanation.dropped),
        "note": explanation.note,
    }


def _reason_json(reason: Reason) -> dict[str, Any]:
    return {
        "name": reason.name,
        "shown_as": reason.shown_as,
        "value": reason.value,
        "why": reason.why,
    }


def _part_json(name: str, part: Part, report: ImageReport) -> dict[str, Any]:
    owner = part_owner(name, report.registered)
    status = next((one for one in report.statuses if one.version == owner), None)
    return {
        "model": str(owner) if owner else None,
        "answers": status is not None and status.answers,
        "behind": list(status.behind) if status else [],
        "revision": part.revision,
        "policy_number": part.policy_number,
        "tags": [tag.model_dump() for tag in part.tags],
        "scores": dict(part.scores),
    }
