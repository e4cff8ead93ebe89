"""A search index of its own, built from the messages of the results exchange alone.

It is written from docs/wire-contract.md, and uses nothing of Panopticon: begin with it to feed a search
engine of your own. `apply` takes the body of one message. Call it for every message of your queue, in any
order, and ack the message afterwards; a body that comes again changes nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

SCHEMA = 1


@dataclass(kw_only=True)
class Document:
    """Everything that is known of one image. A deleted image stays, as a tombstone."""

    revision: int = -1
    deleted: bool = False
    occurred_at: str = ""
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Policy number, tags and scores by model version, such as `tagger@1`."""


@dataclass(kw_only=True)
class ReferenceConsumer:
    """Documents by image ID, and the latest notice of each model's active version."""

    documents: dict[str, Document] = field(default_factory=dict)
    notices: dict[str, dict[str, Any]] = field(default_factory=dict)

    def apply(self, body: bytes) -> None:
        """Apply one message. Raises: ValueError for a message of a schema that is not known here."""
        message = json.loads(body)
        if message.get("schema") != SCHEMA:
            raise ValueError(f"schema {message.get('schema')} is not known")
        match message["kind"]:
            case "result" | "failed" | "deleted":
                self._apply_to_document(message)
            case "model.activated" | "model.deactivated":
                known = self.notices.get(message["model"])
                if known is None or age(known) < age(message):
                    self.notices[message["model"]] = message
            case _:
                pass  # A later release has more kinds.

    def active_versions(self) -> set[str]:
        """Return the versions that answer queries, such as `tagger@1`."""
        return {
            f"{model}@{notice['version']}"
            for model, notice in self.notices.items()
            if notice["kind"] == "model.activated"
        }

    def find(self, label: str) -> set[str]:
        """Return the IDs of the images that an active version tagged with this label or a narrower one."""
        active = self.active_versions()
        return {
            image_id
            for image_id, document in self.documents.items()
            for version, part in document.parts.items()
            if version in active
            for tag in part["tags"]
            if label in (tag["label"], *tag.get("ancestors", []))
        }

    def _apply_to_document(self, message: dict[str, Any]) -> None:
        document = self.documents.setdefault(message["image_id"], Document())
        if message["revision"] < document.revision:
            return
        if message["revision"] > document.revision:
            document = self.documents[message["image_id"]] = Document(revision=message["revision"])
        if message["kind"] == "deleted":
            if not document.deleted:
                # The time of a tombstone is that of its deletes alone.
                document = Document(revision=document.revision, deleted=True)
                self.documents[message["image_id"]] = document
        elif document.deleted:
            return
        document.occurred_at = latest(document.occurred_at, message.get("occurred_at", ""))
        if message["kind"] == "result":
            apply_to_part(document, message)


def apply_to_part(document: Document, result: dict[str, Any]) -> None:
    """Replace the part of the result's model version, unless it is by the same policy or a later one."""
    version = f"{result['model']}@{result['version']}"
    known = document.parts.get(version)
    if known is None or known["policy_number"] < result["policy_number"]:
        document.parts[version] = {
            "policy_number": result["policy_number"],
            "tags": result.get("tags", []),
            "scores": result.get("scores", {}),
        }


def age(notice: dict[str, Any]) -> tuple[int, datetime]:
    """Return the key by which notices of one model are compared: the latest switch has the highest."""
    at = notice.get("activated_at") or notice["deactivated_at"]
    return notice.get("serial", 0), datetime.fromisoformat(at)


def latest(one: str, other: str) -> str:
    """Return the later of two timestamps, each of which may be empty."""
    if not one or not other:
        return one or other
    return max(one, other, key=datetime.fromisoformat)
