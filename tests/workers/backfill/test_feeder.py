"""The feeder sends the images that are missing an output, moves the record, and obeys it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence

import pytest

from panopticon.errors import UsageError
from panopticon.messages import Lane, decode_image_message
from panopticon.results.backfills import Backfill, BackfillState
from panopticon.results.outputs import FailureState
from tests.contracts.examples import (
    NOON_MS,
    QUALITY,
    TAGGER,
    deletion,
    failure,
    image,
    key,
    output,
    part,
    result,
)
from tests.house import House
from workers.backfill.feeder import Context, Feeder, FromSearch, Ids, Listed
from workers.backfill.records import BackfillRequest, change_state, known_backfill, take_up

NAME = "tagger@1-5f5f5f5f"
"""Name of the backfill of any list here, unless a test gives the list another digest."""
Report = Callable[[Backfill, str], None]


@pytest.fixture
def house(house: House) -> House:
    house.register(TAGGER)
    return house


def photos(house: House, count: int) -> list[str]:
    """Add images to the catalogue, and return their IDs in order."""
    ids = [f"photo-{number:05}" for number in range(count)]
    house.plant(*ids)
    return ids


def begin(house: House, ids: Sequence[str], *, owner: str = "process 1", sha256: str = "5f" * 32) -> Backfill:
    """Begin the backfill of a list, or take it over from another process."""
    wanted = BackfillRequest(
        version=TAGGER, source="ids", ids_sha256=sha256, total=len(ids), by="me", owner=owner
    )
    return take_up(wanted, house.real.store.backfills, now_ms=house.now_ms())


def feeder(
    house: House,
    ids: Sequence[str],
    *,
    waiting: int = 1000,
    owner: str = "process 1",
    report: Report = lambda record, reason: None,
) -> Feeder:
    record = begin(house, ids, owner=owner)
    return feeder_of(house, record, Listed(lambda cursor: iter(ids[cursor:])), waiting=waiting, report=report)


def feeder_of(
    house: House,
    record: Backfill,
    ids: Ids,
    *,
    waiting: int = 1000,
    report: Report = lambda record, reason: None,
) -> Feeder:
    return Feeder(
        record,
        ids,
        store=house.store,
        broker=house.broker,
        settings=house.settings.model_copy(update={"backfill_waiting": waiting}),
        context=Context(now_ms=house.now_ms, sleep=house.clock.sleep, report=report),
    )


def taken(house: House, count: int = 1000) -> list[str]:
    """Take and finish messages as a worker does, and return their IDs."""
    deliveries = house.take(house.real.broker.model_queue(TAGGER), count=count)
    ids = [decode_image_message(delivery.body).image_id for delivery in deliveries]
    house.real.store.outputs.put([output(key(image_id)) for image_id in ids])
    return ids


def lane(house: House) -> int:
    """Return the number of messages that wait in the backfill lane."""
    return house.real.broker.model_queue(TAGGER).depth()[Lane.BACKFILL].ready


def set_state(house: House, state: BackfillState) -> None:
    change_state(NAME, state, house.real.store.backfills, now_ms=NOON_MS)


def counts(record: Backfill) -> tuple[int, int, int, int]:
    return record.submitted, record.stored, record.skipped, record.unknown


def test_missing_images_are_sent_and_the_others_are_counted(house: House) -> None:
    catalogue = ("dead", "discarded", "replayed", "lacking", "stored")
    house.plant(*catalogue)
    house.real.store.catalogue.put([image("deleted", event="deleted")])
    house.real.store.outputs.put([output(key("stored"))])
    for state in FailureState:
        house.real.store.outputs.put_failures([failure(key(state.value), state=state)])
    feeding = feeder(house, [*catalogue, "deleted", "nobody"])
    record = feeding.feed()
    assert (record.state, record.cursor, counts(record)) == (BackfillState.DONE, 7, (2, 1, 3, 1))
    assert taken(house) == ["replayed", "lacking"]
    assert feeding.unknown == ["nobody"]


def test_missing_means_at_the_revision_of_the_catalogue_and_in_this_version(house: House) -> None:
    house.register(QUALITY)
    house.plant("changed", outputs={TAGGER: {}}, failures=[TAGGER])
    house.plant("changed", revision=1)
    house.plant("other", outputs={QUALITY: {}})
    assert counts(feeder(house, ["changed", "other"]).feed()) == (2, 0, 0, 0)


def test_a_message_has_the_revision_and_uri_of_the_catalogue(house: House) -> None:
    house.plant("a", revision=3)
    feeder(house, ["a"]).feed()
    (delivery,) = house.take(house.broker.model_queue(TAGGER))
    message = decode_image_message(delivery.body)
    assert (message.revision, message.image_uri) == (3, "file:///photos/a")
    assert delivery.lane is Lane.BACKFILL


def test_only_the_requested_version_gets_messages(house: House) -> None:
    house.register(QUALITY)
    feeder(house, photos(house, 3)).feed()
    assert house.broker.model_queue(QUALITY).depth()[Lane.BACKFILL].total == 0


def test_the_lane_never_exceeds_its_limit(house: House) -> None:
    ids, seen, done = photos(house, 200), [], []

    def work() -> None:
        seen.append(lane(house))
        done.extend(taken(house, 7))

    house.clock.on_sleep = work
    feeder(house, ids, waiting=20).feed()
    assert max(seen) == 20
    assert [*done, *taken(house)] == ids


def test_messages_that_wait_for_a_retry_do_not_stop_the_backfill(house: House) -> None:
    feeder(house, photos(house, 10), waiting=10).feed()
    queue = house.broker.model_queue(TAGGER)
    for delivery in queue.receive(max_live=0, max_backfill=10, wait_s=0):
        queue.retry(delivery, delay_s=3600)
    house.plant("z")
    record = begin(house, ["z"], sha256="a" * 64)
    assert feeder_of(house, record, Listed(lambda _: iter(["z"])), waiting=10).feed().submitted == 1


def test_killed_between_sending_and_writing_it_repeats_one_chunk_and_misses_none(house: House) -> None:
    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    ids = photos(house, 30)
    house.journal.before["backfills.swap"] = die
    with pytest.raises(Killed):
        feeder(house, ids, waiting=20).feed()
    sent: list[str] = []
    house.clock.on_sleep = lambda: sent.extend(taken(house, 10))
    assert feeder(house, ids, waiting=20, owner="process 2").feed().state is BackfillState.DONE
    assert [*sent, *taken(house)] == [*ids[:10], *ids]


def test_another_process_continues_after_the_cursor(house: House) -> None:
    ids = photos(house, 6)
    record = begin(house, ids)
    house.real.store.backfills.swap(
        record, record.changed(at_ms=NOON_MS, cursor=4, after=ids[3], submitted=4)
    )
    ended = feeder(house, ids, owner="process 2").feed()
    assert (taken(house), ended.cursor, ended.submitted) == (ids[4:], 6, 6)


def test_a_paused_backfill_sends_nothing_until_it_is_resumed(house: House) -> None:
    reports: list[tuple[int, str]] = []
    paused = feeder(
        house, photos(house, 3), report=lambda record, reason: reports.append((record.cursor, reason))
    )
    set_state(house, BackfillState.PAUSED)
    lanes: list[int] = []

    def look() -> None:
        lanes.append(lane(house))
        if len(lanes) == 5:
            set_state(house, BackfillState.RUNNING)

    house.clock.on_sleep = look
    assert paused.feed().state is BackfillState.DONE
    assert (lanes, lane(house)) == ([0] * 5, 3)
    assert reports[0] == (0, "paused; panopticon backfill resume tagger@1-5f5f5f5f")
    assert house.now_ms() == NOON_MS + 5000


def test_a_cancelled_backfill_ends_at_once(house: House) -> None:
    house.clock.on_sleep = lambda: set_state(house, BackfillState.CANCELLED)
    ended = feeder(house, photos(house, 40), waiting=10).feed()
    assert (ended.state, ended.cursor, lane(house)) == (BackfillState.CANCELLED, 10, 10)


def test_a_backfill_that_is_taken_over_stops_and_leaves_the_record_alone(house: House) -> None:
    ids = photos(house, 40)
    house.clock.on_sleep = lambda: begin(house, ids, owner="process 2")
    ended = feeder(house, ids, waiting=10).feed()
    assert (ended.owner, ended.state, lane(house)) == ("process 2", BackfillState.RUNNING, 10)
    assert house.real.store.backfills.read(ended.name) == ended


def test_a_pause_while_a_chunk_is_sent_is_kept_and_the_chunk_counted(house: House) -> None:
    feeding = feeder(house, photos(house, 10), waiting=4)
    house.journal.before["backfills.swap"] = lambda: set_state(house, BackfillState.PAUSED)
    house.clock.on_sleep = lambda: set_state(house, BackfillState.CANCELLED)
    ended = feeding.feed()
    assert (ended.cursor, ended.submitted, lane(house)) == (2, 2, 2)


def test_a_cancellation_while_the_end_is_written_is_kept(house: House) -> None:
    def cancel_before_the_next_swap(*_: object) -> None:
        house.journal.before["backfills.swap"] = lambda: set_state(house, BackfillState.CANCELLED)

    feeding = feeder(house, photos(house, 3), report=cancel_before_the_next_swap)
    assert feeding.feed().state is BackfillState.CANCELLED


def test_a_backfill_that_is_taken_over_while_a_chunk_is_sent_counts_nothing(house: House) -> None:
    ids = photos(house, 10)
    feeding = feeder(house, ids, waiting=4)
    house.journal.before["backfills.swap"] = lambda: begin(house, ids, owner="process 2")
    ended = feeding.feed()
    assert (ended.owner, ended.cursor) == ("process 2", 0)
    assert house.real.store.backfills.read(ended.name) == ended


def test_the_heartbeat_is_written_every_few_seconds(house: House) -> None:
    ages: list[int] = []

    def look() -> None:
        record = known_backfill(NAME, house.real.store.backfills)
        ages.append(house.now_ms() - record.heartbeat_at_ms)
        if house.now_ms() > NOON_MS + 60_000:
            taken(house)

    house.clock.on_sleep = look
    feeder(house, photos(house, 20), waiting=10).feed()
    assert 9_000 <= max(ages) <= 11_000


def test_a_component_that_is_down_is_retried_and_no_image_is_missed(house: House) -> None:
    ids, done, reports = photos(house, 10), [], []

    def work() -> None:
        done.extend(taken(house))
        house.journal.down ^= {"catalogue"}

    house.journal.down = {"catalogue"}
    house.clock.on_sleep = work
    feeding = feeder(
        house, ids, waiting=4, report=lambda record, reason: reports.append((record.cursor, reason))
    )
    assert feeding.feed().state is BackfillState.DONE
    assert sorted([*done, *taken(house)]) == ids
    assert (0, "catalogue unavailable: as the test demands") in reports


def test_a_version_that_is_retired_meanwhile_gets_no_more_messages(house: House) -> None:
    def retire() -> None:
        house.retire(TAGGER)
        taken(house)

    house.clock.on_sleep = retire
    with pytest.raises(UsageError, match="tagger@1 is retired and takes no images any more"):
        feeder(house, photos(house, 20), waiting=10).feed()
    assert lane(house) == 0


def test_ids_are_drawn_from_search_page_by_page_and_tombstones_are_left_out(house: House) -> None:
    ids = photos(house, 25)
    house.real.search.apply([result(image_id, part(), name="quality_1") for image_id in ids])
    house.real.search.apply([deletion("photo-00003")])
    house.clock.on_sleep = lambda: taken(house, 4)
    record = begin(house, ids, sha256="")
    ended = feeder_of(house, record, FromSearch(house.search), waiting=8).feed()
    taken(house)
    assert (ended.cursor, ended.after, ended.name) == (24, "photo-00024", "tagger@1-search")
    stored = {k.image_id for k in house.real.store.outputs.get(ids, TAGGER)}
    assert stored == set(ids) - {"photo-00003"}


def test_memory_does_not_grow_with_the_number_of_unknown_ids(house: House) -> None:
    def peak_bytes(count: int) -> int:
        ids = (f"nobody-{number:06}" for number in range(count))
        record = begin(house, [], sha256=f"{count:064}"[::-1])
        tracemalloc.start()
        ended = feeder_of(house, record, Listed(lambda _: ids)).feed()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert ended.unknown == count
        return peak

    peak_bytes(1_000)
    assert peak_bytes(50_000) < 1.5 * peak_bytes(10_000)
