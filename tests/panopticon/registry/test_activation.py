"""The limits that a report must keep before a version is activated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from panopticon.errors import UsageError
from panopticon.registry import transitions
from panopticon.registry.activation import Limits, exceeded_limits, limits_of, refuse_unfit
from panopticon.registry.records import ModelEntry, ReportRecord, VersionEntry
from panopticon.registry.transitions import Author
from panopticon.settings import Settings
from tests.panopticon.null_card import write_null_card

NOW_MS = 1_000_000_000
ANN = Author(by="ann", at_ms=NOW_MS)
DEFAULTS = limits_of(Settings(), None)
WELL = {"coverage": 1.0, "agreement": 0.9, "jaccard": 0.8, "waiting": 0}


def version(number: int, *, digest: str = "", policy_number: int = 1) -> VersionEntry:
    made = transitions.new_version(
        number, digest=digest or f"digest-{number}", labels=(), policy_toml="", card_sha256="", author=ANN
    )
    return replace(made, policy_number=policy_number)


def report(figures: Mapping[str, float] = WELL, *, images: int = 200, at_ms: int = NOW_MS) -> ReportRecord:
    return ReportRecord(
        at_ms=at_ms,
        by="ann",
        former=1,
        former_digest="digest-1",
        former_policy_number=1,
        version=2,
        digest="digest-2",
        policy_number=1,
        ids_sha256="",
        images=images,
        figures=figures,
        report_sha256="",
    )


def exceeded(
    of: ReportRecord | None,
    limits: Limits = DEFAULTS,
    *,
    former: VersionEntry | None = None,
    latter: VersionEntry | None = None,
) -> list[str]:
    former, latter = former or version(1), latter or version(2)
    return exceeded_limits(of, limits, former=former, version=latter, now_ms=NOW_MS)


def test_a_fresh_report_within_the_limits_exceeds_none() -> None:
    assert exceeded(report()) == []


@pytest.mark.parametrize(
    ("limit", "name", "value", "line"),
    [
        ({"min_coverage": 0.99}, "coverage", 0.42, "coverage is 0.42, at least 0.99 is required"),
        ({"min_agreement": 0.95}, "agreement", 0.9, "agreement is 0.9, at least 0.95 is required"),
        ({"min_jaccard": 0.9}, "jaccard", 0.75, "jaccard is 0.75, at least 0.9 is required"),
        ({"max_ks": 0.1}, "ks", 0.5, "ks is 0.5, at most 0.1 is allowed"),
        ({"max_waiting": 1000}, "waiting", 1200, "waiting is 1,200, at most 1,000 is allowed"),
    ],
)
def test_a_limit_that_is_exceeded_is_named_with_value_and_limit(
    limit: dict[str, float], name: str, value: float, line: str
) -> None:
    limits = replace(DEFAULTS, **cast(Any, limit))
    assert exceeded(report({**WELL, name: value}), limits) == [line]
    on_the_limit = next(iter(limit.values()))
    assert exceeded(report({**WELL, name: on_the_limit}), limits) == []


def test_a_value_just_below_its_limit_is_printed_with_enough_digits_to_differ_from_it() -> None:
    assert exceeded(report({"coverage": 0.98999999})) == ["coverage is 0.98999999, at least 0.99 is required"]


def test_a_figure_that_the_report_lacks_is_not_checked() -> None:
    strict = replace(DEFAULTS, min_agreement=1.0, min_jaccard=1.0, max_ks=0.0)
    assert exceeded(report({"coverage": 1.0, "waiting": 0}), strict) == []


def test_every_limit_that_is_exceeded_is_named() -> None:
    assert len(exceeded(report({"coverage": 0.1, "waiting": 5000}))) == 2


def test_without_a_report_the_only_line_is_that_the_versions_were_never_compared() -> None:
    assert exceeded(None) == ["version 2 was never compared with version 1"]


def test_a_report_without_images_activates_nothing() -> None:
    assert exceeded(report({"coverage": 1.0, "waiting": 0}, images=0)) == ["no image could be compared"]


def test_by_default_two_hundred_images_have_to_be_compared() -> None:
    assert exceeded(report(images=199)) == ["images is 199, at least 200 is required"]


def test_all_images_that_both_versions_have_in_search_are_enough() -> None:
    assert exceeded(report({**WELL, "comparable": 40}, images=40)) == []
    assert exceeded(report({**WELL, "comparable": 40}, images=39)) == [
        "images is 39, at least 40 is required"
    ]


def test_a_large_catalogue_does_not_raise_the_number_of_images_required() -> None:
    assert exceeded(report({**WELL, "comparable": 1_000_000}, images=200)) == []


def test_by_default_a_version_that_gives_another_best_tag_to_a_quarter_of_the_images_is_refused() -> None:
    assert exceeded(report({**WELL, "agreement": 0.73})) == ["agreement is 0.73, at least 0.8 is required"]


def test_by_default_a_version_that_loses_a_third_of_the_tags_is_refused() -> None:
    assert exceeded(report({**WELL, "jaccard": 0.66})) == ["jaccard is 0.66, at least 0.7 is required"]


def test_by_default_a_version_whose_scores_shift_is_refused() -> None:
    figures = {"coverage": 1.0, "ks": 0.21, "waiting": 0}
    assert exceeded(report(figures)) == ["ks is 0.21, at most 0.2 is allowed"]


def test_a_report_is_valid_for_a_day_by_default() -> None:
    day_ms = 86_400_000
    assert exceeded(report(at_ms=NOW_MS - day_ms)) == []
    assert exceeded(report(at_ms=NOW_MS - day_ms - 1000)) == [
        "the report is 86,401 s old, at most 86,400 s is allowed"
    ]


def test_a_report_from_before_the_clock_was_set_back_activates_nothing() -> None:
    assert exceeded(report(at_ms=NOW_MS + 60_000)) == []
    assert exceeded(report(at_ms=NOW_MS + 86_400_000)) == [
        "the report is dated 86,400 s ahead: the clock was set back, so its age is unknown"
    ]


def test_a_report_is_out_of_date_once_a_digest_differs() -> None:
    assert exceeded(report(), former=version(1, digest="new")) == [
        "the report compared another version 1, with digest digest-1"
    ]
    assert exceeded(report(), latter=version(2, digest="new")) == [
        "the report compared another version 2, with digest digest-2"
    ]


def test_a_report_is_out_of_date_once_a_policy_was_changed() -> None:
    assert exceeded(report(), former=version(1, policy_number=2)) == [
        "the report used policy 1 of version 1, which has policy 2 now"
    ]
    assert exceeded(report(), latter=version(2, policy_number=3)) == [
        "the report used policy 1 of version 2, which has policy 3 now"
    ]


def model(*reports: ReportRecord) -> ModelEntry:
    entry = transitions.new_model("tagger", "tagging")
    for number in (1, 2):
        entry = transitions.add(entry, version(number), ANN)
    return replace(entry, reports=reports)


def test_a_version_that_was_never_compared_is_refused_in_one_line() -> None:
    with pytest.raises(UsageError) as refused:
        refuse_unfit(model(), 1, 2, DEFAULTS, now_ms=NOW_MS)
    assert str(refused.value) == (
        "tagger@2 is not activated: version 2 was never compared with version 1. Compare them with "
        "panopticon models diff tagger@1 tagger@2, or activate it anyway with --force --reason TEXT"
    )


def test_a_version_within_the_limits_is_not_refused() -> None:
    refuse_unfit(model(report()), 1, 2, DEFAULTS, now_ms=NOW_MS)


def test_the_report_of_another_pair_does_not_count() -> None:
    with pytest.raises(UsageError, match="never compared"):
        refuse_unfit(model(replace(report(), former=2, version=1)), 1, 2, DEFAULTS, now_ms=NOW_MS)


def test_without_a_former_version_no_report_is_required() -> None:
    refuse_unfit(model(), None, 2, DEFAULTS, now_ms=NOW_MS)


@pytest.mark.parametrize(
    "name", ["min_coverage", "min_agreement", "min_jaccard", "max_ks", "max_waiting", "min_images"]
)
def test_limits_of_the_card_override_the_settings_and_the_rest_come_from_the_settings(
    tmp_path: Path, name: str
) -> None:
    card = write_null_card(tmp_path, f"limits = {{ {name} = 1 }}\n")
    settings = Settings(min_coverage=0.5, min_agreement=0.5, min_jaccard=0.5, max_ks=0.5)
    expected = replace(limits_of(settings, None), **cast(Any, {name: 1}))
    assert limits_of(settings, card.archived_bytes) == expected != limits_of(settings, None)


def test_a_card_archived_before_limits_existed_sets_none() -> None:
    assert limits_of(Settings(), b'{"card": {"name": "tagger"}, "labels": []}') == DEFAULTS


def test_a_limit_of_zero_in_a_card_overrides_the_setting(tmp_path: Path) -> None:
    card = write_null_card(tmp_path, "limits = { min_agreement = 0, max_waiting = 0 }\n")
    limits = limits_of(Settings(), card.archived_bytes)
    assert (limits.min_agreement, limits.max_waiting) == (0, 0)
