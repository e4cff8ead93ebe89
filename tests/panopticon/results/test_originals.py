"""The location of an original, with and without a URI in the message."""

from __future__ import annotations

import pytest

from panopticon.messages import ImageMessage
from panopticon.results.originals import host_of, original_uri

TEMPLATE = "file:///photos/{image_id}.jpg"


def test_the_uri_of_the_message_comes_first() -> None:
    message = ImageMessage(image_id="1", image_uri="file:///elsewhere.png")
    assert original_uri(message, TEMPLATE) == "file:///elsewhere.png"


@pytest.mark.parametrize(
    ("image_id", "uri"),
    [
        ("123", "file:///photos/123.jpg"),
        ("2026/11/21", "file:///photos/2026/11/21.jpg"),
        ("50%20", "file:///photos/50%2520.jpg"),
        ("a#b?c d", "file:///photos/a%23b%3Fc%20d.jpg"),
        ("猫", "file:///photos/%E7%8C%AB.jpg"),
        ("{image_id}", "file:///photos/%7Bimage_id%7D.jpg"),
    ],
)
def test_without_a_uri_the_template_is_filled_with_the_id(image_id: str, uri: str) -> None:
    assert original_uri(ImageMessage(image_id=image_id), TEMPLATE) == uri


def test_without_a_uri_or_a_template_the_uri_is_empty() -> None:
    assert original_uri(ImageMessage(image_id="1"), "") == ""


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("https://photos.example/1.jpg?sig=x", "https://photos.example"),
        ("http://Photos.example:8080/1.jpg", "http://photos.example:8080"),
        ("http://ann:s3cr3t@photos.example/1.jpg", "http://photos.example"),
        ("s3://bucket/1.jpg", "s3://bucket"),
        ("file:///photos/1.jpg", "file://"),
        ("http://[", ""),
    ],
)
def test_the_host_of_a_uri_has_no_path_and_no_password(uri: str, host: str) -> None:
    assert host_of(uri) == host
