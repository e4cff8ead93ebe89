import struct
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from panopticon.cards.cards import Input, Preprocessing
from panopticon.errors import Rejected
from panopticon.images.decoding import decode
from panopticon.images.readers.avif import av1
from panopticon.images.readers.avif.track import properties_of_track
from panopticon.images.readers.iso_media.boxes import boxes
from panopticon.images.readers.iso_media.items import Items, items_of
from tests import pictures
from tests.panopticon.images.profiles import SRGB, SWAPPED
from tests.panopticon.images.readers.shown import colour_of, difference, rejection_of, zero_filled

CODED = frozenset({b"av01"})
P3_RED = (234, 51, 35)
"""The red of sRGB in Display P3."""


def avif(image: Image.Image, **options: Any) -> bytes:
    return pictures.encoded(image, "AVIF", **{"quality": 95, "speed": 8, "subsampling": "4:4:4", **options})


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">L", 8 + len(content)) + kind + content


def named(encoded: bytes, primaries: int, transfer: int) -> bytes:
    """Return the same file with other code points in its colour box."""
    at = encoded.index(b"colrnclx") + 8
    return encoded[:at] + struct.pack(">HH", primaries, transfer) + encoded[at + 4 :]


def read_items(encoded: bytes) -> Items:
    items = items_of(encoded)
    assert items is not None
    return items


def flat(colour: tuple[int, ...]) -> Image.Image:
    return Image.new("RGB", (64, 48), colour)


def with_property(encoded: bytes, kind: bytes, content: bytes) -> bytes:
    """Return the same file with one more property of its first item."""
    added = struct.pack(">L", 8 + len(content)) + kind + content
    whole = bytearray(encoded)
    at = {name: encoded.index(name) - 4 for name in (b"meta", b"iprp", b"ipco", b"ipma", b"iloc")}
    offset_at = at[b"iloc"] + 22
    number = sum(1 for _ in boxes(encoded, at[b"ipco"] + 8, at[b"ipma"])) + 1
    sizes = {b"meta": len(added) + 1, b"iprp": len(added) + 1, b"ipco": len(added), b"ipma": 1}
    for name, more in sizes.items():
        size = int.from_bytes(whole[at[name] : at[name] + 4]) + more
        whole[at[name] : at[name] + 4] = size.to_bytes(4)
    moved = int.from_bytes(whole[offset_at : offset_at + 4]) + len(added) + 1
    whole[offset_at : offset_at + 4] = moved.to_bytes(4)
    count_at = at[b"ipma"] + 18
    end_of_indices = count_at + 1 + whole[count_at]
    whole[count_at] += 1
    whole[end_of_indices:end_of_indices] = bytes([number | 0x80])
    whole[at[b"ipma"] : at[b"ipma"]] = added
    return bytes(whole)


@pytest.mark.parametrize(
    ("colour", "code_points", "expected"),
    [
        (P3_RED, (12, 13), (255, 0, 0)),
        ((148, 148, 148), (9, 16), (255, 255, 255)),
        ((97, 97, 97), (9, 16), (100, 100, 100)),
        ((97, 97, 97), (9, 18), (100, 100, 100)),
        ((55, 55, 55), (1, 8), (127, 127, 127)),
        ((55, 155, 99), (2, 2), (55, 155, 99)),
    ],
)
def test_colours_named_by_code_points_are_converted(
    colour: tuple[int, ...], code_points: tuple[int, int], expected: tuple[int, ...]
) -> None:
    assert colour_of(named(avif(flat(colour)), *code_points)) == pytest.approx(expected, abs=4)


@pytest.mark.parametrize("bits", [10, 12])
def test_deep_pictures_are_read(bits: int) -> None:
    grey_card = np.full((48, 64, 3), round(0.38 * (2**bits - 1)), np.uint16)
    encoded = imagecodecs.avif_encode(
        grey_card, level=95, speed=9, bitspersample=bits, pixelformat="444", numthreads=1
    )
    assert colour_of(named(bytes(encoded), 9, 16)) == pytest.approx((100, 100, 100), abs=4)


@pytest.mark.parametrize(
    "options", [{"save_all": True, "append_images": [flat(P3_RED)]}, {"range": "limited"}]
)
def test_colours_of_sequences_and_of_the_range_of_video_are_converted(options: dict[str, Any]) -> None:
    assert colour_of(named(avif(flat(P3_RED), **options), 12, 13)) == pytest.approx((255, 0, 0), abs=4)


