"""The model behind LitServe. It takes no raw body, so a picture comes as a file of a form."""

from __future__ import annotations

from typing import Any

import litserve

from benchmarks.http.peers.config import read_config
from benchmarks.http.peers.model import PeerModel

BATCH_TIMEOUT_S = 0.001


class Analyze(litserve.LitAPI):  # type: ignore[misc]
    """The API that each worker process runs."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        self._model = PeerModel(read_config())
        self._model.load()

    # With an annotation, LitServe would take the request for a parameter in the URL.
    def decode_request(self, request):  # type: ignore[no-untyped-def]
        return request["file"].file.read()

    def predict(self, x: Any) -> Any:
        # Without batches LitServe passes one request, with batches a list.
        return self._model.answer(x) if isinstance(x, list) else self._model.answer([x])[0]

    def encode_response(self, output: Any) -> Any:
        return output


def main() -> None:
    config = read_config()
    timeout_s = BATCH_TIMEOUT_S if config.max_batch > 1 else 0.0
    api = Analyze(max_batch_size=config.max_batch, batch_timeout=timeout_s, api_path="/analyze")
    server = litserve.LitServer(
        api,
        accelerator="cpu",
        workers_per_device=config.processes,
        timeout=60,
        fast_queue=config.fast_queue,
    )
    server.run(
        host="127.0.0.1",
        port=config.port,
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    main()
