"""Names of certificates as one line, as `openssl x509 -nameopt compat` prints them and grid policies spell them."""

from __future__ import annotations

import functools
import re
from typing import Final

from vmcatcher.errors.trust import BadAsn1
from vmcatcher.model.identity import OneLineName
from vmcatcher.trust.ber import SEQUENCE, SET, Element, element, elements

# OBJ_nid2sn() of OpenSSL 3 for what occurs in names; everything else is printed as a dotted number.
_SHORT_NAMES: Final = {
    "2.5.4.3": "CN",
    "2.5.4.4": "SN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "street",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "title",
    "2.5.4.13": "description",
    "2.5.4.15": "businessCategory",
    "2.5.4.16": "postalAddress",
    "2.5.4.17": "postalCode",
    "2.5.4.18": "postOfficeBox",
    "2.5.4.20": "telephoneNumber",
    "2.5.4.41": "name",
    "2.5.4.42": "GN",
    "2.5.4.43": "initials",
    "2.5.4.44": "generationQualifier",
    "2.5.4.45": "x500UniqueIdentifier",
    "2.5.4.46": "dnQualifier",
    "2.5.4.65": "pseudonym",
    "2.5.4.72": "role",
    "2.5.4.97": "organizationIdentifier",
    "1.2.840.113549.1.9.1": "emailAddress",
    "1.2.840.113549.1.9.2": "unstructuredName",
    "1.2.840.113549.1.9.8": "unstructuredAddress",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.3": "mail",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.3.6.1.4.1.311.60.2.1.1": "jurisdictionL",
    "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionST",
    "1.3.6.1.4.1.311.60.2.1.3": "jurisdictionC",
    "1.2.643.3.131.1.1": "INN",
    "1.2.643.100.1": "OGRN",
    "1.2.643.100.3": "SNILS",
}
_OBJECT_IDENTIFIER: Final = 0x06
# X.660 sets no limit; those in use have up to 20 bytes, and printing a huge number takes quadratic time.
_LONGEST_IDENTIFIER: Final = 64
_BIT_STRING: Final = 0x03
_UNIVERSAL_STRING: Final = 0x1C
_BMP_STRING: Final = 0x1E
_ESCAPED: Final = frozenset(b"/+\\")
# What would read as the beginning of the next attribute if it were not escaped.
_LOOKS_LIKE_ATTRIBUTE: Final = re.compile(r"[/+][A-Za-z0-9.]+=|\\")


def one_line(name: bytes) -> OneLineName:
    r"""Return a DER-encoded Name as one line: a slash, the attribute's short name, `=`, the bytes of the value.

    Bytes outside printable ASCII become `\xHH`. OpenSSL leaves a backslash as it is, so that its line can be read in
    two ways (`a\`, next attribute `CN=b` and `a/CN=b` both give `a\/CN=b`); here it is doubled.

    Raises:
        BadAsn1: it is no Name, it is empty, or a value holds a NUL, which some readers take for its end.
    """
    parts: list[str] = []
    plain: list[str] | None = []
    for rdn in elements(element(name).body):
        attributes = [_attribute(pair) for pair in elements(rdn.body)]
        if rdn.tag != SET or not attributes:
            raise BadAsn1(problem="a part of a name is no set of attributes")
        parts.append("/" + "+".join(f"{kind}={_shown(value, _ESCAPED)}" for kind, value in attributes))
        kind, value = attributes[0]
        if plain is not None and len(attributes) == 1 and not _is_ambiguous(value):
            plain.append(f"/{kind}={_shown(value, frozenset())}")
        else:
            plain = None
    if not parts:
        raise BadAsn1(problem="an empty name")
    return OneLineName(escaped="".join(parts), plain=None if plain is None else "".join(plain))


@functools.lru_cache(maxsize=1024)
def dotted(body: bytes) -> str:
    """Return the content of a DER OBJECT IDENTIFIER as dotted numbers.

    Raises:
        BadAsn1: it is empty, ends in the middle of a number, or is longer than any that is in use.
    """
    if len(body) > _LONGEST_IDENTIFIER:
        raise BadAsn1(problem="an object identifier that is too long")
    arcs: list[int] = []
    arc = 0
    at_start = True
    for byte in body:
        if at_start and byte == 0x80:
            raise BadAsn1(problem="an object identifier with a number that begins with zeros")
        at_start = not byte & 0x80
        arc = arc << 7 | byte & 0x7F
        if at_start:
            arcs.append(arc)
            arc = 0
    if not arcs or not at_start:
        raise BadAsn1(problem="an object identifier that is cut short")
    first = min(arcs[0] // 40, 2)
    return ".".join(str(number) for number in (first, arcs[0] - 40 * first, *arcs[1:]))


def _attribute(pair: Element) -> tuple[str, bytes]:
    parts = elements(pair.body)
    if pair.tag != SEQUENCE or len(parts) != 2 or parts[0].tag != _OBJECT_IDENTIFIER:
        raise BadAsn1(problem="an attribute of a name is no pair of type and value")
    number, value = dotted(parts[0].body), parts[1]
    return _SHORT_NAMES.get(number, number), _value(value)


def _value(value: Element) -> bytes:
    if value.tag == _BIT_STRING:
        return value.body[1:]
    if value.tag not in (_BMP_STRING, _UNIVERSAL_STRING) and b"\0" in value.body:
        raise BadAsn1(problem="a name with a NUL in it")
    return value.body


def _is_ambiguous(value: bytes) -> bool:
    return _LOOKS_LIKE_ATTRIBUTE.search(value.decode("latin-1")) is not None


def _shown(value: bytes, escaped: frozenset[int]) -> str:
    if value.isalnum():
        return value.decode("ascii")
    return "".join(
        f"\\{byte:c}" if byte in escaped else f"{byte:c}" if 0x20 <= byte <= 0x7E else f"\\x{byte:02X}"
        for byte in value
    )
