"""The language of rules: which images of a list are chosen, as `arch=x86_64 os~Ubuntu format=qcow2 size<20G`."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final

from vmcatcher.errors.rules import BadRule
from vmcatcher.light import dataclass

if TYPE_CHECKING:
    from typing import NoReturn

MULTIPLE: Final = frozenset({"=", "!=", "~", "!~"})
"""The operators that take alternatives."""
FIELDS: Final = {
    "arch": "sl:arch",
    "os": "sl:os",
    "osversion": "sl:osversion",
    "osname": "sl:osname",
    "format": "hv:format",
    "hypervisor": "hv:hypervisor",
    "size": "hv:size",
    "ram": "hv:ram_minimum",
    "cores": "hv:core_minimum",
    "vo": "ad:vo",
    "title": "dc:title",
    "description": "dc:description",
    "version": "hv:version",
    "id": "dc:identifier",
    "sha512": "sl:checksum:sha512",
    "comments": "sl:comments",
    "uri": "hv:uri",
}
"""The short names of fields, and the keys of the list that they stand for."""

_LONGEST: Final = 2000
# The longer ones first: `size<=5` is no `<` in front of `=5`.
_OPERATORS: Final = ("!=", "!~", "<=", ">=", "=", "~", "<", ">")
_FIELD: Final = re.compile(r"[A-Za-z][A-Za-z0-9:._-]*")
_BARE: Final = re.compile(r"[^\s\"|\\=~<>!][^\s\"|\\]*")


@dataclass(frozen=True, slots=True)
class Term:
    """One condition: a field, an operator, and what it is compared with; one of several `values` will do."""

    field: str
    """A short name or a whole key, as it was typed."""
    operator: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.field}{self.operator}{'|'.join(map(_spelled, self.values))}"

    @property
    def key(self) -> str:
        """The key of the list that is compared."""
        return FIELDS.get(self.field, self.field)


@dataclass(frozen=True, slots=True)
class Rule:
    """Conditions that must all hold. Its text, `str(rule)`, is read back as an equal rule."""

    terms: tuple[Term, ...]

    def __str__(self) -> str:
        return " ".join(map(str, self.terms))


def parse_rule(text: str) -> Rule:
    """Return the rule that `text` spells: terms with blanks between them, each a field, an operator and a value.

    Whether a value makes sense for its field is looked at by `matching.Matcher`. Takes time linear in the text.

    Raises:
        BadRule: it is empty, too long, or cannot be read; says where and why.
    """
    if len(text) > _LONGEST:
        raise BadRule(rule=text, where="as a whole", why=f"it has more than {_LONGEST} characters")
    reader = _Reader(text)
    terms: list[Term] = []
    while reader.skip_blanks():
        if terms and not reader.is_behind_blank:
            reader.refuse('a blank should follow the value, or quotation marks, "…", should stand around it')
        terms.append(reader.term())
    if not terms:
        reader.refuse("it has no term")
    return Rule(tuple(terms))


def refusal(rule: Rule, term: Term, why: str) -> BadRule:
    """Return the error for a term that can be read but makes no sense."""
    return BadRule(rule=str(rule), where=f"at '{term}'", why=why)


def _spelled(value: str) -> str:
    if _BARE.fullmatch(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self.is_behind_blank = True

    def skip_blanks(self) -> bool:
        """Go on to the next term; return False at the end."""
        start = self._at
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1
        self.is_behind_blank = self._at > start
        return self._at < len(self._text)

    def term(self) -> Term:
        name = self._field()
        operator = next((one for one in _OPERATORS if self._text.startswith(one, self._at)), None)
        if operator is None:
            self.refuse(f"an operator should follow '{name}': one of {' '.join(_OPERATORS)}")
        self._at += len(operator)
        values = [self._value()]
        while self._text.startswith("|", self._at):
            if operator not in MULTIPLE:
                self.refuse(f"'{operator}' takes one value")
            self._at += 1
            values.append(self._value())
        return Term(name, operator, tuple(values))

    def _field(self) -> str:
        match = _FIELD.match(self._text, self._at)
        if match is None:
            self.refuse("a field should stand here")
        name = match[0]
        if name not in FIELDS and ":" not in name:
            near = difflib.get_close_matches(name.lower(), FIELDS, n=1)
            meant = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(FIELDS)}, and keys such as sl:arch"
            self.refuse(f"'{name}' is no field; {meant}")
        self._at = match.end()
        return name

    def _value(self) -> str:
        start = self._at
        value = self._quoted() if self._text.startswith('"', start) else self._plain()
        if not value or not value.isprintable():
            self._at = start
            self.refuse("the value has a character that cannot be printed" if value else "nothing has an empty value")
        return value

    def _plain(self) -> str:
        match = _BARE.match(self._text, self._at)
        if match is None:
            what = "a value is missing"
            if self._at < len(self._text) and not self._text[self._at].isspace():
                what = 'a value that begins with such a character has to stand in quotation marks, "…"'
            self.refuse(what)
        self._at = match.end()
        return match[0]

    def _quoted(self) -> str:
        at, found = self._at + 1, []
        while at < len(self._text) and self._text[at] != '"':
            # A backslash at the end escapes nothing: the quotation mark is missing then, too.
            at += self._text[at] == "\\"
            found.append(self._text[at : at + 1])
            at += 1
        if at >= len(self._text):
            self.refuse("the quotation mark that begins here is not closed")
        self._at = at + 1
        return "".join(found)

    def refuse(self, why: str) -> NoReturn:
        rest = self._text[self._at :].split(maxsplit=1)[:1]
        where = f"at character {self._at + 1}, '{rest[0]}'" if rest else "at its end"
        raise BadRule(rule=self._text, where=where, why=why)
