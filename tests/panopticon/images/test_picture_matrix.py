"""Every encoding of a picture is decoded to that picture, or refused as unsupported."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from panopticon.errors import Rejected
from panopticon.images.decoding import Decoded
from tools.picture_matrix import picture as pic
from tools.picture_matrix.__main__ import main, table_of, write
from tools.picture_matrix.cells import (
    HDR_TOLERANCE,
    LOSSY_TOLERANCE,
    Cell,
    Status,
    all_cells,
    check,
    difference,
)
from tools.picture_matrix.tiff_cells import kinds, layouts
from tools.picture_matrix.turning import stored_for

CONTAINERS = ("tiff", "png", "bmp", "gif", "jpeg", "webp", "avif", "heic")


@pytest.fixture(scope="module")
def cells() -> Mapping[str, Sequence[Cell]]:
    found = defaultdict(list)
    for cell in all_cells():
        found[cell.container].append(cell)
    return found


@pytest.mark.parametrize("container", CONTAINERS)
def test_no_picture_is_quietly_different(cells: Mapping[str, Sequence[Cell]], container: str) -> None:
    outcomes = [check(cell) for cell in cells[container]]
    wrong = [str(outcome) for outcome in outcomes if outcome.status is Status.WRONG]
    assert not wrong, "\n".join([table_of(outcomes), *wrong[:40]])


def test_every_cell_has_a_name_of_its_own(cells: Mapping[str, Sequence[Cell]]) -> None:
    names = [cell.name for each in cells.values() for cell in each]
    assert set(cells) == set(CONTAINERS)
    assert len(set(names)) == len(names) > 2000


def test_a_second_reader_of_tiff_finds_the_samples_that_were_written() -> None:
    for number, kind in enumerate(kinds()):
        # A third of the layouts, another third for the next kind.
        for layout in list(layouts(kind))[number % 3 :: 3]:
            found = tifffile.imread(io.BytesIO(kind.encoded(layout)))
            planes = layout.planar and kind.samples.ndim == 3
            want = np.moveaxis(kind.samples, -1, 0) if planes else kind.samples
            np.testing.assert_array_equal(found, want, err_msg=f"{kind.name}/{layout}")


def test_wide_gamut_taken_for_srgb_exceeds_the_tolerance() -> None:
    for space in (pic.P3, pic.ADOBE, pic.PROPHOTO, pic.REC2020):
        for pixels in (pic.picture(), pic.soft()):
            coded = pic.as_bytes(pic.coded_in(space, 2.2, pixels) * 255)
            assert difference(coded, pixels) > 2 * LOSSY_TOLERANCE


def test_hdr_taken_for_srgb_exceeds_the_tolerance() -> None:
    for signal in (pic.pq_coded(pic.light_in(pic.REC2020)), pic.hlg_coded(pic.light_in(pic.REC2020))):
        assert difference(pic.as_bytes(signal * 255), pic.picture()) > 2 * HDR_TOLERANCE


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_picture_that_was_not_turned_exceeds_the_tolerance(orientation: int) -> None:
    assert difference(stored_for(pic.picture(), orientation), pic.picture()) > 2 * LOSSY_TOLERANCE


CELL = Cell(name="png/any", encoded=b"any", reference=pic.picture())


def decoded(pixels: pic.Pixels) -> Decoded:
    return Decoded(pixels=pixels, width_px=pic.SIDE_PX, height_px=pic.SIDE_PX)


def refusing(reason: str) -> Decoded:
    raise Rejected(reason, "in words")


def test_a_picture_within_the_tolerance_is_right() -> None:
    near = np.clip(pic.picture(), 2, 253).astype(np.uint8)
    assert check(CELL, lambda _: decoded(near)).status is Status.RIGHT


def test_a_different_picture_is_wrong_and_the_difference_is_reported() -> None:
    outcome = check(CELL, lambda _: decoded(255 - pic.picture()))
    assert outcome.status is Status.WRONG
    assert str(outcome).startswith("png/any: off by 1")


def test_a_picture_of_another_size_is_wrong() -> None:
    other = replace(decoded(pic.picture()), height_px=pic.SIDE_PX + 1)
    assert check(CELL, lambda _: other).status is Status.WRONG


@pytest.mark.parametrize(
    ("reason", "must_be_right", "status"),
    [
        ("unsupported", False, Status.UNSUPPORTED),
        ("unsupported", True, Status.WRONG),
        ("corrupt", False, Status.WRONG),
    ],
)
def test_only_an_exotic_encoding_may_be_refused_and_only_as_unsupported(
    reason: str, must_be_right: bool, status: Status
) -> None:
    cell = replace(CELL, must_be_right=must_be_right)
    assert check(cell, lambda _: refusing(reason)).status is status


def test_a_crash_of_the_decoder_is_wrong() -> None:
    outcome = check(CELL, lambda _: decoded([][0]))
    assert (outcome.status, outcome.detail) == (Status.WRONG, "crash: IndexError: list index out of range")


def test_what_is_wrong_is_saved_to_be_looked_at(tmp_path: Path) -> None:
    write(check(CELL, lambda _: decoded(255 - pic.picture())), tmp_path / "wrong")
    assert {path.name for path in (tmp_path / "wrong").iterdir()} == {
        "png_any.png",
        "png_any.reference.png",
        "png_any.decoded.png",
    }


def test_the_table_counts_the_outcomes_of_each_container(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "gif/2-colours"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[1:] == [["gif", "5", "5", "0", "0"], ["all", "5", "5", "0", "0"]]
