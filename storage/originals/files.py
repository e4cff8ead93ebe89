"""The source of originals in files: `file:///path`, with the bytes of the path percent-encoded."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from urllib.parse import quote, unquote_to_bytes, urlsplit

from panopticon.errors import Rejected, Transient
from panopticon.interfaces import FetchLimits

_REASONS = {
    errno.ENOENT: "not_found",
    errno.ENOTDIR: "not_found",
    errno.ELOOP: "not_found",
    errno.ENAMETOOLONG: "not_found",
    errno.EACCES: "permission_denied",
    errno.EPERM: "permission_denied",
    errno.ENXIO: "not_a_file",
    errno.EISDIR: "not_a_file",
}


def uri_of(path: bytes) -> str:
    """Return the `file://` URI of an absolute path, which need not be UTF-8."""
    return "file://" + quote(path)


def path_of(uri: str) -> bytes:
    """Return the path that a `file://` URI names; a fragment is ignored. Raises: Rejected(`bad_uri`)."""
    try:
        parts = urlsplit(uri)
        path = unquote_to_bytes(parts.path)
    except ValueError as error:
        raise Rejected("bad_uri", str(error)) from None
    if parts.query:
        raise Rejected("bad_uri", "a ? in a path is written %3F")
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not path.startswith(b"/"):
        raise Rejected("bad_uri", "a file URI is file:///absolute/path")
    if b"\0" in path:
        raise Rejected("bad_uri", "a path cannot hold a NUL")
    return path


class FileSource:
    """An ImageSource of regular files. A missing file is rejected at once, and not waited for."""

    def __init__(self, roots: Sequence[bytes] = (b"/",)) -> None:
        """Read files below `roots` only, which are the real paths of folders."""
        self._roots = tuple(roots)

    def fetch(self, uri: str, limits: FetchLimits) -> bytes:
        """Read one file.

        Raises: Rejected (bad_uri, path_not_allowed, not_found, not_a_file, permission_denied,
        too_many_bytes), Transient(`io_error`).
        """
        try:
            return _read(self._allowed(path_of(uri)), limits.max_bytes)
        except OSError as error:
            detail = error.strerror or str(error)
            if error.errno in _REASONS:
                raise Rejected(_REASONS[error.errno], detail) from None
            raise Transient("io_error", detail) from None

    def _allowed(self, path: bytes) -> bytes:
        """Return the path with its links resolved, so that the file that was checked is the one opened."""
        if b"/" in self._roots:
            return path
        real = os.path.realpath(path)
        if not any(real.startswith(root.rstrip(b"/") + b"/") for root in self._roots):
            raise Rejected("path_not_allowed", "it is not below a folder of the setting file_roots")
        return real


def _read(path: bytes, max_bytes: int) -> bytes:
    # A pipe without a writer would block an ordinary open for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Rejected("not_a_file", "neither a file nor a link to one")
        if status.st_size > max_bytes:
            raise Rejected("too_many_bytes", f"{status.st_size} bytes; at most {max_bytes} are fetched")
        # Buffered, since one read of a network file system may return less than the file has.
        with open(descriptor, "rb", closefd=False) as file:
            encoded = file.read(max_bytes + 1)
    finally:
        os.close(descriptor)
    if len(encoded) > max_bytes:
        raise Rejected("too_many_bytes", f"it grew past {max_bytes} bytes while it was read")
    return encoded
