"""The model behind Ray Serve: one replica for each model process."""

from __future__ import annotations

import time
from typing import Any

import ray
from ray import serve
from starlette.requests import Request

from benchmarks.http.peers.config import PeerConfig, read_config
from benchmarks.http.peers.model import PeerModel

BATCH_WAIT_S = 0.001


def make_deployment(config: PeerConfig) -> Any:
    class Analyze:
        def __init__(self) -> None:
            self._model = PeerModel(config)
            self._model.load()

        @serve.batch(max_batch_size=config.max_batch, batch_wait_timeout_s=BATCH_WAIT_S)  # type: ignore[untyped-decorator]
        async def batched(self, bodies: list[bytes]) -> list[dict[str, Any]]:
            return self._model.answer(bodies)

        async def __call__(self, request: Request) -> dict[str, Any]:
            body = await request.body()
            if config.max_batch > 1:
                answer: dict[str, Any] = await self.batched(body)
                return answer
            return self._model.answer([body])[0]

    return serve.deployment(
        num_replicas=config.processes,
        max_ongoing_requests=max(config.capacity // config.processes, config.max_batch),
        max_queued_requests=config.capacity // 2,
        ray_actor_options={"num_cpus": 0.1},
    )(Analyze)


def main() -> None:
    config = read_config()
    ray.init(include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": config.port})
    serve.run(make_deployment(config).bind(), route_prefix="/analyze")
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
