from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from panopticon.cards.cards import LabelRow
from panopticon.errors import UsageError
from panopticon.messages import Tag
from panopticon.policy.policy import Policy, PolicyEvaluator, Reason, policy_of, read_policy
from panopticon.policy.rollup import RollUp
from panopticon.results.outputs import Output, OutputKey, decode_payload, encode_payload, quantise

NAMES = ("cat", "dog", "fox", "owl", "bee", "elk")
LABELS = tuple(LabelRow(label=name, ancestors=("animal", f"kind of {name}")) for name in NAMES)

probabilities = st.floats(0, 1, width=16)
vectors = st.lists(probabilities, min_size=len(NAMES), max_size=len(NAMES))
dtypes = st.sampled_from(["float16", "float32"])
policies = st.builds(
    Policy,
    threshold=st.floats(0, 1),
    thresholds=st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1), max_size=3),
    top_k=st.integers(1, 8),
    hidden=st.lists(st.sampled_from(NAMES), max_size=3).map(tuple),
    renamed=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["hound", "bird", "cat"]), max_size=3),
)

KINDS = (
    LabelRow(label="tabby", ancestors=("cat", "feline", "animal")),
    LabelRow(label="tiger", ancestors=("big cat", "feline", "animal")),
    LabelRow(label="beagle", ancestors=("dog", "animal")),
    LabelRow(label="teapot", ancestors=("pot",)),
)
TERMS = ("cat", "feline", "animal", "pot")
kinds_vectors = st.lists(probabilities, min_size=len(KINDS), max_size=len(KINDS))
kinds_policies = st.builds(
    Policy,
    threshold=st.floats(0, 1),
    thresholds=st.dictionaries(st.sampled_from(["tabby", *TERMS]), st.floats(0, 1), max_size=3),
    top_k=st.integers(1, 8),
    hidden=st.lists(st.sampled_from(["tabby", "tiger", *TERMS]), max_size=3).map(tuple),
    renamed=st.dictionaries(st.sampled_from(["tiger", *TERMS]), st.sampled_from(["a", "b"]), max_size=3),
    rollup=st.dictionaries(st.sampled_from(TERMS), st.sampled_from(RollUp), max_size=4),
)


def evaluator_of(policy: Policy) -> PolicyEvaluator:
    return PolicyEvaluator(policy, task="tagging", labels=KINDS)


def rolled(vector: Sequence[float], policy: Policy | None = None, **rollup: str) -> dict[str, float]:
    """The tags of a policy that shows everything, with these terms rolled up."""
    policy = policy or policy_of({"threshold": 0.0, "top_k": 100, "rollup": rollup})
    return {tag.label: tag.probability for tag in evaluator_of(policy).evaluate(np.array(vector)).tags}


def tags(policy: Policy, vector: Sequence[float] | NDArray[np.floating]) -> tuple[Tag, ...]:
    return PolicyEvaluator(policy, task="tagging", labels=LABELS).evaluate(np.asarray(vector)).tags


def labels_of(kept: Sequence[Tag]) -> list[str]:
    return [tag.label for tag in kept]


def through_the_store(vector: NDArray[np.floating]) -> NDArray[np.floating]:
    output = Output(
        key=OutputKey(image_id="a", model="tagger", version=1, revision=0),
        vector=vector,
        digest="",
        engine="",
        libraries="",
        source_sha256="",
        width_px=1,
        height_px=1,
        produced_at_ms=0,
    )
    return decode_payload(output.key, encode_payload(output)).vector


def plainly(policy: Policy, vector: Sequence[float]) -> list[tuple[str, float]]:
    """The same evaluation, one label at a time."""
    kept = [
        (policy.renamed.get(name, name), probability)
        for name, probability in zip(NAMES, vector, strict=True)
        if name not in policy.hidden and probability >= policy.thresholds.get(name, policy.threshold)
    ]
    return sorted(kept, key=lambda pair: -pair[1])[: policy.top_k]


@given(policies, vectors)
def test_an_evaluation_equals_the_policy_applied_label_by_label(policy: Policy, vector: list[float]) -> None:
    assert [(tag.label, tag.probability) for tag in tags(policy, vector)] == plainly(policy, vector)


@given(policies, vectors, dtypes)
def test_the_evaluation_is_the_same_before_and_after_the_vector_is_stored(
    policy: Policy, vector: list[float], dtype: str
) -> None:
    stored = quantise(np.array(vector), dtype)
    assert tags(policy, stored) == tags(policy, through_the_store(stored))


@given(vectors, st.floats(0, 1), st.floats(0, 1), st.integers(1, 8))
def test_a_higher_threshold_only_shortens_the_list(
    vector: list[float], one: float, other: float, top_k: int
) -> None:
    low, high = sorted([one, other])
    longer = tags(Policy(threshold=low, top_k=top_k), vector)
    shorter = tags(Policy(threshold=high, top_k=top_k), vector)
    assert longer[: len(shorter)] == shorter


