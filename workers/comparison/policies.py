"""Preview a policy: compare its results with those of the present one, from stored vectors of some images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from panopticon.chunks import CHUNK, chunks
from panopticon.interfaces import OutputStore
from panopticon.policy.policy import Evaluation, PolicyEvaluator
from panopticon.registry.comparison import Pair, tag_figures, values_by_name
from panopticon.results.outputs import VersionName


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedImage:
    """One image for which the two policies give different results."""

    image_id: str
    before: Evaluation
    after: Evaluation

    @property
    def pair(self) -> Pair:
        """Return the values of the tags and scores in both results."""
        return Pair(
            image_id=self.image_id, before=values_by_name(self.before), after=values_by_name(self.after)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TagChange:
    """The numbers of images that would gain, and lose, one tag or score."""

    name: str
    gained: int
    lost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The result of previewing a policy on some images."""

    images: int
    """Number of images with a stored output, which were compared."""
    changed: tuple[ChangedImage, ...]
    """The images for which anything differs, even if it is only the order of tags."""
    tags: tuple[TagChange, ...]
    """The tags and scores that change in most images first."""
    unknown: tuple[str, ...]
    """IDs of images without a stored output of the version."""


def preview(
    version: VersionName,
    *,
    before: PolicyEvaluator,
    after: PolicyEvaluator,
    image_ids: Sequence[str],
    outputs: OutputStore,
) -> Preview:
    """Compare two policies on the newest stored revision of each image. Raises: Unavailable."""
    changed, unknown = list[ChangedImage](), list[str]()
    for chunk in chunks(image_ids, CHUNK):
        # Sorted by key, the newest revision of an image comes last and replaces the older ones.
        oldest_first = sorted(outputs.get(chunk, version).values(), key=lambda output: output.key)
        newest = {output.key.image_id: output for output in oldest_first}
        unknown += [image_id for image_id in chunk if image_id not in newest]
        for image_id, output in newest.items():
            was, becomes = before.evaluate(output.vector), after.evaluate(output.vector)
            if was != becomes:
                changed.append(ChangedImage(image_id=image_id, before=was, after=becomes))
    return Preview(
        images=len(image_ids) - len(unknown),
        changed=tuple(changed),
        tags=_tag_changes(changed),
        unknown=tuple(unknown),
    )


def _tag_changes(changed: Sequence[ChangedImage]) -> tuple[TagChange, ...]:
    if not changed:
        return ()
    figures = tag_figures([one.pair for one in changed], most_tags=None)
    gained = {count.tag: count.images for count in figures.gained}
    lost = {count.tag: count.images for count in figures.lost}
    changes = [
        TagChange(name=name, gained=gained.get(name, 0), lost=lost.get(name, 0)) for name in gained | lost
    ]
    return tuple(sorted(changes, key=lambda change: (-change.gained - change.lost, change.name)))
