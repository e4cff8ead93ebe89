"""Pictures as people have them: each is stored and looks right, or is refused with the right reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.picture_matrix.odd.catalogue import write_catalogue
from tools.picture_matrix.odd.checking import Match, Result, check_folder, compared

REFERENCE = {"brightness": 0.5, "colourfulness": 0.4, "sharpness": 0.01}
STORED = Result(scores=REFERENCE)


def test_every_odd_picture_is_as_its_manifest_says(tmp_path: Path) -> None:
    write_catalogue(tmp_path / "odd")
    findings = check_folder(tmp_path / "odd")
    assert len(findings) > 150
    wrong = [str(finding) for finding in findings if finding.match is not Match.RIGHT]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("measure", "change", "match"),
    [
        ("brightness", 0.009, Match.RIGHT),
        ("brightness", -0.011, Match.WRONG),
        ("colourfulness", 0.011, Match.WRONG),
        ("sharpness", 0.0019, Match.RIGHT),
        ("sharpness", -0.0022, Match.WRONG),
    ],
)
def test_a_stored_picture_is_right_if_its_measures_are_those_of_its_reference(
    measure: str, change: float, match: Match
) -> None:
    found = Result(scores={**REFERENCE, measure: REFERENCE[measure] + change})
    assert compared("a.png", ["stored"], found, REFERENCE).match is match


@pytest.mark.parametrize(
    ("expected", "result", "match"),
    [
        (["stored"], Result(reason="corrupt"), Match.WRONG),
        (["dead:truncated"], STORED, Match.WRONG),
        (["dead:truncated"], Result(reason="truncated"), Match.RIGHT),
        (["dead:truncated"], Result(reason="corrupt"), Match.WRONG),
        (["stored", "dead:corrupt"], Result(reason="unsupported"), Match.ACCEPTABLE),
        (["dead:truncated"], Result(reason="unsupported"), Match.WRONG),
        (["aside"], Result(), Match.RIGHT),
        (["stored"], Result(), Match.WRONG),
        (["dead:format_not_allowed"], STORED, Match.ACCEPTABLE),
        (["dead:format_not_allowed"], Result(reason="truncated"), Match.ACCEPTABLE),
        (["dead:format_not_allowed"], Result(scores={**REFERENCE, "sharpness": 0.001}), Match.WRONG),
    ],
)
def test_a_reason_is_compared_with_those_that_the_manifest_allows(
    expected: list[str], result: Result, match: Match
) -> None:
    assert compared("a.nef", expected, result, REFERENCE).match is match
