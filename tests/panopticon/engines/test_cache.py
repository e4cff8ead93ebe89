from __future__ import annotations

from pathlib import Path

import pytest

from panopticon.engines.cache import add_file, find_file
from panopticon.errors import UsageError


def test_a_cached_file_is_found_by_its_key(tmp_path: Path) -> None:
    path = add_file(tmp_path / "new", "key", ".bin", b"content")
    assert find_file(tmp_path / "new", "key", ".bin") == path
    assert path.read_bytes() == b"content"


def test_nothing_is_found_for_another_key_or_suffix_or_folder(tmp_path: Path) -> None:
    add_file(tmp_path, "key", ".bin", b"content")
    assert find_file(tmp_path, "ke", ".bin") is None
    assert find_file(tmp_path, "key", ".txt") is None
    assert find_file(tmp_path / "none", "key", ".bin") is None


@pytest.mark.parametrize("damaged", [b"", b"conten", b"Content"])
def test_a_damaged_file_counts_as_absent_until_it_is_rebuilt(tmp_path: Path, damaged: bytes) -> None:
    path = add_file(tmp_path, "key", ".bin", b"content")
    path.write_bytes(damaged)
    assert find_file(tmp_path, "key", ".bin") is None
    assert add_file(tmp_path, "key", ".bin", b"content") == find_file(tmp_path, "key", ".bin")


def test_two_writers_of_different_bytes_do_not_disturb_each_other(tmp_path: Path) -> None:
    made = {add_file(tmp_path, "key", ".bin", content) for content in (b"one", b"two")}
    assert find_file(tmp_path, "key", ".bin") in made


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
