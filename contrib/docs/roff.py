"""Manual pages in roff (the `man` macros), written from pieces of the Markdown that the pages of docs/ are made of.

What is understood: paragraphs, lists, tables, fenced code, headings; in a line `code`, *emphasis* and links. Anything
that roff would take for its own is escaped, whatever text comes here.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator

_WIDTH = 80
_NO_DIVISION = ".nh"
"""No word is divided at the end of a line: names of commands would be among them."""
# In code every character has to come out as it can be typed: roff would print ’ for ', ‐ for - and so on.
_LITERAL = {"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti", '"': "\\(dq"}
_PROSE = {"\\": "\\e", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti", '"': "\\(dq"}
_OTHERS = {
    "…": "...",
    "–": "\\(en",
    "—": "\\(em",
    "×": "\\(mu",
    "→": "\\(->",
    "≥": "\\(>=",
    "≤": "\\(<=",
    "\u00a0": "\\ ",
}
_INLINE = re.compile(
    r"(?P<code>`[^`]+`)|\*\*(?P<strong>[^*]+)\*\*|\*(?P<stress>[^*\s][^*]*)\*|\[(?P<text>[^\]]+)\]\((?P<target>[^)]+)\)"
    r"|(?P<option>(?<![\w/`-])--?[A-Za-z][\w-]*)"
)
_SYNOPSIS = re.compile(
    r"(?P<option>(?<![\w-])--?[A-Za-z][\w-]*)|(?P<argument>\b[A-Z][A-Z0-9_]+\b)|(?P<word>\b[a-z]\w*\b)"
)
# A sentence ends its line: roff then knows the end of a sentence from that of an abbreviation.
_SENTENCE_END = re.compile(r"(?<=[a-z)\d][.!?]) (?=[A-Z\\])")


def literal(text: str) -> str:
    """Return text that comes out exactly as it is, to be copied from a terminal."""
    return _escaped(text, _LITERAL)


def _escaped(text: str, table: dict[str, str]) -> str:
    return "".join(table.get(char) or _OTHERS.get(char) or _plain(char) for char in text)


def _plain(char: str) -> str:
    return char if char.isascii() else f"\\[u{ord(char):04X}]"


def bold(text: str) -> str:
    """Return text to be typed as it stands."""
    return f"\\fB{literal(text)}\\fP"


def italic(text: str) -> str:
    """Return a word that stands for another."""
    return f"\\fI{literal(text)}\\fP"


def synopsis(text: str) -> str:
    """Return one way to call a command: options as they are typed, words in capitals as what they stand for."""
    parts, end = [], 0
    for match in _SYNOPSIS.finditer(text):
        parts.append(literal(text[end : match.start()]))
        parts.append(italic(match[0]) if match["argument"] else bold(match[0]))
        end = match.end()
    # What is in brackets stays together.
    return re.sub(r"\[[^\[\]]*\]", lambda group: group[0].replace(" ", "\\~"), "".join([*parts, literal(text[end:])]))


class Page:
    """One manual page, from its title line to its end."""

    def __init__(self, name: str, section: int, *, source: str, link: Callable[[str, str], str]) -> None:
        """`link` returns the Markdown for a link, from its text and its target."""
        # No date: it would be that of the last run of the generator, and differ with every one.
        self._lines = [
            f'.TH "{literal(name.upper())}" "{section}" "" "{literal(source)}" "vmcatcher manual"',
            _NO_DIVISION,
            ".ad l",
        ]
        self._link = link

    def text(self) -> str:
        """Return the source of the page."""
        return "\n".join(self._lines) + "\n"

    def section(self, title: str) -> None:
        """Begin a section."""
        self._lines.append(f'.SH "{_escaped(title.upper(), _PROSE)}"')

    def subsection(self, title: str) -> None:
        """Begin a part of a section."""
        self._lines.append(f'.SS "{_escaped(title.replace("`", ""), _PROSE)}"')

    def raw(self, line: str) -> None:
        """Add a line that is roff already."""
        self._lines += _safe([line])

    def synopses(self, ways: Iterable[tuple[str, str]]) -> None:
        """Add the ways to call commands, each as a command and what follows it."""
        for command, rest in ways:
            self._lines += [f'.SY "{literal(command)}"', *_safe(_wrapped(synopsis(rest)))]
        self._lines += [".YS", _NO_DIVISION]  # which .YS takes back

    def paragraph(self, text: str) -> None:
        """Add a paragraph."""
        self._begin_paragraph()
        self._lines += self._filled(text)

    def _begin_paragraph(self) -> None:
        if not self._lines[-1].startswith((".SH", ".SS")):  # a heading begins one
            self._lines.append(".PP")

    def item(self, term: str, text: str) -> None:
        """Add something with its explanation; `term` is roff already. Blank lines divide paragraphs of it."""
        first, *more = [part for part in re.split(r"\n\s*\n", text) if part.strip()] or [""]
        self._lines += [".TP", *_safe([term]), *self._filled(first)]
        for part in more:
            self._lines += [".IP", *self._filled(part)]

    def code(self, text: str) -> None:
        """Add lines that are shown as they are."""
        self._begin_paragraph()
        self._lines += [
            ".RS 4",
            ".EX",
            *_safe(literal(line) for line in text.splitlines()),
            ".EE",
            ".RE",
            _NO_DIVISION,
        ]  # likewise

    def markdown(self, text: str) -> None:
        """Add a piece of Markdown."""
        for kind, block in _blocks(text):
            if kind == "code":
                self.code(block)
            elif kind == "table":
                self._table(block)
            elif kind == "heading":
                self.subsection(block)
            elif kind == "list":
                for mark, item in _items(block):
                    self._lines += [f'.IP "{mark}" 4', *self._filled(item)]
            else:
                self.paragraph(block)

    def _table(self, block: str) -> None:
        head, _, *rows = [_cells(line) for line in block.splitlines()]
        for row in rows:
            cells = [(title, cell) for title, cell in zip(head, row, strict=True) if cell not in ("", "–")]
            # What a thing means comes first, wherever its column is.
            (_, term), *rest = cells
            rest.sort(key=lambda cell: cell[0] != "meaning")
            self.item(self.inline(term), " ".join(_told(number, *cell) for number, cell in enumerate(rest)))

    def _filled(self, text: str) -> list[str]:
        return _safe(line for part in _SENTENCE_END.split(self.inline(text)) for line in _wrapped(part))

    def inline(self, text: str) -> str:
        """Return a piece of a line as roff: code and options in bold, what is stressed in italics."""
        text = re.sub(r"\s+", " ", text.replace("\\|", "|")).strip()
        parts, end = [], 0
        for match in _INLINE.finditer(text):
            parts += [_escaped(text[end : match.start()], _PROSE), self._marked(match)]
            end = match.end()
        return "".join([*parts, _escaped(text[end:], _PROSE)])

    def _marked(self, match: re.Match[str]) -> str:
        if match["code"]:
            return bold(match["code"].strip("`"))
        if match["strong"] or match["option"]:
            return bold(match["strong"] or match["option"])
        if match["stress"]:
            return italic(match["stress"])
        return self.inline(self._link(match["text"], match["target"]))


def _told(number: int, title: str, cell: str) -> str:
    """Return a cell as a sentence; the first one after the term needs no title, nor does advice."""
    is_plain = number == 0 or title == "what to do"
    return sentence(cell if is_plain else f"{title}: {cell}")


def sentence(text: str) -> str:
    """Return a phrase as a sentence."""
    text = text.strip()
    if not text:
        return ""
    first = text if text[0] in "`*[" else text[0].upper() + text[1:]
    return first if first.endswith((".", "!", "?", ":", "…")) else f"{first}."


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False) or [""]


def _safe(lines: Iterable[str]) -> list[str]:
    r"""Return lines of text, none of which is taken for a request: `\&` is nothing, and not a dot."""
    return [f"\\&{line}" if line[:1] in (".", "'") or not line.strip() else line for line in lines]


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield the blocks of a piece of Markdown, each with its kind."""
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    parts = re.split(r"^( *```.*?^ *```)$", text, flags=re.MULTILINE | re.DOTALL)
    for number, part in enumerate(parts):
        if number % 2:
            yield "code", textwrap.dedent("\n".join(part.splitlines()[1:-1]))
            continue
        for block in filter(None, (one.strip("\n") for one in re.split(r"\n\s*\n", part))):
            yield _kind(block), block.lstrip("# ") if block.startswith("#") else block


def _kind(block: str) -> str:
    if block.startswith("|"):
        return "table"
    if re.match(r"\* |\d+\. ", block):
        return "list"
    return "heading" if block.startswith("#") else "paragraph"


def _items(block: str) -> Iterator[tuple[str, str]]:
    for item in re.split(r"\n(?=\* |\d+\. )", block):
        mark, _, text = item.partition(" ")
        yield "\\(bu" if mark == "*" else mark, text


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
