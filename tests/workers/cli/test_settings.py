"""`panopticon settings`."""

from __future__ import annotations

from pathlib import Path

import pytest

from panopticon.credentials import masked
from tests.workers.cli.conftest import Panopticon


def test_every_setting_is_shown_with_its_value_and_default(panopticon: Panopticon) -> None:
    settings = panopticon("--set", "settle_s=3", "settings", "--json").json["settings"]
    rows = {row["key"]: row for row in settings}
    assert (rows["settle_s"]["value"], rows["settle_s"]["default"]) == ("3.0", "10.0")
    assert rows["retry_delays_s"]["value"] == "10.0, 60.0, 600.0, 3600.0"
    assert all(row["description"] for row in settings)


def test_people_see_what_differs_from_its_default(panopticon: Panopticon) -> None:
    shown = panopticon("--set", "settle_s=3", "settings").out
    line = next(line for line in shown.splitlines() if line.startswith("settle_s"))
    assert line.split()[1] == "3.0"
    assert line.rstrip().endswith("(default: 10.0)")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("amqp://guest:guest@broker:5672/", "amqp://***@broker:5672/"),
        ("amqp://guest:se/cret@broker:5672/", "amqp://***@broker:5672/"),
        ("amqp://guest:se@cret@broker:5672/", "amqp://***@broker:5672/"),
        ("amqp://guest:12/34?5#6@broker/", "amqp://***@broker/"),
        ("amqp://gue/st:se cret@broker/", "amqp://***@broker/"),
        (
            "amqp://guest:guest@broker/v?management=http://m:15672",
            "amqp://***@broker/v?management=http://m:15672",
        ),
        ("https://search/?api_key=abc&x=1", "https://search/?api_key=***&x=1"),
        ("cassandra://host/space?password=p%20q", "cassandra://host/space?password=***"),
        ("sqlite:////var/lib/photos.db", "sqlite:////var/lib/photos.db"),
    ],
)
def test_credentials_are_masked(panopticon: Panopticon, url: str, expected: str) -> None:
    assert masked(url) == expected
    rows = panopticon("--set", f"broker={url}", "settings", "--json").json["settings"]
    assert {row["key"]: row["value"] for row in rows}["broker"] == expected


def test_a_settings_file_that_is_not_toml_is_one_line(panopticon: Panopticon) -> None:
    Path("panopticon.toml").write_text("= nonsense")
    assert panopticon("settings").complaint.startswith("settings file panopticon.toml: ")


def test_an_unknown_setting_is_one_line(panopticon: Panopticon) -> None:
    complaint = panopticon("--set", "setle_s=1", "settings").complaint
    assert complaint.startswith("unknown setting 'setle_s' from the command line; did you mean 'settle_s'?")
