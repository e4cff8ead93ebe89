"""A body is read within the limits of a request, whatever is in it."""

from __future__ import annotations

import asyncio

import pytest

from workers.serving.api.bodies import BodyReader, Message
from workers.serving.problems import Problem


def read_json(body: bytes) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    reader = BodyReader(
        receive,
        content_type="application/json",
        max_bytes=2**30,
        max_image_bytes=2**30,
        max_images=64,
        timeout_s=60.0,
        arrived=lambda _: None,
    )
    asyncio.run(reader.read())


def test_a_key_that_is_there_twice_is_found_among_very_many() -> None:
    keys = [*(f"{number:x}" for number in range(100_000)), "z", "z"]
    body = "{" + ",".join(f'"{key}":1' for key in keys) + "}"
    with pytest.raises(Problem, match="the key 'z' is there twice"):
        # Compared each with each, they would take minutes.
        read_json(body.encode())
