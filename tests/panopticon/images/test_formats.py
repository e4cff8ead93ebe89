import pytest

from panopticon.errors import Rejected
from panopticon.images.formats import HEAD_BYTES, Format, begins_like_a_picture, format_of
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


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"])
def test_each_brand_of_hevc_is_enough_for_heif(brand: bytes) -> None:
    assert format_of(ftyp(brand)) is Format.HEIF


@pytest.mark.parametrize("brand", [b"avif", b"avis"])
def test_each_brand_of_av1_is_enough_for_avif(brand: bytes) -> None:
    assert format_of(ftyp(brand)) is Format.AVIF


def test_a_brand_counts_only_inside_the_list_of_brands() -> None:
    with pytest.raises(Rejected, match="brand 'isom'"):
        format_of(ftyp(b"isom", b"mp42") + b"avif")


def test_a_file_that_ends_within_its_list_of_brands_is_truncated() -> None:
    whole = ftyp(b"mif1", b"miaf", b"avif")
    with pytest.raises(Rejected, match="truncated"):
        format_of(whole[:-1])


def test_a_list_of_brands_longer_than_the_head_of_a_file_is_read_as_far_as_that() -> None:
    whole = ftyp(b"avif", *[b"miaf"] * 500)
    assert format_of(whole[:HEAD_BYTES]) is Format.AVIF
    assert begins_like_a_picture(whole[:HEAD_BYTES])


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
        (b"\xff\x0a\xfa\x7f", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\xff\x4f\xff\x51\0\x29", "JPEG 2000"),
        (b"%!PS-Adobe-3.0", "PostScript"),
        (b"\xc5\xd0\xd3\xc6\x20\0", "PostScript"),
        (b"\0\0\1\0\1\0", "icon"),
        (b"\0\0\2\0\1\0", "cursor"),
        (b"icns\0\0\1\0", "Apple icon"),
        (b"qoif\0\0\0\x40", "QOI"),
        (b"DDS \x7c\0\0\0", "DDS"),
        (b"v/1\x01\2\0\0\0", "OpenEXR"),
        (b"#?RADIANCE\n", "Radiance HDR"),
        (b"SIMPLE  =                    T", "FITS"),
        (b"\x01\xda\1\1", "SGI"),
        (b"\xd7\xcd\xc6\x9a\0\0", "WMF"),
        (b"\x01\0\0\0\x58\0\0\0", "EMF"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"PK\3\4\x14\0", "zip"),
        (b"\x1aE\xdf\xa3\x01\0", "Matroska video"),
        *((b"P" + kind + b"\n1 1\n", "Netpbm") for kind in (b"1", b"2", b"3", b"4", b"5", b"7", b"F", b"f")),
        (b"\n<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
    ],
)
def test_a_known_format_that_is_not_decoded_is_named(encoded: bytes, name: str) -> None:
    with pytest.raises(Rejected, match=rf"\b{name}\b") as raised:
        format_of(encoded)
    assert raised.value.reason == "format_not_allowed"


@pytest.mark.parametrize("header_bytes", [12, 40, 52, 56, 64, 108, 124])
def test_bmp_is_recognised_with_each_header(header_bytes: int) -> None:
    assert format_of(b"BM" + bytes(12) + header_bytes.to_bytes(4, "little")) is Format.BMP


def test_a_riff_file_that_ends_within_its_header_is_truncated() -> None:
    with pytest.raises(Rejected, match="truncated"):
        format_of(b"RIFF\0\0\0\0WEB")


def test_the_first_bytes_show_whether_a_file_is_a_picture() -> None:
    assert begins_like_a_picture(pictures.one_of_each()["PNG"][:HEAD_BYTES])
    assert not begins_like_a_picture(b"<html>")


@pytest.mark.parametrize(
    "encoded",
    [
        b"BMW makes cars, and is not a BMP",
        b"<html>",
        b"a <svg>",
        b"\0",
        b"P",
        b"P6",
        b"P8\n",
        b"Q6\n",
        b"P\n",
        bytes(64),
    ],
)
def test_bytes_that_are_not_an_image_are_rejected_as_not_an_image(encoded: bytes) -> None:
    with pytest.raises(Rejected) as raised:
        format_of(encoded)
    assert raised.value.reason == "not_an_image"
