"""The model behind BentoML. Its API writes the body to a file and passes the path of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import bentoml

from benchmarks.http.peers.config import read_config
from benchmarks.http.peers.model import PeerModel

_CONFIG = read_config()


@bentoml.service(
    workers=_CONFIG.processes,
    threads=_CONFIG.threads,
    traffic={"timeout": 60, "max_concurrency": _CONFIG.capacity},
    logging={"access": {"enabled": False}},
)
class Analyze:
    """One worker process."""

    def __init__(self) -> None:
        self._model = PeerModel(_CONFIG)

    @bentoml.api(route="/analyze")  # type: ignore[untyped-decorator]
    def analyze(
        self, photo: Annotated[Path, bentoml.validators.ContentType("image/jpeg")], /
    ) -> dict[str, Any]:
        return self._model.answer([photo.read_bytes()])[0]
