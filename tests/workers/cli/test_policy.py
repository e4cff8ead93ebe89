"""`panopticon policy`."""

from __future__ import annotations

import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from panopticon.results.documents import Part
from panopticon.settings import Settings
from tests.contracts.examples import QUALITY, TAGGER
from tests.house import House, house_of
from tests.workers.cli.conftest import Panopticon
from workers.comparison.sample import draw_sample
from workers.indexer.indexer import Indexer

QUIETER = "threshold = 0.5\n"
"""A policy that drops the tiger."""
IDS = [f"photo-{number}" for number in range(4)]


@pytest.fixture
def house(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """A house with four images of `tagger@1`, evaluated by its first policy."""
    monkeypatch.setenv("PANOPTICON_REGISTRY_EVERY_S", "0.05")
    house.register(TAGGER)
    house.plant(*IDS, outputs={TAGGER: {"tabby": 0.75, "tiger cat": 0.25}})
    return house


@pytest.fixture
def indexer(house: House) -> Iterator[None]:
    """An indexer that runs while the command does."""
    stopping = threading.Event()
    running = threading.Thread(target=run_indexer, args=(house.settings, stopping))
    running.start()
    yield
    stopping.set()
    running.join()


def run_indexer(settings: Settings, stopping: threading.Event) -> None:
    with house_of(settings.model_copy(update={"registry_every_s": 0.05})) as other:
        indexer = Indexer(
            settings=other.settings,
            broker=other.broker,
            store=other.store,
            search=other.search,
            metrics=other.metrics,
        )
        while not stopping.is_set():
            indexer.turn()


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A policy that drops one of the two tags of every image."""
    (tmp_path / "quieter.toml").write_text(QUIETER)
    return "quieter.toml"


def part(house: House, image_id: str) -> Part:
    return house.document(image_id).parts[TAGGER.part]


def numbers(house: House) -> list[int]:
    return [part(house, image_id).policy_number for image_id in IDS]


def test_the_present_policy_is_toml_that_can_be_applied_again(panopticon: Panopticon, house: House) -> None:
    house.put_policy(TAGGER, "# Ours\nthreshold = 0.5\n")
    ran = panopticon("policy", "show", "tagger@1")
    assert ran.out == "# Ours\nthreshold = 0.5\n"
    assert ran.err == "# tagger@1, policy 2, since 1970-01-01 00:00:00 UTC, by ann\n"
    assert panopticon("policy", "check", "tagger@1", "-", stdin=ran.out.encode()).code == 0


def test_an_earlier_policy_can_be_seen(panopticon: Panopticon, house: House) -> None:
    house.put_policy(TAGGER, QUIETER)
    shown = panopticon("policy", "show", "tagger@1", "--number", "1")
    assert tomllib.loads(shown.out) == {"threshold": 0.1, "top_k": 5}
    assert (
        panopticon("policy", "show", "tagger@1", "--number", "3").complaint
        == "tagger@1 has no policy 3; the present one is 2"
    )


def test_the_history_lists_every_policy_with_its_author_newest_first(
    panopticon: Panopticon, house: House
) -> None:
    house.put_policy(TAGGER, QUIETER)
    shown = panopticon("policy", "history", "tagger@1", "--json").json
    assert [(policy["number"], policy["by"], policy["reason"]) for policy in shown["policies"]] == [
        (1, "ann", "registered"),
        (2, "ann", ""),
    ]
    lines = panopticon("policy", "history", "tagger@1").out.splitlines()
    assert [line.split()[0] for line in lines if line[:1].isdigit()] == ["2", "1"]


def test_a_valid_policy_is_reported_as_valid(panopticon: Panopticon, file: str) -> None:
    assert (
        "The policy is valid for tagger@1, and differs from policy 1."
        in panopticon("policy", "check", "tagger@1", file).out
    )
    assert panopticon("policy", "check", "tagger@1", file, "--json").json["differs"] is True


@pytest.mark.parametrize("command", ["check", "preview", "apply"])
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("top_k = 3\ntreshold = 0.5\n", "p.toml, line 2: unknown key 'treshold'; known: threshold, "),
        ("[thresholds]\n\ntabyb = 0.5\n", "p.toml, line 3: unknown tag 'tabyb'; near it: 'tabby'"),
        ("threshold = \n", "p.toml, line 1: Invalid value"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_applied(
    panopticon: Panopticon, house: House, tmp_path: Path, command: str, text: str, complaint: str
) -> None:
    (tmp_path / "p.toml").write_text(text)
    assert panopticon("policy", command, "tagger@1", "p.toml").complaint.startswith(complaint)
    assert (house.version(TAGGER).policy_number, numbers(house)) == (1, [1, 1, 1, 1])


@pytest.mark.parametrize("command", ["show", "history", "check", "preview", "apply"])
def test_an_unknown_version_is_one_line(panopticon: Panopticon, file: str, command: str) -> None:
    files = [file] if command in ("check", "preview", "apply") else []
    ran = panopticon("policy", command, "tagger@7", *files)
    assert ran.complaint == "tagger@7 is not registered; registered: tagger@1"
    ran = panopticon("policy", command, "tagged@1", *files)
    assert ran.complaint == "tagged is not registered; registered: tagger"
    assert panopticon("policy", command, "tagger", *files).complaint.startswith("no model version: 'tagger'")


@pytest.mark.parametrize("command", ["check", "preview", "apply"])
def test_a_retired_version_is_refused(panopticon: Panopticon, house: House, file: str, command: str) -> None:
    house.retire(TAGGER)
    assert panopticon("policy", command, "tagger@1", file).complaint == (
        "tagger@1 is retired; a policy changes nothing of it any more"
    )


def test_a_file_that_is_not_there_is_one_line(panopticon: Panopticon) -> None:
    complaint = panopticon("policy", "apply", "tagger@1", "gone.toml").complaint
    assert complaint == "cannot read gone.toml: No such file or directory"


def test_a_file_that_is_not_text_is_one_line(panopticon: Panopticon, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"\xff\xd8")
    complaint = panopticon("policy", "apply", "tagger@1", str(photo)).complaint
    assert complaint == f"{photo}: not UTF-8; it must be a text file"


def test_policy_and_ids_cannot_both_be_read_from_standard_input(panopticon: Panopticon) -> None:
    ran = panopticon("policy", "apply", "tagger@1", "-", "--ids", "-")
    assert ran.complaint == ("standard input cannot hold both the policy and the IDs; put one into a file")


def test_a_preview_shows_what_would_change_and_changes_nothing(
    panopticon: Panopticon, house: House, file: str
) -> None:
    shown = panopticon("policy", "preview", "tagger@1", file, "--json").json
    assert (shown["number"], shown["images"], shown["changed"]) == (1, 4, 4)
    assert shown["tags"] == [{"name": "tiger cat", "gained": 0, "lost": 4}]
    example = shown["examples"][0]
    assert [tag["label"] for tag in example["before"]["tags"]] == ["tabby", "tiger cat"]
    assert [tag["label"] for tag in example["after"]["tags"]] == ["tabby"]
    assert (house.version(TAGGER).policy_number, numbers(house)) == (1, [1, 1, 1, 1])


def test_people_see_a_preview_as_a_table_with_examples(panopticon: Panopticon, file: str) -> None:
    shown = panopticon("policy", "preview", "tagger@1", file).out
    assert "4 of 4 images would change." in shown
    assert any(line.split() == ["tiger", "cat", "0", "4"] for line in shown.splitlines())
    assert "  before  tabby 0.75 · tiger cat 0.25" in shown
    assert "  after   tabby 0.75\n" in shown
    assert "Next: panopticon policy apply tagger@1 quieter.toml" in shown


def test_a_preview_of_few_images_draws_them_as_a_diff_does(
    panopticon: Panopticon, house: House, file: str
) -> None:
    shown = panopticon("policy", "preview", "tagger@1", file, "--sample", "2", "--json").json
    drawn = draw_sample(house.search, "tagger_1", 2).image_ids
    assert [example["image_id"] for example in shown["examples"]] == list(drawn)


def test_a_preview_of_given_images_names_those_without_an_output(panopticon: Panopticon, file: str) -> None:
    ran = panopticon(
        "policy", "preview", "tagger@1", file, "--ids", "-", "--json", stdin=b"photo-1\nnobody\n"
    )
    assert (ran.json["images"], ran.json["unknown"]) == (1, ["nobody"])


def test_an_applied_policy_is_in_every_document(
    panopticon: Panopticon, house: House, indexer: None, file: str
) -> None:
    ran = panopticon("policy", "apply", "tagger@1", file, "--reason", "too many tigers", "--json")
    assert ran.code == 0
    assert ran.json == {
        "model": "tagger@1",
        "number": 2,
        "changed": True,
        "republished": 4,
        "left": [],
        "unknown": [],
    }
    assert numbers(house) == [2, 2, 2, 2]
    shown = panopticon("policy", "history", "tagger@1", "--json").json["policies"][-1]
    assert (shown["number"], shown["reason"]) == (2, "too many tigers")


def test_without_an_indexer_it_prints_so_and_waits_for_one(
    panopticon: Panopticon,
    house: House,
    file: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PANOPTICON_SETTLE_S", "0.2")
    stopping = threading.Event()
    later = threading.Timer(2.5, run_indexer, [house.settings, stopping])
    later.start()
    ran = panopticon("policy", "apply", "tagger@1", file)
    stopping.set()
    later.join()
    assert "No result was consumed for 0.2 s (4 results waiting); start: panopticon indexer" in ran.err
    assert (ran.code, numbers(house)) == (0, [2, 2, 2, 2])


def test_an_equal_policy_changes_nothing_and_prints_so(
    panopticon: Panopticon, house: House, indexer: None
) -> None:
    panopticon("policy", "apply", "tagger@1", "-", stdin=b"threshold = 0.5")
    ran = panopticon("policy", "apply", "tagger@1", "-", stdin=b"# Again\nthreshold = 0.50\ntop_k = 5\n")
    assert ran.code == 0
    assert "tagger@1 has this policy already, as number 2; it was not changed." in ran.err
    assert ran.out == "0 documents rebuilt with policy 2 of tagger@1.\n"
    assert house.version(TAGGER).policy_number == 2


def test_an_old_policy_applied_again_gets_the_next_number(
    panopticon: Panopticon, house: House, indexer: None, file: str
) -> None:
    old = panopticon("policy", "show", "tagger@1").out
    panopticon("policy", "apply", "tagger@1", file)
    panopticon("policy", "apply", "tagger@1", "-", stdin=old.encode())
    assert numbers(house) == [3, 3, 3, 3]
    assert {len(part(house, image_id).tags) for image_id in IDS} == {2}


def test_only_named_images_are_rebuilt_and_the_rest_by_the_same_command_without_ids(
    panopticon: Panopticon, house: House, indexer: None, file: str
) -> None:
    some = panopticon("policy", "apply", "tagger@1", file, "--ids", "-", stdin=b"photo-1\nnobody\n")
    assert "1 document rebuilt with policy 2 of tagger@1." in some.out
    assert "1 ID without a document of tagger@1 in search." in some.out
    assert numbers(house) == [1, 2, 1, 1]
    assert "3 documents rebuilt" in panopticon("policy", "apply", "tagger@1", file).out
    assert numbers(house) == [2, 2, 2, 2]


def test_documents_that_cannot_be_rebuilt_are_named_and_make_exit_code_1(
    panopticon: Panopticon, house: House, indexer: None, file: str
) -> None:
    house.store.outputs.erase(["photo-2"])
    ran = panopticon("policy", "apply", "tagger@1", file)
    assert ran.code == 1
    assert "left  photo-2\n" in ran.out


def test_a_policy_of_a_scoring_model_can_only_rename_scores(
    panopticon: Panopticon, house: House, indexer: None
) -> None:
    house.register(QUALITY)
    ran = panopticon("policy", "apply", "quality@1", "-", stdin=b'[renamed]\nsharpness = "focus"\n')
    assert "quality@1 has policy 2 now." in ran.err
    assert panopticon("policy", "check", "quality@1", "-", stdin=b"threshold = 0.5").complaint.startswith(
        "standard input, line 1: threshold changes nothing"
    )


def test_interrupted_it_prints_how_to_continue(
    panopticon: Panopticon, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)
    ran = panopticon("policy", "apply", "tagger@1", file)
    assert ran.code == 130
    assert "Stopped before every document was rebuilt; run the same command again" in ran.err
