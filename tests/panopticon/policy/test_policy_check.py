"""The check of a policy against a version, and the line that is named for an error."""

from __future__ import annotations

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from panopticon.cards.cards import LabelRow, ModelCard
from panopticon.errors import UsageError
from panopticon.models import all_cards
from panopticon.policy.policy import Policy, policy_of
from panopticon.policy.policy_check import check_policy, line_of, read_checked

LABELS = (
    LabelRow(label="tabby", ancestors=("cat", "feline", "animal")),
    LabelRow(label="tiger", ancestors=("big cat", "feline", "animal")),
    LabelRow(label="top_k", ancestors=("number",)),
)


def checked(text: str, *, task: str = "tagging") -> Policy:
    return read_checked(text, source="house.toml", task=task, labels=LABELS)


def refused(text: str, *, task: str = "tagging") -> str:
    with pytest.raises(UsageError) as caught:
        checked(text, task=task)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_valid_policy_is_read() -> None:
    text = (
        'hidden = ["tiger"]\n[rollup]\nfeline = "sum"\n[thresholds]\nfeline = 0.5\n[renamed]\ntabby = "cat"\n'
    )
    policy = checked(text)
    assert (policy.hidden, policy.renamed, policy.thresholds) == (
        ("tiger",),
        {"tabby": "cat"},
        {"feline": 0.5},
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[thresholds]\n\ntabyb = 0.5", "line 3: unknown tag 'tabyb'; near it: 'tabby'"),
        ("thresholds.tabyb = 0.5", "line 1: unknown tag 'tabyb'; near it: 'tabby'"),
        (
            'hidden = [\n  "tabby",\n  "tigre",  # tigre\n]',
            "line 3: unknown tag 'tigre'; near it: 'tiger'",
        ),
        ('# zzz\n[renamed]\n"zzz" = "b"', "line 3: unknown tag 'zzz'; nothing is near it"),
        ('[rollup]\nanimla = "sum"', "line 2: unknown broader term 'animla'; near it: 'animal'"),
        (
            '[rollup]\ntabby = "max"',
            "line 2: 'tabby' is a label, so no broader term of that name can become a tag",
        ),
        (
            'hidden = ["feline"]',
            "line 1: 'feline' is a broader term; make it a tag first: 'feline' = \"sum\" or \"max\" under "
            "[rollup]",
        ),
        (
            '[renamed]\ntabby = "moggy"\ntiger = "moggy"',
            "line 2: renamed: two tags would be called 'moggy'",
        ),
        ('[renamed]\ntabby = "tiger"', "line 2: renamed: two tags would be called 'tiger'"),
        ("\n\ntreshold = 0.1", "line 3: unknown key 'treshold'; known: threshold, "),
        ("top_k = 3\n[policy]\ntop_k = 3", "line 2: unknown key 'policy'; known: threshold, "),
        ("top_k = 0", "line 1: top_k: Input should be greater than or equal to 1"),
        ("[thresholds]\ntop_k = 2\n", "line 2: thresholds.top_k: Input should be less than or equal to 1"),
        ("[thresholds]\ntop_k = 0.5\n[renamed]\ntop_k = 2", "line 4: renamed.top_k: Input should be a "),
        ('[renamed]\ncat = " "', "line 2: renamed.cat: it must be 1 to 255 characters, not all blank"),
        ('[renamed]\ncat = "a\\u001b[31m"', "line 2: renamed.cat: it must be 1 to 255 characters"),
        (f'[renamed]\ncat = "{"x" * 256}"', "line 2: renamed.cat: it must be 1 to 255 characters"),
        ('hidden = "cat"', "line 1: hidden: it must be a list"),
        ("top_k = 3\nthresholds = 0.5", "line 2: thresholds: it must be a table"),
        ("hidden = [\n1]", "line 1: hidden.0: Input should be a valid string"),
        ('[rollup]\nfeline = "mean"', "line 2: rollup.feline: Input should be 'sum' or 'max'"),
        ('[renamed]\ntabby = ""', "line 2: renamed.tabby: it must be 1 to 255 characters"),
        ("top_k = 3\n\ntop_k = 4\n", "line 3: Cannot overwrite a value (column 10)"),
        ("top_k = 3\nhidden = [", "line 2: Invalid value (the text ends)"),
    ],
)
def test_an_error_is_reported_with_its_line(text: str, complaint: str) -> None:
    assert refused(text).startswith(f"house.toml, {complaint}")


@pytest.mark.parametrize(
    "key", ["threshold = 0.5", "top_k = 3", 'hidden = ["tabby"]', "thresholds.tabby = 0.5"]
)
def test_a_key_without_effect_on_a_scoring_model_is_refused(key: str) -> None:
    name = key.split()[0].split(".")[0]
    assert refused(key, task="scoring").startswith(f"house.toml, line 1: {name} changes nothing")


def test_scores_may_be_renamed() -> None:
    assert checked('[renamed]\ntabby = "tabbiness"', task="scoring").renamed == {"tabby": "tabbiness"}


def test_the_name_of_a_hidden_tag_is_free() -> None:
    assert checked('hidden = ["tiger"]\n[renamed]\ntabby = "tiger"')


def test_labels_may_swap_names() -> None:
    assert checked('[renamed]\ntabby = "tiger"\ntiger = "tabby"')


@given(
    before=st.lists(st.sampled_from(["", "# nobody", 'hidden = ["tabby"]', "top_k = 3"]), unique=True),
    name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
)
def test_the_line_of_any_unknown_tag_is_found(before: list[str], name: str) -> None:
    if name in {row.label for row in LABELS}:
        return
    text = "\n".join([*before, "[thresholds]", tomli_w.dumps({name: 0.5})])
    assert line_of(text, ("thresholds", name)) == len(before) + 2


@pytest.mark.parametrize("card", all_cards(), ids=lambda card: str(card.version_name))
def test_the_policies_of_the_shipped_cards_are_valid(card: ModelCard) -> None:
    check_policy(policy_of(card.policy), task=card.task, labels=card.labels)
