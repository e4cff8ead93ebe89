"""The contract of every ImageSource."""

from __future__ import annotations

from dataclasses import replace

import pytest

from panopticon.errors import PanopticonError, Rejected, Transient
from panopticon.interfaces import FetchLimits, ImageSource

LIMITS = FetchLimits(max_bytes=1000, timeout_s=5.0)


class ImageSourceContract:
    """The access to one source, and to the place of its originals."""

    def open_source(self) -> ImageSource:
        raise NotImplementedError

    def place(self, name: str, content: bytes) -> str:
        """Put an original into its place and return its URI."""
        raise NotImplementedError

    def absent(self) -> str:
        """Return the URI of an original that is missing in an existing place."""
        raise NotImplementedError

    absence: type[PanopticonError] = Rejected
    """The class of error for a missing original."""

    @pytest.fixture
    def source(self) -> ImageSource:
        return self.open_source()

    @pytest.mark.parametrize("content", [b"", b"\x00", bytes(range(256)), b"\xff" * 1000])
    def test_an_original_is_returned_byte_for_byte(self, source: ImageSource, content: bytes) -> None:
        assert source.fetch(self.place("photo.jpg", content), LIMITS) == content

    @pytest.mark.parametrize(
        "name", ["a b.jpg", "50%20.jpg", "what?.jpg", "number#1.jpg", "猫.png", "é+ü.webp", "a&b=c;d.gif"]
    )
    def test_an_original_is_found_under_any_name(self, source: ImageSource, name: str) -> None:
        self.place("other.jpg", b"other")
        assert source.fetch(self.place(name, name.encode()), LIMITS) == name.encode()

    def test_an_original_of_exactly_the_limit_is_returned(self, source: ImageSource) -> None:
        uri = self.place("photo.jpg", b"x" * 1000)
        assert len(source.fetch(uri, LIMITS)) == 1000

    def test_an_original_one_byte_above_the_limit_is_rejected(self, source: ImageSource) -> None:
        uri = self.place("photo.jpg", b"x" * 1001)
        with pytest.raises(Rejected) as refusal:
            source.fetch(uri, LIMITS)
        assert refusal.value.reason == "too_many_bytes"

    def test_each_call_has_its_own_limit(self, source: ImageSource) -> None:
        uri = self.place("photo.jpg", b"x" * 1001)
        assert len(source.fetch(uri, replace(LIMITS, max_bytes=1001))) == 1001

    def test_an_absent_original_is_not_found(self, source: ImageSource) -> None:
        self.place("photo.jpg", b"x")
        with pytest.raises(self.absence) as refusal:
            source.fetch(self.absent(), LIMITS)
        assert isinstance(refusal.value, Rejected | Transient)
        assert refusal.value.reason == "not_found"

    def test_an_original_that_arrives_later_is_found(self, source: ImageSource) -> None:
        with pytest.raises(self.absence):
            source.fetch(self.absent(), LIMITS)
        assert source.fetch(self.place("photo.jpg", b"late"), LIMITS) == b"late"

    @pytest.mark.parametrize(
        "uri", ["", "photo.jpg", "nosuchscheme://x/photo.jpg", "://", "file", "%", "\x00"]
    )
    def test_a_uri_of_another_source_is_rejected(self, source: ImageSource, uri: str) -> None:
        with pytest.raises(Rejected) as refusal:
            source.fetch(uri, LIMITS)
        assert refusal.value.reason == "bad_uri"
