"""Dead letters are stored with their body."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panopticon.results.outputs import FailureState, VersionName
from panopticon.results.undeliverable import BAD_MESSAGE, NO_VERSION, encode_envelope, failure_of
from tests.panopticon.strategies import counts, model_names, texts

AT_MS = 1_795_262_400_000
TAGGER = VersionName(model="tagger", version=1)


@given(st.binary(), st.builds(VersionName, model=model_names, version=counts), texts, texts)
def test_the_failure_has_the_body_reason_and_version_of_the_envelope(
    body: bytes, version: VersionName, reason: str, detail: str
) -> None:
    failure = failure_of(encode_envelope(body, version=version, reason=reason, detail=detail), at_ms=AT_MS)
    assert (failure.message, failure.reason, failure.detail) == (body, reason, detail)
    assert (failure.key.model, failure.key.version) == (version.model, version.version)
    assert (failure.state, failure.attempts, failure.last_at_ms) == (FailureState.DEAD, 0, AT_MS)


def test_the_envelope_is_json() -> None:
    envelope = json.loads(encode_envelope(b"\xff", version=TAGGER, reason="bad_message", detail="no"))
    assert envelope == {
        "schema": 1,
        "model": "tagger",
        "version": 1,
        "reason": "bad_message",
        "detail": "no",
        "body": "/w==",
    }


def test_repeats_of_one_body_are_one_failure() -> None:
    envelopes = [
        encode_envelope(b"x", version=TAGGER, reason="bad_message", detail=detail) for detail in "ab"
    ]
    assert failure_of(envelopes[0], at_ms=1).key == failure_of(envelopes[1], at_ms=2).key


def test_a_body_that_cannot_be_read_is_one_failure_whichever_queues_it_was_in() -> None:
    versions = [TAGGER, VersionName(model="quality", version=2), NO_VERSION]
    envelopes = [
        encode_envelope(b"x", version=version, reason=BAD_MESSAGE, detail="no JSON") for version in versions
    ]
    failures = [failure_of(envelope, at_ms=1) for envelope in envelopes]
    assert len({failure.key for failure in failures}) == 1
    assert failures[0].key.version_name == NO_VERSION
    assert [failure.detail for failure in failures] == [
        "no JSON (in the queue of tagger@1)",
        "no JSON (in the queue of quality@2)",
        "no JSON",
    ]


def test_a_body_that_was_delivered_too_often_is_a_failure_of_each_version() -> None:
    versions = [TAGGER, VersionName(model="quality", version=2)]
    envelopes = [
        encode_envelope(b"x", version=version, reason="delivery_limit", detail="") for version in versions
    ]
    assert [failure_of(envelope, at_ms=1).key.version_name for envelope in envelopes] == versions


def test_two_bodies_are_two_failures() -> None:
    envelopes = [
        encode_envelope(body, version=TAGGER, reason="bad_message", detail="") for body in (b"a", b"b")
    ]
    assert failure_of(envelopes[0], at_ms=1).key != failure_of(envelopes[1], at_ms=1).key


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\x00",
        b'{"image_id": "1"}',
        b"[]",
        b'{"schema":1,"model":"tagger","version":1,"reason":"r","detail":"d","body":"not base64!"}',
        b'{"schema":1,"model":"no such name","version":1,"reason":"r","detail":"d","body":"eA=="}',
        b'{"schema":1,"model":"tagger","version":99999999999999999999,"reason":"","detail":"","body":""}',
    ],
)
def test_a_body_without_an_envelope_is_stored_verbatim(body: bytes) -> None:
    failure = failure_of(body, at_ms=AT_MS)
    assert (failure.message, failure.reason) == (body, "undeliverable")
    assert (failure.key.model, failure.key.version) == (NO_VERSION.model, NO_VERSION.version)


@given(st.binary(max_size=200))
def test_every_body_can_be_stored(body: bytes) -> None:
    assert failure_of(body, at_ms=AT_MS).message == body
