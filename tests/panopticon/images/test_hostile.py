import random
import struct
import subprocess
import sys
import zlib
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from panopticon.cards.cards import Input, Preprocessing
from panopticon.errors import Rejected
from panopticon.images.decoding import Decoded, decode
from panopticon.images.limits import DecodeLimits
from panopticon.images.readers.pillow import open_header
from panopticon.images.reasons import Reason
from tests import corpus, dng, heif, pictures

MODEL = Input(width_px=24, height_px=24)
LIMITS = DecodeLimits(max_pixels=1_000_000)


def decoded(encoded: bytes) -> Decoded:
    return decode(encoded, input=MODEL, preprocessing=Preprocessing(crop=0.875), limits=LIMITS)


def outcome(encoded: bytes) -> str:
    """Return `decoded`, or the reason for the rejection. Any other exception fails the test."""
    try:
        pixels = decoded(encoded).pixels
    except Rejected as rejected:
        return Reason(rejected.reason)
    assert pixels.shape == (24, 24, 3)
    return "decoded"


@cache
def samples() -> dict[str, bytes]:
    """Return small files that together reach every decoder."""
    photo = pictures.photo(32, 24)
    frames = [pictures.photo(32, 24, seed=seed) for seed in range(3)]
    dressed = pictures.oriented(6, photo)
    return pictures.one_of_each() | {
        "exif": dressed,
        "progressive": pictures.encoded(photo, "JPEG", progressive=True),
        "cmyk": pictures.encoded(photo.convert("CMYK"), "JPEG"),
        "palette": pictures.encoded(photo.convert("P"), "PNG", transparency=3),
        "lossless": pictures.encoded(photo.convert("RGBA"), "WEBP", lossless=True),
        "animated": pictures.encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        "moving": pictures.encoded(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        "raw": pictures.encoded(photo, "TIFF", compression=None),
        "deflate": pictures.encoded(photo, "TIFF", compression="tiff_adobe_deflate"),
        "fax": pictures.encoded(photo.convert("1"), "TIFF", compression="group4"),
        "floats": pictures.encoded(photo.convert("F"), "TIFF"),
        "heic": heif.encoded(photo),
        "dng": dng.dng(photo),
    }


END_MARK_BYTES = {b"GIF": 2, b"\xff\xd8\xff": 2}
SAMPLE_NAMES = sorted(samples())


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_every_undamaged_sample_decodes(name: str) -> None:
    assert outcome(samples()[name]) == "decoded"


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_a_file_cut_anywhere_is_rejected(name: str) -> None:
    whole = samples()[name]
    end = len(whole) - END_MARK_BYTES.get(whole[:3], 0)
    lengths = {*range(0, end, 10), *range(end - 12, end)}
    reasons = {outcome(whole[:length]) for length in lengths}
    assert reasons <= {"empty", "truncated", "corrupt", "not_an_image", "zero_size"}
    assert "truncated" in reasons


@pytest.mark.parametrize("name", ["GIF", "exif"])
def test_a_file_that_lacks_only_its_end_mark_may_be_whole(name: str) -> None:
    whole = samples()[name]
    assert np.array_equal(decoded(whole[:-1]).pixels, decoded(whole).pixels)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF"])
def test_half_a_photo_is_rejected_as_truncated(name: str) -> None:
    whole = pictures.encoded(pictures.photo(200, 150), name)
    assert outcome(whole[: len(whole) // 2]) == "truncated"


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_flipped_bits_decode_or_are_rejected_with_a_reason(name: str) -> None:
    rng = random.Random(name)
    for _ in range(120):
        broken = bytearray(samples()[name])
        for _ in range(rng.randint(1, 4)):
            reach = rng.choice((64, len(broken)))
            broken[rng.randrange(min(reach, len(broken)))] ^= 1 << rng.randrange(8)
        outcome(bytes(broken))


@given(st.binary(max_size=300))
def test_any_bytes_decode_or_are_rejected_with_a_reason(encoded: bytes) -> None:
    assert outcome(encoded)


HEADS = (
    b"\xff\xd8\xff\xe0",
    b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR",
    b"GIF89a",
    b"RIFF\x30\0\0\0WEBPVP8X",
    b"RIFF\x30\0\0\0WEBPVP8 ",
    b"RIFF\x30\0\0\0WEBPVP8L",
    b"II*\0\x08\0\0\0",
    b"MM\0*\0\0\0\x08",
    b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0",
    b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0",
    b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf",
)


@given(st.sampled_from(HEADS), st.binary(max_size=200))
def test_any_bytes_after_a_valid_head_decode_or_are_rejected_with_a_reason(head: bytes, rest: bytes) -> None:
    assert outcome(head + rest)


@given(st.sampled_from(SAMPLE_NAMES), st.data())
def test_any_splice_of_two_files_decodes_or_is_rejected_with_a_reason(name: str, data: st.DataObject) -> None:
    first, second = samples()[name], samples()[data.draw(st.sampled_from(SAMPLE_NAMES))]
    cut = data.draw(st.integers(0, len(first)))
    rest = data.draw(st.integers(0, len(second)))
    assert outcome(first[:cut] + second[rest:])


BOMB_REASONS = {
    "header.png": "too_many_pixels",
    "header.jpg": "too_many_pixels",
    "canvas.gif": "too_many_pixels",
    "frame.gif": "too_many_pixels",
    "extent.avif": "corrupt",
    "canvas.webp": "too_many_pixels",
    "header.bmp": "too_many_pixels",
    "header.tif": "too_many_pixels",
    "tiles.tif": "too_costly",
    "run length.bmp": "too_costly",
    "scans.jpg": "too_costly",
}


@pytest.mark.parametrize(("name", "reason"), BOMB_REASONS.items())
def test_a_decompression_bomb_is_rejected_by_its_header(
    name: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_pixels(image: Image.Image) -> None:
        pytest.fail(f"{name} was decoded")

    monkeypatch.setattr("panopticon.images.readers.pillow.load_pixels", load_pixels)
    with pytest.raises(Rejected) as raised:
        decode(corpus.bombs()[name], input=MODEL, preprocessing=Preprocessing())
    assert raised.value.reason == reason


_PEAK_OF_BOMBS = """
import resource
from panopticon.cards.cards import Input, Preprocessing
from panopticon.errors import Rejected
from panopticon.images.decoding import decode
from tests import corpus, dng, heif, pictures
with_texts = [pictures.with_chunks(pictures.encoded(pictures.photo(), "PNG"), *corpus.text_bombs())]
files = [*corpus.bombs().values(), *with_texts]
def peak_bytes():
    status = open("/proc/self/status").read()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024
before = peak_bytes()
for file in files:
    try:
        decode(file, input=Input(width_px=24, height_px=24), preprocessing=Preprocessing())
    except Rejected:
        pass
print(peak_bytes() - before)
"""


def test_all_bombs_together_take_little_memory() -> None:
    child = subprocess.run(
        [sys.executable, "-W", "ignore::ResourceWarning", "-c", _PEAK_OF_BOMBS],
        capture_output=True,
        check=True,
        text=True,
    )
    assert int(child.stdout) < 32 * 1024 * 1024
    assert child.stderr == ""


def test_a_small_jpeg_of_many_scans_is_decoded() -> None:
    few = pictures.encoded(pictures.photo(), "JPEG", progressive=True)
    assert few.count(b"\xff\xda") > 5
    assert outcome(few) == "decoded"


def test_a_small_run_length_bmp_is_decoded() -> None:
    rows = (bytes((8, 200)) + bytes((0, 0))) * 8 + bytes((0, 1))
    pixels = decoded(pictures.bmp(8, 8, bits=8, compression=1, data=rows)).pixels
    assert (pixels == (0, 200, 0)).all()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "too_costly"),
        (Image.DecompressionBombError("x"), "too_many_pixels"),
        (Image.DecompressionBombWarning("x"), "too_many_pixels"),
        (OSError("image file is truncated (3 bytes not processed)"), "truncated"),
        (EOFError(), "truncated"),
        (IndexError("index out of range"), "truncated"),
        (struct.error("unpack requires a buffer of 4 bytes"), "truncated"),
        (SyntaxError("not identified by this driver"), "zero_size"),
        (SyntaxError("unknown data organization"), "unsupported"),
        (OSError("broken data stream"), "corrupt"),
        (OverflowError(), "corrupt"),
        (NotImplementedError(), "corrupt"),
        (ZeroDivisionError(), "corrupt"),
        (SyntaxError("unknown pixel mode"), "unsupported"),
        (OSError("Unsupported BMP pixel depth (2)"), "unsupported"),
    ],
    ids=repr,
)
def test_every_exception_of_pillow_becomes_one_reason(
    error: Exception, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(self: Image.Image) -> None:
        raise error

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", load)
    with pytest.raises(Rejected) as raised:
        decoded(samples()["PNG"])
    assert raised.value.reason == reason
    assert type(error).__name__ not in raised.value.detail
    assert raised.value.__cause__ is error


@pytest.mark.parametrize(("name", "place"), [("BMP", 18), ("BMP", 22), ("PNG", 18), ("PNG", 22)])
def test_a_picture_without_width_or_height_has_no_size(name: str, place: int) -> None:
    whole = bytearray(samples()[name])
    whole[place : place + 2] = bytes(2)
    if name == "PNG":
        whole[29:33] = zlib.crc32(whole[12:29]).to_bytes(4)
    assert outcome(bytes(whole)) == "zero_size"


@pytest.mark.parametrize("step", ["decoding.resized", "picture.to_rgb", "decoding.central_square"])
def test_a_bug_of_ours_is_not_taken_for_a_bad_image(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(f"panopticon.images.{step}", broken)
    with pytest.raises(ValueError, match="a bug"):
        decoded(samples()["PNG"])


def test_an_opened_header_holds_no_pixels() -> None:
    image = open_header(PngImageFile, pictures.one_of_each()["PNG"], DecodeLimits())
    assert image.tile


@pytest.mark.parametrize(("kind", "result"), [(1, "decoded"), (2, "decoded"), (7, "decoded"), (3, "corrupt")])
def test_a_broken_profile_in_a_tiff_is_ignored_if_it_is_made_of_bytes(kind: int, result: str) -> None:
    tags = [*pictures.tags_of(4, 4, data_at=8, data_bytes=16), (34675, kind, 20, 8)]
    assert outcome(pictures.tiff(tags)) == result


CHUNK_NAMES = (
    b"IHDR",
    b"PLTE",
    b"tRNS",
    b"iCCP",
    b"eXIf",
    b"IDAT",
    b"cICP",
    b"gAMA",
    b"cHRM",
    b"acTL",
    b"fcTL",
)


@given(
    st.sampled_from([0, 2, 3, 4, 6]),
    st.sampled_from([1, 2, 4, 8, 16]),
    st.lists(st.tuples(st.sampled_from(CHUNK_NAMES), st.binary(max_size=40)), max_size=4),
    st.binary(max_size=400),
)
def test_any_chunks_with_valid_checksums_decode_or_are_rejected_with_a_reason(
    kind: int, depth: int, extra: list[tuple[bytes, bytes]], rows: bytes
) -> None:
    assert outcome(pictures.png(5, 5, depth=depth, kind=kind, rows=rows, extra=extra))


@given(st.lists(st.tuples(*[st.integers(0, 2**16 - 1)] * 2, *[st.integers(0, 2**32 - 1)] * 2), max_size=4))
def test_any_tag_added_to_a_good_tiff_decodes_or_is_rejected_with_a_reason(
    extra: list[tuple[int, int, int, int]],
) -> None:
    tags = pictures.tags_of(4, 4, data_at=8, data_bytes=16)
    assert outcome(pictures.tiff([*extra, *tags], bytes(64)))
