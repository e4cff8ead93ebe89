"""The order in which the client asks hosts."""

from __future__ import annotations

import random

from panopticon_client.rotation import SUSPECTED_S, Refusal, Rest, Rotation
from tests.clients.python.clocks import ChosenRandom

HOSTS = ["http://a", "http://b", "http://c"]


def rotation(*urls: str) -> Rotation:
    return Rotation(urls or HOSTS, random=ChosenRandom())


def rest(until_s: float) -> Rest:
    return Rest(until_s=until_s, refusal=Refusal(is_busy=True, text="full"))


def asked(hosts: Rotation, count: int, *, now_s: float = 0.0, kind: str = "live") -> list[str | None]:
    return [hosts.next(kind, tried=(), now_s=now_s) for _ in range(count)]


def test_hosts_take_turns() -> None:
    assert asked(rotation(), 6) == HOSTS * 2


def test_each_client_starts_at_a_random_host() -> None:
    starts = {asked(Rotation(HOSTS, random=random.Random(seed)), 1)[0] for seed in range(50)}
    assert starts == set(HOSTS)


def test_a_host_that_is_named_twice_has_one_turn() -> None:
    assert asked(rotation("http://a", "http://b", "http://a"), 4) == ["http://a", "http://b"] * 2


def test_a_resting_host_is_left_out_until_its_time() -> None:
    hosts = rotation()
    hosts.rest("http://b", "live", rest(10.0))
    assert asked(hosts, 2, now_s=9.9) == ["http://a", "http://c"]
    assert asked(hosts, 2, now_s=10.0) == ["http://a", "http://b"]


def test_a_host_rests_for_one_kind_of_call_only() -> None:
    hosts = rotation("http://a")
    hosts.rest("http://a", "backfill", rest(10.0))
    assert asked(hosts, 1, kind="backfill") == [None]
    assert asked(hosts, 1, kind="live") == ["http://a"]


def test_a_suspected_host_is_asked_when_no_other_is_left() -> None:
    hosts = rotation("http://a", "http://b")
    hosts.suspect("http://a", now_s=0.0)
    assert asked(hosts, 2) == ["http://b", "http://b"]
    assert hosts.next("live", tried={"http://b"}, now_s=0.0) == "http://a"


def test_one_call_tries_a_suspected_host_again_and_the_others_wait_for_what_it_finds() -> None:
    hosts = rotation("http://a", "http://b")
    hosts.suspect("http://a", now_s=0.0)
    assert asked(hosts, 3, now_s=SUSPECTED_S) == ["http://a", "http://b", "http://b"]
    hosts.trust("http://a")
    assert asked(hosts, 2, now_s=SUSPECTED_S) == ["http://a", "http://b"]


def test_hosts_that_stay_in_a_new_list_keep_their_rests_and_the_turn_goes_on() -> None:
    hosts = rotation()
    asked(hosts, 1)
    hosts.rest("http://c", "live", rest(10.0))
    hosts.replace(["http://c", "http://a", "http://d"])
    assert asked(hosts, 3) == ["http://d", "http://a", "http://d"]
    assert list(hosts.resting("live", now_s=0.0)) == ["http://c"]


def test_a_list_may_become_shorter_than_the_turn() -> None:
    hosts = rotation()
    asked(hosts, 3)
    hosts.replace(["http://b"])
    assert asked(hosts, 2) == ["http://b", "http://b"]
