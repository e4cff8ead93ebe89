"""Encoded bytes to the pixels a model takes, or one reason why not.

`decoding` tells the way from one to the other; each step has its own file.
"""

from panopticon.images.decoding import Decoded, DecodeLimits, decode
from panopticon.images.reasons import Reason

__all__ = ["DecodeLimits", "Decoded", "Reason", "decode"]
