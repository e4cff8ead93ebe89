"""`panopticon audit`: lost images are found, and submitted again."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from panopticon.messages import decode_image_message
from panopticon.registry.records import RegistryEvent, VersionState
from panopticon.results.outputs import VersionName
from tests.contracts.examples import QUALITY, TAGGER, image, key, output, part, result
from tests.house import AUTHOR, House
from tests.workers.cli.conftest import Panopticon
from workers.queues.sqlite import SqliteBroker
from workers.submission.folders import image_id_of


@pytest.fixture(autouse=True)
def album(house: House, pauses: list[float]) -> None:
    """`kept` is stored and in search for both versions; `gone` is lost for the tagger."""
    house.register()
    house.store.catalogue.put([image("kept"), image("gone")])
    for image_id, version in (("kept", TAGGER), ("kept", QUALITY), ("gone", QUALITY)):
        house.store.outputs.put([output(key(image_id, version=version))])
        house.search.apply([result(image_id, part(), name=version.part)])


def unrouted(house: House, version: VersionName) -> None:
    """Put a version back into the state that `models add` leaves."""
    entry = house.store.registry.read(version.model)
    assert entry is not None
    changed = replace(entry.versions[0], state=VersionState.REGISTERED)
    assert house.store.registry.swap(entry, entry.with_version(changed, AUTHOR.did("planted")))


def test_a_lost_image_is_named_and_the_exit_code_is_1(panopticon: Panopticon, pauses: list[float]) -> None:
    ran = panopticon("audit", "--ids", "-", stdin=b"kept\ngone\n")
    lines = [line.split() for line in ran.out.splitlines()]
    assert ran.code == 1
    assert ["lost", "tagger@1", "gone"] in lines
    assert ["tagger@1", "1", "1"] in lines
    assert sum(pauses) == 10
    assert "Next: the same command with --fix" in ran.out


def test_if_nothing_is_lost_the_answer_comes_at_once_with_exit_code_0(
    panopticon: Panopticon, pauses: list[float]
) -> None:
    ran = panopticon("audit", "--ids", "-", stdin=b"kept\n")
    assert (ran.code, pauses) == (0, [])
    assert "1 image audited, none lost." in ran.out


def test_the_json_holds_the_status_of_every_image_and_version(panopticon: Panopticon) -> None:
    ran = panopticon("audit", "--ids", "-", "--json", stdin=b"kept\ngone\nnobody\n")
    results = {(v["image_id"], v["model"]): v["verdict"] for v in ran.json["verdicts"]}
    assert ran.code == 1
    assert results == {
        ("kept", "quality@1"): "stored",
        ("kept", "tagger@1"): "stored",
        ("gone", "quality@1"): "stored",
        ("gone", "tagger@1"): "lost",
        ("nobody", "quality@1"): "unknown",
        ("nobody", "tagger@1"): "unknown",
    }
    tagger = ran.json["models"][1]
    assert (tagger["name"], tagger["stored"], tagger["lost"], tagger["unknown"]) == ("tagger@1", 1, 1, 1)
    assert (ran.json["ok"], ran.json["images"], ran.json["submitted"]) == (False, 3, None)


def test_one_version_may_be_audited_alone(panopticon: Panopticon) -> None:
    assert panopticon("audit", "--ids", "-", "--model", "quality@1", stdin=b"gone\n").code == 0


def test_a_version_that_receives_no_images_is_left_out_unless_it_is_named(
    panopticon: Panopticon, house: House
) -> None:
    unrouted(house, TAGGER)
    assert panopticon("audit", "--ids", "-", stdin=b"gone\n").code == 0
    ran = panopticon("audit", "--ids", "-", "--model", "tagger@1", stdin=b"gone\n")
    assert (ran.code, "1 pending or lost, not decidable yet" in ran.out) == (0, True)
    unrouted(house, QUALITY)
    complaint = panopticon("audit", "--ids", "-", stdin=b"gone\n").complaint
    assert complaint == "no version receives images; name one with --model: quality@1, tagger@1"


def test_fix_puts_lost_images_on_their_queue_again(panopticon: Panopticon, house: House) -> None:
    ran = panopticon("audit", "--ids", "-", "--fix", stdin=b"kept\ngone\n")
    assert (ran.code, "1 message submitted again, lane backfill" in ran.out) == (0, True)
    assert [decode_image_message(body).image_id for body in house.waiting(TAGGER)] == ["gone"]
    assert house.waiting(QUALITY) == []


def test_a_second_fix_does_not_submit_them_twice(panopticon: Panopticon, house: House) -> None:
    panopticon("audit", "--ids", "-", "--fix", stdin=b"gone\n")
    ran = panopticon("audit", "--ids", "-", "--fix", stdin=b"gone\n")
    assert (ran.code, len(house.waiting(TAGGER))) == (0, 1)
    assert "1 pending or lost, not decidable yet" in ran.out


def test_an_image_that_was_never_accepted_cannot_be_fixed(panopticon: Panopticon) -> None:
    ran = panopticon("audit", "--ids", "-", "--fix", stdin=b"nobody\n")
    assert (ran.code, "Images that were never accepted have to be submitted first" in ran.out) == (1, True)


def test_a_folder_is_audited_by_its_files(panopticon: Panopticon, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"x")
    ran = panopticon("audit", "photos", "--json")
    assert {result["image_id"] for result in ran.json["verdicts"]} == {
        image_id_of(bytes(tmp_path / "photos" / "a.jpg"))
    }


def test_retired_versions_are_audited_only_by_name(panopticon: Panopticon, house: House) -> None:
    entry = house.store.registry.read("tagger")
    assert entry is not None
    retire(house)
    ran = panopticon("audit", "--ids", "-", "--json", stdin=b"gone\n")
    assert [model["name"] for model in ran.json["models"]] == ["quality@1"]
    named = panopticon("audit", "--ids", "-", "--json", "--model", "tagger@1", stdin=b"gone\n")
    assert named.json["models"][0]["skipped"] == 1


def retire(house: House) -> None:
    entry = house.store.registry.read("tagger")
    assert entry is not None
    event = RegistryEvent(at_ms=1, by="test", what="retired")
    version = replace(entry.versions[0], state=VersionState.RETIRED)
    assert house.store.registry.swap(entry, replace(entry.with_version(version, event), active_version=None))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "nothing to audit; name files or folders, or give --ids FILE with one image ID a line"),
        (("--ids", "-"), "standard input: it holds no image ID; write one a line"),
        (
            ("--ids", "missing.txt"),
            "cannot read missing.txt: No such file or directory",
        ),
        (
            ("--ids", "-", "--model", "tagger"),
            "no model version: 'tagger'; write the model's name, @ and a version, as in tagger@1",
        ),
        (("missing.jpg",), "no such path: missing.jpg"),
    ],
)
def test_a_mistake_is_one_line(panopticon: Panopticon, arguments: tuple[str, ...], complaint: str) -> None:
    assert panopticon("audit", *arguments).complaint == complaint


def test_an_unregistered_version_is_one_line(panopticon: Panopticon) -> None:
    complaint = panopticon("audit", "--ids", "-", "--model", "tagger@7", stdin=b"a\n").complaint
    assert complaint == "unknown model version tagger@7; registered: quality@1, tagger@1"


def test_without_a_registered_model_the_error_shows_how_to_begin(
    panopticon: Panopticon, tmp_path: Path
) -> None:
    new = f"sqlite:///{tmp_path}/new.db"
    with closing(SqliteBroker(new)) as broker:
        assert broker.topology.bound() == ()
    complaint = panopticon("--database", new, "audit", "--ids", "-", stdin=b"a\n").complaint
    assert (
        complaint
        == "no model is registered yet, so nothing can be audited; begin with: panopticon index PATH"
    )
