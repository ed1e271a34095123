"""The database of the classic program, versions 0.2 to 0.6, read and never written.

What is in it is old and has been through many hands: columns are missing, rows point nowhere, values are of the wrong
kind. A row that says nothing usable becomes a `BrokenRow` and spoils no other. What a row claims is not proved here.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from vmcatcher.errors.importing import BrokenRow, BrokenTable, DatabaseUnreadable, NoSuchDatabase, NotAClassicDatabase
from vmcatcher.model.identity import Sha512
from vmcatcher.store import reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Cell = bytes | int | float | None

# SQLite quotes a damaged schema in its message, and Python then cannot read the message.
_TROUBLE: Final = (sqlite3.Error, UnicodeDecodeError)
_WAIT_S: Final = 5.0
_CHUNK: Final = 2**20
# Whatever else may be missing: without these two nothing was ever subscribed to.
_NEEDED: Final = ("subscription", "endorser")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table, its values as stored; columns that this version of the database lacks are None."""

    table: str
    number: int
    cells: dict[str, Cell] = field(repr=False)

    def broken(self, why: str) -> BrokenRow:
        """Return the report that this row is left out."""
        return BrokenRow(table=self.table, row=self.number, why=why)

    def text(self, column: str) -> str:
        """Return a text.

        Raises:
            BrokenRow: it is missing, empty, no text, or not in UTF-8.
        """
        found = self.optional_text(column)
        if not found:
            raise self.broken(f"it has no {column}")
        return found

    def optional_text(self, column: str) -> str | None:
        """Return a text, or None where there is none; a number counts as its digits.

        Raises:
            BrokenRow: it is a fraction or not in UTF-8.
        """
        value = self.cells.get(column)
        if value is None or isinstance(value, int):
            return None if value is None else str(value)
        if isinstance(value, float):
            raise self.broken(f"its {column} is a fraction, not a text")
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError as exc:
            raise self.broken(f"its {column} is no text in UTF-8") from exc

    def number_or(self, column: str, default: int) -> int:
        """Return a whole number, or `default` where there is none.

        Raises:
            BrokenRow: it is something else.
        """
        value = self.cells.get(column)
        if value is None or isinstance(value, int):
            return default if value is None else value
        with contextlib.suppress(ValueError, UnicodeDecodeError):
            if isinstance(value, bytes):
                return int(value.decode("ascii"))
        raise self.broken(f"its {column} is no whole number")

    def readable_text(self, column: str) -> str:
        """Return a text that people read, whatever encoding it was written in."""
        value = self.cells.get(column)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""

    def moment(self, column: str) -> datetime | None:
        """Return the instant that `YYYY-MM-DD HH:MM:SS.ffffff` names in UTC; None where none can be read."""
        try:
            return datetime.fromisoformat(self.readable_text(column)).replace(tzinfo=UTC)
        except ValueError:
            return None

    def reference(self, column: str) -> int | None:
        """Return the number of the row that a column points at; None where it points nowhere or is no number."""
        try:
            return self.number_or(column, 0) or None
        except BrokenRow:
            return None


