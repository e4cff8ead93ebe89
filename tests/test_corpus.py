import os
from pathlib import Path

import pytest

from panopticon.cards.cards import Input, Preprocessing
from panopticon.errors import Rejected
from panopticon.images.decoding import decode
from tests.corpus import Expected, Fate, make_hostile_folder


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Expected:
    return make_hostile_folder(tmp_path_factory.mktemp("hostile"))


def decodes(path: bytes) -> bool:
    with open(path, "rb") as stream:
        encoded = stream.read()
    try:
        decode(encoded, input=Input(width_px=32, height_px=32), preprocessing=Preprocessing())
    except Rejected:
        return False
    return True


def test_the_folder_has_hundreds_of_files_of_every_fate(hostile: Expected) -> None:
    assert len(hostile.fates) > 500
    assert set(hostile.fates.values()) == set(Fate)


def test_every_file_that_must_be_stored_can_be_decoded(hostile: Expected) -> None:
    assert [
        path for path in hostile.paths(Fate.STORED) | hostile.paths(Fate.ALIAS) if not decodes(path)
    ] == []


def test_no_file_that_must_be_rejected_can_be_decoded(hostile: Expected) -> None:
    assert [path for path in hostile.paths(Fate.REJECTED) if decodes(path)] == []


def test_entries_listed_as_other_than_files_are_not_files(hostile: Expected) -> None:
    others = {
        path for fate in (Fate.NOT_A_FILE, Fate.BROKEN_LINK, Fate.FOLDER) for path in hostile.paths(fate)
    }
    assert [path for path in others if os.path.isfile(path)] == []


def test_every_file_of_the_folder_has_a_fate(hostile: Expected) -> None:
    root = os.path.commonpath(list(hostile.fates))
    found = {os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names}
    assert found == {path for path in hostile.fates if path in found}
    assert set(hostile.fates) - found == hostile.paths(Fate.FOLDER)


def test_some_names_are_not_text(hostile: Expected) -> None:
    assert sum(not _is_text(path) for path in hostile.paths(Fate.STORED)) >= 3


def _is_text(path: bytes) -> bool:
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_two_folders_hold_the_same_bytes(hostile: Expected, tmp_path: Path) -> None:
    again = make_hostile_folder(tmp_path)
    assert _contents(again) == _contents(hostile)


def _contents(expected: Expected) -> dict[bytes, bytes]:
    root = os.path.commonpath(list(expected.fates))
    files = [path for path in expected.fates if os.path.isfile(path) and os.access(path, os.R_OK)]
    return {os.path.relpath(path, root): Path(os.fsdecode(path)).read_bytes() for path in files}
