"""The disk that a file is on: its free space, and its kind of file system."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from panopticon.interfaces import Finding
from storage.health.findings import fail, ok, warn

MOUNTS = Path("/proc/mounts")
SCARCE_BYTES = 2 * 2**30
NONE_LEFT_BYTES = 200 * 2**20

NETWORK_TYPE = re.compile(
    r"nfs4?|cifs|smb3|smbfs|9p|afs|beegfs|ceph|gfs2|glusterfs|lustre|ocfs2|davfs|vboxsf"
    r"|fuse\.(sshfs|ceph|davfs|gcsfuse|glusterfs|mfs|rclone|s3fs)"
)


def free_room(check: str, path: Path) -> Finding:
    """Check the free space on the disk of `path`, or of its nearest parent folder that exists."""
    free_bytes = shutil.disk_usage(existing(path)).free
    seen = f"{free_bytes / 2**30:.1f} GiB free"
    if free_bytes < NONE_LEFT_BYTES:
        return fail(check, seen, f"make room on the disk of {path}")
    if free_bytes < SCARCE_BYTES:
        return warn(check, seen, f"make room soon on the disk of {path}")
    return ok(check, seen)


def existing(path: Path) -> Path:
    """Return the path itself, or its nearest parent folder that exists."""
    absolute = path.absolute()
    return next(place for place in (absolute, *absolute.parents) if place.exists())


def file_system_of(path: Path, mounts: str) -> str:
    """Return the type of the file system that holds `path`, or "" if it is unknown.

    `mounts`: the text of /proc/mounts.
    """
    found: dict[Path, str] = {}
    for line in mounts.splitlines():
        _, point, kind, *_ = line.split(" ")
        # A mount point has octal escapes, such as \040 for a blank.
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)
        found[Path(point)] = kind
    real = path.resolve()
    return next((found[place] for place in (real, *real.parents) if place in found), "")


def local_disk(check: str, path: Path, *, mounts: str) -> Finding:
    """Check that `path` is on a local disk: locks and shared memory of SQLite work on one machine only."""
    kind = file_system_of(path, mounts)
    if NETWORK_TYPE.fullmatch(kind):
        return warn(
            check,
            f"{path} is on {kind}, a network file system: SQLite's locks do not work there",
            "keep it on a local disk, or name a server in broker, store and search",
        )
    return ok(check, kind or "unknown")


def read_mounts() -> str:
    """Return the text of /proc/mounts, or "" where the system has no such file."""
    try:
        return MOUNTS.read_text("utf-8", errors="surrogateescape")
    except OSError:
        return ""