def test_a_profile_wins_over_code_points() -> None:
    plain = named(avif(flat((100, 150, 50)), icc_profile=SRGB), 9, 16)
    assert colour_of(plain) == pytest.approx((100, 150, 50), abs=4)
    assert np.argmax(colour_of(avif(flat((250, 10, 10)), icc_profile=SWAPPED))) == 1


def test_unknown_code_points_are_unsupported() -> None:
    assert rejection_of(named(avif(flat((9, 9, 9))), 1, 9)).reason == "unsupported"


def test_without_a_colour_box_the_colours_of_the_stream_count() -> None:
    encoded = avif(flat(P3_RED))
    (extent,) = read_items(encoded).extents_of(CODED)
    assert av1.colours_of(encoded[extent.start : extent.end]) == (1, 13)
    assert colour_of(encoded.replace(b"colrnclx", b"freenclx")) == pytest.approx(P3_RED, abs=4)


def sequence_header(
    *, timing: bool, model: bool, tools: bool, screen: bool, profile: int, tier: bool
) -> bytes:
    """Return a sequence header unit of an animation that names the colours 9 and 16 (AV1, section 5.5)."""
    fields = [(profile, 3), (0, 1), (0, 1), (timing, 1)]
    if timing:
        # Numbers of ticks, the last of variable length: two zeros, a one and two more bits.
        fields += [(5, 32), (6, 32), (1, 1), (0b00101, 5), (model, 1)]
        fields += [(9, 5), (7, 32), (3, 5), (4, 5)] if model else []
    fields += [(1, 1), (0, 5), (0, 12), (9 if tier else 7, 5)] + ([(1, 1)] if tier else [])
    fields += [(1, 1), (1023, 20), (1, 1)] if model and timing else []
    fields += [(1, 1), (5, 4)]
    fields += [(7, 4), (6, 4), (63, 8), (47, 7), (tools, 1)] + ([(9, 4), (5, 3)] if tools else [])
    fields += [(0, 3), (0, 4), (tools, 1)] + ([(0, 2)] if tools else [])
    fields += [(0, 1), (screen, 1)] + ([(0, 1), (1, 1)] if screen else [])
    fields += [(7, 3)] if tools else []
    fields += [(0, 3), (1, 1)] + ([(1, 1)] if profile == 2 else []) + ([(0, 1)] if profile != 1 else [])
    fields += [(1, 1), (9, 8), (16, 8), (9, 8)]
    bits = "".join(f"{int(value):0{width}b}" for value, width in fields)
    content = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8))
    return b"\x12\0" + bytes([0x0A, len(content)]) + content


@pytest.mark.parametrize("timing", [False, True])
@pytest.mark.parametrize("model", [False, True])
@pytest.mark.parametrize("tools", [False, True])
@pytest.mark.parametrize("screen", [False, True])
@pytest.mark.parametrize(("profile", "tier"), [(0, False), (1, True), (2, True)])
def test_colours_are_found_in_every_sequence_header(
    timing: bool, model: bool, tools: bool, screen: bool, profile: int, tier: bool
) -> None:
    header = sequence_header(
        timing=timing, model=model, tools=tools, screen=screen, profile=profile, tier=tier
    )
    assert av1.colours_of(header) == (9, 16)
    assert av1.colours_of(header[2:]) == (9, 16)


@pytest.mark.parametrize("delimiter", [b"", b"\x12\0", b"\x16\0\0", b"\x12\x80\x80\0"])
def test_a_sequence_header_is_found_however_its_unit_gives_its_size(delimiter: bytes) -> None:
    unit = sequence_header(timing=True, model=True, tools=True, screen=True, profile=0, tier=True)[2:]
    content = unit[2:]
    sizes = bytes([0x80 | len(content)]), bytes([len(content)])
    heads = [
        b"\x0a" + sizes[1],
        b"\x0a" + sizes[0] + b"\0",
        b"\x0a" + sizes[0] + b"\x80" * 6 + b"\0",
        b"\x0e\0" + sizes[1],
        b"\x08",
        b"\x0c\0",
    ]
    assert [av1.colours_of(delimiter + head + content) for head in heads] == [(9, 16)] * 6