class ClassicDatabase:
    """An open classic database; a context manager, since the classic program cannot write while it is open."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.problems: list[BrokenTable] = []
        self._connection: sqlite3.Connection | None = None
        self._columns: dict[str, dict[str, str]] = {}

    def __enter__(self) -> ClassicDatabase:
        """Open the file, read-only.

        Raises:
            NoSuchDatabase, NotAClassicDatabase, DatabaseUnreadable: as the names say.
        """
        if not os.path.isfile(self.path):
            raise NoSuchDatabase(path=self.path)
        try:
            self._connection = sqlite3.connect(_uri(self.path), uri=True, timeout=_WAIT_S, isolation_level=None)
            # Bytes, so that a text in some other encoding spoils its own row and not the whole query.
            self._connection.text_factory = bytes
            # One view of the whole database; while it lasts a classic run that wants to write has to wait.
            self._connection.execute("BEGIN")
            self._columns = self._read_columns()
            self._demand_classic()
        except BaseException as exc:
            self.close()
            if isinstance(exc, _TROUBLE):
                raise self._refusal(exc) from exc
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; doing it again is safe."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _refusal(self, exc: Exception) -> NotAClassicDatabase | DatabaseUnreadable:
        # Locked or not allowed: it may be read later. Whatever else is wrong with it will stay so.
        if isinstance(exc, sqlite3.OperationalError):
            why = str(exc)
            if os.path.exists(self.path + "-journal"):
                # Rolling it back is a change, and so for its owner to do.
                why += " (a classic run was interrupted while it wrote; `sqlite3 FILE .tables` puts that right)"
            return DatabaseUnreadable(path=self.path, why=why)
        return NotAClassicDatabase(path=self.path, why=str(exc))

    def _read_columns(self) -> dict[str, dict[str, str]]:
        tables = self._query("SELECT name FROM sqlite_master WHERE type = 'table'")
        found: dict[str, dict[str, str]] = {}
        for (name,) in tables:
            table = _name(name)
            quoted = table.replace('"', '""')
            columns = self._query(f'PRAGMA table_info("{quoted}")')
            found[table.lower()] = {_name(row[1]).lower(): _name(row[2]).upper() for row in columns}
        return found

    def _query(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Cell, ...]]:
        assert self._connection is not None, "used outside its with block"
        return self._connection.execute(statement, values).fetchall()

    def _demand_classic(self) -> None:
        missing = [table for table in _NEEDED if table not in self._columns]
        if missing:
            raise NotAClassicDatabase(path=self.path, why=f"it has no table {missing[0]}")

    @property
    def version(self) -> str:
        """Which versions of the classic program make such a database, as far as its columns tell."""
        columns = self._columns["subscription"]
        if "trustanchor" not in columns:
            return "0.2 or 0.3"
        if "updatemode" not in columns:
            return "0.4"
        data = self._columns.get("imagelistinstance", {}).get("data", "")
        return "0.5" if data.startswith("VARCHAR") else "0.6"

    def sha512(self) -> Sha512:
        """Return the SHA-512 of the file."""
        digest = hashlib.sha512()
        with reading.reported(self.path), open(self.path, "rb", buffering=0) as source:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
        return Sha512(digest.hexdigest())

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[Row]:
        """Yield the rows of a table in the order of their numbers, with those of the `columns` that it has.

        A table that is missing or cannot be read to its end is noted in `problems`.
        """
        there = self._columns.get(table.lower())
        if there is None:
            self.problems.append(BrokenTable(table=table, why="it is missing"))
            return
        wanted = [column for column in columns if column.lower() in there]
        names = ", ".join(f'"{column}"' for column in (self._key(table), *wanted))
        try:
            assert self._connection is not None, "used outside its with block"
            for number, *cells in self._connection.execute(f'SELECT {names} FROM "{table}" ORDER BY 1'):  # noqa: S608 - names of our own
                if isinstance(number, int):
                    yield Row(table, number, dict(zip(wanted, cells, strict=True)))
                else:
                    self.problems.append(BrokenTable(table=table, why="a row without a number is left out"))
        except _TROUBLE as exc:
            self.problems.append(BrokenTable(table=table, why=f"it cannot be read to its end: {exc}"))

    def _key(self, table: str) -> str:
        return "id" if "id" in self._columns.get(table.lower(), {}) else "rowid"

    def signed_list(self, number: int) -> bytes:
        """Return the signed list of one row of imageListInstance as it was stored.

        Raises:
            BrokenRow: there is none.
        """
        row = Row("imageListInstance", number, {})
        try:
            key = self._key("imageListInstance")
            found = self._query(f'SELECT "data" FROM "imageListInstance" WHERE "{key}" = ?', (number,))  # noqa: S608 - likewise
        except _TROUBLE as exc:
            raise row.broken(f"its list cannot be read: {exc}") from exc
        if not found or not isinstance(found[0][0], bytes) or not found[0][0]:
            raise row.broken("it holds no list")
        return found[0][0]


def _name(value: Cell) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _uri(path: str) -> str:
    """Return the URI that opens the file without changing it or anything beside it."""
    # A database in WAL mode makes two files beside it even for a reader, unless it is said to stand still; where such
    # a file is there, the newest rows may be in it alone.
    still = "&immutable=1" if _is_wal(path) and not os.path.exists(path + "-wal") else ""
    return f"file:{quote(os.fsencode(os.path.abspath(path)))}?mode=ro{still}"


def _is_wal(path: str) -> bool:
    # SQLite file format, section 1.3: bytes 18 and 19 are 2 in WAL mode.
    try:
        with open(path, "rb") as source:
            return source.read(20)[18:] == b"\x02\x02"
    except OSError:
        return False
