"""The message about the version of a model that answers queries, made from the registry's record."""

from __future__ import annotations

from panopticon.messages import EPOCH, ModelActivated, ModelDeactivated, ModelNotice, from_ms
from panopticon.registry.records import ModelEntry, RegistryEvent
from panopticon.registry.transitions import switches


def notice_of(entry: ModelEntry) -> ModelNotice | None:
    """Return the message about a model's active version; None if no version was ever active.

    Records with a higher serial and the same active version give the same message with a higher serial.
    """
    if entry.active_version is None and entry.former_version is None:
        return None
    # Before the first switch it is the registration that made a version active.
    changes = switches(entry) or [
        event for event in entry.history if event.what == f"registered {entry.active}"
    ]
    switch = changes[-1] if changes else RegistryEvent(at_ms=0, by="unknown", what="")
    at = from_ms(switch.at_ms) or EPOCH
    if entry.active_version is None:
        return ModelDeactivated(
            model=entry.model,
            serial=entry.serial,
            former_version=entry.former_version,
            deactivated_at=at,
            deactivated_by=switch.by,
            reason=switch.reason,
        )
    return ModelActivated(
        model=entry.model,
        serial=entry.serial,
        version=entry.active_version,
        former_version=entry.former_version,
        activated_at=at,
        activated_by=switch.by,
        reason=switch.reason,
    )
