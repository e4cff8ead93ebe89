"""The contract of every LedgerCounts: it agrees with `ledger.state_of` for every image."""

from __future__ import annotations

from collections import Counter
from contextlib import closing

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from panopticon.interfaces import Store
from panopticon.results.ledger import Ledger, state_of
from panopticon.results.outputs import CatalogueImage, Failure, FailureState, OutputKey, VersionName
from tests.contracts.examples import QUALITY, TAGGER, TAGGER_2, failure, image, key, output, retrying

IMAGES = st.builds(
    image,
    st.sampled_from("abcd"),
    revision=st.integers(0, 2),
    event=st.sampled_from(["uploaded", "deleted"]),
)
KEYS = st.builds(
    key,
    st.sampled_from("abcdef"),
    version=st.sampled_from([TAGGER, TAGGER_2, QUALITY]),
    revision=st.integers(0, 2),
)
FAILURES = st.builds(failure, KEYS, state=st.sampled_from(FailureState))


def fold(
    images: list[CatalogueImage],
    keys: list[OutputKey],
    failures: list[Failure],
    version: VersionName,
    retired: bool,
) -> Ledger:
    """Count the images of the catalogue one by one, then those with failures only."""
    rows: dict[str, CatalogueImage] = {}
    for each in images:
        if each.image_id not in rows or each.supersedes(rows[each.image_id]):
            rows[each.image_id] = each
    failed = {each.key: each for each in sorted(failures, key=lambda each: each.state.rank)}
    waits = {each for each, its in failed.items() if its.state is FailureState.RETRYING}
    ours = sorted(each for each in failed if each.version_name == version and each not in waits)
    newest = {each.image_id: each.revision for each in ours}
    revisions = {**newest, **{image_id: row.revision for image_id, row in rows.items()}}
    counts = Counter(
        state_of(
            rows.get(image_id),
            has_output=key(image_id, version=version, revision=revision) in keys,
            failure=failed.get(key(image_id, version=version, revision=revision)),
            retired=retired,
        )
        for image_id, revision in revisions.items()
    )
    retrying = sum(
        key(image_id, version=version, revision=row.revision) in waits - set(keys)
        for image_id, row in rows.items()
        if not row.deleted and not retired
    )
    return Ledger(retrying=retrying, **{state.value: count for state, count in counts.items()})


class LedgerCountsContract:
    def fresh_store(self) -> Store:
        """Open an empty store for each example."""
        raise NotImplementedError

    @given(
        images=st.lists(IMAGES, max_size=8),
        keys=st.lists(KEYS, max_size=8),
        failures=st.lists(FAILURES, max_size=8),
        retired=st.booleans(),
    )
    @settings(
        max_examples=80,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    def test_the_counts_agree_with_the_state_of_every_image(
        self, images: list[CatalogueImage], keys: list[OutputKey], failures: list[Failure], retired: bool
    ) -> None:
        with closing(self.fresh_store()) as store:
            store.catalogue.put(images)
            store.outputs.put([output(each) for each in keys])
            store.outputs.put_failures(failures)
            assert store.counts is not None
            counted = store.counts.count(TAGGER, retired=retired)
        assert counted == fold(images, keys, failures, TAGGER, retired)

    def test_an_output_of_an_older_revision_does_not_count(self) -> None:
        with closing(self.fresh_store()) as store:
            store.catalogue.put([image(revision=2)])
            store.outputs.put([output(key(revision=1))])
            assert store.counts is not None
            assert store.counts.count(TAGGER, retired=False) == Ledger(pending=1)

    def test_an_image_on_a_retry_delay_is_pending_until_it_is_stored(self) -> None:
        with closing(self.fresh_store()) as store:
            store.catalogue.put([image("waits"), image("stored"), image("lost")])
            store.outputs.put_failures([retrying(key("waits")), retrying(key("stored"))])
            store.outputs.put([output(key("stored"))])
            assert store.counts is not None
            ledger = store.counts.count(TAGGER, retired=False)
        assert ledger == Ledger(stored=1, pending=2, retrying=1)

    def test_failures_of_one_version_are_counted_while_they_are_dead(self) -> None:
        with closing(self.fresh_store()) as store:
            put = [failure(key(f"{state}"), state=state) for state in FailureState]
            store.outputs.put_failures([*put, failure(key("a")), failure(key("b", version=QUALITY))])
            assert store.counts is not None
            assert store.counts.dead(TAGGER) == 2

    def test_an_empty_store_counts_nothing(self) -> None:
        with closing(self.fresh_store()) as store:
            assert store.counts is not None
            assert store.counts.count(TAGGER, retired=False) == Ledger()
