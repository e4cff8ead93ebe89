"""Activation of a version: only here under queries, by two people at once, and while Cassandra is silent.

The rules are in tests/panopticon/registry/ and tests/workers/registry/test_change_state.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from panopticon.cards.cards import ModelCard, read_card
from panopticon.errors import Unavailable, UsageError
from panopticon.registry.records import ModelEntry
from panopticon.results.documents import Change, ChangeKind, Part
from panopticon.results.search import SearchPage
from panopticon.settings import Settings
from tests.fleet.asking import Answered, under_queries
from tests.fleet.trial import wait_for
from tests.house import house_of
from tests.panopticon.null_card import NULL_CARD
from tests.servers.cassandra import CassandraNode
from workers.registry.change_state import Versions

DOCUMENTS = 300
PAUSED_S = 15.0
places = pytest.mark.parametrize("places", ["on_one_file", "on_three_servers"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Switchboard:
    """Two versions of one model: the first is active, the second is a shadow."""

    settings: Settings
    cards: Sequence[ModelCard]

    def change(self, change: Callable[[Versions], object], *, by: str = "ann") -> None:
        with house_of(self.settings) as house:
            change(Versions(store=house.store, broker=house.broker, by=by, reason="test"))

    def activate(self, number: int, *, by: str = "ann", just_before: Callable[[], object] = list) -> None:
        def look(_: ModelEntry) -> None:
            just_before()

        self.change(lambda v: v.activate(self.cards[number - 1], refuse_unfit=look), by=by)

    def entry(self) -> ModelEntry:
        with house_of(self.settings) as house:
            return house.model("colour")


def switchboard(settings: Settings, folder: Path) -> Switchboard:
    cards = []
    for number in (1, 2):
        place = folder / "models" / f"colour{number}"
        place.mkdir(parents=True)
        (place / "card.toml").write_text(NULL_CARD.replace("version = 1", f"version = {number}"))
        cards.append(read_card(place / "card.toml"))
    board = Switchboard(settings=settings.model_copy(update={"models_dir": folder / "models"}), cards=cards)
    for card in cards:
        board.change(lambda versions, card=card: versions.add(card))  # type: ignore[misc]
        board.change(lambda versions, card=card: versions.shadow(card.version_name))  # type: ignore[misc]
    board.activate(1)
    return board


def fill_search(settings: Settings) -> None:
    """Put documents into search that have parts of both versions."""
    changes = [
        Change(
            kind=ChangeKind.RESULT,
            image_id=f"image-{number}",
            revision=0,
            part_name=f"colour_{version}",
            part=Part(revision=0, policy_number=1, scores={"red": number / DOCUMENTS}),
        )
        for number in range(DOCUMENTS)
        for version in (1, 2)
    ]
    with house_of(settings) as house:
        house.search.create()
        house.search.apply(changes)
        wait_for(lambda: house.search.count(["colour_1", "colour_2"]) == DOCUMENTS)


@places
def test_every_answer_and_every_page_of_a_cursor_is_of_one_version(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    places: str,
    record_property: Callable[[str, object], None],
) -> None:
    board = switchboard(request.getfixturevalue(places), tmp_path)
    fill_search(board.settings)
    with under_queries(board.settings) as answered:
        for number in (2, 1, 2, 1):
            wait_for_more(answered, 100)
            board.activate(number)
        wait_for_more(answered, 100)
    record_property("pages_per_s", round(sum(map(len, answered.pages)) / answered.seconds))
    of_each_query = [{page.parts for page in pages} for pages in answered.pages]
    assert all(len(parts) == 1 for parts in of_each_query)
    assert set.union(*of_each_query) == {("colour_1",), ("colour_2",)}
    assert all(is_complete(page) for pages in answered.pages for page in pages)


def wait_for_more(answered: Answered, queries: int) -> None:
    until = len(answered.pages) + queries
    wait_for(lambda: len(answered.pages) > until or bool(answered.errors))


def is_complete(page: SearchPage) -> bool:
    """Return whether every document of the page has every part that the query read."""
    return all(set(page.parts) <= document.parts.keys() for document in page.documents)


@places
def test_of_two_activations_at_once_one_wins_and_the_other_is_refused_with_who_and_when(
    request: pytest.FixtureRequest, tmp_path: Path, places: str
) -> None:
    board = switchboard(request.getfixturevalue(places), tmp_path)
    both_have_read = threading.Barrier(2)

    def activate(by: str) -> str:
        try:
            board.activate(2, by=by, just_before=lambda: both_have_read.wait(timeout=60))
        except UsageError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(2) as pool:
        refusals = dict(zip(("ann", "bob"), pool.map(activate, ("ann", "bob")), strict=True))
    (winner,) = [by for by, complaint in refusals.items() if not complaint]
    (complaint,) = filter(None, refusals.values())
    assert f"activated colour@2 (was colour@1), by {winner} at 20" in complaint
    event = board.entry().history[-1]
    assert (event.by, event.what) == (winner, "activated colour@2 (was colour@1)")
    assert board.entry().active_version == 2


def test_an_activation_whose_answer_is_lost_reports_what_the_store_has(
    tmp_path: Path, on_cassandra: Settings, cassandra_node: CassandraNode
) -> None:
    """The node stops answering just when it is asked for the compare-and-set."""
    board = switchboard(on_cassandra, tmp_path)

    def silence() -> None:
        cassandra_node.pause()
        resuming.start()

    resuming = threading.Timer(PAUSED_S, cassandra_node.resume)
    try:
        board.activate(2, just_before=silence)
        done = True
    except Unavailable:
        done = False
    resuming.join()
    assert (board.entry().active_version == 2) is done
