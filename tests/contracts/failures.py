"""The contract of every OutputStore for failures."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from panopticon.interfaces import Store
from panopticon.results.outputs import FailureState
from tests.contracts.examples import A_DAY_MS, NOON_MS, QUALITY, TAGGER, TAGGER_2, failure, key, retrying
from tests.contracts.store import StoreAccess

TODAY = "2026-11-21"
LISTED_STATES = [state for state in FailureState if state is not FailureState.RETRYING]


class FailuresContract(StoreAccess):
    def test_a_failure_is_read_as_it_was_put(self, store: Store) -> None:
        put = failure(key(revision=3))
        store.outputs.put_failures([put])
        assert store.outputs.failures_of(["photo"]) == [put]

    def test_putting_twice_leaves_one_row(self, store: Store) -> None:
        store.outputs.put_failures([failure(key()), failure(key())])
        store.outputs.put_failures([failure(key())])
        assert self.count_rows("failures") == 1

    @pytest.mark.parametrize("order", [(1, 2), (2, 1)])
    def test_of_two_the_later_stays(self, store: Store, order: tuple[int, int]) -> None:
        for number in order:
            store.outputs.put_failures([failure(key(), reason=f"{number}", last_at_ms=NOON_MS + number)])
        assert [each.reason for each in store.outputs.failures_of(["photo"])] == ["2"]

    @pytest.mark.parametrize("order", list(permutations(FailureState)))
    def test_of_two_at_one_time_the_further_state_stays(
        self, store: Store, order: tuple[FailureState, ...]
    ) -> None:
        for state in order:
            store.outputs.put_failures([failure(key(), state=state)])
        assert [each.state for each in store.outputs.failures_of(["photo"])] == [FailureState.DISCARDED]

    def test_the_order_inside_a_batch_does_not_matter(self, store: Store) -> None:
        late = failure(key(), last_at_ms=NOON_MS + 1)
        store.outputs.put_failures([failure(key(), state=FailureState.DISCARDED), late, failure(key())])
        assert store.outputs.failures_of(["photo"]) == [late]

    def test_a_failure_whose_detail_is_not_unicode_is_stored(self, store: Store) -> None:
        store.outputs.put_failures([replace(failure(key()), detail="a\udcff.jpg")])
        assert [each.detail for each in store.outputs.failures_of(["photo"])] == ["a\\udcff.jpg"]

    def test_failures_of_returns_every_state_ordered_by_key(self, store: Store) -> None:
        keys = [key("a", version=QUALITY), key("a"), key("a", revision=1), key("b")]
        put = [failure(each, state=state) for each, state in zip(keys, FailureState, strict=True)]
        store.outputs.put_failures([*reversed(put), failure(key("c"))])
        assert store.outputs.failures_of(["b", "a", "nobody", "a"]) == put

    def test_failures_are_listed_by_time_then_key(self, store: Store) -> None:
        put = [
            failure(key("z"), last_at_ms=NOON_MS),
            failure(key("a"), last_at_ms=NOON_MS + 1),
            failure(key("b"), last_at_ms=NOON_MS + 1),
            failure(key("b", revision=1), last_at_ms=NOON_MS + 1),
        ]
        store.outputs.put_failures(list(reversed(put)))
        listed = store.outputs.failures(TAGGER, day=TODAY, state=FailureState.DEAD)
        assert list(listed) == put

    def test_failures_of_another_version_day_or_state_are_not_listed(self, store: Store) -> None:
        wanted = failure(key("wanted"))
        others = [
            failure(key("a", version=TAGGER_2)),
            failure(key("b", version=QUALITY)),
            failure(key("c"), last_at_ms=NOON_MS - A_DAY_MS),
            failure(key("d"), state=FailureState.DISCARDED),
        ]
        store.outputs.put_failures([*others, wanted])
        assert list(store.outputs.failures(TAGGER, day=TODAY, state=FailureState.DEAD)) == [wanted]

    @pytest.mark.parametrize(("offset_ms", "listed"), [(-1, 0), (0, 1), (A_DAY_MS - 1, 1), (A_DAY_MS, 0)])
    def test_a_day_begins_and_ends_at_midnight_utc(self, store: Store, offset_ms: int, listed: int) -> None:
        midnight_ms = NOON_MS - A_DAY_MS // 2
        store.outputs.put_failures([failure(key(), last_at_ms=midnight_ms + offset_ms)])
        assert len(list(store.outputs.failures(TAGGER, day=TODAY, state=FailureState.DEAD))) == listed

    def test_a_list_longer_than_a_page_is_complete(self, store: Store) -> None:
        put = [failure(key(f"{number // 7:05}", revision=number % 7)) for number in range(1_234)]
        store.outputs.put_failures(put)
        listed = list(store.outputs.failures(TAGGER, day=TODAY, state=FailureState.DEAD))
        assert listed == put

    def test_others_can_write_while_failures_are_listed(self, store: Store) -> None:
        store.outputs.put_failures([failure(key(f"{number}")) for number in range(3)])
        listing = store.outputs.failures(TAGGER, day=TODAY, state=FailureState.DEAD)
        next(listing)
        other = self.open_store()
        other.outputs.put_failures([failure(key("more"))])
        other.close()
        assert self.count_rows("failures") == 4

    def test_a_failure_that_happens_again_on_another_day_moves_there(self, store: Store) -> None:
        store.outputs.put_failures([failure(key(), last_at_ms=NOON_MS - A_DAY_MS)])
        store.outputs.put_failures([failure(key())])
        assert store.outputs.failure_days(TAGGER) == [TODAY]

    def test_failure_days_are_returned_newest_first(self, store: Store) -> None:
        put = [
            failure(key(f"{day}"), last_at_ms=NOON_MS - day * A_DAY_MS, state=state)
            for day, state in enumerate(LISTED_STATES)
        ]
        store.outputs.put_failures([*put, failure(key("x", version=QUALITY), last_at_ms=0)])
        assert store.outputs.failure_days(TAGGER) == ["2026-11-21", "2026-11-20", "2026-11-19"]

    def test_a_version_without_failures_has_no_days(self, store: Store) -> None:
        assert store.outputs.failure_days(TAGGER) == []

    def test_discarded_failures_are_kept_as_discarded(self, store: Store) -> None:
        store.outputs.put_failures([failure(key("a")), failure(key("b"))])
        store.outputs.discard_failures([key("a"), key("nobody")])
        states = {each.key.image_id: each.state for each in store.outputs.failures_of(["a", "b", "nobody"])}
        assert states == {"a": FailureState.DISCARDED, "b": FailureState.DEAD}

    def test_a_replayed_failure_that_happens_again_is_dead(self, store: Store) -> None:
        store.outputs.put_failures([failure(key(), state=FailureState.REPLAYED)])
        store.outputs.put_failures([failure(key(), last_at_ms=NOON_MS + 1)])
        assert [each.state for each in store.outputs.failures_of(["photo"])] == [FailureState.DEAD]

    def test_the_record_of_a_retry_delay_is_read_as_it_was_put(self, store: Store) -> None:
        put = retrying(key(revision=3))
        store.outputs.put_failures([put])
        assert store.outputs.failures_of(["photo"]) == [put]

    def test_the_record_of_a_retry_delay_is_in_no_list_of_a_day(self, store: Store) -> None:
        store.outputs.put_failures([retrying(key())])
        assert store.outputs.failure_days(TAGGER) == []
        listed = [store.outputs.failures(TAGGER, day=TODAY, state=state) for state in FailureState]
        assert [failure for failures in listed for failure in failures] == []

    def test_the_record_of_a_retry_delay_takes_the_place_of_an_earlier_failure(self, store: Store) -> None:
        store.outputs.put_failures([failure(key(), state=FailureState.REPLAYED)])
        waits = retrying(key(), last_at_ms=NOON_MS + 1)
        store.outputs.put_failures([waits])
        assert store.outputs.failures_of(["photo"]) == [waits]
        assert list(store.outputs.failures(TAGGER, day=TODAY, state=FailureState.REPLAYED)) == []
        assert store.outputs.failure_days(TAGGER) == []

    @pytest.mark.parametrize("later_ms", [0, 1])
    def test_a_death_takes_the_place_of_the_record_of_a_retry_delay(
        self, store: Store, later_ms: int
    ) -> None:
        died = failure(key(), last_at_ms=NOON_MS + later_ms)
        store.outputs.put_failures([retrying(key())])
        store.outputs.put_failures([died])
        store.outputs.put_failures([retrying(key())])
        assert store.outputs.failures_of(["photo"]) == [died]
        assert list(store.outputs.failures(TAGGER, day=TODAY, state=FailureState.DEAD)) == [died]

    def test_of_two_records_of_retry_delays_the_later_stays(self, store: Store) -> None:
        records = [retrying(key(), last_at_ms=NOON_MS + number) for number in (2, 1)]
        for record in records:
            store.outputs.put_failures([record])
        assert store.outputs.failures_of(["photo"]) == [records[0]]

    def test_the_record_of_a_retry_delay_cannot_be_discarded(self, store: Store) -> None:
        store.outputs.put_failures([retrying(key())])
        store.outputs.discard_failures([key()])
        assert store.outputs.failures_of(["photo"]) == [retrying(key())]

    def test_a_failure_that_moved_to_another_day_is_listed_once(self, store: Store) -> None:
        store.outputs.put_failures([failure(key(), last_at_ms=NOON_MS - A_DAY_MS), failure(key())])
        days = ["2026-11-20", TODAY]
        listed = [list(store.outputs.failures(TAGGER, day=day, state=FailureState.DEAD)) for day in days]
        assert listed == [[], [failure(key())]]

    def test_a_failure_that_happens_twice_a_day_is_listed_once(self, store: Store) -> None:
        died_again = failure(key(), last_at_ms=NOON_MS + 1)
        store.outputs.put_failures([failure(key()), died_again])
        assert list(store.outputs.failures(TAGGER, day=TODAY, state=FailureState.DEAD)) == [died_again]

    def test_a_discarded_failure_is_listed_as_discarded_only(self, store: Store) -> None:
        store.outputs.put_failures([failure(key())])
        store.outputs.discard_failures([key()])
        listed = {
            state: len(list(store.outputs.failures(TAGGER, day=TODAY, state=state))) for state in FailureState
        }
        assert {state: count for state, count in listed.items() if count} == {FailureState.DISCARDED: 1}

    def test_erasing_an_image_removes_its_failures_of_every_version_and_state(self, store: Store) -> None:
        keys = [key(), key(version=TAGGER_2), key(version=QUALITY, revision=3), key(revision=1)]
        put = [failure(each, state=state) for each, state in zip(keys, FailureState, strict=True)]
        store.outputs.put_failures(put)
        store.outputs.erase(["photo", "nobody"])
        assert store.outputs.failures_of(["photo"]) == []
        assert self.count_rows("failures") == 0

    def test_erasing_an_image_takes_its_failures_off_the_lists(self, store: Store) -> None:
        store.outputs.put_failures([failure(key()), failure(key("another"))])
        store.outputs.erase(["photo"])
        listed = list(store.outputs.failures(TAGGER, day=TODAY, state=FailureState.DEAD))
        assert listed == [failure(key("another"))]

    def test_a_day_whose_failures_were_all_erased_is_not_returned(self, store: Store) -> None:
        store.outputs.put_failures([failure(key())])
        store.outputs.erase(["photo"])
        assert store.outputs.failure_days(TAGGER) == []