def test_boxes_with_long_numbers_are_read() -> None:
    """Files of more than 65,535 items, or 127 properties, have them."""
    item, fillers = 70_000, box(b"free", b"") * 299
    primary = box(b"pitm", b"\1\0\0\0" + struct.pack(">L", item))
    entry = box(b"infe", b"\3\0\0\0" + struct.pack(">LH", item, 0) + b"av01\0")
    entries = box(b"iinf", b"\1\0\0\0" + struct.pack(">L", 1) + entry)
    place = struct.pack(">LHHQHQQ", item, 0, 0, 3, 1, 4, 5)
    places = box(b"iloc", b"\2\0\0\0\x88\x80" + struct.pack(">L", 1) + place)
    known = box(b"ipco", fillers + box(b"colr", b"nclx"))
    used = box(b"ipma", b"\1\0\0\1" + struct.pack(">LLBH", 1, item, 1, 0x8000 | 300))
    meta = box(b"meta", bytes(4) + primary + entries + places + box(b"iprp", known + used))
    items = read_items(meta)
    assert items.primary == item
    assert [found.kind for found in items.properties[item]] == [b"colr"]
    assert [(extent.start, extent.end) for extent in items.extents_of(CODED)] == [(7, 12)]
    inside = meta.replace(place, struct.pack(">LHHQHQQ", item, 1, 0, 3, 1, 4, 5))
    assert read_items(inside).extents == ()


def test_a_sequence_without_items_is_described_by_its_track() -> None:
    moving = avif(flat(P3_RED), save_all=True, append_images=[flat(P3_RED)])
    kinds = {found.kind for found in properties_of_track(moving, boxes(moving, 0, len(moving)))}
    assert b"av1C" in kinds
    assert kinds <= {b"av1C", b"colr", b"ccst", b"btrt", b"pasp", b"clap", b"auxi"}


@pytest.mark.parametrize("samples", [None, b"", box(b"stsd", bytes(8))], ids=["film", "table", "entry"])
def test_a_file_without_a_track_of_pictures_has_no_properties_of_one(samples: bytes | None) -> None:
    film = b""
    if samples is not None:
        film = samples
        for kind in (b"stbl", b"minf", b"mdia", b"trak", b"moov"):
            film = box(kind, film)
    assert properties_of_track(film, boxes(film, 0, len(film))) == []


