"""A person follows `docs/own-model.md` from the first line to the last."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from panopticon.handover.check_card import PLACEHOLDER
from panopticon.settings import PREFIX

DOCUMENT = Path(__file__).parents[2] / "docs" / "own-model.md"
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def steps() -> Iterator[tuple[str, str, str]]:
    """Yield language, file name or "", and text of every block that belongs to the walkthrough."""
    for info, text in FENCE.findall(DOCUMENT.read_text("utf-8")):
        language, *rest = info.split()
        if "walkthrough" in rest:
            yield language, rest[-1].removesuffix("walkthrough"), text


def typed(folder: Path, text: str) -> str:
    """Run the commands and return their output."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env={**kept, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def written(path: Path, text: str) -> None:
    """Write a new file, or fill in the placeholders of one that exists."""
    if path.suffix != ".toml" or not path.exists():
        path.write_text(text, "utf-8")
        return
    lines = path.read_text("utf-8").splitlines()
    for line in text.splitlines():
        key = line.partition(" = ")[0]
        (place,) = [at for at, old in enumerate(lines) if old.startswith(f"{key} = ") and PLACEHOLDER in old]
        lines[place] = line
    path.write_text("\n".join(lines) + "\n", "utf-8")


@pytest.mark.timeout(600)
def test_following_the_page_leads_from_a_model_file_to_a_photo_in_search(tmp_path: Path) -> None:
    output = ""
    shown = 0
    for language, name, text in steps():
        if name:
            written(tmp_path / name, text)
        elif language == "sh":
            output = typed(tmp_path, text)
        else:
            assert [line for line in text.splitlines() if line.strip() not in output] == [], output
            shown += 1
    assert shown == 2
