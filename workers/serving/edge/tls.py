"""The certificate of the service."""

from __future__ import annotations

import ssl
from pathlib import Path

from panopticon.errors import UsageError


def tls_context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Return the context of a server, None without a certificate.

    Raises: UsageError naming the setting and the file that is wrong.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        given, missing = ("tls_key", "tls_certificate") if key else ("tls_certificate", "tls_key")
        raise UsageError(f"{given} is set and {missing} is not; TLS needs both, or neither")
    for setting, path in (("tls_certificate", certificate), ("tls_key", key)):
        try:
            path.read_bytes()
        except OSError as error:
            raise UsageError(f"{setting} {path}: cannot be read: {error.strerror}") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    encrypted = UsageError(
        f"tls_key {key}: encrypted; give a key without a password, readable by this user only"
    )

    def refuse_password() -> str:
        # Without it OpenSSL would ask at the terminal.
        raise encrypted

    try:
        context.load_cert_chain(certificate, key, password=refuse_password)
    except ssl.SSLError as error:
        raise UsageError(_fault(certificate, key, error)) from None
    return context


def _fault(certificate: Path, key: Path, error: ssl.SSLError) -> str:
    """Return which of two files that can be read is wrong."""
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"tls_key {key}: not the key of tls_certificate {certificate}"
    if b"-----BEGIN CERTIFICATE-----" not in certificate.read_bytes():
        return f"tls_certificate {certificate}: not a certificate in PEM"
    if b"PRIVATE KEY-----" not in key.read_bytes():
        return f"tls_key {key}: not a private key in PEM"
    return f"tls_certificate {certificate} or tls_key {key}: damaged ({error.reason or error})"
