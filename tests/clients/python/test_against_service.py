"""The client against real services: `panopticon serve` in processes of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from panopticon_client import Analysis, Busy, Call, Client, Rejected, Unavailable
from tests.clients.python.clocks import ChosenRandom
from tests.workers.serving.running import JPEG, RunningService, running, wait_until


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RunningService]]:
    """Two services of the same models, each with a gate of two images."""
    folders = [tmp_path_factory.mktemp(name) for name in ("first", "second")]
    options: dict[str, Any] = {"gate": 2, "file_roots": [tmp_path_factory.getbasetemp()]}
    with (
        running(folders[0], "null@1", **options) as first,
        running(folders[1], "null@1", **options) as second,
    ):
        yield [first, second]


@pytest.fixture
def asking(services: list[RunningService]) -> Iterator[Client]:
    with Client([service.url for service in services], random=ChosenRandom()) as asking:
        yield asking


def test_both_services_give_the_same_answer_about_bytes_a_file_and_a_uri(
    asking: Client, tmp_path: Path
) -> None:
    path = tmp_path / "a photo.jpg"
    path.write_bytes(JPEG)
    found = [asking.analyze(image, vectors=True) for image in (JPEG, path, path.as_uri(), JPEG)]
    assert len({each.host for each in found}) == 2
    assert len({each.image.sha256 for each in found}) == 1
    answers = [each.models["null@1"] for each in found]
    assert len({answer.vector for answer in answers}) == 1
    assert all(answer.error is None and answer.digest and answer.scores for answer in answers)


def test_what_a_service_rejects_says_why(asking: Client) -> None:
    with pytest.raises(Rejected) as caught:
        asking.analyze(b"no picture", call=Call(request_id="the-id"))
    assert (caught.value.status, caught.value.reason) == (422, "not_an_image")
    assert (caught.value.request_id, caught.value.problem.request_id) == ("the-id", "the-id")
    with pytest.raises(Rejected, match="404 .*nobody@7"):
        asking.analyze(JPEG, models="nobody@7")


def test_the_models_and_their_gates(asking: Client) -> None:
    (model,) = asking.models()
    assert (model.name, model.state) == ("null@1", "ready")
    assert model.gate is not None
    assert model.gate.max_images == 2


def test_more_images_at_once_than_the_gates_admit_are_all_answered(
    asking: Client, services: list[RunningService]
) -> None:
    found = list(asking.analyze_many([JPEG] * 100, at_once=24))
    assert [each for each in found if not isinstance(each, Analysis)] == []
    assert {each.host for each in found if isinstance(each, Analysis)} == {each.url for each in services}


def test_a_gate_that_stays_full_is_busy_with_the_time_to_come_back(tmp_path: Path) -> None:
    with running(tmp_path, "held@1", gate=1) as service:
        held = service.settings.cache_dir / "hold"
        held.touch()
        with service.at_once(1), Client([service.url]) as asking:
            wait_until(lambda: service.model("held")["gate"]["images"] == 1, "the gate is full", service)
            with pytest.raises(Busy, match="429") as caught:
                asking.analyze(JPEG, call=Call(timeout_s=0.5))
            assert caught.value.retry_after_s >= 0
            held.unlink()


def test_no_image_is_lost_when_one_of_two_services_is_stopped_or_killed(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    with running(tmp_path / "1", "null@1") as first, running(tmp_path / "2", "null@1") as second:
        with Client([first.url, second.url], timeout_s=50) as asking:
            answers = asking.analyze_many([JPEG] * 300, at_once=8)
            found = [next(answers) for _ in range(20)]
            first.process.kill()
            found += answers
        answered = Counter(each.host if isinstance(each, Analysis) else str(each) for each in found)
    assert set(answered) == {first.url, second.url}
    assert answered.total() == 300


def test_a_store_that_is_absent_is_named(services: list[RunningService]) -> None:
    with (
        Client([services[0].url], attempts=1) as asking,
        pytest.raises(Unavailable, match="503 store unavail"),
    ):
        asking.search(all="cat")
