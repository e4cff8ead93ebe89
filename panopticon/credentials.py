"""Credentials in text that people read."""

from __future__ import annotations

import re

# A password may hold any character, also `/` and `@` that should have been escaped: what lies before the last
# `@` is hidden as a whole. So an address with `:` and `@` in its path loses more than it has to.
_ONE_URL = re.compile(r"\A([a-z][a-z0-9+.-]*://).*:.*(?=@)", re.DOTALL | re.IGNORECASE)
_USER_INFO = re.compile(r"(?<=://)\S*:\S*(?=@)")
_SECRET = re.compile(r"(?i)((?:pass|secret|token|key)[^=&?]*=)[^&\s]+")


def masked(text: str) -> str:
    """Return the text without the credentials that a URL in it, or the URL that it is, may hold."""
    return _SECRET.sub(r"\1***", _USER_INFO.sub("***", _ONE_URL.sub(r"\1***", text)))
