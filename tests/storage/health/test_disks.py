"""The disk that a file is on."""

from __future__ import annotations

from pathlib import Path

import pytest

from panopticon.interfaces import Health
from storage.health import disks

MOUNTS = r"""
/dev/sda1 / ext4 rw 0 0
server:/photos /mnt/photos nfs4 rw 0 0
host:/home /mnt/with\040blank fuse.sshfs rw 0 0
tmpfs /mnt/photos/fast tmpfs rw 0 0
""".strip()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/x.db", "ext4"),
        ("/mnt/photos/x.db", "nfs4"),
        ("/mnt/photosandmore/x.db", "ext4"),
        ("/mnt/photos/fast/x.db", "tmpfs"),
        ("/mnt/with blank/x.db", "fuse.sshfs"),
    ],
)
def test_the_nearest_mount_decides_the_file_system(path: str, kind: str) -> None:
    assert disks.file_system_of(Path(path), MOUNTS) == kind


def test_a_link_is_followed_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near.db").symlink_to(tmp_path / "far" / "x.db")
    mounts = f"server:/x {tmp_path}/far nfs rw 0 0"
    assert disks.file_system_of(tmp_path / "near.db", mounts) == "nfs"


def test_without_a_list_of_mounts_there_is_no_warning() -> None:
    assert disks.local_disk("place", Path("/x.db"), mounts="").health is Health.OK


@pytest.mark.parametrize("path", ["/mnt/photos/x.db", "/mnt/with blank/x.db"])
def test_a_network_file_system_is_a_warning_with_advice(path: str) -> None:
    finding = disks.local_disk("place", Path(path), mounts=MOUNTS)
    assert finding.health is Health.WARN
    assert "SQLite's locks do not work there" in finding.seen
    assert finding.advice


@pytest.mark.parametrize("path", ["/x.db", "/mnt/photos/fast/x.db"])
def test_a_local_file_system_is_not_a_warning(path: str) -> None:
    assert disks.local_disk("place", Path(path), mounts=MOUNTS).health is Health.OK


@pytest.mark.parametrize(
    ("free_bytes", "health"),
    [(100 * 2**20, Health.FAIL), (2**30, Health.WARN), (10 * 2**30, Health.OK)],
)
def test_little_free_space_is_a_warning_and_almost_none_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_bytes: int, health: Health
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": free_bytes}))
    assert disks.free_room("disk", tmp_path / "not" / "there").health is health


def test_a_missing_path_is_checked_by_its_nearest_existing_parent(tmp_path: Path) -> None:
    assert disks.existing(tmp_path / "a" / "b") == tmp_path
