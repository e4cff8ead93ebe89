"""Hundreds of broken, hostile and odd files: each gets an output or a reason, and the rest is counted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from panopticon.models import parse_version
from panopticon.results.outputs import FailureState
from tests.corpus import Expected, Fate, make_hostile_folder
from tests.end_to_end.command import Done, Installation
from workers.submission.folders import FoundFile

VERSIONS = tuple(map(parse_version, ("tagger@1", "quality@1")))
SKIPPED = b"/liars/empty"
"""Neither the name nor the bytes of this file are those of a picture."""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Installation:
    return Installation(folder=tmp_path_factory.mktemp("hostile"), cache_dir=cache_dir)


@pytest.fixture(scope="module")
def expected(hostile: Installation) -> Expected:
    return make_hostile_folder(hostile.folder / "photos")


@pytest.fixture(scope="module")
def done(hostile: Installation, expected: Expected) -> Done:
    return hostile.panopticon("index", "--json", str(hostile.folder / "photos"))


def image_id(path: bytes) -> str:
    return FoundFile(path=os.path.realpath(path), size_bytes=0, mtime_ns=0).image_id


def states(hostile: Installation, paths: frozenset[bytes]) -> dict[tuple[bytes, str], str]:
    """`stored`, or the reason code, of each path and version."""
    store, ids = hostile.store(), {image_id(path): path for path in paths}
    found: dict[tuple[bytes, str], str] = {}
    for version in VERSIONS:
        for key in store.outputs.get(list(ids), version):
            found[ids[key.image_id], str(version)] = "stored"
    for failure in store.outputs.failures_of(list(ids)):
        assert failure.state is FailureState.DEAD
        key = (ids[failure.key.image_id], f"{failure.key.model}@{failure.key.version}")
        assert key not in found, "a row and a reason"
        found[key] = failure.reason
    return found


def test_the_exit_code_reports_the_refused_photos_and_the_ledger_closes(done: Done) -> None:
    assert done.exit_code == 1, done.err
    for ledger in done.json["ledger"].values():
        assert ledger["pending"] == ledger["skipped"] == 0
        assert ledger["accepted"] == ledger["stored"] + ledger["dead"]


@pytest.mark.parametrize("fate", [Fate.STORED, Fate.REJECTED, Fate.EITHER])
def test_every_path_has_one_row_or_one_reason(
    hostile: Installation, expected: Expected, done: Done, fate: Fate
) -> None:
    assert done.exit_code == 1
    paths = frozenset(path for path in expected.paths(fate) if not path.endswith(SKIPPED))
    found = states(hostile, paths)
    assert set(found) == {(path, str(version)) for path in paths for version in VERSIONS}
    if fate is Fate.STORED:
        assert set(found.values()) == {"stored"}
    if fate is Fate.REJECTED:
        assert "stored" not in found.values()


def test_what_is_not_a_file_is_counted_and_a_broken_link_is_named(
    hostile: Installation, expected: Expected, done: Done
) -> None:
    pipes, links = expected.paths(Fate.NOT_A_FILE), expected.paths(Fate.BROKEN_LINK)
    assert states(hostile, pipes | links) == {}
    assert done.json["skipped"]["special"]["files"] == len(pipes)
    named = {line.partition(": ")[0] for line in done.json["unreadable"]}
    assert named == {os.fsdecode(link) for link in links}


def test_a_file_that_is_not_a_picture_by_name_nor_by_bytes_is_counted_as_skipped(done: Done) -> None:
    assert done.json["left_aside"] == 1


def test_a_second_run_tries_none_of_them_again(hostile: Installation, done: Done) -> None:
    again = hostile.panopticon("index", "--json", str(hostile.folder / "photos"))
    assert again.exit_code == done.exit_code == 1
    assert again.json["finished"] == 0
