"""One client with many images, and others with one: they take turns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from panopticon.scheduling.batching import BACKFILL_EVERY
from panopticon.settings import Settings
from tests.pictures import encoded
from tests.program import run
from tests.workers.serving.faults.cards import write_card
from tests.workers.serving.faults.engines import BEST_BATCH
from tests.workers.serving.running import RunningService, running, wait_until
from tests.workers.serving.test_service import statuses

MANY = 50
GREEN, BLUE = (0, 255, 0), (0, 0, 255)
HELD_BY_PROCESS = 2 * BEST_BATCH
"""A process has one batch that runs, and the next one, which is decoded meanwhile."""
SWAPPED = 2 * BEST_BATCH
"""Threads that decode finish in any order, so that an image may be overtaken by a few that came later, on a
busy machine by as many as the process holds."""
Token = dict[str, Any]


class Gathering:
    """A service whose model notes what it runs, in its order, and runs while the test lets it."""

    def __init__(self, service: RunningService, tokens: dict[str, Token]) -> None:
        self.service = service
        self.ann, self.ben = tokens["ann"], tokens["ben"]
        self._folder = service.settings.cache_dir

    def hold(self) -> None:
        """Let the model run nothing, and forget what ran before."""
        (self._folder / "batches").unlink(missing_ok=True)
        (self._folder / "hold").touch()

    def let_run(self) -> None:
        (self._folder / "hold").unlink(missing_ok=True)

    def wait_until_admitted(self, images: int) -> None:
        def admitted() -> bool:
            answer = self.service.get("/v1/models/gathering", **self.ann)
            return bool(answer.json["gate"]["images"] == images)

        wait_until(admitted, f"{images} are admitted", self.service)

    def order(self) -> list[str]:
        """Return the colour of each image, in the order in which they were run."""
        return (self._folder / "batches").read_text().split()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gathering]:
    folder = tmp_path_factory.mktemp("fairness")
    write_card(folder / "models", "gathering", engine="GatheringEngine")
    file = folder / "tokens.toml"
    chosen = Settings.model_validate({"tokens_file": file})
    tokens = {}
    for name in ("ann", "ben"):
        made = run("tokens", "add", name, "--scope", "read", "--scope", "analyze", settings=chosen)
        assert made.returncode == 0, made.stderr
        tokens[name] = {"Authorization": f"Bearer {made.stdout.strip()}"}
    options: dict[str, Any] = {"models_dir": folder / "models", "tokens_file": file, "gate": 2 * MANY}
    with running(folder, "gathering@1", **options) as service:
        yield Gathering(service, tokens)


@pytest.fixture
def gathering(service: Gathering) -> Iterator[Gathering]:
    """A model that is held until the test lets it run."""
    service.hold()
    yield service
    service.let_run()


def picture(colour: tuple[int, int, int]) -> bytes:
    return encoded(Image.new("RGB", (16, 16), colour), "PNG")


def name_of(colour: tuple[int, int, int]) -> str:
    return ",".join(map(str, colour))


def test_one_image_comes_after_one_of_another_client_that_has_fifty(gathering: Gathering) -> None:
    service = gathering.service
    with service.at_once(MANY, picture(GREEN), "", **gathering.ann) as many:
        gathering.wait_until_admitted(MANY)
        with service.at_once(1, picture(BLUE), "", **gathering.ben) as one:
            gathering.wait_until_admitted(MANY + 1)
            gathering.let_run()
    assert statuses(many) == {200: MANY}
    assert statuses(one) == {200: 1}
    # Before it came, the process had its images already; then it was the turn of one of ann's.
    assert gathering.order().index(name_of(BLUE)) <= HELD_BY_PROCESS + 1 + SWAPPED


def test_the_images_of_two_clients_alternate(gathering: Gathering) -> None:
    service = gathering.service
    with service.at_once(MANY // 2, picture(GREEN), "", **gathering.ann) as many:
        gathering.wait_until_admitted(MANY // 2)
        with service.at_once(MANY // 5, picture(BLUE), "", **gathering.ben) as others:
            gathering.wait_until_admitted(MANY // 2 + MANY // 5)
            gathering.let_run()
    assert statuses(many) + statuses(others) == {200: MANY // 2 + MANY // 5}
    order = gathering.order()[HELD_BY_PROCESS:]
    last = len(order) - order[::-1].index(name_of(BLUE))
    assert last <= 2 * (MANY // 5) + SWAPPED


def test_a_live_image_comes_before_the_backfill_that_waits(gathering: Gathering) -> None:
    """Also if all of them are of one client."""
    service = gathering.service
    lane = {"X-Panopticon-Lane": "backfill", **gathering.ann}
    with service.at_once(MANY, picture(GREEN), "", **lane) as many:
        gathering.wait_until_admitted(MANY)
        with service.at_once(1, picture(BLUE), "", **gathering.ann) as one:
            gathering.wait_until_admitted(MANY + 1)
            gathering.let_run()
    assert statuses(many) == {200: MANY}
    assert statuses(one) == {200: 1}
    assert gathering.order().index(name_of(BLUE)) <= HELD_BY_PROCESS + SWAPPED


def test_backfill_that_waits_behind_live_images_is_not_starved(gathering: Gathering) -> None:
    service = gathering.service
    lane = {"X-Panopticon-Lane": "backfill", **gathering.ben}
    with service.at_once(MANY, picture(GREEN), "", **gathering.ann) as many:
        gathering.wait_until_admitted(MANY)
        with service.at_once(1, picture(BLUE), "", **lane) as one:
            gathering.wait_until_admitted(MANY + 1)
            gathering.let_run()
    assert statuses(many) == {200: MANY}
    assert statuses(one) == {200: 1}
    # Its turn comes after fifteen live ones in each of two waits: in the service, and in the process.
    assert gathering.order().index(name_of(BLUE)) <= HELD_BY_PROCESS + 2 * BACKFILL_EVERY + SWAPPED
