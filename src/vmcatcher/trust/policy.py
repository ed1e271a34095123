"""Which names a CA may sign: `*.signing_policy` (Globus EACL) and `*.namespaces` (EUGridPMA, version 1.0) files."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from vmcatcher.model.identity import OneLineName, normal_dn

Kind = Literal["namespaces", "signing_policy"]

_WORD: Final = re.compile(r"""\s*(?:'([^']*)'|"([^"]*)"|([^\s'"#][^\s'"]*))(?=\s|$)""")
_COMMENT: Final = re.compile(r"\s*#")
_QUOTED: Final = re.compile(r'"([^"]*)"')
_QUOTED_TEXT: Final = r'"((?:[^"\\]|\\.)*+)"'
_STATEMENT: Final = re.compile(
    rf"TO\s+Issuer\s+(?:{_QUOTED_TEXT}|(SELF))\s+(PERMIT|DENY)\s+Subject\s+{_QUOTED_TEXT}\s*(?:#.*)?", re.IGNORECASE
)
_VERSION: Final = re.compile(r"#NAMESPACES-VERSION:\s*(\S+)")
_GLOB_PIECE: Final = re.compile(r"\*+|.", re.DOTALL)
_NAMESPACE_PIECE: Final = re.compile(r"(?:\.\*)+|\\?.", re.DOTALL)


class PolicyProblem(Exception):
    """A policy file that cannot be understood; the message says in which line and why. Never leaves this room."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One line of a policy: the issuer may, or may not, sign subjects of this pattern."""

    issuer: str | None
    """One-line name; None for SELF, the CA that the file belongs to."""
    verdict: str
    """`PERMIT` or `DENY`."""
    pattern: str
    kind: Kind
    file: str
    line: int

    def covers(self, subject: OneLineName) -> bool:
        """Tell whether the pattern matches either unambiguous form of the name."""
        forms = {subject.escaped, subject.escaped if subject.plain is None else subject.plain}
        expression = _expression(self.kind, normal_dn(self.pattern))
        return any(expression.fullmatch(normal_dn(form)) for form in forms)


def is_permitted(grants: Iterable[Grant], subject: OneLineName) -> bool:
    """Tell whether the grants of one issuer permit a subject: a denial that covers it wins over any permission."""
    return {grant.verdict for grant in grants if grant.covers(subject)} == {"PERMIT"}


def parse_policy(kind: Kind, content: bytes, file: str) -> list[Grant]:
    """Return the grants of a policy file; `file` is what it is called.

    Raises:
        PolicyProblem: a line cannot be understood; then nothing in the file can be relied on.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise PolicyProblem(f"not UTF-8 at byte {exc.start}") from exc
    return list(_namespaces(text, file) if kind == "namespaces" else _signing_policy(text, file))


@functools.lru_cache(maxsize=4096)
def _expression(kind: Kind, pattern: str) -> re.Pattern[str]:
    """Compile a pattern so that matching takes time linear in the name, however many wildcards there are.

    A signing policy has `*` and `?`. A namespace is a regular expression by its specification, but its authors mean
    dots and brackets literally (`Inc.`, `[Run by the Issuer]`): only `.*` is a wildcard and a backslash makes the next
    character literal, which never permits more than was meant.
    """
    parts: list[str | None]
    if kind == "signing_policy":
        pieces = _GLOB_PIECE.findall(pattern)
        parts = [None if piece[0] == "*" else "." if piece == "?" else re.escape(piece) for piece in pieces]
    else:
        pieces = _NAMESPACE_PIECE.findall(pattern)
        parts = [None if piece.startswith(".*") else re.escape(piece[-1]) for piece in pieces]
    segments = [""]
    for part in parts:
        if part is None:
            segments.append("")
        else:
            segments[-1] += part
    first, *others = segments
    if not others:
        return re.compile(first, re.DOTALL)
    # What is leftmost is good enough for all but the last segment, so an atomic group never has to be tried again.
    middle = "".join(f"(?>.*?{segment})" for segment in others[:-1])
    return re.compile(f"{first}{middle}.*{others[-1]}", re.DOTALL)


def _signing_policy(text: str, file: str) -> Iterator[Grant]:
    """Read an EACL: per issuer, the subjects of the first positive right CA:sign count, as with Globus."""
    issuer: str | None = None
    may_sign: bool | None = None
    granted: set[str] = set()
    for number, line in enumerate(text.split("\n"), 1):
        words = _words(line, number)
        if not words:
            continue
        if len(words) != 3:
            raise PolicyProblem(f"line {number}: {len(words)} words, expected 3")
        keyword, authority, value = words
        if keyword.startswith("access_id_"):
            issuer, may_sign = _access_id(keyword, authority, value, number), None
        elif keyword in ("pos_rights", "neg_rights"):
            may_sign = (keyword, authority, value) == ("pos_rights", "globus", "CA:sign")
        elif not keyword.startswith("cond_"):
            raise PolicyProblem(f"line {number}: '{keyword}' is no word of the policy language")
        elif may_sign is None:
            raise PolicyProblem(f"line {number}: a condition before any rights")
        elif may_sign and issuer and issuer not in granted and (keyword, authority) == ("cond_subjects", "globus"):
            granted.add(issuer)
            for pattern in _patterns(value, number):
                yield Grant(issuer, "PERMIT", pattern, "signing_policy", file, number)


def _access_id(keyword: str, authority: str, value: str, number: int) -> str | None:
    if keyword != "access_id_CA":
        return None
    if authority.upper() != "X509":
        raise PolicyProblem(f"line {number}: authority '{authority}', expected X509")
    return value


def _words(line: str, number: int) -> list[str]:
    words: list[str] = []
    at = 0
    rest = line.rstrip()
    while at < len(rest) and not _COMMENT.match(rest, at):
        match = _WORD.match(rest, at)
        if match is None:
            raise PolicyProblem(f"line {number}: quotes that do not match")
        words.append(next(group for group in match.groups() if group is not None))
        at = match.end()
    return words


def _patterns(value: str, number: int) -> list[str]:
    if '"' in value:
        patterns = _QUOTED.findall(value)
        if _QUOTED.sub("", value).strip():
            raise PolicyProblem(f"line {number}: text between the quoted subjects")
    else:
        patterns = [value] if value.startswith("/") else value.split()
    if not patterns:
        raise PolicyProblem(f"line {number}: no subjects")
    return patterns


def _namespaces(text: str, file: str) -> Iterator[Grant]:
    for number, statement in _statements(text):
        match = _STATEMENT.fullmatch(statement)
        if match is None:
            raise PolicyProblem(f"line {number}: not understood: {statement[:80]}")
        issuer, _, verdict, pattern = match.groups()
        yield Grant(issuer, verdict.upper(), pattern, "namespaces", file, number)


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield each statement with the number of its first line; a backslash at the end of a line joins the next one."""
    collected = ""
    first = 0
    for number, line in enumerate(text.split("\n"), 1):
        version = _VERSION.match(line)
        if version is not None and version[1] != "1.0":
            raise PolicyProblem(f"line {number}: namespaces version {version[1]}, expected 1.0")
        stripped = line.strip()
        if not collected and (not stripped or stripped.startswith("#")):
            continue
        first = first if collected else number
        collected = f"{collected} {stripped.removesuffix(chr(92))}".strip()
        if not stripped.endswith("\\"):
            yield first, collected
            collected = ""
    if collected:
        yield first, collected
