"""A change of policy: only here do a worker and an indexer run meanwhile, and is the command killed midway.

The rules of republishing are in tests/workers/maintenance/test_republish.py.
"""

from __future__ import annotations

import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest

from panopticon.chunks import chunks
from panopticon.depths import total
from panopticon.messages import Lane, encode
from panopticon.models import find_card
from panopticon.results.documents import change_of
from panopticon.results.outputs import Output, OutputKey, VersionName
from panopticon.settings import Settings
from tests import program
from tests.fleet.processes import fleet
from tests.fleet.trial import wait_for
from tests.house import house_of
from tests.servers.ports import free_ports
from workers.registry.policy_cache import ResolvedPolicy, result_message

NULL = VersionName(model="null", version=1)
WHOLE, SHORT = 10_000, 1_500
places = pytest.mark.parametrize(
    ("place", "count"),
    [
        ("on_one_file", WHOLE),
        ("on_three_servers", SHORT),
        pytest.param("on_three_servers", WHOLE, marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    ],
)

RENAMED = 'renamed = { red = "rot" }\n'
LATE_EVERY_S = 0.1
PRODUCED_AT_MS = 1
RUN = "panopticon_images_stored_total"


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """The images, each with an output and a document by the first policy of `null@1`."""

    settings: Settings
    folder: Path
    ids: list[str]
    former: ResolvedPolicy
    late: list[str] = field(default_factory=list)
    """Images that were stored while the policy changed, and published by the former one."""

    @property
    def log(self) -> str:
        return (self.folder / "apply.log").read_text()

    def apply(self) -> subprocess.Popen[bytes]:
        """Start `panopticon policy apply`."""
        policy = self.folder / "policy.toml"
        policy.write_text(RENAMED)
        words = ("policy", "apply", str(NULL), str(policy))
        return program.start(*words, settings=self.settings, log=self.folder / "apply.log")

    def old(self) -> list[str]:
        """Return the images whose documents are by the first policy."""
        with house_of(self.settings) as house:
            documents = house.search.get(self.ids)
        return [i for i in self.ids if documents[i].parts[NULL.part].policy_number == 1]

    def check(self) -> None:
        """Check that each document is by the new policy, and that no output was computed again."""
        ids = [*self.ids, *self.late]
        wait_for(lambda: self.results_waiting() == 0)
        with house_of(self.settings) as house:
            documents, get = house.search.get(ids), house.store.outputs.get
            outputs = [output for chunk in chunks(ids, 500) for output in get(chunk, NULL).values()]
        assert sorted(output.key.image_id for output in outputs) == sorted(ids)
        assert {output.produced_at_ms for output in outputs} == {PRODUCED_AT_MS}
        for output in outputs:
            part = documents[output.key.image_id].parts[NULL.part]
            scores = dict(zip(("rot", "green", "blue"), output.vector.tolist(), strict=True))
            assert (part.policy_number, dict(part.scores)) == (2, scores)

    def results_waiting(self) -> int:
        with house_of(self.settings) as house:
            return total(house.broker.results().depth())

    def publish_late(self, stopping: threading.Event) -> None:
        """Publish known and new images by the former policy, like a worker that has not seen the new one."""
        with house_of(self.settings) as house:
            while not stopping.wait(LATE_EVERY_S):
                new = f"late-{len(self.late)}"
                outputs = [output_of(i, n) for n, i in enumerate([new, *self.ids[len(self.late) :: 499]])]
                house.store.outputs.put(outputs[:1])
                bodies = [encode(result_message(output, self.former, occurred_at=None)) for output in outputs]
                house.broker.results().submit(bodies, Lane.LIVE)
                self.late.append(new)


def output_of(image_id: str, number: int) -> Output:
    return Output(
        key=OutputKey(image_id=image_id, model=NULL.model, version=NULL.version, revision=0),
        vector=np.array([number % 7 / 8, number % 5 / 8, 0.5], dtype="<f4"),
        digest="",
        engine="null",
        libraries="numpy",
        source_sha256="0" * 64,
        width_px=1,
        height_px=1,
        produced_at_ms=PRODUCED_AT_MS,
    )


def planted(settings: Settings, folder: Path, count: int) -> Images:
    """Store this number of images. The registry is read every 0.5 s, so a policy is known after 1.5 s."""
    settings = settings.model_copy(update={"registry_every_s": 0.5})
    ids = [f"image-{number:05}" for number in range(count)]
    with house_of(settings) as house:
        house.real.search.create()
        house.register(find_card(NULL, settings.models_dir))
        policy = house.policy(NULL)
        outputs = [output_of(image_id, number) for number, image_id in enumerate(ids)]
        for chunk in chunks(outputs, 500):
            house.real.store.outputs.put(chunk)
            messages = [result_message(output, policy, occurred_at=None) for output in chunk]
            house.real.search.apply([change_of(message) for message in messages])
    return Images(settings=settings, folder=folder, ids=ids, former=policy)


@contextmanager
def worker_with_metrics(images: Images) -> Iterator[str]:
    """Run a worker of the version; yield the URL of its metrics."""
    (port,) = free_ports(1)
    words = ("worker", "--model", str(NULL), f"--metrics-port={port}")
    worker = program.start(*words, settings=images.settings, log=images.folder / "worker.log")
    url = f"http://127.0.0.1:{port}/metrics"
    try:
        wait_for(lambda: RUN in scraped(url))
        yield url
    finally:
        worker.terminate()
        assert worker.wait(60) == 0


def scraped(url: str) -> str:
    """Return the metrics; nothing while the worker does not answer."""
    try:
        with urllib.request.urlopen(url) as answer:
            text: str = answer.read().decode()
            return text
    except URLError:
        return ""


def images_run(url: str) -> float:
    lines = [line for line in scraped(url).splitlines() if line.startswith(RUN)]
    return sum(float(line.rsplit(maxsplit=1)[1]) for line in lines)


@contextmanager
def late_results(images: Images) -> Iterator[None]:
    stopping = threading.Event()
    publishing = threading.Thread(target=images.publish_late, args=(stopping,))
    publishing.start()
    try:
        yield
    finally:
        stopping.set()
        publishing.join()


@places
def test_a_policy_change_runs_no_model_and_leaves_no_document_by_the_former_policy(
    tmp_path: Path, request: pytest.FixtureRequest, place: str, count: int
) -> None:
    images = planted(request.getfixturevalue(place), tmp_path, count)
    with (
        fleet(images.settings, tmp_path, versions=()),
        worker_with_metrics(images) as url,
        late_results(images),
    ):
        assert images.apply().wait(250) == 0, images.log
        assert images_run(url) == 0
    with fleet(images.settings, tmp_path, versions=()):
        images.check()
    assert len(images.late) > 10


@places
def test_a_policy_change_that_is_killed_midway_is_completed_by_the_next_call(
    tmp_path: Path, request: pytest.FixtureRequest, place: str, count: int
) -> None:
    images = planted(request.getfixturevalue(place), tmp_path, count)
    with fleet(images.settings, tmp_path, versions=()):
        applying = images.apply()
        wait_for(lambda: len(images.old()) < len(images.ids))
        applying.kill()
        assert applying.wait() == -9, "it had ended before it could be killed"
        wait_for(lambda: images.results_waiting() == 0)
        assert images.old(), "nothing was left to do"
        assert images.apply().wait(250) == 0, images.log
        images.check()
    assert "null@1 has this policy already, as number 2" in images.log
