import pytest

from panopticon.errors import Rejected
from panopticon.images.formats import Format, format_of
from tests import pictures

PILLOW_NAMES = {"JPEG": Format.JPEG, "PNG": Format.PNG, "WEBP": Format.WEBP, "GIF": Format.GIF}
PILLOW_NAMES |= {"TIFF": Format.TIFF, "BMP": Format.BMP, "AVIF": Format.AVIF}


def ftyp(*brands: bytes) -> bytes:
    """Return the first box of an ISO media file with these brands."""
    body = b"ftyp" + brands[0] + bytes(4) + b"".join(brands[1:])
    return (4 + len(body)).to_bytes(4, "big") + body


@pytest.mark.parametrize("name", PILLOW_NAMES)
def test_a_supported_format_is_recognised_by_its_content(name: str) -> None:
    assert format_of(pictures.one_of_each()[name]) is PILLOW_NAMES[name]


@pytest.mark.parametrize("head", [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"])
def test_tiff_is_recognised_in_both_byte_orders_and_both_sizes(head: bytes) -> None:
    assert format_of(head + bytes(20)) is Format.TIFF


def test_avif_is_recognised_by_a_brand_that_is_not_the_first() -> None:
    assert format_of(b"\0\0\0\x18ftypmif1\0\0\0\0miafavif" + bytes(9)) is Format.AVIF


@pytest.mark.parametrize(
    "brands",
    [
        [b"heic", b"mif1", b"heic"],
        [b"heix", b"mif1"],
        [b"hevc", b"msf1"],
        [b"heim", b"mif1"],
        [b"heis", b"msf1"],
        [b"mif1", b"miaf", b"heic"],
        [b"msf1", b"iso8", b"hevc"],
        [b"mif1", b"miaf"],
        [b"heic", b"mif1", b"avif"],
    ],
    ids=b" ".join,
)
def test_heif_is_recognised_by_its_brands(brands: list[bytes]) -> None:
    assert format_of(ftyp(*brands)) is Format.HEIF


def test_the_first_brand_that_gives_a_coding_decides() -> None:
    assert format_of(ftyp(b"avif", b"mif1", b"heic")) is Format.AVIF
    assert format_of(ftyp(b"mif1", b"avif")) is Format.AVIF


@pytest.mark.parametrize(
    "head",
    [
        b"FUJIFILMCCD-RAW 0201",
        b"IIRO\x08\0\0\0",
        b"IIRS\x08\0\0\0",
        b"MMOR\0\0\0\x08",
        b"IIU\0\x18\0\0\0",
        b"II\x1a\0\0\0HEAPCCDR",
        b"\0MRM\0\0",
        b"FOVb\0\0",
        b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
    ],
)
def test_raw_files_that_are_not_tiff_are_recognised(head: bytes) -> None:
    assert format_of(head + bytes(20)) is Format.RAW


@pytest.mark.parametrize(
    ("encoded", "name"),
    [
        (b"%PDF-1.7", "PDF"),
        (b"8BPS\0\1", "Photoshop"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "isom"),
        (b"RIFF\0\0\0\0AVI LIST", "AVI"),
        (b"P6\n1 1\n255\n", "Netpbm"),
        (b"\xef\xbb\xbf  <?xml version='1.0'?>\n<svg/>", "SVG"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    ],
)
def test_a_known_format_that_is_not_decoded_is_named(encoded: bytes, name: str) -> None:
    with pytest.raises(Rejected, match=name) as raised:
        format_of(encoded)
    assert raised.value.reason == "format_not_allowed"


@pytest.mark.parametrize("encoded", [b"BMW makes cars, and is not a BMP", b"<html>", b"\0", b"P", bytes(64)])
def test_bytes_that_are_not_an_image_are_rejected_as_not_an_image(encoded: bytes) -> None:
    with pytest.raises(Rejected) as raised:
        format_of(encoded)
    assert raised.value.reason == "not_an_image"
