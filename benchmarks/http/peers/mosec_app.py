"""The model behind Mosec: a process of its own for each model, batches gathered by the Rust server."""

from __future__ import annotations

from typing import Any

from mosec import Server, Worker

from benchmarks.http.peers.config import read_config
from benchmarks.http.peers.model import PeerModel

LEAST_WAIT_MS = 1
"""The shortest time to gather a batch; Mosec takes 0 as unset, which means 10."""


class Analyze(Worker):  # type: ignore[misc]
    """One model process."""

    def __init__(self) -> None:
        super().__init__()
        self._model = PeerModel(read_config())
        self._model.load()

    def deserialize(self, data: bytes) -> bytes:
        return data

    def forward(self, data: Any) -> Any:
        # Without batches Mosec passes one request, with batches a list.
        return self._model.answer(data) if isinstance(data, list) else self._model.answer([data])[0]


def main() -> None:
    config = read_config()
    server = Server()
    server.append_worker(
        Analyze, num=config.processes, max_batch_size=config.max_batch, max_wait_time=LEAST_WAIT_MS
    )
    server.run()


if __name__ == "__main__":
    main()
