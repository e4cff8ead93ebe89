"""Entries of the folder list, which keeps the ID of each photo of a folder while its file is moved."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgpack


class Presence(StrEnum):
    """The state of a photo at the path of its entry, at the last comparison with the folder."""

    PRESENT = "present"
    MOVED = "moved"
    """The photo is at another path, under another entry."""
    DELETED = "deleted"
    """The file was gone, and the image was marked as deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderEntry:
    """One photo at one path of a folder."""

    root: bytes
    """The real path of the folder that was indexed."""
    path: bytes
    """The real path of the file, at or below `root`."""
    image_id: str
    revision: int
    """The revision of the image that has this content."""
    presence: Presence = Presence.PRESENT
    size_bytes: int
    mtime_ns: int
    ctime_ns: int = 0
    """The time of the last change of content, owner, mode or name; 0 if it is unknown."""
    inode: int = 0
    """0 if it is unknown."""
    device: int = 0
    """The ID of the file system; 0 if it is unknown."""
    sha256: str = ""
    """The SHA-256 of the file's bytes in hexadecimal; empty while it is unknown."""
    former_path: bytes = b""
    """The path from which the photo was moved here; empty if it was found here first."""
    moved_at_ms: int = 0
    """The time at which the move was noticed; 0 without one."""
    seen_at_ms: int
    """The time of the comparison that wrote this entry. Of two entries with one key, the later one stays."""

    @property
    def key(self) -> tuple[bytes, bytes, str]:
        """Root, path and image ID. Two photos may have been at one path, one after the other."""
        return self.root, self.path, self.image_id

    @property
    def present(self) -> bool:
        """Return whether the photo was at this path at the last comparison."""
        return self.presence is Presence.PRESENT


_KEPT = (
    "revision",
    "presence",
    "size_bytes",
    "mtime_ns",
    "ctime_ns",
    "inode",
    "device",
    "sha256",
    "former_path",
    "moved_at_ms",
    "seen_at_ms",
)


def encode_entry(entry: FolderEntry) -> bytes:
    """Encode everything but the key as one MessagePack value; inode and device may have all of 64 bits."""
    fields: dict[str, Any] = {name: getattr(entry, name) for name in _KEPT}
    fields["presence"] = entry.presence.value
    packed: bytes = msgpack.packb(fields)
    return packed


def decode_entry(key: tuple[bytes, bytes, str], payload: bytes) -> FolderEntry:
    """Decode the result of `encode_entry`."""
    fields = msgpack.unpackb(payload)
    root, path, image_id = key
    presence = Presence(fields.pop("presence"))
    return FolderEntry(root=root, path=path, image_id=image_id, presence=presence, **fields)
