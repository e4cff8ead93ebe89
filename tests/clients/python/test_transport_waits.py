from __future__ import annotations

import math

import pytest

from panopticon_client.transport import MAX_RETRY_AFTER_S, Answer


def answer(body: str) -> Answer:
    return Answer(host="http://a", status=429, headers={}, content=body.encode())


@pytest.mark.parametrize(
    "body",
    ['{"retry_after_ms": 1e999}', f'{{"retry_after_ms": {10**400}}}', '{"retry_after_ms": 86400000}'],
    ids=["infinite", "400 digits", "a day"],
)
def test_a_host_rests_for_a_minute_at_most_whatever_it_asks_for(body: str) -> None:
    assert answer(body).retry_after_s(now=0) == MAX_RETRY_AFTER_S


def test_a_wait_that_is_not_a_number_counts_as_none() -> None:
    wait_s = answer('{"retry_after_ms": NaN}').retry_after_s(now=0)
    assert wait_s is None or not math.isnan(wait_s)
