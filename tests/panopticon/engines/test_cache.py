from __future__ import annotations

import os
from pathlib import Path

import pytest

from panopticon.engines.cache import add_file, find_file
from panopticon.errors import UsageError


def test_a_cached_file_is_found_by_its_key(tmp_path: Path) -> None:
    added = add_file(tmp_path / "new", "key", ".bin", b"content")
    assert find_file(tmp_path / "new", "key", ".bin") == added
    assert added.path.read_bytes() == added.content == b"content"


def test_nothing_is_found_for_another_key_or_suffix_or_folder(tmp_path: Path) -> None:
    add_file(tmp_path, "key", ".bin", b"content")
    assert find_file(tmp_path, "ke", ".bin") is None
    assert find_file(tmp_path, "key", ".txt") is None
    assert find_file(tmp_path / "none", "key", ".bin") is None


@pytest.mark.parametrize("damaged", [b"", b"conten", b"Content"])
def test_a_damaged_file_counts_as_absent_until_it_is_rebuilt(tmp_path: Path, damaged: bytes) -> None:
    path = add_file(tmp_path, "key", ".bin", b"content").path
    path.write_bytes(damaged)
    assert find_file(tmp_path, "key", ".bin") is None
    assert add_file(tmp_path, "key", ".bin", b"content") == find_file(tmp_path, "key", ".bin")


def test_two_writers_of_different_bytes_do_not_disturb_each_other(tmp_path: Path) -> None:
    made = [add_file(tmp_path, "key", ".bin", content) for content in (b"one", b"two")]
    assert find_file(tmp_path, "key", ".bin") in made


def test_what_was_verified_stays_the_content_when_the_file_is_exchanged(tmp_path: Path) -> None:
    add_file(tmp_path, "key", ".bin", b"content")
    found = find_file(tmp_path, "key", ".bin")
    assert found is not None
    found.path.write_bytes(b"another")
    assert found.content == b"content"


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
def test_a_folder_that_every_user_can_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    add_file(tmp_path / "cache", "key", ".bin", b"content")
    (tmp_path / "cache").chmod(mode)
    refusal = r"cache folder .* every user can write .* chmod o-w .*cache_dir"
    with pytest.raises(UsageError, match=refusal):
        find_file(tmp_path / "cache", "key", ".bin")
    with pytest.raises(UsageError, match=refusal):
        add_file(tmp_path / "cache", "key", ".bin", b"content")


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o775])
def test_a_folder_of_the_user_and_the_group_is_accepted(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    assert find_file(tmp_path, "key", ".bin") is None


def test_a_new_folder_is_not_writable_for_others_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        add_file(tmp_path / "cache", "key", ".bin", b"content")
    finally:
        os.umask(before)
    assert (tmp_path / "cache").stat().st_mode & 0o022 == 0


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UsageError, match="No space left on device"):
        add_file(tmp_path, "key", ".bin", b"content")
    assert list(tmp_path.iterdir()) == []


def test_the_error_for_a_folder_that_cannot_be_made_names_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cache folder .*file.*name another with cache_dir"):
        add_file(tmp_path / "file" / "cache", "key", ".bin", b"content")
