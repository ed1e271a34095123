"""The openssl command as a signer, and as a second opinion on what our own code accepts."""

from __future__ import annotations

import shutil
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from support.pki import Signer


class OpensslFailed(Exception):
    """The command said no; its words are the message."""


def openssl(*arguments: str | Path, stdin: bytes = b"") -> bytes:
    """Return what `openssl ARGUMENTS` writes on its standard output; skip the test where there is no such command.

    Raises:
        OpensslFailed: it ended with another status than 0.
    """
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command is not installed")
    command = ["openssl", *map(str, arguments)]
    ended = subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=30)
    if ended.returncode != 0:
        raise OpensslFailed(ended.stderr.decode(errors="replace"))
    return ended.stdout


def smime_sign(content: bytes, signer: Signer, *options: str | Path) -> bytes:
    """Return what `openssl smime -sign OPTIONS` makes of `content`: the tool that endorsers use."""
    return openssl("smime", "-sign", "-signer", signer.certificate, "-inkey", signer.key, *options, stdin=content)


def cms_sign(content: bytes, signer: Signer, *options: str | Path) -> bytes:
    """Return what `openssl cms -sign OPTIONS` makes of `content`."""
    return openssl("cms", "-sign", "-signer", signer.certificate, "-inkey", signer.key, *options, stdin=content)


def verify(message: bytes, anchors: Path, now: datetime, *options: str, tool: str = "cms", crls: bool = True) -> bytes:
    """Return the content of `message` as `openssl cms|smime -verify` sees it, trusting the CAs of `anchors`.

    Raises:
        OpensslFailed: the command refuses the message.
    """
    revocation = ["-crl_check_all"] if crls else []
    at = ["-attime", str(int(now.timestamp()))]
    return openssl(tool, "-verify", "-CApath", anchors, "-no-CAfile", *revocation, *at, *options, stdin=message)


def names(certificate: Path, style: str = "compat") -> tuple[str, str]:
    """Return subject and issuer of a PEM certificate as the command prints them; `compat` is the one-line form."""
    out = openssl("x509", "-in", certificate, "-noout", "-subject", "-issuer", "-nameopt", style)
    subject, issuer = out.decode().splitlines()
    return subject.removeprefix("subject=").strip(), issuer.removeprefix("issuer=").strip()
