"""The sources that the settings open, and the files that they may read."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from panopticon.errors import PanopticonError, Rejected, UsageError
from panopticon.interfaces import ImageSource
from panopticon.settings import Settings
from storage.originals import open_originals
from tests.contracts.image_source import LIMITS
from tests.servers.http import HttpServer

BROKER = "amqp://ann:s3cr3t@host/"


def refusal(source: ImageSource, uri: str) -> str:
    with pytest.raises(PanopticonError) as caught:
        source.fetch(uri, LIMITS)
    return str(getattr(caught.value, "reason", ""))


class TestFileRoots:
    @pytest.fixture
    def photos(self, tmp_path: Path) -> Path:
        (tmp_path / "photos").mkdir()
        (tmp_path / "photos" / "1.jpg").write_bytes(b"x")
        (tmp_path / "private.jpg").write_bytes(b"private")
        return tmp_path / "photos"

    def source(self, *roots: Path, broker: str = BROKER) -> ImageSource:
        return open_originals(Settings(broker=broker, file_roots=roots))

    def test_with_everything_in_one_sqlite_file_any_file_may_be_read(self, photos: Path) -> None:
        assert self.source(broker="").fetch(f"file://{photos}/1.jpg", LIMITS) == b"x"

    def test_with_a_broker_no_file_may_be_read_without_a_root(self, photos: Path) -> None:
        assert refusal(self.source(), f"file://{photos}/1.jpg") == "path_not_allowed"
        assert self.source(photos).fetch(f"file://{photos}/1.jpg", LIMITS) == b"x"

    def test_a_root_limits_the_embedded_system_too(self, photos: Path) -> None:
        source = self.source(photos, broker="")
        assert refusal(source, f"file://{photos.parent}/private.jpg") == "path_not_allowed"

    @pytest.mark.parametrize(
        "path", ["../private.jpg", "x/../../private.jpg", "%2E%2E/private.jpg", "link.jpg"]
    )
    def test_no_path_leads_out_of_a_root(self, photos: Path, path: str) -> None:
        (photos / "link.jpg").symlink_to(photos.parent / "private.jpg")
        assert refusal(self.source(photos), f"file://{photos}/{path}") == "path_not_allowed"

    def test_a_folder_whose_name_only_begins_like_a_root_is_outside(self, photos: Path) -> None:
        other = photos.with_name("photos2")
        other.mkdir()
        (other / "1.jpg").write_bytes(b"x")
        assert refusal(self.source(photos), f"file://{other}/1.jpg") == "path_not_allowed"

    def test_an_error_does_not_reveal_whether_a_file_outside_exists(self, photos: Path) -> None:
        for name in ("private.jpg", "absent.jpg"):
            assert refusal(self.source(photos), f"file://{photos.parent}/{name}") == "path_not_allowed"

    def test_a_link_inside_and_a_root_that_is_a_link_are_followed(self, photos: Path) -> None:
        (photos / "link.jpg").symlink_to("1.jpg")
        (photos.parent / "mount").symlink_to(photos)
        source = self.source(photos.parent / "mount")
        assert source.fetch(f"file://{photos}/link.jpg", LIMITS) == b"x"
        assert source.fetch(f"file://{photos.parent}/mount/1.jpg", LIMITS) == b"x"

    def test_there_may_be_several_roots(self, photos: Path, tmp_path: Path) -> None:
        (tmp_path / "more").mkdir()
        source = self.source(tmp_path / "more", photos)
        assert source.fetch(f"file://{photos}/1.jpg", LIMITS) == b"x"

    def test_originals_in_files_need_a_root_with_a_broker(self) -> None:
        settings = Settings(broker=BROKER, originals="file:///photos/{image_id}")
        with pytest.raises(UsageError, match="file_roots"):
            open_originals(settings)


class TestConfigured:
    def test_the_host_of_the_setting_originals_may_be_private(self) -> None:
        with HttpServer() as server:
            url = server.place("1.jpg", b"x")
            assert refusal(open_originals(Settings()), url) == "address_not_allowed"
            source = open_originals(Settings(originals=f"{server.url}/{{image_id}}"))
            assert source.fetch(url, LIMITS) == b"x"

    def test_the_endpoint_of_s3_may_be_private_at_its_port_only(self) -> None:
        with HttpServer() as endpoint, HttpServer() as other:
            source = open_originals(Settings(s3_endpoint=endpoint.url))
            assert source.fetch(endpoint.place("1.jpg", b"x"), LIMITS) == b"x"
            assert refusal(source, other.place("1.jpg", b"x")) == "address_not_allowed"

    @pytest.mark.parametrize(
        "mistake",
        [
            {"private_hosts": ("http://x/",)},
            {"originals": "https://ann:s3cr3t@photos.example/{image_id}"},
            {"s3_endpoint": "http://ann:s3cr3t@127.0.0.1:9000"},
            {"originals": "http:///{image_id}"},
        ],
    )
    def test_a_mistake_in_a_setting_is_reported_at_once_and_without_a_password(
        self, mistake: dict[str, Any]
    ) -> None:
        with pytest.raises(UsageError) as refused:
            open_originals(Settings(**mistake))
        assert "s3cr3t" not in str(refused.value)

    def test_a_scheme_without_its_driver_is_not_available(self, monkeypatch: pytest.MonkeyPatch) -> None:
        find_spec = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: None if name == "boto3" else find_spec(name)
        )
        with pytest.raises(Rejected, match="'s3'; known: file, http, https"):
            open_originals(Settings()).fetch("s3://bucket/1.jpg", LIMITS)
        with pytest.raises(UsageError, match="boto3 is missing"):
            open_originals(Settings(originals="s3://bucket/{image_id}"))


def test_a_driver_is_imported_by_the_first_fetch_and_not_before(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"x")
    code = f"""
import sys
from panopticon.settings import Settings
from storage.originals import open_originals
from tests.contracts.image_source import LIMITS
source = open_originals(Settings(originals="s3://bucket/{{image_id}}", private_hosts=("10.0.0.0/8",)))
source.fetch("file://{tmp_path}/1.jpg", LIMITS)
print(sorted({{"urllib3", "boto3", "botocore"}} & sys.modules.keys()))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.stdout.strip(), ran.stderr) == ("[]", "")
