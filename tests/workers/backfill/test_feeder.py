"""The feeder sends the images that are missing an output, moves the record, and obeys it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from panopticon.errors import Unavailable, UsageError
from panopticon.interfaces import Broker, Store
from panopticon.messages import Lane, decode_image_message
from panopticon.models import find_card
from panopticon.registry.records import VersionState
from panopticon.results.backfills import Backfill, BackfillState
from panopticon.results.outputs import FailureState
from panopticon.settings import Settings
from storage.search import open_search
from storage.stores import open_store
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
from workers.backfill.feeder import Context, Feeder, FromSearch, Ids, Listed
from workers.backfill.records import BackfillRequest, change_state, known_backfill, take_up
from workers.queues import open_broker
from workers.registry.register import ensure_registered


@dataclass(kw_only=True)
class Bench:
    """Store and broker, and a clock that moves only when the feeder sleeps."""

    url: str
    store: Store
    broker: Broker
    now_ms: int = NOON_MS
    reports: list[tuple[int, str]] = field(default_factory=list)
    """Cursor, and why nothing was sent."""
    meanwhile: Callable[[], object] = lambda: None
    """Called while the feeder sleeps."""

    def take_up(self, ids: Sequence[str], *, owner: str = "process 1", sha256: str = "5f" * 32) -> Backfill:
        wanted = BackfillRequest(
            version=TAGGER, source="ids", ids_sha256=sha256, total=len(ids), by="me", owner=owner
        )
        return take_up(wanted, self.store.backfills, now_ms=self.now_ms)

    def feeder(self, ids: Sequence[str], *, waiting: int = 1000, owner: str = "process 1") -> Feeder:
        record = self.take_up(ids, owner=owner)
        return self.feeder_of(record, Listed(lambda cursor: iter(ids[cursor:])), waiting=waiting)

    def feeder_of(self, record: Backfill, ids: Ids, *, waiting: int = 1000) -> Feeder:
        return Feeder(
            record,
            ids,
            store=self.store,
            broker=self.broker,
            settings=Settings(database=self.url, backfill_waiting=waiting),
            context=Context(now_ms=lambda: self.now_ms, sleep=self._sleep, report=self._report),
        )

    def feed(self, ids: Sequence[str], *, waiting: int = 1000) -> Backfill:
        return self.feeder(ids, waiting=waiting).feed()

    def taken(self, count: int = 1000) -> list[str]:
        """Take and finish messages as a worker does, and return their IDs."""
        queue = self.broker.model_queue(TAGGER)
        deliveries = queue.receive(max_live=0, max_backfill=count, wait_s=0)
        queue.ack(deliveries)
        ids = [decode_image_message(delivery.body).image_id for delivery in deliveries]
        self.store.outputs.put([output(key(image_id)) for image_id in ids])
        return ids

    @property
    def lane(self) -> int:
        return self.broker.model_queue(TAGGER).depth()[Lane.BACKFILL].ready

    def _sleep(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)
        self.meanwhile()

    def _report(self, record: Backfill, waits: str) -> None:
        self.reports.append((record.cursor, waits))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    url = f"sqlite:///{tmp_path / 'house.db'}"
    with closing(open_store(url)) as store, closing(open_broker(url)) as broker:
        ensure_registered(
            find_card(TAGGER), store.registry, broker.topology, archive=store.archive, by="test"
        )
        yield Bench(url=url, store=store, broker=broker)


def photos(bench: Bench, count: int) -> list[str]:
    """Add images to the catalogue, and return their IDs in order."""
    ids = [f"photo-{number:05}" for number in range(count)]
    bench.store.catalogue.put([image(image_id) for image_id in ids])
    return ids


def counts(record: Backfill) -> tuple[int, int, int, int]:
    return record.submitted, record.stored, record.skipped, record.unknown


def test_missing_images_are_sent_and_the_others_are_counted(bench: Bench) -> None:
    catalogue = ("dead", "discarded", "replayed", "lacking", "stored")
    bench.store.catalogue.put([*map(image, catalogue), image("deleted", event="deleted")])
    bench.store.outputs.put([output(key("stored"))])
    for state in FailureState:
        bench.store.outputs.put_failures([failure(key(state.value), state=state)])
    feeder = bench.feeder([*catalogue, "deleted", "nobody"])
    record = feeder.feed()
    assert (record.state, record.cursor, counts(record)) == (BackfillState.DONE, 7, (2, 1, 3, 1))
    assert bench.taken() == ["replayed", "lacking"]
    assert feeder.unknown == ["nobody"]


def test_missing_means_at_the_revision_of_the_catalogue_and_in_this_version(bench: Bench) -> None:
    bench.store.catalogue.put([image("changed", revision=1), image("other")])
    bench.store.outputs.put([output(key("changed")), output(key("other", version=QUALITY))])
    bench.store.outputs.put_failures([failure(key("changed"))])
    assert counts(bench.feed(["changed", "other"])) == (2, 0, 0, 0)


def test_a_message_has_the_revision_and_uri_of_the_catalogue(bench: Bench) -> None:
    bench.store.catalogue.put([image("a", revision=3)])
    bench.feed(["a"])
    (delivery,) = bench.broker.model_queue(TAGGER).receive(max_live=1, max_backfill=1, wait_s=0)
    message = decode_image_message(delivery.body)
    assert (message.revision, message.image_uri) == (3, "file:///photos/a")
    assert delivery.lane is Lane.BACKFILL


def test_only_the_requested_version_gets_messages(bench: Bench) -> None:
    ensure_registered(
        find_card(QUALITY),
        bench.store.registry,
        bench.broker.topology,
        archive=bench.store.archive,
        by="test",
    )
    bench.feed(photos(bench, 3))
    assert bench.broker.model_queue(QUALITY).depth()[Lane.BACKFILL].total == 0


def test_the_lane_never_exceeds_its_limit(bench: Bench) -> None:
    ids, seen, done = photos(bench, 200), [], []

    def work() -> None:
        seen.append(bench.lane)
        done.extend(bench.taken(7))

    bench.meanwhile = work
    bench.feed(ids, waiting=20)
    assert max(seen) == 20
    assert [*done, *bench.taken()] == ids


def test_messages_that_wait_for_a_retry_do_not_stop_the_backfill(bench: Bench) -> None:
    bench.feed(photos(bench, 10), waiting=10)
    queue = bench.broker.model_queue(TAGGER)
    for delivery in queue.receive(max_live=0, max_backfill=10, wait_s=0):
        queue.retry(delivery, delay_s=3600)
    bench.store.catalogue.put([image("z")])
    record = bench.take_up(["z"], sha256="a" * 64)
    assert bench.feeder_of(record, Listed(lambda _: iter(["z"])), waiting=10).feed().submitted == 1


def test_killed_between_sending_and_writing_it_repeats_one_chunk_and_misses_none(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> bool:
        raise Killed

    ids = photos(bench, 30)
    feeder = bench.feeder(ids, waiting=20)
    monkeypatch.setattr(type(bench.store.backfills), "swap", die)
    with pytest.raises(Killed):
        feeder.feed()
    monkeypatch.undo()
    sent: list[str] = []
    bench.meanwhile = lambda: sent.extend(bench.taken(10))
    assert bench.feeder(ids, waiting=20, owner="process 2").feed().state is BackfillState.DONE
    assert [*sent, *bench.taken()] == [*ids[:10], *ids]


def test_another_process_continues_after_the_cursor(bench: Bench) -> None:
    ids = photos(bench, 6)
    record = bench.take_up(ids)
    bench.store.backfills.swap(record, record.changed(at_ms=NOON_MS, cursor=4, after=ids[3], submitted=4))
    ended = bench.feeder(ids, owner="process 2").feed()
    assert (bench.taken(), ended.cursor, ended.submitted) == (ids[4:], 6, 6)


def test_a_paused_backfill_sends_nothing_until_it_is_resumed(bench: Bench) -> None:
    feeder = bench.feeder(photos(bench, 3))
    change_state("tagger@1-5f5f5f5f", BackfillState.PAUSED, bench.store.backfills, now_ms=NOON_MS)
    lanes: list[int] = []

    def look() -> None:
        lanes.append(bench.lane)
        if len(lanes) == 5:
            change_state("tagger@1-5f5f5f5f", BackfillState.RUNNING, bench.store.backfills, now_ms=NOON_MS)

    bench.meanwhile = look
    assert feeder.feed().state is BackfillState.DONE
    assert (lanes, bench.lane) == ([0] * 5, 3)
    assert bench.reports[0] == (0, "paused; panopticon backfill resume tagger@1-5f5f5f5f")
    assert bench.now_ms == NOON_MS + 5000


def test_a_cancelled_backfill_ends_at_once(bench: Bench) -> None:
    feeder = bench.feeder(photos(bench, 40), waiting=10)
    bench.meanwhile = lambda: change_state(
        "tagger@1-5f5f5f5f", BackfillState.CANCELLED, bench.store.backfills, now_ms=NOON_MS
    )
    ended = feeder.feed()
    assert (ended.state, ended.cursor, bench.lane) == (BackfillState.CANCELLED, 10, 10)


def test_a_backfill_that_is_taken_over_stops_and_leaves_the_record_alone(bench: Bench) -> None:
    ids = photos(bench, 40)
    feeder = bench.feeder(ids, waiting=10)
    bench.meanwhile = lambda: bench.take_up(ids, owner="process 2")
    ended = feeder.feed()
    assert (ended.owner, ended.state, bench.lane) == ("process 2", BackfillState.RUNNING, 10)
    assert bench.store.backfills.read(ended.name) == ended


Between = Callable[[Callable[[], object], BackfillState], None]


@pytest.fixture
def between(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Between:
    """Call a function between reading the record and writing one in the given state."""

    def plant(act: Callable[[], object], state: BackfillState) -> None:
        kind = type(bench.store.backfills)
        swap = kind.swap

        def interrupted(backfills: object, expected: Backfill | None, new: Backfill) -> bool:
            if new.state is state:
                monkeypatch.undo()
                act()
            return swap(backfills, expected, new)  # type: ignore[arg-type]

        monkeypatch.setattr(kind, "swap", interrupted)

    return plant


def set_state(bench: Bench, state: BackfillState) -> None:
    change_state("tagger@1-5f5f5f5f", state, bench.store.backfills, now_ms=NOON_MS)


def test_a_pause_while_a_chunk_is_sent_is_kept_and_the_chunk_counted(bench: Bench, between: Between) -> None:
    feeder = bench.feeder(photos(bench, 10), waiting=4)
    between(lambda: set_state(bench, BackfillState.PAUSED), BackfillState.RUNNING)
    bench.meanwhile = lambda: set_state(bench, BackfillState.CANCELLED)
    ended = feeder.feed()
    assert (ended.cursor, ended.submitted, bench.lane) == (2, 2, 2)


def test_a_cancellation_while_the_end_is_written_is_kept(bench: Bench, between: Between) -> None:
    feeder = bench.feeder(photos(bench, 3))
    between(lambda: set_state(bench, BackfillState.CANCELLED), BackfillState.DONE)
    assert feeder.feed().state is BackfillState.CANCELLED


def test_a_backfill_that_is_taken_over_while_a_chunk_is_sent_counts_nothing(
    bench: Bench, between: Between
) -> None:
    ids = photos(bench, 10)
    feeder = bench.feeder(ids, waiting=4)
    between(lambda: bench.take_up(ids, owner="process 2"), BackfillState.RUNNING)
    ended = feeder.feed()
    assert (ended.owner, ended.cursor) == ("process 2", 0)
    assert bench.store.backfills.read(ended.name) == ended


def test_the_heartbeat_is_written_every_few_seconds(bench: Bench) -> None:
    feeder = bench.feeder(photos(bench, 20), waiting=10)
    ages: list[int] = []

    def look() -> None:
        ages.append(bench.now_ms - known_backfill("tagger@1-5f5f5f5f", bench.store.backfills).heartbeat_at_ms)
        if bench.now_ms > NOON_MS + 60_000:
            bench.taken()

    bench.meanwhile = look
    feeder.feed()
    assert 9_000 <= max(ages) <= 11_000


def test_a_component_that_is_down_is_retried_and_no_image_is_missed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = photos(bench, 10)
    feeder = bench.feeder(ids, waiting=4)
    get, asked = type(bench.store.catalogue).get, 0

    def flaky(catalogue: object, image_ids: Sequence[str]) -> object:
        nonlocal asked
        asked += 1
        if asked % 2:
            raise Unavailable("store", "down in this test")
        return get(catalogue, image_ids)  # type: ignore[arg-type]

    monkeypatch.setattr(type(bench.store.catalogue), "get", flaky)
    done: list[str] = []
    bench.meanwhile = lambda: done.extend(bench.taken())
    assert feeder.feed().state is BackfillState.DONE
    assert sorted([*done, *bench.taken()]) == ids
    assert (0, "store unavailable: down in this test") in bench.reports


def test_a_version_that_is_retired_meanwhile_gets_no_more_messages(bench: Bench) -> None:
    feeder = bench.feeder(photos(bench, 20), waiting=10)

    def retire() -> None:
        entry = bench.store.registry.read("tagger")
        assert entry is not None
        versions = tuple(replace(version, state=VersionState.RETIRED) for version in entry.versions)
        bench.store.registry.swap(entry, replace(entry, serial=entry.serial + 1, versions=versions))
        bench.taken()

    bench.meanwhile = retire
    with pytest.raises(UsageError, match="tagger@1 is retired and takes no images any more"):
        feeder.feed()
    assert bench.lane == 0


def test_ids_are_drawn_from_search_page_by_page_and_tombstones_are_left_out(bench: Bench) -> None:
    ids = photos(bench, 25)
    with ExitStack() as stack:
        search = open_search(bench.url)
        stack.callback(search.close)  # type: ignore[attr-defined]
        search.apply([result(image_id, part(), name="quality_1") for image_id in ids])
        search.apply([deletion("photo-00003")])
        bench.meanwhile = lambda: bench.taken(4)
        record = bench.take_up(ids, sha256="")
        ended = bench.feeder_of(record, FromSearch(search), waiting=8).feed()
    bench.taken()
    assert (ended.cursor, ended.after, ended.name) == (24, "photo-00024", "tagger@1-search")
    stored = {k.image_id for k in bench.store.outputs.get(ids, TAGGER)}
    assert stored == set(ids) - {"photo-00003"}


def test_memory_does_not_grow_with_the_number_of_unknown_ids(bench: Bench) -> None:
    def peak_bytes(count: int) -> int:
        ids = (f"nobody-{number:06}" for number in range(count))
        record = bench.take_up([], sha256=f"{count:064}"[::-1])
        tracemalloc.start()
        ended = bench.feeder_of(record, Listed(lambda _: ids)).feed()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        bench.reports.clear()
        assert ended.unknown == count
        return peak

    peak_bytes(1_000)
    assert peak_bytes(50_000) < 1.5 * peak_bytes(10_000)
