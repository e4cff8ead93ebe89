"""The log names the request of each warning, and never a token or a byte of an image."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from panopticon.settings import Settings
from tests.pictures import encoded
from tests.program import run
from tests.workers.serving.faults.cards import write_card
from tests.workers.serving.faults.engines import RED
from tests.workers.serving.running import Answered, RunningService, running, wait_until
from workers.serving.access.token_file import TOKEN_PREFIX

MARKER = "MARKER-OF-THE-BYTES-OF-THIS-PICTURE"
WRONG_TOKEN = "not-a-token-but-secret-all-the-same"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
BLUE = (0, 0, 255)


def picture(colour: tuple[int, int, int]) -> bytes:
    """Return a picture that has the marker in its bytes, in clear and at its end."""
    text = PngInfo()
    text.add_text("Comment", MARKER)
    return encoded(Image.new("RGB", (16, 16), colour), "PNG", pnginfo=text) + MARKER.encode()


class Talking:
    """A service that wants a token, and whose model warns of red pictures and ends with blue ones."""

    def __init__(self, service: RunningService, token: str) -> None:
        self.service = service
        self.token = token

    def send(self, body: bytes, request_id: str, query: str = "") -> Answered:
        headers = {
            "Authorization": f"Bearer {self.token}",
            "X-Request-Id": request_id,
            "traceparent": TRACE,
            "Content-Type": "image/png",
        }
        path = f"/v1/analyze?{query}" if query else "/v1/analyze"
        return self.service.ask("POST", path, body=body, headers=headers)

    def lines(self, text: str) -> list[str]:
        """Return the lines of the log in which a text is."""
        return [line for line in self.service.logged.splitlines() if text in line]


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talking]:
    folder = tmp_path_factory.mktemp("logs")
    write_card(folder / "models", "warning", engine="WarningEngine")
    tokens = folder / "tokens.toml"
    made = run(
        "tokens",
        "add",
        "ann",
        "--scope",
        "analyze",
        settings=Settings.model_validate({"tokens_file": tokens}),
    )
    assert made.returncode == 0, made.stderr
    with running(folder, "warning@1", models_dir=folder / "models", tokens_file=tokens) as service:
        yield Talking(service, made.stdout.strip())


def test_a_warning_about_a_picture_is_logged_with_its_request_and_its_trace(talking: Talking) -> None:
    assert talking.send(picture(RED), "request-of-the-odd-picture").status == 200
    for text in ("UserWarning: the picture is odd", "the picture is odd indeed"):
        wait_until(lambda text=text: bool(talking.lines(text)), text, talking.service)  # type: ignore[misc]
    said = talking.lines(f"(trace request-of-the-odd-picture {TRACE})")
    assert any("the picture is odd indeed" in line for line in said)
    # The module `warnings` writes the line of the code below its own.
    assert len(said) == 2


def test_the_end_of_a_process_is_logged_with_the_request_that_is_at_fault(talking: Talking) -> None:
    answer = talking.send(picture(BLUE), "request-of-the-killer")
    assert (answer.status, answer.json["reason"]) == (422, "killed_process")
    (line,) = talking.lines("an image is at fault")
    assert line.endswith(f"(trace request-of-the-killer {TRACE})")
    assert "warning@1" in line
    assert "killed_process" in line


def test_a_request_that_names_no_id_is_given_one_which_is_logged(talking: Talking) -> None:
    headers = {"Authorization": f"Bearer {talking.token}", "Content-Type": "image/png"}
    answer = talking.service.ask("POST", "/v1/analyze", body=picture(RED), headers=headers)
    request_id = answer.headers["x-request-id"]
    wait_until(lambda: bool(talking.lines(f"(trace {request_id})")), "it is logged", talking.service)


def test_no_token_and_no_byte_of_an_image_is_logged(talking: Talking) -> None:
    service = talking.service
    broken = picture(RED)[:60] + MARKER.encode()
    bodies: list[tuple[bytes, str]] = [
        (broken, ""),
        (MARKER.encode(), ""),
        (picture(RED), f"models={MARKER}"),
        (picture(RED), "top_k=x"),
        (b"", ""),
    ]
    for number, (body, query) in enumerate(bodies):
        assert talking.send(body, f"request-{number}", query).status in (400, 404, 422)
    for token in (WRONG_TOKEN, talking.token + "x", "x" + talking.token):
        assert service.analyze(picture(RED), "", Authorization=f"Bearer {token}").status == 401
    form = service.ask(
        "POST",
        f"/v1/analyze?token={talking.token}",
        fields=[("image", (f"{MARKER}.png", broken))],
        headers={"Authorization": f"Bearer {talking.token}"},
    )
    assert form.status == 400
    assert service.get("/metrics").status == 200
    logged = service.logged + service.get("/metrics").body.decode()
    for secret in (MARKER, WRONG_TOKEN, talking.token, talking.token.removeprefix(TOKEN_PREFIX)):
        assert secret not in logged
