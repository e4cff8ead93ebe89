"""The order in which images go to the model process, and the images that fail when it dies."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panopticon.errors import Rejected, Transient
from panopticon.messages import Lane
from panopticon.scheduling.dispatch import CONTROL_ID, Dispatcher, Phase
from panopticon.scheduling.items import Item, NotRun
from tests.panopticon.scheduling.model_process_simulation import HANGERS, KILLERS, Fate, Simulation

lanes = st.sampled_from(Lane)
harmless = st.sampled_from([Fate.FINE, Fate.FINE, Fate.FINE, Fate.REFUSED, *HANGERS])
any_fate = st.sampled_from([Fate.FINE, *Fate])


def item(id_: int, lane: Lane = Lane.LIVE) -> Item:
    return Item(id=id_, lane=lane, uri=f"file:///{id_}.jpg")


def ids(items: list[Item]) -> list[int]:
    return [each.id for each in items]


def outcomes_of(failures: list[NotRun]) -> list[tuple[int, str]]:
    return [(failure.item.id, failure.error.reason) for failure in failures]


@pytest.fixture
def dispatcher() -> Dispatcher:
    return Dispatcher(item_timeout_s=60, control=lambda: b"good")


def add(dispatcher: Dispatcher, *id_list: int, lane: Lane = Lane.LIVE) -> None:
    for id_ in id_list:
        dispatcher.add(item(id_, lane))


def die_running(dispatcher: Dispatcher, expected: int) -> None:
    """The next image goes alone, and the model dies on it."""
    assert ids(dispatcher.next_items(8)) == [expected]
    dispatcher.started([expected], Phase.RUN, now_s=0)
    dispatcher.died()


def run_control(dispatcher: Dispatcher) -> list[NotRun]:
    """The control goes alone, and the model runs on it; return the images that fail by it."""
    assert dispatcher.next_items(8) == [Item(id=CONTROL_ID, lane=Lane.LIVE, encoded=b"good")]
    assert dispatcher.next_items(8) == []
    assert dispatcher.answered(CONTROL_ID) is None
    return dispatcher.take_failed()


def isolate(dispatcher: Dispatcher, *id_list: int) -> None:
    """They were a batch on which the process died."""
    add(dispatcher, *id_list)
    dispatcher.next_items(len(id_list))
    dispatcher.started(list(id_list), Phase.RUN, now_s=0)
    dispatcher.died()


def simulate(
    fates: list[Fate],
    lanes: list[Lane],
    seed: int,
    *,
    credit: int,
    kills: int = 0,
    model: Fate = Fate.FINE,
    cancel_share: float = 0.0,
    reclaims: bool = False,
) -> Simulation:
    random = Random(seed)
    numbered = dict(enumerate(fates, start=1))
    simulation = Simulation(
        fates=numbered,
        random=random,
        credit=credit,
        best_batch=max(credit // 3, 1),
        outside_kills=kills,
        control_fate=model,
        patience=3 + kills,
        cancel_share=cancel_share,
        reclaims=reclaims,
    )
    simulation.run([item(id_, lane) for id_, lane in zip(numbered, lanes, strict=False)])
    return simulation


catalogues = st.integers(1, 14).flatmap(
    lambda n: st.tuples(
        st.lists(harmless, min_size=n, max_size=n), st.lists(lanes, min_size=n + 2, max_size=n + 2)
    )
)
killers = st.lists(st.sampled_from(list(KILLERS)), max_size=2)
seeds = st.integers(0, 2**32)
credit_sizes = st.integers(1, 12)


@given(catalogues, killers, seeds, credit_sizes)
def test_every_image_is_answered_or_fails_exactly_once(
    catalogue: tuple[list[Fate], list[Lane]], killing: list[Fate], seed: int, credit: int
) -> None:
    harmless_fates, lanes = catalogue
    fates = [*killing, *harmless_fates]
    Random(seed).shuffle(fates)
    done = simulate(fates, lanes, seed, credit=credit)
    failed = {failure.item.id for failure in done.failed}
    assert failed == {id_ for id_, fate in done.fates.items() if fate in KILLERS or fate in HANGERS}
    assert set(done.answered) == set(done.fates) - failed


@given(catalogues, killers, seeds, credit_sizes)
def test_an_image_fails_with_the_reason_of_what_it_did(
    catalogue: tuple[list[Fate], list[Lane]], killing: list[Fate], seed: int, credit: int
) -> None:
    harmless_fates, lanes = catalogue
    done = simulate([*harmless_fates, *killing], lanes, seed, credit=credit)
    for failure in done.failed:
        fate = done.fates[failure.item.id]
        if fate is Fate.HANGS_AT_FETCH:
            assert isinstance(failure.error, Transient)
            assert failure.error.reason == "fetch_timed_out"
        else:
            assert isinstance(failure.error, Rejected)
            assert failure.error.reason == ("killed_process" if fate in KILLERS else "timed_out")


@given(catalogues, killers, seeds, credit_sizes)
def test_a_killer_fails_after_two_deaths_alone(
    catalogue: tuple[list[Fate], list[Lane]], killing: list[Fate], seed: int, credit: int
) -> None:
    harmless_fates, lanes = catalogue
    done = simulate([*harmless_fates, *killing], lanes, seed, credit=credit)
    # The death that isolated it counts too, where the process held nothing else.
    assert all(done.hit_alone[id_] in (2, 3) for id_, fate in done.fates.items() if fate in KILLERS)


@given(catalogues, seeds, credit_sizes, st.integers(1, 12))
def test_an_image_fails_by_kills_from_outside_only_if_four_hit_it_alone(
    catalogue: tuple[list[Fate], list[Lane]], seed: int, credit: int, kills: int
) -> None:
    fates, lanes = catalogue
    done = simulate(fates, lanes, seed, credit=credit, kills=kills)
    innocent = {failure.item.id for failure in done.failed if done.fates[failure.item.id] not in HANGERS}
    assert innocent <= {id_ for id_, hits in done.hit_alone.items() if hits >= 4}
    assert len(done.failed) + len(done.answered) == len(done.fates)


@given(st.lists(any_fate, min_size=1, max_size=14), seeds, credit_sizes)
def test_however_many_kill_it_they_fail_and_no_innocent_image_does(
    fates: list[Fate], seed: int, credit: int
) -> None:
    done = simulate(fates, [Lane.LIVE] * len(fates), seed, credit=credit)
    failed = {failure.item.id for failure in done.failed}
    assert failed == {id_ for id_, fate in done.fates.items() if fate in KILLERS or fate in HANGERS}
    assert done.times_down == 0


@given(
    st.sampled_from([Fate.DIES_AT_DECODE, Fate.DIES_AT_RUN, Fate.HANGS_AT_RUN]),
    st.integers(1, 12),
    seeds,
    credit_sizes,
)
def test_a_model_that_dies_or_hangs_at_every_run_fails_no_image_however_few_there_are(
    model: Fate, images: int, seed: int, credit: int
) -> None:
    done = simulate([model] * images, [Lane.LIVE] * images, seed, credit=credit, model=model)
    assert done.failed == []
    assert done.times_down == 3


cancel_shares = st.sampled_from([0.05, 0.3, 1.0])


@given(catalogues, killers, seeds, credit_sizes, cancel_shares, st.booleans(), st.integers(0, 6))
def test_an_image_is_answered_or_fails_or_is_reclaimed_once_and_never_if_it_was_cancelled(
    catalogue: tuple[list[Fate], list[Lane]],
    killing: list[Fate],
    seed: int,
    credit: int,
    cancel_share: float,
    reclaims: bool,
    kills: int,
) -> None:
    harmless_fates, lanes = catalogue
    fates = [*killing, *harmless_fates]
    Random(seed).shuffle(fates)
    done = simulate(
        fates, lanes, seed, credit=credit, kills=kills, cancel_share=cancel_share, reclaims=reclaims
    )
    settled = [*done.answered.elements(), *(failure.item.id for failure in done.failed), *done.reclaimed]
    assert sorted([*settled, *done.cancelled]) == sorted(done.fates)
    assert reclaims or not done.reclaimed


@given(catalogues, killers, seeds, credit_sizes, cancel_shares, st.integers(0, 6))
def test_no_cancelled_image_keeps_credit(
    catalogue: tuple[list[Fate], list[Lane]],
    killing: list[Fate],
    seed: int,
    credit: int,
    cancel_share: float,
    kills: int,
) -> None:
    harmless_fates, lanes = catalogue
    fates = [*killing, *harmless_fates]
    done = simulate(fates, lanes, seed, credit=credit, kills=kills, cancel_share=cancel_share)
    # The process may have the control still, though nobody waits for an image any more.
    done.dispatcher.answered(CONTROL_ID)
    later = range(1000, 1000 + credit)
    add(done.dispatcher, *later)
    while len(sent := ids(done.dispatcher.next_items(credit))) == 1 and sent[0] == CONTROL_ID:
        done.dispatcher.answered(CONTROL_ID)
    assert sent == list(later)


@given(catalogues, st.lists(st.sampled_from(list(KILLERS)), min_size=1, max_size=2), seeds, credit_sizes)
def test_a_killer_that_is_cancelled_while_it_is_suspected_is_convicted_and_no_innocent_image_is(
    catalogue: tuple[list[Fate], list[Lane]], killing: list[Fate], seed: int, credit: int
) -> None:
    harmless_fates, lanes = catalogue
    done = simulate([*harmless_fates, *killing], lanes, seed, credit=credit, cancel_share=0.3)
    guilty = {id_ for id_, fate in done.fates.items() if fate in KILLERS or fate in HANGERS}
    killer_suspects = {id_ for id_ in done.cancelled_suspects if done.fates[id_] in KILLERS}
    assert killer_suspects <= set(done.convicted) <= guilty
    assert len(done.convicted) == len(set(done.convicted))


def test_no_more_than_the_credit_is_unanswered(dispatcher: Dispatcher) -> None:
    add(dispatcher, 1, 2, 3, 4, 5)
    assert ids(dispatcher.next_items(3)) == [1, 2, 3]
    assert dispatcher.next_items(3) == []
    dispatcher.answered(2)
    assert ids(dispatcher.next_items(3)) == [4]


def test_a_credit_that_shrank_sends_nothing(dispatcher: Dispatcher) -> None:
    add(dispatcher, 1, 2, 3, 4)
    dispatcher.next_items(3)
    assert dispatcher.next_items(1) == []


def test_live_goes_before_an_older_backfill(dispatcher: Dispatcher) -> None:
    add(dispatcher, 1, 2, lane=Lane.BACKFILL)
    add(dispatcher, 3)
    assert ids(dispatcher.next_items(2)) == [3, 1]


def test_an_answer_removes_the_image(dispatcher: Dispatcher) -> None:
    add(dispatcher, 1)
    dispatcher.next_items(8)
    assert dispatcher.answered(1) == item(1)
    assert len(dispatcher) == 0


def test_an_answer_about_an_unknown_image_is_ignored(dispatcher: Dispatcher) -> None:
    add(dispatcher, 1)
    assert dispatcher.answered(1) is None
    assert len(dispatcher) == 1


def test_a_death_sends_what_was_only_waiting_again_together(dispatcher: Dispatcher) -> None:
    add(dispatcher, 1, 2, 3)
    dispatcher.next_items(8)
    dispatcher.started([1], Phase.DECODE, now_s=0)
    dispatcher.died()
    assert ids(dispatcher.next_items(8)) == [1]
    dispatcher.answered(1)
    assert ids(dispatcher.next_items(8)) == [2, 3]


def test_an_isolated_image_runs_alone(dispatcher: Dispatcher) -> None:
    isolate(dispatcher, 1, 2)
    assert ids(dispatcher.next_items(8)) == [1]
    assert dispatcher.next_items(8) == []
    dispatcher.answered(1)
    assert ids(dispatcher.next_items(8)) == [2]


def test_a_death_with_nothing_begun_isolates_everything_sent(dispatcher: Dispatcher) -> None:
    add(dispatcher, 1, 2)
    dispatcher.next_items(8)
    dispatcher.died()
    assert ids(dispatcher.next_items(8)) == [1]


def test_after_two_deaths_alone_an_image_fails_once_the_control_has_run(
    dispatcher: Dispatcher,
) -> None:
    isolate(dispatcher, 1)
    die_running(dispatcher, 1)
    assert run_control(dispatcher) == []
    die_running(dispatcher, 1)
    assert dispatcher.take_failed() == []
    assert outcomes_of(run_control(dispatcher)) == [(1, "killed_process")]
    assert (len(dispatcher), dispatcher.take_failed()) == (0, [])


def test_a_model_that_dies_on_the_control_is_failing_and_runs_it_first_from_then_on(
    dispatcher: Dispatcher,
) -> None:
    isolate(dispatcher, 1)
    die_running(dispatcher, 1)
    for _ in range(3):
        die_running(dispatcher, CONTROL_ID)
        assert dispatcher.model_is_failing
        assert len(dispatcher) == 1
        dispatcher.clear_images()
        assert not dispatcher.model_is_failing
    assert run_control(dispatcher) == []
    assert ids(dispatcher.next_items(8)) == [1]


def test_a_model_that_hangs_on_the_control_is_failing(dispatcher: Dispatcher) -> None:
    isolate(dispatcher, 1)
    die_running(dispatcher, 1)
    assert ids(dispatcher.next_items(8)) == [CONTROL_ID]
    dispatcher.started([CONTROL_ID], Phase.RUN, now_s=0)
    assert dispatcher.killed_overdue(now_s=61) == []
    assert dispatcher.model_is_failing
    assert len(dispatcher) == 1


def test_a_control_that_is_refused_shows_that_the_process_lives(dispatcher: Dispatcher) -> None:
    """A limit of the settings may refuse even the golden image."""
    isolate(dispatcher, 1)
    die_running(dispatcher, 1)
    run_control(dispatcher)
    die_running(dispatcher, 1)
    assert outcomes_of(run_control(dispatcher)) == [(1, "killed_process")]


def test_cleared_images_start_without_evidence(dispatcher: Dispatcher) -> None:
    isolate(dispatcher, 1)
    die_running(dispatcher, 1)
    die_running(dispatcher, CONTROL_ID)
    dispatcher.clear_images()
    run_control(dispatcher)
    die_running(dispatcher, 1)
    assert run_control(dispatcher) == []


def test_three_killers_in_a_row_fail_if_the_control_runs(dispatcher: Dispatcher) -> None:
    isolate(dispatcher, 1, 2, 3)
    failures: list[NotRun] = []
    for id_ in (1, 2, 3, 1, 2, 3):
        die_running(dispatcher, id_)
        failures += run_control(dispatcher)
    assert outcomes_of(failures) == [(id_, "killed_process") for id_ in (1, 2, 3)]


@pytest.mark.parametrize("phase", [Phase.FETCH, Phase.DECODE, Phase.RUN])
def test_an_image_worked_on_for_too_long_is_overdue(dispatcher: Dispatcher, phase: Phase) -> None:
    add(dispatcher, 1)
    dispatcher.next_items(8)
    dispatcher.started([1], phase, now_s=100)
    assert not dispatcher.overdue(now_s=160)
    assert dispatcher.overdue(now_s=160.1)


@pytest.mark.parametrize("phase", [Phase.SENT, Phase.READY])
def test_an_image_that_waits_is_never_overdue(dispatcher: Dispatcher, phase: Phase) -> None:
    add(dispatcher, 1)
    dispatcher.next_items(8)
    dispatcher.started([1], phase, now_s=0)
    assert not dispatcher.overdue(now_s=1e9)


def test_a_batch_that_hangs_runs_again_one_by_one_before_any_image_fails(dispatcher: Dispatcher) -> None:
    add(dispatcher, 1, 2)
    dispatcher.next_items(8)
    dispatcher.started([1, 2], Phase.RUN, now_s=0)
    assert dispatcher.killed_overdue(now_s=61) == []
    assert ids(dispatcher.next_items(8)) == [1]
    dispatcher.started([1], Phase.RUN, now_s=100)
    assert dispatcher.killed_overdue(now_s=161) == []
    assert outcomes_of(run_control(dispatcher)) == [(1, "timed_out")]
    assert ids(dispatcher.next_items(8)) == [2]


def test_an_overdue_decode_fails_no_other_image(dispatcher: Dispatcher) -> None:
    add(dispatcher, 1, 2, 3)
    dispatcher.next_items(8)
    dispatcher.started([1], Phase.DECODE, now_s=0)
    dispatcher.started([2], Phase.DECODE, now_s=50)
    assert outcomes_of(dispatcher.killed_overdue(now_s=61)) == [(1, "timed_out")]
    assert ids(dispatcher.next_items(8)) == [2, 3]


def test_release_returns_every_item_once(dispatcher: Dispatcher) -> None:
    isolate(dispatcher, 1, 2)
    add(dispatcher, 3, 4)
    dispatcher.next_items(8)
    assert sorted(ids(dispatcher.release())) == [1, 2, 3, 4]
    assert (len(dispatcher), dispatcher.release(), dispatcher.next_items(8)) == (0, [], [])


def test_kills_from_outside_need_twice_the_evidence_of_crashes(dispatcher: Dispatcher) -> None:
    add(dispatcher, 1)
    failures: list[NotRun] = []
    deaths = 0
    while not failures:
        (sent,) = dispatcher.next_items(8)
        if sent.id == CONTROL_ID:
            dispatcher.answered(CONTROL_ID)
            failures = dispatcher.take_failed()
            continue
        dispatcher.started([sent.id], Phase.RUN, now_s=0.0)
        dispatcher.died(killed=True)
        deaths += 1
    assert deaths == 5, "one in a batch of one, then four alone"


def test_a_cancelled_image_that_waits_is_gone_at_once(dispatcher: Dispatcher) -> None:
    add(dispatcher, 1, 2)
    assert dispatcher.cancel([1]) == []
    assert len(dispatcher) == 1
    assert ids(dispatcher.next_items(8)) == [2]


def test_a_cancelled_image_that_was_sent_keeps_its_credit_until_it_is_dropped(dispatcher: Dispatcher) -> None:
    add(dispatcher, 1, 2, 3)
    dispatcher.next_items(2)
    assert dispatcher.cancel([1]) == [1]
    assert dispatcher.next_items(2) == []
    dispatcher.dropped([1])
    assert ids(dispatcher.next_items(2)) == [3]


def test_a_cancelled_image_that_runs_is_not_dropped_and_not_answered(dispatcher: Dispatcher) -> None:
    add(dispatcher, 1)
    dispatcher.next_items(8)
    dispatcher.started([1], Phase.RUN, now_s=0)
    assert dispatcher.cancel([1]) == []
    assert len(dispatcher) == 1
    assert dispatcher.answered(1) is None
    assert len(dispatcher) == 0


def test_cancelling_twice_asks_the_process_once(dispatcher: Dispatcher) -> None:
    add(dispatcher, 1)
    dispatcher.next_items(8)
    assert [dispatcher.cancel([1]), dispatcher.cancel([1])] == [[1], []]


def test_an_image_that_was_not_cancelled_is_never_dropped(dispatcher: Dispatcher) -> None:
    add(dispatcher, 1)
    dispatcher.next_items(8)
    dispatcher.dropped([1, 99])
    assert dispatcher.answered(1) == item(1)


def test_the_control_cannot_be_cancelled(dispatcher: Dispatcher) -> None:
    isolate(dispatcher, 1)
    die_running(dispatcher, 1)
    assert ids(dispatcher.next_items(8)) == [CONTROL_ID]
    assert dispatcher.cancel([CONTROL_ID]) == []
    dispatcher.answered(CONTROL_ID)
    assert ids(dispatcher.next_items(8)) == [1]


def test_a_cancelled_suspect_is_convicted_for_the_log_and_has_no_answer(dispatcher: Dispatcher) -> None:
    isolate(dispatcher, 1)
    dispatcher.cancel([1])
    for _ in range(2):
        die_running(dispatcher, 1)
        assert run_control(dispatcher) == []
    assert outcomes_of(dispatcher.take_convicted()) == [(1, "killed_process")]
    assert (len(dispatcher), dispatcher.take_convicted()) == (0, [])


def test_a_cancelled_image_that_had_not_begun_is_forgotten_at_a_death(dispatcher: Dispatcher) -> None:
    add(dispatcher, 1, 2)
    dispatcher.next_items(8)
    dispatcher.cancel([2])
    dispatcher.started([1], Phase.RUN, now_s=0)
    dispatcher.died()
    assert len(dispatcher) == 1
    dispatcher.next_items(8)
    assert dispatcher.answered(1) == item(1)


def test_a_model_at_fault_clears_the_cancelled_images_away(dispatcher: Dispatcher) -> None:
    isolate(dispatcher, 1)
    dispatcher.cancel([1])
    die_running(dispatcher, 1)
    die_running(dispatcher, CONTROL_ID)
    dispatcher.clear_images()
    assert len(dispatcher) == 0


def test_what_waits_is_reclaimed_and_what_is_suspected_stays(dispatcher: Dispatcher) -> None:
    add(dispatcher, 1, 2, 3)
    dispatcher.next_items(2)
    dispatcher.started([1], Phase.RUN, now_s=0)
    dispatcher.died()
    assert ids(dispatcher.reclaim()) == [2, 3]
    assert dispatcher.reclaim() == []
    assert ids(dispatcher.next_items(8)) == [1]


def test_what_is_sent_is_not_reclaimed(dispatcher: Dispatcher) -> None:
    add(dispatcher, 1, 2)
    dispatcher.next_items(1)
    assert ids(dispatcher.reclaim()) == [2]
    assert dispatcher.answered(1) == item(1)


def test_release_leaves_out_what_was_cancelled(dispatcher: Dispatcher) -> None:
    isolate(dispatcher, 1, 2)
    add(dispatcher, 3)
    dispatcher.cancel([2])
    assert sorted(ids(dispatcher.release())) == [1, 3]
    assert len(dispatcher) == 0


def test_images_by_uri_take_no_credit_from_those_that_came_as_bytes() -> None:
    """Not even those that nobody waits for any more, while their source hangs."""
    dispatcher = Dispatcher(item_timeout_s=60, control=lambda: b"good")
    add(dispatcher, 1, 2, 3)
    assert ids(dispatcher.next_items(2)) == [1, 2]
    dispatcher.started([1, 2], Phase.FETCH, now_s=0)
    dispatcher.cancel([1, 2])
    for id_ in (4, 5, 6):
        dispatcher.add(Item(id=id_, lane=Lane.LIVE, encoded=b"picture"))
    assert ids(dispatcher.next_items(2)) == [4, 5]
    assert dispatcher.next_items(2) == []
    dispatcher.dropped([1])
    dispatcher.answered(4)
    assert sorted(ids(dispatcher.next_items(2))) == [3, 6]
