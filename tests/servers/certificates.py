"""Certificates for servers on loopback, and for their clients."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.servers.requirements import require


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The PEM files of one certificate."""

    certificate: Path
    key: Path


def make_certificate(folder: Path, *, name: str, authority: Certificate | None = None) -> Certificate:
    """Make a certificate for 127.0.0.1, valid for a week; without an authority it is self-signed."""
    openssl = shutil.which("openssl")
    require(openssl, "TLS needs openssl; on Debian and Ubuntu: apt install openssl")
    made = Certificate(certificate=folder / f"{name}.pem", key=folder / f"{name}.key")
    subject = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "7"]
    if authority:
        signed = ["-CA", str(authority.certificate), "-CAkey", str(authority.key)]
        subject += [*signed, "-addext", "basicConstraints=critical,CA:FALSE"]
    files = ["-keyout", str(made.key), "-out", str(made.certificate)]
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([str(openssl), "req", *kind, *subject, *files], check=True, capture_output=True)
    # A server that was started by root reads its key as another user.
    made.key.chmod(0o644)
    return made
