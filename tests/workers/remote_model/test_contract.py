"""The runner against the real service keeps the contract of every ModelRunner."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from panopticon.interfaces import ModelRunner
from panopticon.models import find_card, parse_version
from panopticon.settings import Settings
from storage.originals.files import uri_of
from tests.contracts.model_runner import ModelRunnerContract
from tests.servers.espresso import ServiceProcess
from tests.workers.faults.pipeline import MODELS
from workers.remote_model.runner import RemoteRunner


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with ServiceProcess(
        tmp_path_factory.mktemp("service"), "null@1", file_roots=[tmp_path_factory.getbasetemp()]
    ).running() as service:
        yield service


class TestRemoteRunner(ModelRunnerContract):
    @pytest.fixture(params=["uri", "bytes"])
    def runner(self, service: ServiceProcess, request: pytest.FixtureRequest) -> Iterator[ModelRunner]:
        card = find_card(parse_version("null@1"), MODELS)
        settings = Settings(espresso=service.url, espresso_send=request.param)
        with closing(RemoteRunner(card, settings)) as runner:
            yield runner

    @pytest.fixture
    def encoded(self) -> bytes:
        out = io.BytesIO()
        Image.new("RGB", (16, 8), (250, 120, 60)).save(out, "png")
        return out.getvalue()

    @pytest.fixture
    def uri(self, tmp_path: Path, encoded: bytes) -> str:
        path = tmp_path / "image.png"
        path.write_bytes(encoded)
        return uri_of(os.fsencode(path))
