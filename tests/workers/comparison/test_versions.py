"""Two versions are read from the store, compared, and their report is stored."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from panopticon.cards.cards import CardError
from panopticon.errors import Unavailable, UsageError
from panopticon.messages import Lane
from panopticon.registry.activation import report_of
from panopticon.registry.transitions import Author
from panopticon.results.outputs import VersionName
from panopticon.settings import Settings
from tests.contracts.examples import deletion, image, part, result
from tests.house import House
from tests.workers.two_versions import LIGHT_1, LIGHT_2, PETS_1, PETS_2, card_of, register_two_versions
from workers.comparison.report import Report, Searchable, Selection
from workers.comparison.versions import keep_report, make_report, read_image_pairs, read_version_pair

ANN = Author(by="ann", at_ms=1_000)


@pytest.fixture
def house(house: House, tmp_path: Path) -> House:
    register_two_versions(house, tmp_path)
    return house


def compared(
    house: House, *image_ids: str, former: VersionName = PETS_1, version: VersionName = PETS_2
) -> Report:
    versions = read_version_pair(house.store, former, version, Settings())
    found = read_image_pairs(house.store, versions, image_ids)
    selection = Selection(image_ids=image_ids, drawn_from=None)
    return make_report(versions, selection, found, search=house.search, broker=house.broker, author=ANN)


def test_tags_are_compared_after_each_version_s_policy(house: House) -> None:
    house.plant("a", outputs={PETS_1: {"cat": 0.9, "dog": 0.3}, PETS_2: {"cat": 0.9, "dog": 0.3}})
    assert compared(house, "a").figures["jaccard"] == 1
    house.put_policy(PETS_2, "threshold = 0.5\n")
    report = compared(house, "a")
    assert report.figures["jaccard"] == 0.5
    assert report.as_json()["tags"]["lost"] == [{"tag": "dog", "images": 1}]
    assert (report.record.former_policy_number, report.record.policy_number) == (1, 2)


def test_scores_are_compared_by_the_names_that_policy_gives(house: House) -> None:
    for name, light in (("a", 0.0), ("b", 1.0)):
        before, after = {"noise": 0.5, "light": light}, {"noise": 0.5, "light": light + 2}
        house.plant(name, outputs={LIGHT_1: before, LIGHT_2: after})
    report = compared(house, "a", "b", former=LIGHT_1, version=LIGHT_2)
    assert report.figures["ks"] == 1
    assert report.scores is not None
    assert [shift.score for shift in report.scores.shifts] == ["light", "noise"]
    house.put_policy(LIGHT_2, 'renamed = { light = "brightness" }\n')
    report = compared(house, "a", "b", former=LIGHT_1, version=LIGHT_2)
    assert report.scores is not None
    assert (report.scores.lost, report.scores.gained) == (("light",), ("brightness",))


def test_images_without_both_outputs_are_counted_by_reason_and_not_compared(house: House) -> None:
    house.plant("both", outputs={PETS_1: {"cat": 1}, PETS_2: {"cat": 1}})
    house.plant("old", outputs={PETS_1: {"cat": 1}})
    house.plant("new", outputs={PETS_2: {"cat": 1}})
    house.plant("gone", outputs={PETS_1: {"cat": 1}, PETS_2: {"cat": 1}})
    house.store.catalogue.put([image("gone", event="deleted")])
    report = compared(house, "both", "old", "new", "gone", "nobody")
    assert report.record.images == 1
    assert report.left_out == {
        "deleted": 1,
        "no output of pets@1": 1,
        "no output of pets@2": 1,
        "not in the catalogue": 1,
    }


def test_outputs_are_those_of_the_catalogue_s_revision(house: House) -> None:
    house.plant("a", outputs={PETS_1: {"cat": 1}, PETS_2: {"dog": 1}})
    house.store.catalogue.put([image("a", revision=1)])
    assert compared(house, "a").record.images == 0
    house.plant("a", outputs={PETS_1: {"cat": 1}, PETS_2: {"cat": 1}}, revision=1)
    assert compared(house, "a").figures["agreement"] == 1


def test_coverage_is_counted_in_search_over_all_images(house: House) -> None:
    ids = ("a", "b", "c", "gone")
    house.search.apply([result(name, part(cat=0.5), name=PETS_1.part) for name in ids])
    house.search.apply([result(name, part(cat=0.5), name=PETS_2.part) for name in ("a", "elsewhere")])
    house.search.apply([deletion("gone")])
    report = compared(house, "a")
    assert report.searchable == Searchable(former=3, version=2, both=1)
    assert report.figures["coverage"] == pytest.approx(1 / 3)


def test_a_part_of_an_older_revision_covers_nothing(house: House) -> None:
    house.search.apply([result("a", part(cat=0.5), name=PETS_2.part)])
    house.search.apply([result("a", part(cat=0.5, revision=1), name=PETS_1.part)])
    assert compared(house, "a").figures["coverage"] == 0


def test_without_images_coverage_is_full_and_the_other_figures_are_absent(house: House) -> None:
    assert compared(house, "nobody").figures == {"coverage": 1.0, "waiting": 0}


def test_messages_on_the_results_queue_are_counted_in_both_lanes(house: House) -> None:
    house.broker.results().submit([b"{}"], Lane.LIVE)
    house.broker.results().submit([b"{}", b"{}"], Lane.BACKFILL)
    report = compared(house, "a")
    assert report.figures["waiting"] == 3
    assert report.as_json()["results_queue"] == {"live": 1, "backfill": 2}


def test_the_digest_of_the_selection_covers_the_sorted_ids_each_with_a_line_feed(
    house: House,
) -> None:
    assert compared(house, "b", "a").record.ids_sha256 == hashlib.sha256(b"a\nb\n").hexdigest()


def test_a_stored_report_is_found_by_its_record(house: House) -> None:
    house.plant("a", outputs={PETS_1: {"cat": 0.2, "dog": 0.9}, PETS_2: {"cat": 1}})
    report = compared(house, "a")
    keep_report(house.store, "pets", report, ANN)
    record = report_of(house.model("pets"), 1, 2)
    assert record == report.record
    assert record is not None
    body = house.store.archive.get(record.report_sha256)
    assert body is not None
    whole: dict[str, Any] = json.loads(body)
    assert {**whole, "worst": []} == {**report.as_json(), "worst": []}
    assert (record.former_digest, record.digest) == (whole["former"]["digest"], whole["version"]["digest"])
    assert house.model("pets").history[-1].what == "compared pets@1 with pets@2"


def test_the_results_of_single_images_are_ordered_by_probability_and_not_archived(house: House) -> None:
    """The archive deletes nothing, and an image may be erased."""
    house.plant("a", outputs={PETS_1: {"cat": 0.2, "dog": 0.9}, PETS_2: {"cat": 1}})
    report = compared(house, "a")
    (shown,) = report.as_json()["worst"]
    assert (list(shown["before"]), list(shown["after"])) == (["dog", "cat"], ["cat"])
    keep_report(house.store, "pets", report, ANN)
    (kept,) = json.loads(house.store.archive.get(report.record.report_sha256) or b"")["worst"]
    assert kept == {key: shown[key] for key in ("image_id", "jaccard", "distance", "score")}


def keys_of(value: Any) -> Any:
    """The keys of nested tables, and of the first entry of each list; None for anything else."""
    if isinstance(value, dict):
        return {key: keys_of(inner) for key, inner in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [keys_of(value[0])]
    return None


SIDE_KEYS = dict.fromkeys(("name", "version", "state", "digest", "policy_number"))
ARCHIVED_KEYS = {
    "at_ms": None,
    "by": None,
    "task": None,
    "former": SIDE_KEYS,
    "version": SIDE_KEYS,
    "ids_sha256": None,
    "asked": None,
    "drawn_from": None,
    "drawn_from_all": None,
    "images": None,
    "left_out": {},
    "searchable": dict.fromkeys(("former", "version", "both")),
    "results_queue": dict.fromkeys(("live", "backfill")),
}
WORST_KEYS = dict.fromkeys(("image_id", "jaccard", "distance", "score"))
TAG_KEYS = {
    **ARCHIVED_KEYS,
    "figures": dict.fromkeys(("coverage", "agreement", "jaccard", "waiting")),
    "tags": {"gained": [{"tag": None, "images": None}], "lost": [{"tag": None, "images": None}]},
    "scores": None,
    "worst": [WORST_KEYS],
}
SPREAD_KEYS = dict.fromkeys(("mean", "p50", "p95"))
SHIFT_KEYS = {"score": None, "before": SPREAD_KEYS, "after": SPREAD_KEYS, "ks": None, "p_value": None}
SCORE_KEYS = {
    **ARCHIVED_KEYS,
    "figures": dict.fromkeys(("coverage", "ks", "waiting")),
    "tags": None,
    "scores": {"shifts": [SHIFT_KEYS], "gained": None, "lost": None},
    "worst": [WORST_KEYS],
}


@pytest.mark.parametrize(
    ("former", "version", "keys"), [(PETS_1, PETS_2, TAG_KEYS), (LIGHT_1, LIGHT_2, SCORE_KEYS)], ids=str
)
def test_the_keys_of_an_archived_report_are_stable(
    house: House, former: VersionName, version: VersionName, keys: dict[str, Any]
) -> None:
    house.plant("a", outputs={PETS_1: {"cat": 0.2, "dog": 0.9}, PETS_2: {"cat": 1, "fox": 0.5}})
    house.plant("a", outputs={LIGHT_1: {"noise": 0.5}, LIGHT_2: {"noise": 0.5, "light": 1}})
    report = compared(house, "a", former=former, version=version)
    assert keys_of(json.loads(report.archived())) == keys
    assert report.record.report_sha256 == hashlib.sha256(report.archived()).hexdigest()


def change_before_each_swap(house: House, times: int) -> None:
    """Let another process change the entry just before each of the next swaps."""

    def change() -> None:
        house.put_policy(PETS_1, f"top_k = {times}\n")
        if times > 1:
            change_before_each_swap(house, times - 1)

    house.journal.before["registry.swap"] = change


def test_a_concurrent_change_of_the_entry_is_preserved(house: House) -> None:
    report = compared(house, "a")
    change_before_each_swap(house, times=3)
    keep_report(house.store, "pets", report, ANN)
    entry = house.model("pets")
    assert report_of(entry, 1, 2) == report.record
    assert entry.versions[0].policy_number == 4


def test_a_registry_that_changes_at_every_swap_is_unavailable(house: House) -> None:
    report = compared(house, "a")
    change_before_each_swap(house, times=1000)
    with pytest.raises(Unavailable, match="kept changing"):
        keep_report(house.store, "pets", report, ANN)


@pytest.mark.parametrize(
    ("former", "version", "complaint"),
    [
        (PETS_1, PETS_1, "pets@1 and pets@1 are one version; name two"),
        (
            PETS_1,
            replace(PETS_1, version=9),
            "pets@9 is not registered; registered: pets@1, pets@2",
        ),
        (
            replace(PETS_1, model="nobody"),
            PETS_2,
            "nobody is not registered; registered: light, pets",
        ),
        (
            PETS_1,
            LIGHT_2,
            "pets@1 is for tagging and light@2 for scoring; only versions of one model can be compared",
        ),
    ],
)
def test_versions_that_cannot_be_compared_are_refused(
    house: House, former: VersionName, version: VersionName, complaint: str
) -> None:
    with pytest.raises(UsageError) as refused:
        read_version_pair(house.store, former, version, Settings())
    assert str(refused.value) == complaint


def test_two_models_of_one_task_are_refused(house: House, tmp_path: Path) -> None:
    other = VersionName(model="beasts", version=1)
    house.register(card_of(other, "tagging", tmp_path))
    with pytest.raises(UsageError, match="pets@1 and beasts@1 are two models"):
        read_version_pair(house.store, PETS_1, other, Settings())


def test_a_version_of_one_model_for_another_task_is_refused(house: House, tmp_path: Path) -> None:
    turned = replace(PETS_1, version=3)
    house.register(card_of(turned, "scoring", tmp_path))
    with pytest.raises(UsageError, match="pets@1 is for tagging and pets@3 for scoring"):
        read_version_pair(house.store, PETS_1, turned, Settings())


def test_the_limits_are_those_of_the_new_version_s_card(house: House, tmp_path: Path) -> None:
    strict = replace(PETS_1, version=3)
    house.register(card_of(strict, "tagging", tmp_path, "limits = { min_jaccard = 0.75 }\n"))
    settings = Settings(min_jaccard=0.25)
    assert read_version_pair(house.store, PETS_1, strict, settings).limits.min_jaccard == 0.75
    assert read_version_pair(house.store, strict, PETS_1, settings).limits.min_jaccard == 0.25


def test_a_version_without_an_archived_card_is_refused(house: House) -> None:
    bare = replace(house.version(PETS_2), card_sha256="")
    house.change(PETS_2, lambda entry: entry.with_version(bare, ANN.did("forgot its card")))
    with pytest.raises(CardError, match="pets@2: the store has no card of it"):
        read_version_pair(house.store, PETS_1, PETS_2, Settings())