@given(policies, vectors)
def test_there_are_at_most_top_k_tags(policy: Policy, vector: list[float]) -> None:
    assert len(tags(policy, vector)) <= policy.top_k


@given(policies, vectors)
def test_the_most_probable_tag_comes_first(policy: Policy, vector: list[float]) -> None:
    found = [tag.probability for tag in tags(policy, vector)]
    assert found == sorted(found, reverse=True)


def test_equal_probabilities_keep_the_order_of_the_labels() -> None:
    assert labels_of(tags(Policy(top_k=3), [0.5] * 6)) == ["cat", "dog", "fox"]


def test_a_probability_at_the_threshold_is_kept() -> None:
    assert labels_of(tags(Policy(threshold=0.5), [0.5, 0.4999, 0, 0, 0, 0])) == ["cat"]


def test_a_label_may_have_a_threshold_of_its_own() -> None:
    policy = Policy(threshold=0.3, thresholds={"cat": 0.9, "dog": 0.1})
    assert labels_of(tags(policy, [0.8, 0.2, 0.2, 0.4, 0, 0])) == ["owl", "dog"]


def test_a_hidden_label_is_never_shown_and_does_not_count_towards_top_k() -> None:
    policy = Policy(threshold=0.0, top_k=2, hidden=("cat",), thresholds={"cat": 0.0})
    assert labels_of(tags(policy, [1.0, 0.3, 0.2, 0.1, 0, 0])) == ["dog", "fox"]


def test_a_renamed_label_keeps_its_ancestors() -> None:
    (tag,) = tags(Policy(renamed={"cat": "moggy"}), [0.5, 0, 0, 0, 0, 0])
    assert tag == Tag(label="moggy", probability=0.5, ancestors=("animal", "kind of cat"))


def test_a_threshold_names_the_label_and_not_its_new_name() -> None:
    policy = Policy(renamed={"cat": "moggy"}, thresholds={"cat": 0.9, "moggy": 0.0})
    assert tags(policy, [0.5, 0, 0, 0, 0, 0]) == ()


def test_a_probability_past_one_by_rounding_is_shown_as_one() -> None:
    assert tags(Policy(), [1.0000001, 0, 0, 0, 0, 0])[0].probability == 1.0


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=6, max_size=6), policies)
def test_a_scoring_model_shows_every_score(scores: list[float], policy: Policy) -> None:
    unnamed = policy.model_copy(update={"renamed": {}})
    evaluation = PolicyEvaluator(unnamed, task="scoring", labels=LABELS).evaluate(
        np.array(scores, np.float32)
    )
    assert (evaluation.tags, evaluation.scores) == ((), dict(zip(NAMES, scores, strict=True)))


def test_a_score_may_be_renamed() -> None:
    evaluator = PolicyEvaluator(Policy(renamed={"cat": "catness"}), task="scoring", labels=LABELS[:1])
    assert evaluator.evaluate(np.array([2.5])).scores == {"catness": 2.5}


def test_two_scores_cannot_have_one_name() -> None:
    with pytest.raises(UsageError, match="'dog'"):
        PolicyEvaluator(Policy(renamed={"cat": "dog"}), task="scoring", labels=LABELS)


def test_a_policy_is_read_from_toml() -> None:
    text = 'threshold = 0.2\ntop_k = 3\nhidden = ["cat"]\n[thresholds]\ndog = 1\n[renamed]\nowl = "bird"\n'
    assert read_policy(text) == Policy(
        threshold=0.2, top_k=3, hidden=("cat",), thresholds={"dog": 1}, renamed={"owl": "bird"}
    )


def test_an_empty_text_is_the_default_policy() -> None:
    assert read_policy("") == Policy()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("threshold = 1.1", "threshold"),
        ("threshold = -0.1", "threshold"),
        ("threshold = nan", "threshold"),
        ('threshold = "0.1"', "threshold"),
        ("threshold = true", "threshold"),
        ("top_k = 0", "top_k"),
        ("top_k = 1.5", "top_k"),
        ('hidden = "cat"', "hidden"),
        ("[thresholds]\ncat = 2", "thresholds.cat"),
        ("[renamed]\ncat = 2", "renamed.cat"),
        ("treshold = 0.2", "'treshold'; known: threshold, thresholds"),
        ("[policy]\ntop_k = 2", "'policy'; known: threshold, thresholds"),
    ],
)
def test_an_error_in_a_policy_is_named_by_its_key_in_one_line(text: str, key: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_policy(text)
    assert key in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["threshold", "top_k = 1\ntop_k = 2", "top_k = " + "9" * 5000, "hidden = " + "[" * 100_000],
    ids=["no-value", "given-twice", "huge-number", "deep"],
)
def test_a_text_that_is_not_toml_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match=r"^policy: "):
        read_policy(text)


