"""The codec of heartbeats."""

from __future__ import annotations

import json

import pytest

from panopticon.registry.heartbeats import decode_heartbeat, encode_heartbeat
from tests.contracts.heartbeats import heartbeat


def test_a_heartbeat_is_decoded_as_it_was_encoded() -> None:
    assert decode_heartbeat(encode_heartbeat(heartbeat())) == heartbeat()


@pytest.mark.parametrize("key", ["role", "state"])
def test_a_process_of_a_kind_that_only_a_newer_release_knows_is_skipped(key: str) -> None:
    newer = {**json.loads(encode_heartbeat(heartbeat())), key: "autoscaler"}
    assert decode_heartbeat(json.dumps(newer)) is None


def test_further_fields_of_a_newer_release_are_ignored() -> None:
    newer = {**json.loads(encode_heartbeat(heartbeat())), "gpu": "H200"}
    assert decode_heartbeat(json.dumps(newer)) == heartbeat()
