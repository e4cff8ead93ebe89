"""Reading the colours that an AV1 stream itself names, for AVIF files whose boxes name none.

Source: AV1 Bitstream & Decoding Process Specification, sections 5.3 (OBU header) and 5.5 (sequence header).
"""

from __future__ import annotations

_SEQUENCE_HEADER = 1
_TEMPORAL_DELIMITER = 2
_SELECT = 2
"""Value of `seq_force_screen_content_tools` that leaves the choice to each frame."""
_UNSPECIFIED = (2, 2)


class _Bits:
    """A cursor over bits, the highest of a byte first. Past the end, bits are 0."""

    def __init__(self, encoded: bytes) -> None:
        self._value = int.from_bytes(encoded)
        self._left = len(encoded) * 8

    def next(self, count: int = 1) -> int:
        self._left -= count
        shifted = self._value >> self._left if self._left >= 0 else 0
        return shifted & ((1 << count) - 1)

    def skip_uvlc(self) -> None:
        """Skip a number of variable length (section 4.10.3)."""
        zeros = 0
        while not self.next() and zeros < 32:
            zeros += 1
        self.next(zeros)


def colours_of(stream: bytes) -> tuple[int, int]:
    """Return colour primaries and transfer characteristics (H.273); 2 (unspecified) if there are none."""
    at = 0
    # A stream of a picture begins with its sequence header, or with a delimiter before it.
    for _ in range(2):
        kind, body_at, size = _unit(stream, at)
        if kind == _SEQUENCE_HEADER:
            return _colours(_Bits(stream[body_at : body_at + min(size, 256)]))
        if kind != _TEMPORAL_DELIMITER:
            break
        at = body_at + size
    return _UNSPECIFIED


def _unit(stream: bytes, at: int) -> tuple[int, int, int]:
    """Return kind, start and size of the content of the unit (OBU) at `at`."""
    header = int.from_bytes(stream[at : at + 1])
    at += 2 if header & 4 else 1
    if not header & 2:
        return header >> 3 & 15, at, len(stream) - at
    size = 0
    for index in range(8):
        byte = int.from_bytes(stream[at + index : at + index + 1])
        size |= (byte & 127) << 7 * index
        if byte < 128:
            break
    return header >> 3 & 15, at + index + 1, size


def _colours(bits: _Bits) -> tuple[int, int]:
    profile = bits.next(3)
    bits.next()
    reduced_header = bits.next()
    if reduced_header:
        bits.next(5)
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.next(4) + 1, bits.next(4) + 1
    bits.next(width_bits)
    bits.next(height_bits)
    if not reduced_header and bits.next():
        bits.next(4 + 3)
    bits.next(3)
    if not reduced_header:
        _skip_tools(bits)
    bits.next(3)
    return _colour_config(bits, profile)


def _skip_operating_points(bits: _Bits) -> None:
    decoder_model = delay_bits = 0
    if bits.next():
        bits.next(64)
        if bits.next():
            bits.skip_uvlc()
        decoder_model = bits.next()
        if decoder_model:
            delay_bits = bits.next(5) + 1
            bits.next(32 + 5 + 5)
    initial_display_delay = bits.next()
    for _ in range(bits.next(5) + 1):
        bits.next(12)
        if bits.next(5) > 7:
            bits.next()
        if decoder_model and bits.next():
            bits.next(2 * delay_bits + 1)
        if initial_display_delay and bits.next():
            bits.next(4)


def _skip_tools(bits: _Bits) -> None:
    bits.next(4)
    order_hint = bits.next()
    if order_hint:
        bits.next(2)
    screen_content = _SELECT if bits.next() else bits.next()
    if screen_content and not bits.next():
        bits.next()
    if order_hint:
        bits.next(3)


def _colour_config(bits: _Bits, profile: int) -> tuple[int, int]:
    high_depth = bits.next()
    if profile == 2 and high_depth:
        bits.next()
    if profile != 1:
        bits.next()
    return (bits.next(8), bits.next(8)) if bits.next() else _UNSPECIFIED
