"""The codec of heartbeats."""

from __future__ import annotations

import json

from panopticon.registry.heartbeats import decode_heartbeat, encode_heartbeat
from tests.contracts.heartbeats import heartbeat


def test_a_heartbeat_is_decoded_as_it_was_encoded() -> None:
    assert decode_heartbeat(encode_heartbeat(heartbeat())) == heartbeat()


def test_further_fields_of_a_newer_release_are_ignored() -> None:
    newer = {**json.loads(encode_heartbeat(heartbeat())), "gpu": "H200"}
    assert decode_heartbeat(json.dumps(newer)) == heartbeat()
