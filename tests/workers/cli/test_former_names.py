"""Scripts and settings files written for release 0.1 go on working."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import pytest

from panopticon.results.outputs import FailureState
from tests.contracts.examples import TAGGER, failure, key
from tests.house import House
from tests.workers.cli.conftest import Panopticon
from workers.cli.main import cli

SETTINGS_FILE = """\
database = "sqlite:///old.db"
broker = ""
store = ""
search = ""
originals = "file:///photos/{image_id}"
file_roots = ["/photos"]
private_hosts = ["images.internal:8080"]
s3_endpoint = ""
s3_region = ""
s3_addressing = "auto"
models = ["tagger@1", "quality@1"]
models_dir = "models"
cache_dir = "cache"
engine = "litert"
threads = 2
max_bytes = 67108864
max_pixels = 100000000
fetch_timeout_s = 20.0
item_timeout_s = 60.0
lease_s = 61.0
retry_delays_s = [10.0, 60.0, 600.0, 3600.0]
registry_every_s = 5.0
backfill_waiting = 1000
grace_s = 25.0
park_max_s = 30.0
park_hold_s = 60.0
breaker_failures = 10
dead_share = 0.5
ready_file = "ready"
settle_s = 10.0
min_coverage = 0.99
min_agreement = 0.0
min_jaccard = 0.0
max_ks = 1.0
max_waiting = 1000
report_max_age_s = 86400.0
"""
"""Every setting that release 0.1 knew."""

CHECKOUT_FILE = """\
# What `panopticon` reads when it is called from this folder: everything stays inside the checkout.
database = "sqlite:///.panopticon/panopticon.db"
cache_dir = ".panopticon/cache"
"""
"""The file `panopticon.toml` in the checkout of release 0.1."""

COMMANDS = """
--config --database --set
index --model --show --json
submit --lane
worker --model --replicas --metrics-port
indexer --metrics-port
search --any --min-probability --score --order --limit --cursor --json
search rebuild --ids --fewer --drop-old --json
show --json
status --watch --every --json
audit --ids --model --fix --json
backfill --model --ids --from-search --json
backfill list --json
backfill show --json
backfill pause
backfill resume
backfill cancel
dead list --model --day --reason --state --limit --json
dead show --json
dead replay --model --day --reason --all --lane
dead purge --model --day --reason --all --yes
erase --ids --check --yes --json
models list --json
models show --json
models check --json
models diff --sample --ids --html --json
models new --task --keras --golden --next --dir
models add --reason --json
models shadow --reason --json
models activate --force --reason --json
models rollback --reason --json
models deactivate --reason --json
models retire --discard --yes --reason --json
models history --json
policy show --number --json
policy check --json
policy preview --sample --ids --json
policy apply --reason --ids --json
policy history --json
doctor --json
settings --json
"""
"""Every command of release 0.1, with its options; the first line holds those of the program itself."""


@pytest.mark.parametrize("line", COMMANDS.split("\n")[1:-1])
def test_every_command_and_option_of_release_0_1_is_still_known(line: str) -> None:
    words = [word for word in line.split() if not word.startswith("--")]
    command: click.Command = cli
    context = click.Context(cli)
    while words:
        assert isinstance(command, click.Group)
        _, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
    options = {option for parameter in command.params for option in parameter.opts}
    assert options >= {word for word in line.split() if word.startswith("--")}


def test_a_settings_file_of_release_0_1_is_read_whole(panopticon: Panopticon, tmp_path: Path) -> None:
    (tmp_path / "panopticon.toml").write_text(SETTINGS_FILE, "utf-8")
    ran = panopticon("settings", "--json")
    assert ran.code == 0, ran.err
    values = {row["key"]: row["value"] for row in ran.json["settings"]}
    keys = [line.partition(" = ")[0] for line in SETTINGS_FILE.splitlines()]
    assert [key for key in keys if key not in values] == []
    expected = ("litert", "61.0", "10.0, 60.0, 600.0, 3600.0", "/photos")
    assert tuple(values[key] for key in ("engine", "lease_s", "retry_delays_s", "file_roots")) == expected


def test_the_settings_file_in_the_checkout_of_release_0_1_is_read(
    panopticon: Panopticon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PANOPTICON_DATABASE")
    (tmp_path / "panopticon.toml").write_text(CHECKOUT_FILE, "utf-8")
    values = {row["key"]: row["value"] for row in panopticon("settings", "--json").json["settings"]}
    assert (values["database"], values["cache_dir"]) == (
        "sqlite:///.panopticon/panopticon.db",
        ".panopticon/cache",
    )


class TestDeadPurge:
    """`dead discard` was `dead purge` up to release 0.1."""

    def test_a_script_that_purges_discards(self, panopticon: Panopticon, house: House) -> None:
        house.register()
        house.store.outputs.put_failures([replace(failure(key("a", version=TAGGER)), message=b"{}")])
        ran = panopticon("dead", "purge", "--model", str(TAGGER), "--yes")
        assert (ran.code, ran.out) == (0, "1 failure discarded.\n")
        (kept,) = house.store.outputs.failures_of(["a"])
        assert kept.state is FailureState.DISCARDED

    def test_help_names_the_present_word_alone(self, panopticon: Panopticon) -> None:
        text = panopticon("dead", "--help").out
        assert "discard" in text
        assert "purge" not in text
