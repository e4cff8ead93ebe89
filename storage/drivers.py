"""The set-up that the drivers of several servers need: certificates to trust, and a quiet log."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from panopticon.errors import UsageError


def trusting(cafile: Path | None, *, setting: str) -> ssl.SSLContext:
    """Return a TLS context that verifies servers by `cafile`; None: by the certificates of this machine.

    Raises: UsageError, which begins with `setting`, for a file that holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=cafile)
    except ssl.SSLError:
        raise UsageError(f"{setting}: cafile {cafile}: holds no certificate in PEM") from None


def silence(driver: str) -> None:
    """Turn a driver's log off, unless its level was set: what it logs, its callers receive as an error."""
    log = logging.getLogger(driver)
    if log.level == logging.NOTSET:
        log.setLevel(logging.CRITICAL)
