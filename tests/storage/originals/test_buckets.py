"""The buckets that a message may name, and those that the settings keep for others."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from panopticon.errors import Rejected, UsageError
from panopticon.interfaces import FetchLimits
from panopticon.settings import Settings
from storage.originals import open_originals
from storage.originals.buckets import AllowedBucketsSource, read_buckets
from tests.contracts.image_source import LIMITS


class Opened:
    """An ImageSource that records what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def fetch(self, uri: str, limits: FetchLimits) -> bytes:
        self.asked.append(uri)
        return b"x"


def is_allowed(uri: str, **settings: Any) -> bool:
    chosen = Settings(**settings)
    inner = Opened()
    source = AllowedBucketsSource(
        read_buckets(chosen.readable_buckets, originals=chosen.originals), source=inner
    )
    with suppress(Rejected):
        source.fetch(uri, LIMITS)
    return inner.asked == [uri]


PHOTOS: dict[str, Any] = {"originals": "s3://photos/{image_id}"}


class TestDefault:
    def test_the_bucket_of_originals_may_be_read(self) -> None:
        assert is_allowed("s3://photos/1.jpg", **PHOTOS)
        assert is_allowed("s3://photos/other/1.jpg", **PHOTOS)

    @pytest.mark.parametrize("uri", ["s3://payroll/scan.jpg", "s3://Photos/1.jpg", "s3://photos2/1.jpg"])
    def test_no_other_bucket_may_be_read(self, uri: str) -> None:
        assert not is_allowed(uri, **PHOTOS)

    @pytest.mark.parametrize("originals", ["", "file:///photos/{image_id}", "https://photos/{image_id}"])
    def test_without_originals_in_s3_no_bucket_may_be_read(self, originals: str) -> None:
        assert not is_allowed("s3://photos/1.jpg", originals=originals)


class TestSetting:
    def test_it_names_buckets_and_folders_of_buckets(self) -> None:
        entries = ("photos", "archive/2026/public")
        assert is_allowed("s3://photos/a/1.jpg", s3_buckets=entries)
        assert is_allowed("s3://archive/2026/public/1.jpg", s3_buckets=entries)

    @pytest.mark.parametrize(
        "uri",
        [
            "s3://photos/2026/../payroll/1.jpg",
            "s3://photos/2026/%2E%2E/payroll/1.jpg",
            "s3://photos/2026/./1.jpg",
            "s3://photos/2026%2F..%2Fpayroll/1.jpg",
            "s3://photos//2026/1.jpg",
            "s3://photos/20261/1.jpg",
            "s3://photos/2026",
            "s3://photos/payroll/2026/1.jpg",
            "s3://photos/",
            "s3://photos",
            "s3://photos%2F2026/1.jpg",
            "s3://PHOTOS/2026/1.jpg",
            "s3://photos@payroll/2026/1.jpg",
            "s3://payroll/photos/2026/1.jpg",
        ],
    )
    def test_no_path_leads_out_of_a_folder(self, uri: str) -> None:
        assert not is_allowed(uri, s3_buckets=("photos/2026",))

    def test_an_escaped_path_inside_a_folder_is_allowed(self) -> None:
        assert is_allowed("s3://photos/2026%2Fa%20b.jpg", s3_buckets=("photos/2026/",))

    def test_it_replaces_the_default(self) -> None:
        narrow = {"originals": "s3://photos/public/{image_id}", "s3_buckets": ("photos/public",)}
        assert is_allowed("s3://photos/public/1.jpg", **narrow)
        assert not is_allowed("s3://photos/private/1.jpg", **narrow)

    @pytest.mark.parametrize("entry", ["s3://photos", "photos/../x", "ph", "a b", "/photos"])
    def test_an_entry_that_is_not_a_bucket_is_reported_at_once(self, entry: str) -> None:
        with pytest.raises(UsageError, match="setting 's3_buckets' names"):
            open_originals(Settings(s3_buckets=(entry,)))

    def test_originals_outside_of_all_buckets_are_reported_at_once(self) -> None:
        with pytest.raises(UsageError, match="which the setting s3_buckets does not allow; add photos to it"):
            open_originals(Settings(**PHOTOS, s3_buckets=("archive",)))


def test_the_refusal_names_the_setting_and_what_was_refused() -> None:
    source = open_originals(Settings(s3_buckets=("photos/2026",)))
    with pytest.raises(Rejected) as other:
        source.fetch("s3://payroll/scan.jpg", LIMITS)
    assert other.value.reason == "bucket_not_allowed"
    assert other.value.detail == "bucket payroll is not in the setting s3_buckets"
    with pytest.raises(Rejected, match="this folder of bucket photos is not in the setting s3_buckets"):
        source.fetch("s3://photos/payroll.jpg", LIMITS)
