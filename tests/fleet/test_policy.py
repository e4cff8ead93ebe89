"""A change of policy while worker and indexer run, and while whoever changes it is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
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
from storage.search import open_search
from storage.stores import open_store
from tests.fleet.processes import fleet
from tests.fleet.trial import wait_for
from tests.servers.ports import free_ports
from workers.queues import broker_of
from workers.registry.policy_cache import ResolvedPolicy, resolve_policy, result_message
from workers.registry.register import ensure_registered

NULL = VersionName(model="null", version=1)
WHOLE, SHORT = 10_000, 1_500
places = pytest.mark.parametrize(
    ("place", "images"),
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
class House:
    """Images with an output and a document by the first policy of `null@1`."""

    settings: Settings
    folder: Path
    ids: list[str]
    former: ResolvedPolicy
    late: list[str] = field(default_factory=list)
    """Images that were stored while the policy changed, and published by the former one."""

    @property
    def environ(self) -> dict[str, str]:
        return {**os.environ, **self.settings.as_environ()}

    @property
    def log(self) -> str:
        return (self.folder / "apply.log").read_text()

    def apply(self) -> subprocess.Popen[bytes]:
        """`panopticon policy apply`, as a process."""
        (self.folder / "policy.toml").write_text(RENAMED)
        command = [sys.executable, "-m", "workers.cli.main", "policy", "apply", str(NULL), "policy.toml"]
        with (self.folder / "apply.log").open("ab") as log:
            return subprocess.Popen(command, cwd=self.folder, env=self.environ, stdout=log, stderr=log)

    def old(self) -> list[str]:
        """Images whose documents are by the first policy, looked up one by one."""
        documents = open_search(self.settings.search_url).get(self.ids)
        return [i for i in self.ids if documents[i].parts[NULL.part].policy_number == 1]

    def check(self) -> None:
        """Each document says what the new policy makes of the output, and no output was made anew."""
        ids = [*self.ids, *self.late]
        wait_for(lambda: self.results_waiting() == 0)
        documents = open_search(self.settings.search_url).get(ids)
        with closing(open_store(self.settings.store_url)) as store:
            outputs = [
                output for chunk in chunks(ids, 500) for output in store.outputs.get(chunk, NULL).values()
            ]
        assert sorted(output.key.image_id for output in outputs) == sorted(ids)
        assert {output.produced_at_ms for output in outputs} == {PRODUCED_AT_MS}
        for output in outputs:
            part = documents[output.key.image_id].parts[NULL.part]
            said = dict(zip(("rot", "green", "blue"), output.vector.tolist(), strict=True))
            assert (part.policy_number, dict(part.scores)) == (2, said)

    def results_waiting(self) -> int:
        with closing(broker_of(self.settings)) as broker:
            return total(broker.results().depth())

    def publish_late(self, stopping: threading.Event) -> None:
        """As a worker that never hears of a new policy: known images, and new ones as they are stored."""
        with (
            closing(open_store(self.settings.store_url)) as store,
            closing(broker_of(self.settings)) as broker,
        ):
            while not stopping.wait(LATE_EVERY_S):
                new = f"late-{len(self.late)}"
                outputs = [output_of(i, n) for n, i in enumerate([new, *self.ids[len(self.late) :: 499]])]
                store.outputs.put(outputs[:1])
                bodies = [encode(result_message(output, self.former, occurred_at=None)) for output in outputs]
                broker.results().submit(bodies, Lane.LIVE)
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


def planted(settings: Settings, folder: Path, images: int) -> House:
    """The registry read again every 0.5 s, so that a policy is known everywhere after 1.5 s."""
    settings = settings.model_copy(update={"registry_every_s": 0.5})
    search = open_search(settings.search_url)
    ids = [f"image-{number:05}" for number in range(images)]
    with closing(open_store(settings.store_url)) as store, closing(broker_of(settings)) as broker:
        card = find_card(NULL, settings.models_dir)
        ensure_registered(card, store.registry, broker.topology, archive=store.archive, by="test")
        model = store.registry.read(NULL.model)
        assert model is not None
        policy = resolve_policy(model, model.versions[0], store.archive)
        outputs = [output_of(image_id, number) for number, image_id in enumerate(ids)]
        for chunk in chunks(outputs, 500):
            store.outputs.put(chunk)
            search.apply([change_of(result_message(output, policy, occurred_at=None)) for output in chunk])
    return House(settings=settings, folder=folder, ids=ids, former=policy)


@contextmanager
def worker_with_metrics(house: House) -> Iterator[str]:
    """A worker of the version, and where it tells how many images it ran."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "workers.cli.main", "worker", "--model", str(NULL)]
    with (house.folder / "worker.log").open("ab") as log:
        worker = subprocess.Popen([*command, f"--metrics-port={port}"], env=house.environ, stderr=log)
    url = f"http://127.0.0.1:{port}/metrics"
    try:
        wait_for(lambda: RUN in scraped(url))
        yield url
    finally:
        worker.terminate()
        assert worker.wait(60) == 0


def scraped(url: str) -> str:
    """Empty while nobody answers."""
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
def late_results(house: House) -> Iterator[None]:
    stopping = threading.Event()
    publishing = threading.Thread(target=house.publish_late, args=(stopping,))
    publishing.start()
    try:
        yield
    finally:
        stopping.set()
        publishing.join()


@places
def test_a_policy_change_runs_no_model_and_leaves_nothing_old(
    tmp_path: Path, request: pytest.FixtureRequest, place: str, images: int
) -> None:
    house = planted(request.getfixturevalue(place), tmp_path, images)
    with (
        fleet(house.settings, tmp_path, versions=()),
        worker_with_metrics(house) as url,
        late_results(house),
    ):
        assert house.apply().wait(250) == 0, house.log
        assert images_run(url) == 0
    with fleet(house.settings, tmp_path, versions=()):
        house.check()
    assert len(house.late) > 10


@places
def test_a_change_that_is_killed_in_the_middle_and_begun_again_ends_right(
    tmp_path: Path, request: pytest.FixtureRequest, place: str, images: int
) -> None:
    house = planted(request.getfixturevalue(place), tmp_path, images)
    with fleet(house.settings, tmp_path, versions=()):
        applying = house.apply()
        wait_for(lambda: len(house.old()) < len(house.ids))
        applying.kill()
        assert applying.wait() == -9, "it was through before it could be killed"
        wait_for(lambda: house.results_waiting() == 0)
        assert house.old(), "nothing was left to do"
        assert house.apply().wait(250) == 0, house.log
        house.check()
    assert "null@1 has this policy already, as number 2" in house.log
