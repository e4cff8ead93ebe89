"""The process that makes one thumbnail: image on standard input, JPEG on standard output.

The decoders of some formats can be made to crash or to hang by a file, and this process dies alone.
"""

from __future__ import annotations

import sys

from panopticon.errors import Rejected
from panopticon.images.limits import DecodeLimits

REJECTED = 3
"""The exit code for an image that is rejected; the reason is on standard error."""


def main() -> int:
    """Make the thumbnail. Arguments: side in pixels, most bytes and most pixels of the image."""
    # The process that starts this one imports the module too, and needs no decoder.
    from panopticon.images.thumbnails import thumbnail

    side_px, max_bytes, max_pixels = map(int, sys.argv[1:])
    limits = DecodeLimits(max_bytes=max_bytes, max_pixels=max_pixels)
    try:
        jpeg = thumbnail(sys.stdin.buffer.read(), side_px=side_px, limits=limits)
    except Rejected as rejected:
        sys.stderr.write(str(rejected))
        return REJECTED
    sys.stdout.buffer.write(jpeg)
    return 0


if __name__ == "__main__":
    sys.exit(main())
