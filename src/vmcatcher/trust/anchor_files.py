"""Reading the files of a trust-anchor directory, each once, so that one bad file never spoils the rest."""

from __future__ import annotations

import binascii
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from vmcatcher.trust.shield import Undecodable

FileKind = Literal["ca", "crl", "signing_policy", "namespaces", "crl_url", "info"]

_NAME: Final = re.compile(r"(.+)\.(pem|crt|\d+|r\d+|signing_policy|namespaces|crl_url|info)", re.DOTALL)
# The largest grid CRL known has a few MiB; policies and certificates a few KiB.
_LARGEST: Final[dict[FileKind, int]] = {
    "ca": 1 << 20,
    "crl": 64 << 20,
    "signing_policy": 1 << 20,
    "namespaces": 1 << 20,
    "crl_url": 1 << 16,
    "info": 1 << 16,
}
EVERY_KIND: Final = frozenset(_LARGEST)


@dataclass(frozen=True, slots=True)
class AnchorProblem:
    """A file of the directory that is of no use, and why."""

    file: str
    problem: str
    kind: FileKind
    stems: frozenset[str]
    """Names of the file without their ending; by them it belongs to a CA."""
    is_gone: bool = False
    """A link to a file that is not there: no reason to think that it could be read another time."""


@dataclass(slots=True)
class AnchorFile:
    """A file under all the names that link to it: IGTF packages link one file to two hashes of the CA's name."""

    name: str
    kind: FileKind
    stems: set[str] = field(default_factory=set)
    content: bytes = b""
    names: list[str] = field(default_factory=list)
    """Every name of it, sorted; `name` is the first."""

    def problem(self, words: str) -> AnchorProblem:
        """Return that the file is of no use, for the reason that `words` give."""
        return AnchorProblem(self.name, words, self.kind, frozenset(self.stems))


def read_files(directory: str, kinds: frozenset[FileKind], problems: list[AnchorProblem]) -> list[AnchorFile]:
    """Return the files of these kinds with their content; what cannot be read is added to `problems`.

    Raises:
        OSError: the directory itself cannot be listed.
    """
    found: dict[tuple[int, int], AnchorFile] = {}
    for name in sorted(os.listdir(directory)):
        match = _NAME.fullmatch(name)
        kind = _kind(match[2]) if match else None
        if match is None or kind not in kinds:
            continue
        path = os.path.join(directory, name)
        try:
            status = os.stat(path)
            if (status.st_dev, status.st_ino) not in found:
                content = _content(path, status, _LARGEST[kind])
                found[status.st_dev, status.st_ino] = AnchorFile(name, kind, content=content)
        except (OSError, Undecodable) as exc:
            gone = isinstance(exc, FileNotFoundError)
            problems.append(AnchorProblem(name, _words(exc), kind, frozenset((match[1],)), is_gone=gone))
            continue
        found[status.st_dev, status.st_ino].stems.add(match[1])
        found[status.st_dev, status.st_ino].names.append(name)
    return list(found.values())


def encoded_in(file: AnchorFile) -> Iterator[bytes]:
    """Yield the DER of each certificate or CRL in a PEM or DER file, text between PEM blocks ignored.

    Raises:
        Undecodable: it holds none, or a block is cut short or is no base64.
    """
    label = b"CERTIFICATE" if file.kind == "ca" else b"X509 CRL"
    begin, end = b"-----BEGIN %s-----" % label, b"-----END %s-----" % label
    start = file.content.find(begin)
    if start < 0:
        if not file.content.startswith(b"\x30"):
            raise Undecodable(f"no {label.decode()} in it")
        yield file.content
    while start >= 0:
        stop = file.content.find(end, start)
        if stop < 0:
            raise Undecodable(f"a {label.decode()} in it has no end")
        try:
            yield binascii.a2b_base64(
                file.content[start + len(begin) : stop].translate(None, b" \t\r\n"), strict_mode=True
            )
        except binascii.Error as exc:
            raise Undecodable(f"a {label.decode()} in it is no base64: {exc}") from exc
        start = file.content.find(begin, stop)


def _kind(ending: str) -> FileKind:
    whole: dict[str, FileKind] = {kind: kind for kind in _LARGEST if kind not in ("ca", "crl")}
    return whole.get(ending, "crl" if ending[0] == "r" else "ca")


def _content(path: str, status: os.stat_result, largest: int) -> bytes:
    # A named pipe would block for ever, and a device has no end.
    if not stat.S_ISREG(status.st_mode):
        raise Undecodable("not a regular file")
    with open(path, "rb") as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise Undecodable(f"larger than {largest} bytes")
    return content


def _words(exc: Exception) -> str:
    return exc.strerror or type(exc).__name__ if isinstance(exc, OSError) else str(exc)
