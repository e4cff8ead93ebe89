"""Finding out whether all pixels of a suspicious JPEG are in its file.

The decoder shows missing pixels as grey, and decodes a hole of zeros like any other data, without an error.
So a file without an end mark, or with a long run of zeros in its pixels, is decoded with different bytes in
place of those that may be missing: its pixels are all there exactly if none of them changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import shake_256

from panopticon.images.readers.jpeg.markers import END_MARK, Frame, Layout, Scan
from panopticon.images.reasons import Reason, rejected

Fingerprint = Callable[[bytes], int]
"""A function from a JPEG to a number that changes with its pixels."""

ZERO_RUN = bytes(512)
"""More zeros than photos have in their pixels: a sector of a disk, the smallest part of a file to be lost."""
_TAIL_BYTES = 16
"""Zeros at the end of a file that may be a place kept free for pixels, and the precision of `_fits`."""
_FILLINGS = tuple(
    pattern + shake_256(bytes([seed])).digest(256).replace(b"\xff", b"")
    for seed, pattern in enumerate((b"\0", b"\xff\0", b"\x55", b"\xaa") * 2)
)
"""Data of a scan. Their first two bits differ, so that no code of any table is the same in all; the rest is
noise, because data of a pattern can be decoded to what is there already, such as more white. In even pictures
few codes exist and the decoder takes any other for what is there, so a few bytes of noise may miss them."""


def completed(encoded: bytes, frame: Frame, layout: Layout, fingerprint: Fingerprint) -> bytes:
    """Return the picture with its end mark and without what follows it.

    Raises: Rejected (`truncated`, `corrupt`) if pixels are missing, and as `fingerprint` does.
    """
    if layout.ended:
        whole = encoded[: layout.end]
    else:
        last = layout.scans[-1]
        data = encoded[last.begin : last.end]
        # A last byte 255 is half of the end mark, or half of a pair whose other half is missing.
        last = replace(last, end=last.begin + len(data.rstrip(b"\xff")))
        whole = encoded[: last.end] + END_MARK
        zeros = len(data) - len(data.rstrip(b"\0"))
        if layout.lacks_scans(frame) or not _is_complete(whole, last, zeros, frame, fingerprint):
            why = f": its last {zeros} bytes are zeros" if zeros >= _TAIL_BYTES else ""
            raise rejected(Reason.TRUNCATED, f"a part of its pixels is missing{why}")
        layout = replace(layout, scans=(*layout.scans[:-1], last))
    for scan in layout.scans:
        # Bits that are not coded have the right number in any case.
        if scan.is_uncoded:
            continue
        hole = whole.find(ZERO_RUN, scan.begin, scan.end)
        if hole >= 0 and not _fits(whole, scan, hole, frame, fingerprint):
            raise rejected(Reason.CORRUPT, f"zeros in place of pixels from byte {hole} on")
    return whole


def _is_complete(whole: bytes, last: Scan, zeros: int, frame: Frame, fingerprint: Fingerprint) -> bool:
    """Return whether a last scan without an end mark, which ends in so many zeros, has all its data."""
    if zeros >= _TAIL_BYTES:
        return _fits(whole, last, last.end - zeros, frame, fingerprint)
    # The decoder uses no filling where a restart marker is missing.
    return not last.lacks_restarts(whole, frame) and not _depends_on_more(
        whole[: last.end], END_MARK, fingerprint
    )


def _fits(whole: bytes, scan: Scan, hole: int, frame: Frame, fingerprint: Fingerprint) -> bool:
    """Return whether a scan with a run of zeros has as many data as the picture needs.

    Zeros can be the code of an even area, but then the number of bytes is right. In place of other data they
    are decoded to more pixels, or fewer.
    """
    # The decoder starts again at a restart marker, so what lies behind one says nothing about the hole.
    end = scan.next_restart(whole, hole)

    def depends(cut: int) -> bool:
        return _depends_on_more(whole[:cut], whole[end:], fingerprint)

    if scan.lacks_restarts(whole, frame) or depends(end):
        return False
    # If not even the data from the hole on matter, such as those of an even grey picture, nothing is wrong.
    return depends(max(hole, end - _TAIL_BYTES)) or not depends(hole)


def _depends_on_more(before: bytes, after: bytes, fingerprint: Fingerprint) -> bool:
    """Return whether bytes inserted between these change any pixel."""
    prints = (fingerprint(before + filling + after) for filling in _FILLINGS)
    first = next(prints)
    return any(other != first for other in prints)