@pytest.mark.parametrize(
    "stream", [b"", b"\x12\0", b"\x0a", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x32\1\0"]
)
def test_a_stream_without_a_sequence_header_names_no_colours(stream: bytes) -> None:
    assert av1.colours_of(stream)[0] in (0, 2, 255)


@pytest.mark.parametrize(("kept"), [0.2, 0.5, 0.9])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_a_half_written_file_is_truncated(kept: float, mode: str) -> None:
    photo = pictures.photo(320, 240)
    photo.putalpha(pictures.photo(320, 240, seed=1).convert("L"))
    whole = avif(photo.convert(mode))
    assert rejection_of(zero_filled(whole, kept)).reason == "truncated"


def test_a_flat_picture_is_not_taken_for_a_half_written_one() -> None:
    assert colour_of(avif(Image.new("RGB", (1200, 800)))) == (0, 0, 0)


def test_empty_frames_before_the_first_picture_are_skipped() -> None:
    frames = [Image.new("RGBA", (64, 48), (0, 200, 0, alpha)) for alpha in (0, 0, 255)]
    moving = avif(frames[0], save_all=True, append_images=frames[1:], duration=80)
    assert colour_of(moving) == pytest.approx((0, 200, 0), abs=4)


def quadrants() -> Image.Image:
    image = Image.new("RGB", (2, 2))
    for at, colour in zip(((0, 0), (1, 0), (0, 1), (1, 1)), ("red", "lime", "blue", "white"), strict=True):
        image.paste(colour, (*at, at[0] + 1, at[1] + 1))
    return image.resize((48, 48), Image.Resampling.NEAREST)


@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("exif", [1, 6])
def test_rotation_then_mirroring_count_and_exif_does_not(quarters: int, axis: int, exif: int) -> None:
    """MIAF: `irot` turns anticlockwise by quarters, `imir` swaps top and bottom (0) or left and right (1)."""
    # Orientation 7 is written with both properties.
    encoded = bytearray(pictures.oriented(7, quadrants(), "AVIF", quality=95, subsampling="4:4:4"))
    encoded[encoded.index(b"irot") + 4] = quarters
    encoded[encoded.index(b"imir") + 4] = axis
    turned = np.rot90(np.asarray(quadrants()), quarters)
    expected = Image.fromarray(np.ascontiguousarray(turned[::-1] if axis == 0 else turned[:, ::-1]))
    assert difference(bytes(encoded), expected) < 4


def test_an_orientation_in_exif_alone_is_ignored() -> None:
    exif = b"II*\0" + struct.pack("<LH", 8, 2) + struct.pack("<HHLL", 271, 2, 4, 0x414141)
    exif += struct.pack("<HHLL", 274, 3, 1, 1) + bytes(4)
    encoded = avif(quadrants(), exif=exif)
    turned = encoded.replace(struct.pack("<HHLL", 274, 3, 1, 1), struct.pack("<HHLL", 274, 3, 1, 6))
    assert difference(turned, quadrants()) < 4


@pytest.mark.parametrize(
    ("numbers", "box"),
    [
        ((32, 1, 24, 1, 0, 1, 0, 1), (16, 12, 48, 36)),
        ((32, 1, 24, 1, -16, 1, 12, 1), (0, 24, 32, 48)),
        ((64, 2, 24, 1, 16, 1, 0, 1), (32, 12, 64, 36)),
        ((32, 1, 24, 1, 40, 1, 0, 1), (0, 0, 64, 48)),
        ((32, 0, 24, 1, 0, 1, 0, 1), (0, 0, 64, 48)),
        ((0, 1, 24, 1, 0, 1, 0, 1), (0, 0, 64, 48)),
        ((640, 1, 480, 1, 0, 1, 0, 1), (0, 0, 64, 48)),
        ((64, 1, 48, 1, 0, 1, 0, 1), (0, 0, 64, 48)),
        ((63, 1, 47, 1, 0, 1, 0, 1), (0, 0, 63, 47)),
        ((32, 1, 0, 1, 0, 1, 0, 1), (0, 0, 64, 48)),
        ((32, 1, 24, 0, 0, 1, 0, 1), (0, 0, 64, 48)),
        ((32, 1, 24, 1, 0, 0, 0, 1), (0, 0, 64, 48)),
        ((32, 1, 24, 1, 0, 1, 0, 0), (0, 0, 64, 48)),
        ((32, 1, 24, 1, 0, 1, 13, 1), (0, 0, 64, 48)),
        ((32, 1, 24, 1, 0, 1, -13, 1), (0, 0, 64, 48)),
        ((32, 1, 24, 1, -17, 1, 0, 1), (0, 0, 64, 48)),
    ],
)
def test_the_clean_aperture_is_cut_out_if_it_lies_within_the_image(
    numbers: tuple[int, ...], box: tuple[int, int, int, int]
) -> None:
    photo = pictures.photo(64, 48)
    encoded = with_property(avif(photo), b"clap", struct.pack(">4L4l", *numbers))
    assert difference(encoded, photo.crop(box)) < 3
    size = decode(encoded, input=Input(width_px=9, height_px=9), preprocessing=Preprocessing())
    assert (size.width_px, size.height_px) == (box[2] - box[0], box[3] - box[1])


def test_a_clean_aperture_that_is_too_long_is_ignored() -> None:
    photo = pictures.photo(64, 48)
    aperture = struct.pack(">4L4l", 32, 1, 24, 1, 0, 1, 0, 1) + b"\0"
    assert difference(with_property(avif(photo), b"clap", aperture), photo) < 3


def test_a_box_that_does_not_fit_is_refused() -> None:
    good = struct.pack(">L4s", 8, b"free")
    assert rejection_of(avif(flat((9, 9, 9))) + struct.pack(">L4s", 9, b"free")).reason == "truncated"
    assert rejection_of(avif(flat((9, 9, 9))) + struct.pack(">L4s", 7, b"free")).reason == "corrupt"
    assert colour_of(avif(flat((9, 9, 9))) + good + b"\0\0") == pytest.approx((9, 9, 9), abs=2)


@pytest.mark.parametrize("name", [b"iprp", b"ipco", b"ipma", b"pitm", b"iloc", b"iinf"])
def test_a_missing_box_means_that_nothing_is_known(name: bytes) -> None:
    items = read_items(avif(flat((9, 9, 9))).replace(name, b"free", 1))
    assert not items.primary or not items.properties or not items.extents_of(CODED)


def test_a_file_whose_list_of_properties_is_endless_is_too_costly() -> None:
    used = box(b"ipma", bytes(4) + struct.pack(">L", 400) + (b"\0\1\xff" + bytes(255)) * 400)
    with pytest.raises(Rejected, match="too_costly"):
        items_of(box(b"meta", bytes(4) + box(b"iprp", box(b"ipco", b"") + used)))
