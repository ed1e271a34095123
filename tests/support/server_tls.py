"""Certificates for test servers: a throw-away certificate authority, and contexts that serve with what it signs.

authority = Authority(tmp_path)
Server(tls=authority.serve())                               # right: for 127.0.0.1 and localhost, valid now
Server(tls=authority.serve(names=["other.example"]))        # somebody else's
Server(tls=authority.serve(days=(-30, -1)))                 # expired
Server(tls=authority.serve(self_signed=True))               # signed by nobody
authority.directory                                         # what a client trusts: a directory of <hash>.0
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import itertools
import ssl
import subprocess
import warnings
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class Authority:
    """A certificate authority for web servers, anchored in `directory` as OpenSSL looks it up, and in `bundle`."""

    def __init__(self, root: Path, name: str = "Test Server CA") -> None:
        self._root = root
        self._numbers = itertools.count(1)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        self._certificate = self._sign(self._name, self._key, days=(-1, 3650), ca=True)
        self.bundle = root / "server-ca.pem"
        self.bundle.write_bytes(self._certificate.public_bytes(Encoding.PEM))
        self.directory = root / "server-anchors"
        self.directory.mkdir()
        print_hash = ["openssl", "x509", "-noout", "-subject_hash", "-in", str(self.bundle)]
        subject_hash = subprocess.run(print_hash, check=True, capture_output=True, text=True).stdout.strip()
        (self.directory / f"{subject_hash}.0").write_bytes(self.bundle.read_bytes())

    def serve(
        self,
        *,
        names: Sequence[str] = ("127.0.0.1", "localhost"),
        days: tuple[int, int] = (-1, 30),
        self_signed: bool = False,
        newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ) -> ssl.SSLContext:
        """Return a server's context with a new certificate for `names`, valid between `days` from today."""
        both = self.write_pem(
            self._root / f"server-{next(self._numbers)}.pem", names=names, days=days, self_signed=self_signed
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if newest < ssl.TLSVersion.TLSv1_2:
            context.set_ciphers("ALL:@SECLEVEL=0")  # what OpenSSL 3 asks for before it speaks anything that old
            with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
                context.minimum_version = context.maximum_version = newest
        context.load_cert_chain(both)
        return context

    def write_pem(
        self,
        path: Path,
        *,
        names: Sequence[str] = ("127.0.0.1", "localhost"),
        days: tuple[int, int] = (-1, 30),
        self_signed: bool = False,
    ) -> Path:
        """Write a new key and certificate into one file, for servers that are not ours; return the file."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _named(names[0])
        certificate = self._sign(subject, key, days=days, names=names, self_signed=self_signed)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
        return path

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        *,
        days: tuple[int, int],
        names: Sequence[str] = (),
        ca: bool = False,
        self_signed: bool = False,
    ) -> x509.Certificate:
        today = dt.datetime.now(dt.UTC).replace(microsecond=0)
        signing, issuer = (key, subject) if self_signed else (self._key, self._name)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(today + dt.timedelta(days=days[0]))
            .not_valid_after(today + dt.timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
            .add_extension(_usage(ca=ca), critical=True)
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general(name) for name in names]), critical=False
            )
        return builder.sign(signing, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
