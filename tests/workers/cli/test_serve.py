from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from panopticon.settings import Settings
from tests.program import run
from tests.workers.serving.running import MODELS


def refusal(tmp_path: Path, *words: str, **settings: object) -> str:
    """The one line with which the command refuses to start."""
    chosen = Settings.model_validate(
        {
            "database": f"sqlite:///{tmp_path / 'x.db'}",
            "cache_dir": tmp_path / "cache",
            "models_dir": MODELS,
            "http_port": 0,
            **settings,
        }
    )
    done = run("serve", *words, settings=chosen)
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("panopticon: ")]
    assert len(lines) == 1
    assert "Traceback" not in done.stderr
    return lines[0]


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "nix@7" in refusal(tmp_path, "--model", "nix@7")


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refusal(tmp_path, "--only-http", "--model", "null@1", http_port=port)
    assert f"http_port {port}" in line
    assert "choose another port" in line


def test_a_port_that_is_taken_is_named_before_a_model_is_converted(tmp_path: Path) -> None:
    cache_dir = tmp_path / "cache"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refusal(tmp_path, "--only-http", "--model", "tagger@1", http_port=port, cache_dir=cache_dir)
    assert not list(cache_dir.rglob("*.tflite"))


def test_a_probe_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refusal(tmp_path, "--only-http", "--model", "null@1", probe_port=port)
    assert f"probe_port {port}" in line


def test_other_machines_are_not_served_without_tokens(tmp_path: Path) -> None:
    assert "tokens_file" in refusal(tmp_path, "--only-http", "--model", "null@1", http_host="0.0.0.0")


def test_a_file_of_tokens_that_is_missing_is_named(tmp_path: Path) -> None:
    line = refusal(tmp_path, "--only-http", "--model", "null@1", tokens_file=tmp_path / "tokens.toml")
    assert "tokens.toml" in line


def test_a_certificate_without_its_key_is_named(tmp_path: Path) -> None:
    line = refusal(tmp_path, "--only-http", "--model", "null@1", tls_certificate=tmp_path / "cert.pem")
    assert "tls_key" in line


def test_a_list_of_hosts_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    line = refusal(tmp_path, "--only-http", "--model", "null@1", hosts=f"file://{tmp_path}/hosts")
    assert "hosts" in line


def test_a_demo_without_workers_is_refused(tmp_path: Path) -> None:
    assert "--only-http" in refusal(tmp_path, "--demo", "--only-http")


def test_workers_beside_a_service_with_tls_are_refused(tmp_path: Path) -> None:
    line = refusal(tmp_path, "--model", "null@1", tls_certificate=tmp_path / "c", tls_key=tmp_path / "k")
    assert "--only-http" in line


def test_an_engine_that_the_card_does_not_allow_is_named(tmp_path: Path) -> None:
    line = refusal(tmp_path, "--only-http", "--model", "unfit@1", engine="keras")
    assert "unfit@1" in line
    assert "keras" in line


def test_without_the_http_server_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = tmp_path / "hidden" / "uvicorn"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ModuleNotFoundError('no uvicorn', name='uvicorn')")
    monkeypatch.setenv("PYTHONPATH", str(hidden.parent), prepend=os.pathsep)
    line = refusal(tmp_path, "--only-http", "--model", "null@1")
    assert "pip install 'panopticon[serve]'" in line


@pytest.mark.parametrize("gate", ["0", "-1", "many"])
def test_a_gate_without_places_is_refused(tmp_path: Path, gate: str) -> None:
    done = run("--set", f"gate={gate}", "serve", settings=Settings())
    assert done.returncode == 2
    assert "'gate'" in done.stderr
