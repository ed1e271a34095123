"""TLS: whose certificates are believed, and in which words a refusal is told."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING, Final, cast

from requests import utils

from vmcatcher.errors.network import TrustDirectoryUnusable

if TYPE_CHECKING:
    from vmcatcher.transport.access import Access

# X509_V_ERR_* of OpenSSL's x509_vfy.h.
_VERIFY_WORDS: Final = {
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    18: "its certificate is self-signed",
    19: "its certificate comes from an unknown CA (self-signed in the chain)",
    20: "its certificate comes from an unknown CA",
    21: "its certificate comes from an unknown CA (it sends no chain)",
    23: "its certificate is revoked",
    62: "its certificate is for another host name",
    64: "its certificate is for another address",
}
_PROTOCOL_WORDS: Final = {
    "HTTP_REQUEST": "the server speaks plain http there",
    "NO_PROTOCOLS_AVAILABLE": "the server speaks no TLS 1.2 or newer",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the server speaks no TLS 1.2 or newer",
    "UNSUPPORTED_PROTOCOL": "the server speaks no TLS 1.2 or newer",
    "WRONG_VERSION_NUMBER": "the server speaks no TLS there",
}


def make_context(access: Access, url: str) -> ssl.SSLContext:
    """Return the context for `access`: TLS 1.2 or newer, certificate and host name verified unless `insecure`.

    `system` believes what OpenSSL believes by default, so SSL_CERT_FILE and SSL_CERT_DIR hold as for curl;
    REQUESTS_CA_BUNDLE and its like do not. Where the machine has no CAs at all, those that came with `requests`.
    `igtf` believes the `<hash>.0` files of the trust-anchor directory and nothing else.

    Raises:
        TrustDirectoryUnusable: `igtf`, and the directory is not there.
    """
    if access.tls == "system":
        context = ssl.create_default_context()
        if not _system_has_anchors(context):
            context.load_verify_locations(cafile=utils.DEFAULT_CA_BUNDLE_PATH)
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if access.tls == "igtf":
        directory = access.trust_directory or ""
        if not os.path.isdir(directory):
            raise TrustDirectoryUnusable(url=url, directory=directory)
        context.load_verify_locations(capath=directory)
    if access.tls == "insecure":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _system_has_anchors(context: ssl.SSLContext) -> bool:
    if context.cert_store_stats()["x509_ca"]:
        return True
    # A directory of anchors is read when a certificate needs it, so the context does not know of it yet.
    directory = cast("str | None", ssl.get_default_verify_paths().capath)
    return directory is not None and bool(os.listdir(directory))


def why_refused(exc: ssl.SSLError) -> str:
    """Return in words why a handshake failed."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return _VERIFY_WORDS.get(exc.verify_code, f"its certificate cannot be verified ({exc.verify_message})")
    return _PROTOCOL_WORDS.get(exc.reason, f"no agreement on how to encrypt ({exc.reason})")
