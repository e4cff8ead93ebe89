"""Pillow's plug-in for TIFF, without what is done elsewhere here."""

from __future__ import annotations

from PIL import Image, ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from panopticon.images.readers.ifd import tags
from panopticon.images.readers.ifd.tags import Photometric


class PageFile(TiffImageFile):
    """The first page of a TIFF, as stored."""

    def load_prepare(self) -> None:
        """Allocate the pixels without Pillow's warning about sizes, which are checked already."""
        self.im = Image.new(self.mode, self._tile_size, None).im
        super().load_prepare()

    def _setup(self) -> None:
        """Set the size as stored: Pillow sets that of the upright image, which it makes in `load_end`."""
        super()._setup()
        self._size = self._tile_size
        if self.tag_v2.get(tags.PHOTOMETRIC) == Photometric.YCBCR and not self.use_load_libtiff:
            # Pillow takes uncompressed YCbCr for one pixel after the other, which it is without subsampling
            # only; libtiff reads all of them.
            self.use_load_libtiff = True
            self._mode = "RGB"
            args = ("RGBX", False, self.tag_v2.offset)
            self.tile = [ImageFile._Tile("libtiff", (0, 0, *self._size), 0, args)]

    def load_end(self) -> None:
        """Do nothing: every image is turned after scaling."""
