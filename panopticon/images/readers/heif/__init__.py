"""Reading HEIC and other HEIF."""

from panopticon.images.readers.heif.reader import read

__all__ = ["read"]
