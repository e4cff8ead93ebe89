"""Figures of two versions: computed by hand, and properties that hold for any two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panopticon.policy.policy import Evaluation
from panopticon.registry.comparison import (
    Pair,
    Spread,
    TagCount,
    jaccard,
    most_different_scores,
    most_different_tags,
    score_figures,
    tag_figures,
    values_by_name,
)
from tests.contracts.examples import tag


def pair(image_id: str, before: Mapping[str, float], after: Mapping[str, float]) -> Pair:
    return Pair(image_id=image_id, before=before, after=after)


SAME = pair("same", {"cat": 0.9, "tabby": 0.5}, {"cat": 0.9, "tabby": 0.5})
BEST_SWAPPED = pair("swapped", {"cat": 0.6, "tabby": 0.5}, {"tabby": 0.7, "cat": 0.6})
OTHER = pair("other", {"cat": 0.8}, {"dog": 0.8, "wolf": 0.2})
SILENT = pair("silent", {}, {})
TAGGED = [SAME, BEST_SWAPPED, OTHER, SILENT]

DARKER = [
    pair("a", {"light": 0.0, "noise": 5.0}, {"light": 0.0, "noise": 5.0}),
    pair("b", {"light": 1.0, "noise": 5.0}, {"light": 0.5, "noise": 5.0}),
    pair("c", {"light": 2.0, "noise": 5.0}, {"light": 0.5, "noise": 5.0}),
    pair("d", {"light": 3.0, "noise": 5.0}, {"light": 1.0, "noise": 5.0}),
]

TAGS = st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 1), max_size=4)
TAG_PAIRS = st.lists(st.builds(pair, st.text("xyz", min_size=1), TAGS, TAGS), min_size=1, max_size=8)
LIGHT = st.fixed_dictionaries({"light": st.floats(-5, 5)})
SCORE_PAIRS = st.lists(st.builds(pair, st.text("xyz", min_size=1), LIGHT, LIGHT), min_size=1, max_size=8)


def swapped(pairs: list[Pair]) -> list[Pair]:
    return [replace(one, before=one.after, after=one.before) for one in pairs]


def test_the_best_tags_agree_in_two_of_four() -> None:
    assert tag_figures(TAGGED).agreement == 0.5


def test_jaccard_is_the_mean_over_images() -> None:
    assert [jaccard(one) for one in TAGGED] == [1, 1, 0, 1]
    assert tag_figures(TAGGED).jaccard == 0.75


def test_two_of_three_tags_in_common_are_two_thirds() -> None:
    assert jaccard(pair("p", {"a": 1, "b": 1}, {"b": 1, "a": 1, "c": 1})) == pytest.approx(2 / 3)


def test_tags_gained_and_lost_are_counted_by_image_most_first() -> None:
    figures = tag_figures([*TAGGED, pair("more", {"cat": 0.3}, {"wolf": 0.3})])
    assert figures.lost == (TagCount(tag="cat", images=2),)
    assert figures.gained == (TagCount(tag="wolf", images=2), TagCount(tag="dog", images=1))


def test_the_tags_gained_are_capped_unless_all_are_wanted() -> None:
    crowd = {f"tag{number:02}": 0.5 for number in range(12)}
    assert [one.tag for one in tag_figures([pair("p", {}, crowd)]).gained] == sorted(crowd)[:10]
    everything = tag_figures([pair("p", {}, crowd)], most_tags=None).gained
    assert [one.tag for one in everything] == sorted(crowd)


def test_images_are_ordered_by_jaccard_then_distance_and_equal_ones_are_left_out() -> None:
    nearer = pair("nearer", {"cat": 0.1}, {"dog": 0.1})
    worst = most_different_tags([*TAGGED, nearer])
    assert [(one.image_id, one.jaccard) for one in worst] == [("other", 0), ("nearer", 0), ("swapped", 1)]
    assert worst[0].distance == pytest.approx(0.8 + 0.8 + 0.2)
    assert most_different_tags([*TAGGED, nearer], limit=1) == worst[:1]


def test_tags_of_probability_0_differ_too() -> None:
    (one,) = most_different_tags([pair("p", {"cat": 0.0}, {"dog": 0.0})])
    assert (one.jaccard, one.distance) == (0, 0)


def test_a_shift_has_mean_median_and_95th_percentile_of_both_versions() -> None:
    light, noise = score_figures(DARKER).shifts
    assert astuple(light.before) == pytest.approx((1.5, 1.5, 2.85))
    assert astuple(light.after) == pytest.approx((0.5, 0.5, 0.925))
    assert noise.before == noise.after == Spread(mean=5, p50=5, p95=5)


def test_kolmogorov_smirnov_is_the_greatest_distance_of_the_two_distributions() -> None:
    """At 1.0 the cumulative distribution is 4/4 after and 2/4 before."""
    figures = score_figures(DARKER)
    assert [(shift.score, shift.ks) for shift in figures.shifts] == [("light", 0.5), ("noise", 0)]
    assert figures.shifts[1].p_value == 1
    assert figures.ks == 0.5


def test_a_score_that_is_lost_has_the_greatest_statistic() -> None:
    figures = score_figures([pair("p", {"light": 1, "noise": 1}, {"light": 1, "blur": 1})])
    assert (figures.ks, figures.lost, figures.gained) == (1, ("noise",), ("blur",))
    assert [shift.score for shift in figures.shifts] == ["light"]


def test_a_score_that_is_gained_changes_no_statistic() -> None:
    assert score_figures([pair("p", {"light": 1}, {"light": 1, "blur": 1})]).ks == 0


def test_shifts_of_scores_are_measured_relative_to_how_far_each_varies() -> None:
    """0.1 is a great shift for a score that varies by hundredths, 1 a small one where it varies by tens."""
    fine = pair("fine", {"small": 0.2, "large": 0.0}, {"small": 0.1, "large": 0.0})
    coarse = pair("coarse", {"small": 0.2, "large": 90.0}, {"small": 0.2, "large": 91.0})
    assert [one.image_id for one in most_different_scores([coarse, fine])] == ["fine", "coarse"]


def test_the_distance_of_scores_is_in_standard_deviations() -> None:
    still, moved = {"light": 0.0, "noise": 5.0}, {"light": 2.0, "noise": 5.0}
    (one,) = most_different_scores([pair("p", still, moved)])
    assert (one.distance, one.score, one.jaccard) == (2.0, "light", None)


def test_where_two_tags_have_one_name_the_more_probable_counts() -> None:
    assert values_by_name(Evaluation(tags=(tag("cat", 0.9), tag("dog", 0.5), tag("cat", 0.3)))) == {
        "cat": 0.9,
        "dog": 0.5,
    }
    assert values_by_name(Evaluation(scores={"light": 0.5})) == {"light": 0.5}


@given(TAG_PAIRS)
def test_a_tagger_compared_with_itself_agrees_fully(pairs: list[Pair]) -> None:
    itself = [replace(one, after=one.before) for one in pairs]
    figures = tag_figures(itself)
    assert (figures.agreement, figures.jaccard, figures.gained, figures.lost) == (1, 1, (), ())
    assert most_different_tags(itself) == []


@given(SCORE_PAIRS)
def test_scores_compared_with_themselves_do_not_move(pairs: list[Pair]) -> None:
    itself = [replace(one, after=one.before) for one in pairs]
    (light,) = score_figures(itself).shifts
    assert (light.before, light.ks, light.p_value) == (light.after, 0, 1)
    assert most_different_scores(itself) == []


@given(TAG_PAIRS)
def test_with_the_versions_swapped_the_tags_gained_are_those_lost(pairs: list[Pair]) -> None:
    there, back = tag_figures(pairs), tag_figures(swapped(pairs))
    assert (there.agreement, there.jaccard) == (back.agreement, back.jaccard)
    assert (there.gained, there.lost) == (back.lost, back.gained)


@given(SCORE_PAIRS)
def test_with_the_versions_swapped_the_scores_shift_back(pairs: list[Pair]) -> None:
    (there,), (back,) = score_figures(pairs).shifts, score_figures(swapped(pairs)).shifts
    assert (there.before, there.after, there.ks) == (back.after, back.before, back.ks)
    assert 0 <= there.ks <= 1


@given(TAG_PAIRS)
def test_the_order_of_the_images_changes_no_figure(pairs: list[Pair]) -> None:
    there, back = tag_figures(pairs), tag_figures(pairs[::-1])
    assert (there.gained, there.lost) == (back.gained, back.lost)
    assert there.jaccard == pytest.approx(back.jaccard)
