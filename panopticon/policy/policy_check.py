"""Check a policy against a model version, and find the line of its text that is wrong."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from panopticon.cards.cards import LabelRow
from panopticon.errors import UsageError
from panopticon.policy.policy import Policy, PolicyError, read_policy

_WORD = re.compile(
    r"""
    \#[^\n]*                      # a comment
    | \"{3} (?:\\.|[^\\])*? \"{3}
    | '{3} .*? '{3}
    | " (?:\\.|[^"\\\n])* "
    | ' [^'\n]* '
    | [A-Za-z0-9_-]+              # a bare key
    """,
    re.DOTALL | re.VERBOSE,
)
_MARK = "\ue000"
"""Replaces a word of the text, to find out where that word is in the parsed TOML."""

_AT = re.compile(r" \(at line (\d+), column (\d+)\)$")
_AT_END = " (at end of document)"


def read_checked(text: str, *, source: str, task: str, labels: Sequence[LabelRow]) -> Policy:
    """Read the policy in a text, and check it for a version with this task and these labels.

    Raises: UsageError naming `source`, the line, and the names that may have been meant.
    """
    try:
        policy = read_policy(text)
        check_policy(policy, task=task, labels=labels)
    except PolicyError as error:
        line, what = _line_and_what(text, error)
        raise UsageError(f"{source}, line {line}: {what}" if line else f"{source}: {what}") from None
    return policy


def check_policy(policy: Policy, *, task: str, labels: Sequence[LabelRow]) -> None:
    """Raise PolicyError for the first name that the version does not know, and for a key without effect."""
    names = [row.label for row in labels]
    terms = {term for row in labels for term in row.ancestors}
    _check_rollup(policy, names, terms)
    tags = [*names, *policy.rollup]
    for key, named in (
        ("thresholds", policy.thresholds),
        ("hidden", policy.hidden),
        ("renamed", policy.renamed),
    ):
        for name in named:
            _check_tag(name, key, tags, terms)
    if task == "scoring":
        _check_scoring(policy)
    _check_renamed(policy, tags)


def line_of(text: str, path: Sequence[str]) -> int | None:
    """Return the line, from 1, of the key at this path, or of the item of a list; None if there is none.

    `text` is TOML.
    """
    for word in _WORD.finditer(text):
        if _unquoted(word[0]) != path[-1]:
            continue
        # The same word may stand in several places: this is the right one if replacing it changes the path.
        changed = f'{text[: word.start()]}"{_MARK}"{text[word.end() :]}'
        if _MARK in _container(changed, path[:-1]):
            return text.count("\n", 0, word.start()) + 1
    return None


def _line_and_what(text: str, error: PolicyError) -> tuple[int | None, str]:
    if error.path:
        return line_of(text, error.path), error.what
    if place := _AT.search(error.what):
        return int(place[1]), f"{error.what[: place.start()]} (column {place[2]})"
    if error.what.endswith(_AT_END):
        return max(len(text.splitlines()), 1), error.what.removesuffix(_AT_END) + " (the text ends)"
    return None, error.what


def _unquoted(word: str) -> str | None:
    """Return the value of a key or a string; None for a comment."""
    if word.startswith("#"):
        return None
    if not word.startswith(('"', "'")):
        return word
    value: str = tomllib.loads(f"word = {word}")["word"]
    return value


def _container(text: str, path: Sequence[str]) -> Collection[Any]:
    """Return the table or list at this path; an empty one if there is none, or the text is not TOML."""
    try:
        found: Any = tomllib.loads(text)
        for key in path:
            found = found[key]
    except (ValueError, KeyError, TypeError):
        return ()
    return found if isinstance(found, dict | list) else ()


def _check_rollup(policy: Policy, names: Collection[str], terms: Collection[str]) -> None:
    for term in policy.rollup:
        path = ("rollup", term)
        if term in names:
            raise PolicyError(
                f"{term!r} is a label, so no broader term of that name can become a tag", path=path
            )
        if term not in terms:
            raise PolicyError(f"unknown broader term {term!r}{_near(term, terms)}", path=path)


def _check_tag(name: str, key: str, tags: Collection[str], terms: Collection[str]) -> None:
    if name in tags:
        return
    if name in terms:
        way_out = f'make it a tag first: {name!r} = "sum" or "max" under [rollup]'
        raise PolicyError(f"{name!r} is a broader term; {way_out}", path=(key, name))
    raise PolicyError(f"unknown tag {name!r}{_near(name, tags)}", path=(key, name))


def _check_scoring(policy: Policy) -> None:
    """Raise PolicyError for every key but `renamed`, because a scoring model shows all its scores."""
    idle = next((key for key in Policy.model_fields if key in policy.model_fields_set - {"renamed"}), None)
    if idle is not None:
        raise PolicyError(
            f"{idle} changes nothing: every score of a scoring model is shown; use only renamed",
            path=(idle,),
        )


def _check_renamed(policy: Policy, tags: Sequence[str]) -> None:
    shown = Counter(policy.renamed.get(name, name) for name in tags if name not in policy.hidden)
    for name, called in policy.renamed.items():
        if shown[called] > 1 and name not in policy.hidden:
            raise PolicyError(f"renamed: two tags would be called {called!r}", path=("renamed", name))


def _near(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=3)
    return f"; near it: {', '.join(map(repr, near))}" if near else "; nothing is near it"
