"""A hundred large images at once: what the gate refuses is neither read, nor kept, nor decoded."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.workers.serving.faults import wire
from tests.workers.serving.faults.watching import front_process, memory_of
from tests.workers.serving.running import JPEG, RunningService, running, wait_until
from tests.workers.serving.test_service import Held

CLIENTS = 100
BODY_BYTES = 20_000_000
GATE, GATE_BYTES, SERVICE_GATE = 4, 64 * 1024 * 1024, 8
ADMITTED = 3
"""The number of these bodies for which `GATE_BYTES` has room."""
COPIES = 5
"""Copies of an admitted body: its pieces, the image, its frame twice, and frames that are sent at once."""
CONNECTION_BYTES = 256 * 1024
"""The memory of a connection: 64 KiB of its body at most, what was read last, and its objects."""
BOUND_BYTES = COPIES * GATE_BYTES + CLIENTS * CONNECTION_BYTES
BOUNDARY = "7f3a"
SAID_AT_ONCE_BYTES = 4_000_000
"""The kernel takes so much of a body that nobody reads: the buffers of both sockets."""


@pytest.fixture(scope="module")
def picture() -> bytes:
    """A photo with 20 MB of something after its end, as phones write them."""
    return JPEG + bytes(BODY_BYTES - len(JPEG))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("large")
    with running(
        folder, "held@1", "null@1", gate=GATE, gate_bytes=GATE_BYTES, service_gate=SERVICE_GATE
    ) as service:
        yield service


@pytest.fixture(scope="module")
def before_bytes(service: RunningService) -> int:
    """The memory of the front process before the first image."""
    return int(front_process(service).memory_info().rss)


@pytest.fixture
def held(service: RunningService, before_bytes: int) -> Iterator[Held]:
    """A small gate in front of a model that is held until the test lets it run."""
    held = Held(service)
    held.hold()
    yield held
    (service.settings.cache_dir / "hold").unlink(missing_ok=True)


def raw(picture: bytes) -> Iterable[bytes]:
    yield wire.head("models=held", Content_Length=str(len(picture)), Content_Type="image/jpeg")
    yield picture


def chunked(picture: bytes) -> Iterable[bytes]:
    yield wire.head("models=held", Transfer_Encoding="chunked", Content_Type="image/jpeg")
    yield from wire.chunks(picture)


def form(picture: bytes) -> Iterable[bytes]:
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n'
    top, bottom = f"{part}Content-Type: image/jpeg\r\n\r\n".encode(), f"\r\n--{BOUNDARY}--\r\n".encode()
    length = len(top) + len(picture) + len(bottom)
    content_type = f"multipart/form-data; boundary={BOUNDARY}"
    yield wire.head("models=held", Content_Length=str(length), Content_Type=content_type)
    yield top
    yield picture
    yield bottom


@pytest.mark.parametrize(
    ("send", "declared"), [(raw, True), (form, True), (chunked, False)], ids=["raw", "form", "chunked"]
)
def test_of_a_hundred_bodies_of_20_mb_the_gate_admits_what_it_has_room_for_and_keeps_no_other(
    held: Held,
    picture: bytes,
    before_bytes: int,
    capsys: pytest.CaptureFixture[str],
    send: Callable[[bytes], Iterable[bytes]],
    declared: bool,
) -> None:
    service = held.service
    begun, decoded_before = held.begun, decoded(service)
    with memory_of(front_process(service)) as memory, ThreadPoolExecutor(CLIENTS) as threads:
        answers = [threads.submit(wire.exchange, service, send(picture)) for _ in range(CLIENTS)]
        wait_until(
            lambda: sum(a.done() for a in answers) >= CLIENTS - ADMITTED, "the others are refused", service
        )
        refused = [a.result() for a in answers if a.done()]
        held.wait_until_admitted(CLIENTS - len(refused))
        wait_until(lambda: held.begun == begun + 1, "the first run has begun")
        held.let_run()
    growth_bytes = memory.peak_bytes - before_bytes
    with capsys.disabled():
        print(  # noqa: T201
            f"\n100 × 20 MB, {send.__name__}: the front process had {before_bytes / 1e6:.0f} MB, and "
            f"{growth_bytes / 1e6:.0f} MB more at most (bound {BOUND_BYTES / 1e6:.0f} MB)"
        )
    assert growth_bytes < BOUND_BYTES
    assert {status for status, _, _ in refused} == {429}
    statuses = Counter(answer.result()[0] for answer in answers)
    # Without a length it shows only while they arrive how many of the bodies have room.
    admitted = ADMITTED if declared else statuses[200]
    assert 1 <= admitted <= ADMITTED
    assert statuses == {200: admitted, 429: CLIENTS - admitted}
    assert held.begun - begun == admitted
    assert decoded(service) - decoded_before == admitted
    if declared:
        assert max(sent for _, sent, _ in refused) < SAID_AT_ONCE_BYTES
        assert all(b"\r\nretry-after: " in answer.lower() for _, _, answer in refused)
    gate = service.model("held")["gate"]
    assert (gate["images"], gate["bytes"]) == (0, 0)


def decoded(service: RunningService) -> int:
    """The number of images that were decoded and answered by the model."""
    name = 'panopticon_fetch_decode_seconds_count{model="held@1"} '
    lines = service.get("/metrics").body.decode().splitlines()
    return sum(int(float(line.removeprefix(name))) for line in lines if line.startswith(name))


@pytest.fixture
def full(held: Held) -> Iterator[RunningService]:
    """A service whose gate is full."""
    with held.service.at_once(GATE, JPEG, "models=held") as answers:
        held.wait_until_admitted(GATE)
        yield held.service
        held.let_run()
    assert {answer.result().status for answer in answers} == {200}


@pytest.mark.parametrize("expect", ["Expect:", "Expect: 100-continue"])
@pytest.mark.parametrize("words", [["--data-binary", "@{}"], ["-F", "image=@{}"], ["-T", "{}", "-X", "POST"]])
def test_curl_shows_the_429(
    full: RunningService, picture: bytes, tmp_path: Path, words: list[str], expect: str
) -> None:
    file = tmp_path / "large.jpg"
    file.write_bytes(picture)
    for more in ([], ["-H", "Transfer-Encoding: chunked"]):
        chosen = [word.format(file) for word in words]
        command = ["curl", "-sS", "-i", "-H", expect, *more, *chosen, f"{full.url}/v1/analyze?models=held"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stdout.startswith("HTTP/1.1 429 "), done
        assert '"type":"/v1/problems/gate-full"' in done.stdout
        assert done.returncode == 0, done.stderr


def test_urllib3_shows_the_429(full: RunningService, picture: bytes) -> None:
    assert full.analyze(picture, "models=held").status == 429
    assert full.upload([("large.jpg", picture)], "models=held").status == 429
    assert full.analyze(picture, "models=held", **{"Transfer-Encoding": "chunked"}).status == 429
    # The connections are closed then, and the next request opens another one.
    assert full.get("/health/live").status == 200


def test_a_body_that_outgrows_the_gate_while_it_arrives_shows_its_client_the_429(
    held: Held, picture: bytes
) -> None:
    """Its length is not declared, so that it has a place at first."""
    service = held.service
    with service.at_once(ADMITTED, picture, "models=held") as answers:
        held.wait_until_admitted(ADMITTED)
        status, _, answer = wire.exchange(service, chunked(picture))
        assert status == 429
        assert b"/v1/problems/gate-full" in answer
        command = ["curl", "-sS", "-i", "-H", "Transfer-Encoding: chunked", "-H", "Expect:"]
        command += ["--data-binary", "@-", f"{service.url}/v1/analyze?models=held"]
        done = subprocess.run(command, input=picture, capture_output=True, check=False)
        assert done.stdout.startswith(b"HTTP/1.1 429 "), done
        held.let_run()
    assert {answered.result().status for answered in answers} == {200}


def test_a_refused_client_that_still_sends_holds_no_place(full: RunningService) -> None:
    with ExitStack() as connections:
        # One more than the service has room for besides those that wait for the model.
        for _ in range(SERVICE_GATE - GATE + 1):
            slow = connections.enter_context(wire.connect(full))
            slow.sendall(wire.head("models=held", Content_Length=str(BODY_BYTES)))
            assert b" 429 " in wire.read_answer(slow)
        # The service waits for the rest of those bodies, and has room for another request all the same.
        assert full.analyze(JPEG, "models=null").status == 200
