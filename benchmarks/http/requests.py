"""The pictures that are sent, and the HTTP requests that send them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.photos import make_photos

BODY_BYTES = 60_000
BOUNDARY = "photo-of-the-benchmark"
JPEG_START = b"\xff\xd8"
COMMENT = b"\xff\xfe"

Upload = Literal["raw", "multipart"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An address that answers `POST` with a picture."""

    port: int
    path: str
    upload: Upload

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    @property
    def content_type(self) -> str:
        return "image/jpeg" if self.upload == "raw" else f"multipart/form-data; boundary={BOUNDARY}"

    def body(self, picture: bytes) -> bytes:
        """Return the body of the request that sends this picture."""
        if self.upload == "raw":
            return picture
        head = 'Content-Disposition: form-data; name="file"; filename="photo.jpg"\r\nContent-Type: image/jpeg'
        return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + picture + f"\r\n--{BOUNDARY}--\r\n".encode()

    def request(self, picture: bytes) -> bytes:
        """Return the whole request, as it goes over a connection that stays open."""
        body = self.body(picture)
        lines = [f"POST {self.path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        lines += [f"Content-Type: {self.content_type}", f"Content-Length: {len(body)}", "", ""]
        return "\r\n".join(lines).encode() + body


def with_comment(jpeg: bytes, *, size_bytes: int) -> bytes:
    """Return the JPEG with a comment that makes it that large. It decodes to the same pixels as before."""
    length = size_bytes - len(jpeg) - len(COMMENT)
    return JPEG_START + COMMENT + length.to_bytes(2) + bytes(length - 2) + jpeg.removeprefix(JPEG_START)


def photos(folder: Path, *, count: int) -> list[bytes]:
    """Make photos for a real model."""
    return _read(make_photos(folder, count=count, width_px=500, height_px=375))


def tiny_pictures(folder: Path, *, count: int) -> list[bytes]:
    """Make pictures for the null model: the bytes of a photo, but almost nothing to decode."""
    tiny = _read(make_photos(folder, count=count, width_px=32, height_px=32))
    return [with_comment(jpeg, size_bytes=BODY_BYTES) for jpeg in tiny]


def _read(paths: Sequence[Path]) -> list[bytes]:
    return [path.read_bytes() for path in paths]