def test_a_summed_term_has_the_probability_of_all_labels_under_it() -> None:
    assert rolled([0.25, 0.5, 0.125, 0.0625], feline="sum")["feline"] == 0.75
    assert rolled([0.25, 0.5, 0.125, 0.0625], animal="sum")["animal"] == 0.875


def test_a_sum_is_at_most_one() -> None:
    assert rolled([0.75, 0.5, 0, 0], feline="sum")["feline"] == 1.0


def test_a_term_of_independent_labels_has_the_greatest_probability_under_it() -> None:
    assert rolled([0.25, 0.5, 0.75, 0], feline="max")["feline"] == 0.5


@given(st.permutations([0.5, 2**-54, 2**-54]), dtypes)
def test_a_sum_is_the_same_in_any_order_of_the_labels(vector: list[float], dtype: str) -> None:
    stored = quantise(np.array([*vector, 0.0]), dtype)
    exact = sum(map(Fraction, sorted(stored.tolist())))
    assert rolled(stored.tolist(), animal="sum")["animal"] == float(exact)


@given(kinds_vectors)
def test_rolling_up_does_not_change_the_labels(vector: list[float]) -> None:
    without = rolled(vector)
    assert {name: rolled(vector, animal="sum")[name] for name in without} == without


@given(kinds_vectors, st.sampled_from(list(RollUp)))
def test_a_term_is_at_least_as_probable_as_any_term_or_label_under_it(
    vector: list[float], how: RollUp
) -> None:
    found = rolled(vector, animal=how, feline=how)
    assert found["animal"] >= found["feline"] >= max(found["tabby"], found["tiger"])


def test_a_term_is_found_by_the_terms_that_all_its_labels_share() -> None:
    policy = policy_of({"rollup": {"feline": "sum", "pot": "sum", "animal": "sum"}, "top_k": 9})
    kept = evaluator_of(policy).evaluate(np.array([0.5, 0.25, 0, 0.25])).tags
    assert {tag.label: tag.ancestors for tag in kept if tag.label in ("feline", "pot", "animal")} == {
        "feline": ("animal",),
        "animal": (),
        "pot": (),
    }


def test_thresholds_names_and_top_k_apply_to_terms_as_to_labels() -> None:
    rollup = {"feline": RollUp.SUM, "animal": RollUp.SUM, "cat": RollUp.SUM}
    policy = Policy(
        rollup=rollup, thresholds={"cat": 0.9}, hidden=("animal",), renamed={"feline": "cat family"}, top_k=2
    )
    assert rolled([0.5, 0.25, 0, 0.125], policy) == {"cat family": 0.75, "tabby": 0.5}


def test_an_unknown_term_is_named() -> None:
    with pytest.raises(UsageError, match="no label has the broader term 'fruit'"):
        evaluator_of(policy_of({"rollup": {"fruit": "sum"}}))


@given(kinds_policies, kinds_vectors)
def test_the_elements_explained_as_kept_are_those_evaluated(policy: Policy, vector: list[float]) -> None:
    evaluator = evaluator_of(policy)
    kept = [(reason.shown_as, reason.value) for reason in evaluator.explain(np.array(vector)) if reason.kept]
    evaluated = [(tag.label, tag.probability) for tag in evaluator.evaluate(np.array(vector)).tags]
    assert kept == evaluated


@given(kinds_policies, kinds_vectors)
def test_everything_is_explained_once_and_the_most_probable_first(
    policy: Policy, vector: list[float]
) -> None:
    reasons = evaluator_of(policy).explain(np.array(vector))
    assert sorted(reason.name for reason in reasons) == sorted(
        [*(row.label for row in KINDS), *policy.rollup]
    )
    values = [reason.value for reason in reasons]
    assert values == sorted(values, reverse=True)


def test_each_reason_is_given() -> None:
    policy = Policy(
        threshold=0.2,
        thresholds={"beagle": 0.9},
        hidden=("teapot",),
        renamed={"tiger": "Tiger"},
        rollup={"feline": RollUp.MAX},
        top_k=1,
    )
    reasons = evaluator_of(policy).explain(np.array([0.125, 0.5, 0.625, 0.75]))
    assert [(reason.name, reason.kept, reason.why) for reason in reasons] == [
        ("teapot", False, "hidden"),
        ("beagle", False, "below its threshold 0.9"),
        ("tiger", True, "renamed to 'Tiger'"),
        ("feline", False, "not among the 1 most probable"),
        ("tabby", False, "below the threshold 0.2"),
    ]


def test_every_score_is_explained_as_kept() -> None:
    evaluator = PolicyEvaluator(Policy(renamed={"cat": "catness"}), task="scoring", labels=LABELS[:2])
    assert evaluator.explain(np.array([2.5, 3.0])) == [
        Reason(name="dog", shown_as="dog", value=3.0, kept=True, why=""),
        Reason(name="cat", shown_as="catness", value=2.5, kept=True, why="renamed to 'catness'"),
    ]
