"""`panopticon audit`: lost images are found, and submitted again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from panopticon.messages import decode_image_message
from panopticon.registry.records import RegistryEvent, VersionState
from panopticon.results.outputs import VersionName
from tests.contracts.examples import QUALITY, TAGGER, image, key, output, part, result
from tests.house import AUTHOR, House
from tests.workers.cli.conftest import Panopticon
from workers.inspection.audit import Audit
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
        (
            (),
            "nothing to audit; name files or folders, or give --ids FILE with one image ID a line, or --all",
        ),
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
        (("--all", "--ids", "-"), "--all audits every image; give no paths and no --ids with it"),
        (
            ("--ids", "-", "--after", "x"),
            "--after is a place in the list of all images; give it with --all",
        ),
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


@pytest.fixture
def more(house: House, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ten more images, of which only the last is lost, in segments of four."""
    monkeypatch.setattr("workers.cli.audit.SEGMENT", 4)
    names = [f"more-{number}" for number in range(10)]
    house.plant(*names[:9], outputs={TAGGER: {}, QUALITY: {}})
    house.plant(names[9], outputs={QUALITY: {}})
    return names


def test_all_images_are_audited_and_only_what_is_wrong_is_named(
    panopticon: Panopticon, more: list[str], pauses: list[float]
) -> None:
    ran = panopticon("audit", "--all", "--json")
    assert (ran.code, ran.json["ok"], ran.json["images"]) == (1, False, 12)
    assert [(each["image_id"], each["verdict"]) for each in ran.json["verdicts"]] == [
        ("gone", "lost"),
        ("more-9", "lost"),
    ]
    tagger = ran.json["models"][1]
    assert (tagger["stored"], tagger["lost"], ran.json["not_named"]) == (10, 2, 0)
    assert "gone" in panopticon("audit", "--all").out


def test_all_that_is_lost_is_submitted_again(panopticon: Panopticon, house: House, more: list[str]) -> None:
    ran = panopticon("audit", "--all", "--fix")
    assert (ran.code, "2 messages submitted again" in ran.out) == (0, True)
    assert [decode_image_message(body).image_id for body in house.waiting(TAGGER)] == ["gone", "more-9"]


def test_more_than_a_segment_is_not_submitted_again_at_once(
    panopticon: Panopticon, house: House, more: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.cli.audit.SEGMENT", 1)
    ran = panopticon("audit", "--all", "--fix")
    assert (ran.code, len(house.waiting(TAGGER))) == (1, 1)
    assert "1 more are left: repeat the command once the queues are empty" in ran.out


def test_too_many_results_of_all_images_are_counted_and_not_named(
    panopticon: Panopticon, house: House, more: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.cli.audit.MAX_NAMED", 1)
    ran = panopticon("audit", "--all", "--json")
    assert ([each["image_id"] for each in ran.json["verdicts"]], ran.json["not_named"]) == (["gone"], 1)
    assert "1 more result not named here" in panopticon("audit", "--all").out


def test_an_interrupted_audit_of_all_images_prints_where_it_can_go_on(
    panopticon: Panopticon, house: House, more: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        interrupted = interrupting_after(Audit.results, calls=2)
        patched.setattr(Audit, "results", interrupted)
        ran = panopticon("audit", "--all")
    assert ran.code == 130
    # Segments of four: gone, kept and two more; then four more.
    assert "8 of 12 images done; to go on: the same command with --after more-5" in ran.err
    rest = panopticon("audit", "--all", "--after", "more-5", "--json")
    assert (rest.json["images"], [each["image_id"] for each in rest.json["verdicts"]]) == (4, ["more-9"])


def interrupting_after(function: Callable[..., Any], *, calls: int) -> Callable[..., Any]:
    """Return a function that behaves like another, and raises KeyboardInterrupt after some calls."""
    left = [calls]

    def called(*arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return function(*arguments, **named)

    return called
