"""Numbers that TIFF gives to its tags and their values, and the names that people know them by.

Sources: TIFF 6.0; the technical notes for Photoshop; DNG 1.7; libtiff's list of private tags.
"""

from __future__ import annotations

from enum import IntEnum

NEW_SUBFILE_TYPE = 254
SUBFILE_TYPE = 255
WIDTH = 256
HEIGHT = 257
BITS_PER_SAMPLE = 258
COMPRESSION = 259
PHOTOMETRIC = 262
FILL_ORDER = 266
STRIP_OFFSETS = 273
ORIENTATION = 274
SAMPLES_PER_PIXEL = 277
ROWS_PER_STRIP = 278
STRIP_BYTES = 279
X_RESOLUTION = 282
Y_RESOLUTION = 283
PLANAR = 284
RESOLUTION_UNIT = 296
PREDICTOR = 317
COLOUR_MAP = 320
TILE_WIDTH = 322
TILE_HEIGHT = 323
TILE_OFFSETS = 324
TILE_BYTES = 325
SUB_DIRECTORIES = 330
INK_SET = 332
EXTRA_SAMPLES = 338
SAMPLE_FORMAT = 339
JPEG_TABLES = 347
JPEG_AT = 513
JPEG_BYTES = 514
CHROMA_SUBSAMPLING = 530
PROFILE = 34675
DNG_VERSION = 50706
WINDOWS_MEDIA_PHOTO = 0xBC01


class Photometric(IntEnum):
    """The meaning of samples (tag 262), for the kinds that are decoded, and masks."""

    MIN_IS_WHITE = 0
    MIN_IS_BLACK = 1
    RGB = 2
    PALETTE = 3
    MASK = 4
    CMYK = 5
    YCBCR = 6
    CIELAB = 8
    ICCLAB = 9


class Compression(IntEnum):
    """The compressions (tag 259) that are decoded."""

    NONE = 1
    FAX_RLE = 2
    FAX_GROUP_3 = 3
    FAX_GROUP_4 = 4
    LZW = 5
    OLD_JPEG = 6
    JPEG = 7
    DEFLATE = 8
    PACKBITS = 32773
    OLD_DEFLATE = 32946
    LZMA = 34925
    ZSTD = 50000

    @property
    def words(self) -> str:
        """The name that people know it by."""
        return _COMPRESSION_NAMES.get(self, f"{self.name} compression")


class SampleFormat(IntEnum):
    """The kinds of numbers (tag 339) that are decoded."""

    UNSIGNED = 1
    SIGNED = 2
    FLOAT = 3
    UNDEFINED = 4


_COMPRESSION_NAMES = {
    Compression.FAX_RLE: "fax compression",
    Compression.FAX_GROUP_3: "fax compression",
    Compression.FAX_GROUP_4: "fax compression",
    Compression.OLD_JPEG: "old-style JPEG compression",
    Compression.DEFLATE: "ZIP compression",
    Compression.OLD_DEFLATE: "ZIP compression",
    Compression.PACKBITS: "PackBits compression",
    Compression.ZSTD: "Zstandard compression",
}
COLOUR_NAMES = {
    Photometric.MIN_IS_WHITE: "grey",
    Photometric.MIN_IS_BLACK: "grey",
    Photometric.RGB: "RGB",
    Photometric.PALETTE: "palette",
    Photometric.CMYK: "CMYK",
    Photometric.YCBCR: "YCbCr",
    Photometric.CIELAB: "Lab",
    Photometric.ICCLAB: "Lab",
}
OTHER_PHOTOMETRICS = {
    4: "only a transparency mask",
    10: "ITU Lab colours",
    32844: "LogL brightness",
    32845: "LogLuv colours",
}
OTHER_COMPRESSIONS = {
    9: "JBIG compression",
    10: "JBIG compression",
    32766: "NeXT compression",
    32771: "16-bit padded lines",
    32809: "ThunderScan compression",
    33003: "JPEG 2000 compression",
    33004: "JPEG 2000 compression",
    33005: "JPEG 2000 compression",
    34661: "JBIG compression",
    34676: "SGI LogLuv compression",
    34677: "SGI LogLuv compression",
    34712: "JPEG 2000 compression",
    34887: "LERC compression",
    34933: "PNG compression",
    34934: "JPEG XR compression",
    50001: "WebP compression",
    50002: "JPEG XL compression",
    52546: "JPEG XL compression",
}
