"""A queue of a broker whose counts lag is not taken for empty while it only seems so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import pytest

from panopticon.interfaces import Broker, Depth
from panopticon.messages import Lane
from panopticon.results.outputs import VersionName
from tests.house import House
from workers.maintenance.erase import Eraser
from workers.submission.index_plan import Remaining, wait_until_done

TAGGER = VersionName(model="tagger", version=1)
LAG_S = 6.0


@dataclass(kw_only=True)
class LateBroker:
    """A broker to which an image came just now and was taken at once, and later its result likewise."""

    image_until_s: float
    result_until_s: float
    depth_lag_s: float = LAG_S
    now_s: float = 0.0
    topology: object = field(default_factory=lambda: Unbound())

    def model_queue(self, _: VersionName) -> Late:
        return Late(self, 0.0, self.image_until_s)

    def results(self) -> Late:
        return Late(self, self.image_until_s, self.result_until_s)

    def catalogue(self) -> Late:
        return Late(self, 0.0, 0.0)

    undeliverable = catalogue

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


class Unbound:
    def bound(self) -> tuple[VersionName, ...]:
        return (TAGGER,)


@dataclass(frozen=True, slots=True)
class Late:
    """A queue with one message, which is leased for a time and counted only a lag after it came."""

    broker: LateBroker
    since_s: float
    until_s: float

    def depth(self) -> Mapping[Lane, Depth]:
        is_counted = self.since_s + self.broker.depth_lag_s <= self.broker.now_s < self.until_s
        return {
            Lane.LIVE: Depth(ready=0, leased=int(is_counted), retrying=0),
            Lane.BACKFILL: Depth(ready=0, leased=0, retrying=0),
        }


MOMENTS = [(0.5, 1.0), (5.9, 6.1), (5.9, 11.8), (6.5, 12.4), (11.9, 17.8), (30.0, 35.9)]
"""Pairs of the seconds until which the image and its result are leased."""


@pytest.mark.parametrize(("image_until_s", "result_until_s"), MOMENTS)
def test_waiting_ends_only_after_the_last_message(
    monkeypatch: pytest.MonkeyPatch, image_until_s: float, result_until_s: float
) -> None:
    broker = LateBroker(image_until_s=image_until_s, result_until_s=result_until_s)
    monkeypatch.setattr("time.sleep", broker.sleep)
    monkeypatch.setattr("time.monotonic", lambda: broker.now_s)
    reported: list[Remaining] = []
    wait_until_done(cast(Broker, broker), [TAGGER], watch=reported.append, every_s=0.5)
    assert broker.now_s >= result_until_s


def test_a_broker_whose_counts_do_not_lag_is_not_waited_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = LateBroker(image_until_s=1.0, result_until_s=2.0, depth_lag_s=0.0)
    monkeypatch.setattr("time.sleep", broker.sleep)
    monkeypatch.setattr("time.monotonic", lambda: broker.now_s)
    wait_until_done(cast(Broker, broker), [TAGGER], watch=lambda _: None, every_s=0.5)
    assert broker.now_s == 2.0


@pytest.mark.parametrize(("image_until_s", "result_until_s"), MOMENTS)
def test_an_erasure_is_final_only_after_the_last_message(
    house: House, image_until_s: float, result_until_s: float
) -> None:
    broker = LateBroker(image_until_s=image_until_s, result_until_s=result_until_s)
    eraser = Eraser(
        store=house.store,
        search=house.search,
        broker=cast(Broker, broker),
        originals="",
        sleep=broker.sleep,
    )
    remains = eraser.check(["a"])
    assert not remains.final or broker.now_s >= result_until_s
