"""What the machine says of the place where a file lies: room left, and whose file system it is."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from panopticon.interfaces import Finding, Health

MOUNTS = Path("/proc/mounts")
SCARCE_BYTES = 2 * 2**30
NONE_LEFT_BYTES = 200 * 2**20

NETWORK_TYPE = re.compile(
    r"nfs4?|cifs|smb3|smbfs|9p|afs|beegfs|ceph|gfs2|glusterfs|lustre|ocfs2|davfs|vboxsf"
    r"|fuse\.(sshfs|ceph|davfs|gcsfuse|glusterfs|mfs|rclone|s3fs)"
)


def free_room(check: str, path: Path) -> Finding:
    """Room on the disk of `path`, or of the nearest folder above it that is there."""
    free_bytes = shutil.disk_usage(existing(path)).free
    seen = f"{free_bytes / 2**30:.1f} GiB free"
    if free_bytes < NONE_LEFT_BYTES:
        return Finding(check=check, health=Health.FAIL, seen=seen, advice=f"make room on the disk of {path}")
    if free_bytes < SCARCE_BYTES:
        return Finding(
            check=check, health=Health.WARN, seen=seen, advice=f"make room soon on the disk of {path}"
        )
    return Finding(check=check, health=Health.OK, seen=seen)


def existing(path: Path) -> Path:
    """The path itself, or the nearest folder above it that is there."""
    absolute = path.absolute()
    return next(place for place in (absolute, *absolute.parents) if place.exists())


def file_system_of(path: Path, mounts: str) -> str:
    """The type of the file system that holds `path`, out of the text of /proc/mounts; "" if unknown."""
    found: dict[Path, str] = {}
    for line in mounts.splitlines():
        _, point, kind, *_ = line.split(" ")
        found[Path(_unescaped(point))] = kind
    real = path.resolve()
    return next((found[place] for place in (real, *real.parents) if place in found), "")


def local_disk(check: str, path: Path, *, mounts: str) -> Finding:
    """Locks and shared memory of SQLite hold on one machine only."""
    kind = file_system_of(path, mounts)
    if NETWORK_TYPE.fullmatch(kind):
        return Finding(
            check=check,
            health=Health.WARN,
            seen=f"{path} lies on {kind}, a network file system: SQLite's locks do not hold there",
            advice="keep it on a local disk, or name a server in broker, store and search",
        )
    return Finding(check=check, health=Health.OK, seen=kind or "unknown")


def read_mounts() -> str:
    """Empty where the system has no such list."""
    try:
        return MOUNTS.read_text("utf-8", errors="surrogateescape")
    except OSError:
        return ""


def _unescaped(point: str) -> str:
    """Blanks in names are written as octal escapes."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)
