"""A message costs its own image at most an attempt, whatever it names, and never parks a worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panopticon.errors import Rejected, Transient
from panopticon.interfaces import FetchLimits
from panopticon.settings import Settings
from storage.originals import open_originals
from tests.storage.originals.names import Names
from tests.stranger_uris import NOT_SERVED, WITHOUT_CREDENTIALS

LIMITS = FetchLimits(max_bytes=1000, timeout_s=5.0)
PLACES: dict[str, dict[str, Any]] = {
    "one machine": {},
    "files": {"originals": "file:///photos/{image_id}", "file_roots": (Path("/photos"),)},
    "web": {"originals": "https://photos.example/{image_id}"},
    "s3": {"originals": "s3://catalogue/{image_id}", "s3_endpoint": "http://127.0.0.1:1"},
    "none": {"broker": "amqp://broker.example"},
}


@pytest.fixture(autouse=True)
def _without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in WITHOUT_CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("place", PLACES)
def test_no_uri_that_the_settings_do_not_serve_is_an_outage(place: str, names: Names) -> None:
    for host in ("no-such-host.invalid", "payroll.s3.no-such-host.invalid", "photos.invalid"):
        names.resolve(host)
    source = open_originals(Settings(**PLACES[place]))
    for kind, uri in NOT_SERVED.items():
        with pytest.raises((Rejected, Transient)) as refused:
            source.fetch(uri, LIMITS)
        assert len(str(refused.value)) < 500, kind
        assert "secret" not in str(refused.value), kind


def test_s3_without_credentials_is_not_even_opened_for_a_bucket_that_no_setting_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A configuration that boto3 cannot read would otherwise end the model process."""
    (tmp_path / "config").write_text("no section")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(Rejected, match="bucket_not_allowed"):
        open_originals(Settings()).fetch("s3://bucket/key", LIMITS)


schemes = st.sampled_from(["http", "https", "s3", "file", "FILE", "ftp", ""])
hosts = st.sampled_from(
    ["", "photos", "[::1]", "[", "127.0.0.1:1", "127.0.0.1:0", "%00", "a@b", "\u212b", ".."]
)
paths = st.one_of(st.text(max_size=20), st.sampled_from(["/%", "/%2e%2e/", "/\0", "/\ud800", "//", "/?#"]))


@given(schemes, hosts, paths)
def test_whatever_a_uri_is_made_of_its_failure_is_the_images_own(scheme: str, host: str, path: str) -> None:
    """Any other exception would end the model process, and be held against the image or the model."""
    settings = Settings(originals="s3://catalogue/{image_id}", file_roots=(Path("/nonexistent"),))
    with pytest.raises((Rejected, Transient)):
        open_originals(settings).fetch(f"{scheme}://{host}{path}", LIMITS)
