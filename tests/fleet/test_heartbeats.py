"""Workers and an indexer as an operator sees them: `status` and `doctor` list those that run."""

from __future__ import annotations

from pathlib import Path

from panopticon.settings import Settings
from tests.fleet.commands import panopticon_json
from tests.fleet.processes import VERSIONS, fleet
from tests.fleet.trial import wait_for

NULL, _ = VERSIONS


def test_status_lists_every_process_that_runs_and_none_that_was_stopped(
    tmp_path: Path, on_one_file: Settings
) -> None:
    def seen() -> set[tuple[str, str | None, str]]:
        processes = panopticon_json(on_one_file, "status")["processes"]
        return {(each["role"], each["version"], each["state"]) for each in processes}

    with fleet(on_one_file, tmp_path, [NULL]) as running:
        wait_for(lambda: seen() == {("worker", "null@1", "ready"), ("indexer", None, "ready")})
        assert set(running.stop().values()) == {0}
        assert seen() == set()
