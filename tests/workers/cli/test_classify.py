"""`panopticon classify` answers each path with one line, in order, whatever the other paths are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from panopticon.models import find_card, parse_version
from tests.house import House
from tests.models.engines import RED
from tests.servers.guardian import guarded
from tests.workers.cli.conftest import Panopticon
from tests.workers.faults.pipeline import MODELS

ROOT = Path(__file__).parents[3]
BLUE, GREEN = (0, 0, 250), (0, 251, 0)
NULL = parse_version("null@1")


@pytest.fixture
def blue(tmp_path: Path) -> Path:
    return picture(tmp_path / "blue.png", BLUE)


def picture(path: Path, colour: tuple[int, int, int]) -> Path:
    Image.new("RGB", (16, 8), colour).save(path, "png")
    return path


def lines_of(out: str) -> list[Any]:
    return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def classify(panopticon: Panopticon, monkeypatch: pytest.MonkeyPatch) -> Panopticon:
    """The command, with the models of tests."""
    monkeypatch.setenv("PANOPTICON_MODELS_DIR", str(MODELS))
    return lambda *arguments, stdin=b"": panopticon("classify", *arguments, stdin=stdin)


def test_a_photo_has_a_line_with_its_scores_digest_and_size(classify: Panopticon, blue: Path) -> None:
    ran = classify("--model", "null@1", "blue.png")
    assert (ran.code, ran.err) == (0, "")
    (line,) = lines_of(ran.out)
    assert line["path"] == "blue.png"
    assert (line["image"]["width_px"], line["image"]["height_px"]) == (16, 8)
    answer = line["models"]["null@1"]
    assert answer["digest"] == find_card(NULL, MODELS).digest
    assert answer["scores"] == {"red": 0, "green": 0, "blue": float(np.float32(250) / np.float32(255))}
    assert answer["policy_number"] == 0


def test_paths_come_from_standard_input_one_a_line_and_are_answered_in_order(
    classify: Panopticon, tmp_path: Path, blue: Path
) -> None:
    picture(tmp_path / "green.png", GREEN)
    ran = classify("--model", "null@1", stdin=b"green.png\r\nblue.png\nabsent.png\ngreen.png")
    lines = lines_of(ran.out)
    assert [line["path"] for line in lines] == ["green.png", "blue.png", "absent.png", "green.png"]
    assert lines[0]["models"] == lines[3]["models"] != lines[1]["models"]
    assert ran.code == 1


def test_paths_that_end_with_nul_may_hold_line_feeds(classify: Panopticon, tmp_path: Path) -> None:
    picture(tmp_path / "a\nb.png", BLUE)
    ran = classify("--model", "null@1", "-0", stdin=b"a\nb.png\0")
    assert (ran.code, lines_of(ran.out)[0]["path"]) == (0, "a\nb.png")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("absent.png", "not_found"),
        ("folder", "not_a_file"),
        ("text.txt", "not_an_image"),
        ("a\0b", "bad_uri"),
        ("x" * 300, "not_found"),
        ("x/" * 3000, "not_found"),
    ],
)
def test_a_path_that_is_no_photo_is_an_error_of_its_line_and_the_others_go_on(
    classify: Panopticon, tmp_path: Path, blue: Path, path: str, reason: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.txt").write_text("hello")
    ran = classify("--model", "null@1", stdin=f"{path}\n\n{blue}\n".encode())
    bad, empty, good = lines_of(ran.out)
    assert (bad["path"], bad["image"], bad["models"]["null@1"]["error"]["reason"]) == (path, None, reason)
    assert (empty["models"], empty["error"]["reason"]) == ({}, "empty_path")
    assert "scores" in good["models"]["null@1"]
    assert ran.code == 1


def test_a_path_that_is_not_utf_8_is_escaped_so_that_python_reads_its_bytes_back(
    classify: Panopticon, tmp_path: Path
) -> None:
    name = b"caf\xe9.png"
    picture(Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)), BLUE)
    ran = classify("--model", "null@1", stdin=name)
    assert ran.code == 0
    assert "caf\\udce9.png" in ran.out
    assert os.fsencode(lines_of(ran.out)[0]["path"]) == name


def test_an_empty_list_prints_nothing_and_is_no_error(classify: Panopticon) -> None:
    ran = classify("--model", "null@1", stdin=b"")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_several_models_answer_in_one_line_in_the_order_they_were_named_in(
    classify: Panopticon, blue: Path
) -> None:
    ran = classify("--models", "null@1,exits@1", "--model", "null@1", str(blue))
    assert list(lines_of(ran.out)[0]["models"]) == ["null@1", "exits@1"]


def test_an_error_of_one_model_leaves_the_answer_of_the_other(classify: Panopticon, tmp_path: Path) -> None:
    picture(tmp_path / "red.png", RED)
    ran = classify("--models", "exits@1,null@1", "red.png")
    (line,) = lines_of(ran.out)
    assert line["models"]["exits@1"]["error"]["reason"] == "killed_process"
    assert line["models"]["null@1"]["scores"]["red"] == 1
    assert line["image"]["width_px"] == 16
    assert ran.code == 1


def test_a_photo_that_kills_its_model_is_convicted_and_the_31_others_are_classified(
    classify: Panopticon, tmp_path: Path, blue: Path
) -> None:
    picture(tmp_path / "red.png", RED)
    paths = ["blue.png"] * 32
    paths[7] = "red.png"
    ran = classify("--model", "exits@1", stdin="\n".join(paths).encode())
    errors = [line["models"]["exits@1"].get("error", {}).get("reason") for line in lines_of(ran.out)]
    assert [index for index, reason in enumerate(errors) if reason] == [7]
    assert errors[7] == "killed_process"


def test_a_model_that_cannot_run_ends_the_command_with_one_line_and_69(
    classify: Panopticon, blue: Path
) -> None:
    ran = classify("--model", "unfit@1", str(blue))
    assert (ran.code, ran.out) == (69, "")
    assert ran.err.splitlines()[-1].startswith("panopticon: model unavailable: unfit@1: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model", "nobody@1"), "unknown model version nobody@1"),
        (("--model", "null"), "no model version: 'null'"),
        (("--top-k", "-1"), "-1 is not in the range"),
    ],
)
def test_a_mistake_in_an_option_is_one_line(
    classify: Panopticon, arguments: tuple[str, ...], words: str
) -> None:
    assert words in classify(*arguments, "blue.png").complaint


def test_files_of_any_folder_are_read_with_the_settings_of_a_fleet_too(
    classify: Panopticon, blue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PANOPTICON_BROKER", "amqp://nobody.invalid")
    assert classify("--model", "null@1", str(blue)).code == 0


def test_no_database_is_created(classify: Panopticon, blue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = blue.with_name("absent.db")
    monkeypatch.setenv("PANOPTICON_DATABASE", f"sqlite:///{absent}")
    ran = classify("--model", "null@1", str(blue))
    assert (ran.code, lines_of(ran.out)[0]["models"]["null@1"]["policy_number"]) == (0, 0)
    assert not absent.exists()


def test_the_policy_of_a_registered_version_is_applied(
    classify: Panopticon, blue: Path, house: House
) -> None:
    house.register(find_card(NULL, MODELS))
    house.put_policy(NULL, 'renamed = { blue = "sky" }\n')
    ran = classify("--model", "null@1", str(blue))
    answer = lines_of(ran.out)[0]["models"]["null@1"]
    assert (answer["policy_number"], list(answer["scores"])) == (2, ["red", "green", "sky"])


def test_a_policy_that_was_registered_with_another_digest_is_not_applied(
    classify: Panopticon, blue: Path, house: House
) -> None:
    card = find_card(NULL, MODELS)
    house.register(card.model_copy(update={"architecture_revision": 2}))
    answer = lines_of(classify("--model", "null@1", str(blue)).out)[0]["models"]["null@1"]
    assert (answer["policy_number"], answer["digest"]) == (0, card.digest)


def test_a_vector_is_printed_as_a_worker_would_store_it(classify: Panopticon, blue: Path) -> None:
    answer = lines_of(classify("--model", "null@1", "--vectors", str(blue)).out)[0]["models"]["null@1"]
    assert np.array(answer["vector"], dtype="<f4").tolist() == answer["vector"]
    assert answer["vector"] == list(answer["scores"].values())


def command(folder: Path, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """The command line and the environment of the program as a process of its own."""
    words = [sys.executable, "-m", "workers.cli.main", "classify", "--model", "null@1", *arguments]
    settings = {
        "PYTHONPATH": str(ROOT),
        "PANOPTICON_DATABASE": f"sqlite:///{folder / 'none.db'}",
        "PANOPTICON_MODELS_DIR": str(MODELS),
    }
    return words, guarded({**os.environ, **settings})


@contextmanager
def conversation(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    words, environ = command(folder)
    pipe = subprocess.PIPE
    with subprocess.Popen(words, cwd=folder, env=environ, stdin=pipe, stdout=pipe, stderr=pipe) as started:
        try:
            yield started
        finally:
            started.kill()


def asked(started: subprocess.Popen[bytes], path: bytes) -> Any:
    assert started.stdin is not None
    assert started.stdout is not None
    started.stdin.write(path)
    started.stdin.flush()
    return json.loads(started.stdout.readline())


def test_each_path_is_answered_before_the_next_one_is_written_by_one_process(
    tmp_path: Path, blue: Path
) -> None:
    with conversation(tmp_path) as started:
        processes = set()
        for _ in range(3):
            assert asked(started, b"blue.png\n")["path"] == "blue.png"
            processes |= {child.pid for child in psutil.Process(started.pid).children()}
        assert len(processes) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_command_quietly_and_its_model_process_too(
    tmp_path: Path, blue: Path, number: signal.Signals, code: int
) -> None:
    with conversation(tmp_path) as started:
        asked(started, b"blue.png\n")
        (child,) = psutil.Process(started.pid).children()
        started.send_signal(number)
        out, err = started.communicate(timeout=30)
        assert (started.returncode, out, err.strip()) == (code, b"", b"")
        assert not child.is_running()


def test_a_reader_that_ends_first_ends_the_command_quietly(tmp_path: Path, blue: Path) -> None:
    words, environ = command(tmp_path)
    script = 'set -o pipefail; yes blue.png | "$@" | head -n 3'
    ran = subprocess.run(
        ["bash", "-c", script, "bash", *words], cwd=tmp_path, env=environ, capture_output=True, check=False
    )
    assert (ran.returncode, ran.stderr, ran.stdout.count(b"\n")) == (141, b"", 3)
