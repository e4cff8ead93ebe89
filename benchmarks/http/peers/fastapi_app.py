"""The model behind a plain FastAPI route, on uvicorn with uvloop and httptools."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI, Request

from benchmarks.http.peers.config import read_config
from benchmarks.http.peers.model import PeerModel


def make_app() -> FastAPI:
    config = read_config()
    model = PeerModel(config)
    ready = threading.Barrier(config.threads + 1)

    def load() -> None:
        model.load()
        ready.wait()

    pool = ThreadPoolExecutor(config.threads, initializer=load)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        for _ in range(config.threads):
            # The barrier keeps each thread busy, so that the pool starts all of them.
            pool.submit(int)
        await asyncio.to_thread(ready.wait)
        yield
        pool.shutdown()

    app = FastAPI(lifespan=lifespan)

    @app.post("/analyze")  # type: ignore[untyped-decorator]
    async def analyze(request: Request) -> Any:
        body = await request.body()
        (answer,) = await asyncio.get_running_loop().run_in_executor(pool, model.answer, [body])
        return answer

    return app


def main() -> None:
    config = read_config()
    uvicorn.run(
        "benchmarks.http.peers.fastapi_app:make_app",
        factory=True,
        host="127.0.0.1",
        port=config.port,
        workers=config.processes,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
