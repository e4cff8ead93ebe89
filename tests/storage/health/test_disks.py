"""Where a file lies."""

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
def test_the_nearest_mount_says_whose_file_system_it_is(path: str, kind: str) -> None:
    assert disks.file_system_of(Path(path), MOUNTS) == kind


def test_a_link_is_followed_to_where_the_file_lies(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near.db").symlink_to(tmp_path / "far" / "x.db")
    mounts = f"server:/x {tmp_path}/far nfs rw 0 0"
    assert disks.file_system_of(tmp_path / "near.db", mounts) == "nfs"


def test_without_a_list_of_mounts_nothing_is_claimed() -> None:
    assert disks.local_disk("place", Path("/x.db"), mounts="").health is Health.OK


@pytest.mark.parametrize("path", ["/mnt/photos/x.db", "/mnt/with blank/x.db"])
def test_a_network_file_system_is_a_warning_that_says_what_to_do(path: str) -> None:
    finding = disks.local_disk("place", Path(path), mounts=MOUNTS)
    assert finding.health is Health.WARN
    assert "SQLite's locks do not work there" in finding.seen
    assert finding.advice


@pytest.mark.parametrize("path", ["/x.db", "/mnt/photos/fast/x.db"])
def test_a_local_one_is_not(path: str) -> None:
    assert disks.local_disk("place", Path(path), mounts=MOUNTS).health is Health.OK


@pytest.mark.parametrize(
    ("free_bytes", "health"),
    [(100 * 2**20, Health.FAIL), (2**30, Health.WARN), (10 * 2**30, Health.OK)],
)
def test_room_on_the_disk_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_bytes: int, health: Health
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": free_bytes}))
    assert disks.free_room("disk", tmp_path / "not" / "there").health is health


def test_a_path_that_is_not_there_is_judged_by_the_folder_above_it(tmp_path: Path) -> None:
    assert disks.existing(tmp_path / "a" / "b") == tmp_path
