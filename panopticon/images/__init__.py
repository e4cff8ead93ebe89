"""Decoding: encoded bytes become the pixels that a model takes, or the image is rejected with one reason.

The module `decoding` shows the order of the steps; each step has its own file.
"""

from panopticon.images.decoding import Decoded, decode
from panopticon.images.limits import DecodeLimits
from panopticon.images.reasons import Reason

__all__ = ["DecodeLimits", "Decoded", "Reason", "decode"]
