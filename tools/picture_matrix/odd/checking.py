"""Index a folder of odd pictures as a person does, and compare the result with its manifest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from panopticon.cards.cards import Input, Preprocessing
from panopticon.images.decoding import decode
from panopticon.settings import PREFIX
from tools.picture_matrix.cells import difference
from workers.submission.folders import FoundFile

_NEAR = {"brightness": 0.01, "colourfulness": 0.01}
_SHARPNESS_SHARE = 0.2
_SHARPNESS_OF_FLAT = 1e-4
"""Sharpness below which a picture is flat, and shares of it mean nothing."""

Scores = Mapping[str, float]


class Match(StrEnum):
    """A result, compared with the manifest."""

    RIGHT = "right"
    ACCEPTABLE = "otherwise, acceptable"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one file."""

    file: str
    match: Match
    detail: str

    def __str__(self) -> str:
        return f"{self.file}: {self.match}: {self.detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The outcome of indexing one file: scores, a reason, or neither if another file stands for it."""

    scores: Scores | None = None
    reason: str = ""
    detail: str = ""

    @property
    def status(self) -> str:
        """The fate of the file, in the words of the manifest."""
        if self.scores is not None:
            return "stored"
        return f"dead:{self.reason}" if self.reason else "aside"


def check_folder(folder: Path) -> list[Finding]:
    """Index `img/` and `ref/` of a folder, and compare each file with `manifest.json`.

    Raises: RuntimeError if indexing does not end with a result.
    """
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    indexed = _index(folder)
    return [_finding(entry, folder, indexed) for entry in manifest]


def _finding(entry: Mapping[str, Any], folder: Path, indexed: Mapping[str, Result]) -> Finding:
    file, expected = entry["file"], entry["expect"].split("|")
    path = folder / "img" / file
    result = _result_of(indexed, path)
    if not entry.get("ref"):
        return compared(file, expected, result)
    reference_path = folder / "ref" / f"{entry['ref']}.png"
    reference = _result_of(indexed, reference_path).scores
    if reference is None:
        raise RuntimeError(f"the reference {reference_path} was not stored")
    finding = compared(file, expected, result, reference)
    tolerance = entry.get("tol", 0)
    if finding.match is Match.WRONG and result.scores and _is_nearly(result.scores, reference):
        off = _mean_difference(path, reference_path)
        if off <= tolerance:
            detail = f"{finding.detail} (off by {off:.1f} of 255 in the mean, at most {tolerance:g})"
            return Finding(file=file, match=Match.ACCEPTABLE, detail=detail)
    return finding


def _is_nearly(scores: Scores, reference: Scores) -> bool:
    """Return whether the measures differ by no more than grain, such as that of dithering, changes them."""
    near = all(abs(scores[name] - reference[name]) <= 3 * limit for name, limit in _NEAR.items())
    return near and 0.5 <= scores["sharpness"] / max(reference["sharpness"], _SHARPNESS_OF_FLAT) <= 2


def _mean_difference(one: Path, other: Path) -> float:
    """Return the mean difference of two files at the model's input, in levels of 255."""
    size = Input(width_px=320, height_px=320)
    pixels = [
        decode(path.read_bytes(), input=size, preprocessing=Preprocessing()).pixels for path in (one, other)
    ]
    return difference(*pixels)


def _index(folder: Path) -> Mapping[str, Result]:
    """Run `panopticon index` with a database that is thrown away; return the results by image ID."""
    with tempfile.TemporaryDirectory() as temporary:
        command = [sys.executable, "-m", "workers.cli.main"]
        command += ["--database", f"sqlite:///{temporary}/panopticon.db"]
        command += ["--set", f"cache_dir={temporary}/cache", "index", "--json", "--show", "1000000"]
        command += ["--model", "quality@1", str(folder / "img"), str(folder / "ref")]
        kept = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
        env = {**kept, "PYTHONPATH": str(Path(__file__).parents[3])}
        done = subprocess.run(
            command, cwd=temporary, env=env, capture_output=True, text=True, encoding="utf-8", check=False
        )
    # 1: some photos were refused, as they should be.
    if done.returncode not in (0, 1):
        raise RuntimeError(f"panopticon index: exit code {done.returncode}\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    results = {photo["image_id"]: Result(scores=photo["scores"]) for photo in found["photos"]}
    # A refused photo may be listed among the photos too, without scores.
    for failure in found["failures"]:
        results[failure["image_id"]] = Result(reason=failure["reason"], detail=failure["detail"])
    return results


def _result_of(indexed: Mapping[str, Result], path: Path) -> Result:
    image_id = FoundFile(path=os.fsencode(path.resolve()), size_bytes=0, mtime_ns=0).image_id
    return indexed.get(image_id, Result(detail="not listed"))


def compared(file: str, expected: Sequence[str], result: Result, reference: Scores | None = None) -> Finding:
    """Compare the result of one file with what the manifest expects, and with the scores of its reference."""
    unlike = ""
    if result.scores is not None and reference is not None:
        unlike = _unlike(result.scores, reference)
    detail = unlike or f"{result.status} {result.detail}".strip()
    if result.status in expected and not unlike:
        return Finding(file=file, match=Match.RIGHT, detail=detail)
    reason = _why_acceptable(expected, result, reference, unlike)
    if reason:
        return Finding(file=file, match=Match.ACCEPTABLE, detail=f"{detail} ({reason})")
    wanted = "" if result.status in expected else f", not {' or '.join(expected)}"
    return Finding(file=file, match=Match.WRONG, detail=detail + wanted)


def _why_acceptable(expected: Sequence[str], result: Result, reference: Scores | None, unlike: str) -> str:
    """Return why a result that the manifest does not name is as good; empty if it is not."""
    if result.status == "dead:unsupported" and "dead:corrupt" in expected:
        return "a whole file of a kind that is not read is no longer called corrupt"
    if "dead:format_not_allowed" not in expected:
        return ""
    if result.scores is None:
        return "HEIC and RAW are formats that are read now" if result.reason else ""
    if not unlike:
        return "HEIC and RAW are decoded now"
    # A thumbnail enlarged to the model's input has a small part of the sharpness of the picture.
    sharp = reference is not None and result.scores["sharpness"] > reference["sharpness"] / 2
    return "decoded at full size, in the colours of its converter" if sharp else ""


def _unlike(scores: Scores, reference: Scores) -> str:
    """Return the measures that differ by more than they may; empty if none does."""
    limits = {**_NEAR, "sharpness": _SHARPNESS_SHARE * reference["sharpness"] + _SHARPNESS_OF_FLAT}
    return ", ".join(
        f"{name} {scores[name]:.4f} instead of {reference[name]:.4f}"
        for name, limit in limits.items()
        if abs(scores[name] - reference[name]) > limit
    )
