"""What another policy would change, told from stored vectors of some images; nothing is changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from panopticon.chunks import CHUNK, chunks
from panopticon.interfaces import OutputStore
from panopticon.policy.policy import Evaluation, PolicyEvaluator
from panopticon.results.outputs import Output, VersionName


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One image by either policy."""

    image_id: str
    before: Evaluation
    after: Evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class TagChange:
    """In how many images a tag or a score comes or goes."""

    name: str
    gained: int
    lost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """Of the images that were looked at."""

    images: int
    changed: tuple[Comparison, ...]
    """Those of which anything changes, be it the order of tags."""
    tags: tuple[TagChange, ...]
    """Those that change most often first."""
    unknown: tuple[str, ...]
    """No output of this version is stored of these, which are not counted."""


def preview(
    version: VersionName,
    *,
    before: PolicyEvaluator,
    after: PolicyEvaluator,
    image_ids: Sequence[str],
    outputs: OutputStore,
) -> Preview:
    """The newest stored revision of each image is looked at."""
    changed, unknown = list[Comparison](), list[str]()
    for chunk in chunks(image_ids, CHUNK):
        newest = _newest(outputs.get(chunk, version).values())
        unknown += [image_id for image_id in chunk if image_id not in newest]
        for image_id, output in newest.items():
            said = {"before": before.evaluate(output.vector), "after": after.evaluate(output.vector)}
            if said["before"] != said["after"]:
                changed.append(Comparison(image_id=image_id, **said))
    return Preview(
        images=len(image_ids) - len(unknown),
        changed=tuple(changed),
        tags=_tag_changes(changed),
        unknown=tuple(unknown),
    )


def _newest(outputs: Iterable[Output]) -> dict[str, Output]:
    oldest_first = sorted(outputs, key=lambda output: output.key)
    return {output.key.image_id: output for output in oldest_first}


def _tag_changes(changed: Sequence[Comparison]) -> tuple[TagChange, ...]:
    gained = Counter(name for one in changed for name in _names(one.after) - _names(one.before))
    lost = Counter(name for one in changed for name in _names(one.before) - _names(one.after))
    names = sorted(gained | lost, key=lambda name: (-gained[name] - lost[name], name))
    return tuple(TagChange(name=name, gained=gained[name], lost=lost[name]) for name in names)


def _names(evaluation: Evaluation) -> set[str]:
    return {tag.label for tag in evaluation.tags} | set(evaluation.scores)
