"""A classic database that cannot be imported, and what of it or of its directories was not taken over."""

from __future__ import annotations

from typing import ClassVar

from vmcatcher.errors.base import MachineError, OperatorError
from vmcatcher.light import dataclass

_CLASSIC_NAME = "name the SQLite database of vmcatcher 0.2 to 0.6, by its path or as sqlite:////DIR/NAME.db"


@dataclass(eq=False)
class NoSuchDatabase(OperatorError):
    """There is no database file of that name."""

    path: str
    id: ClassVar[str] = "no-such-database"
    message: ClassVar[str] = "there is no database at {path}"
    hint: ClassVar[str] = _CLASSIC_NAME


@dataclass(eq=False)
class NotAClassicDatabase(OperatorError):
    """The file is no SQLite database, or one of another program."""

    path: str
    why: str
    id: ClassVar[str] = "not-a-classic-database"
    message: ClassVar[str] = "{path} is no database of a classic vmcatcher: {why}"
    hint: ClassVar[str] = _CLASSIC_NAME


@dataclass(eq=False)
class DatabaseUnreadable(MachineError):
    """The database is there and cannot be read now."""

    path: str
    why: str
    id: ClassVar[str] = "database-unreadable"
    message: ClassVar[str] = "the database {path} cannot be read: {why}"
    hint: ClassVar[str] = "stop the classic vmcatcher, see that this user may read the file, then run the command again"


@dataclass(eq=False)
class BrokenRow(OperatorError):
    """A row of the classic database that says nothing usable; the rows beside it are taken."""

    table: str
    row: int
    why: str
    id: ClassVar[str] = "broken-row"
    message: ClassVar[str] = "{table} row {row} is left out: {why}"


@dataclass(eq=False)
class BrokenTable(OperatorError):
    """A table of the classic database that is missing or cannot be read to its end."""

    table: str
    why: str
    id: ClassVar[str] = "broken-table"
    message: ClassVar[str] = "table {table}: {why}"


@dataclass(eq=False)
class ListCut(OperatorError):
    """A stored list that an old database cut at the width of its column; its signature is gone."""

    list_id: str
    row: int
    length: int
    id: ClassVar[str] = "stored-list-cut"
    message: ClassVar[str] = (
        "imageListInstance row {row}: the stored list of {list_id} was cut at {length} characters and is kept aside"
    )
    hint: ClassVar[str] = "`vmcatcher sync` (vmcatcher_subscribe -U) fetches the list again"


@dataclass(eq=False)
class ListNotProved(OperatorError):
    """A stored list that cannot be verified or admitted today; it is kept and not used."""

    list_id: str
    row: int
    why: str
    id: ClassVar[str] = "stored-list-not-proved"
    message: ClassVar[str] = "imageListInstance row {row}: the stored list of {list_id} is kept aside: {why}"
    hint: ClassVar[str] = "mend that and import again, or fetch the list with `vmcatcher sync` (vmcatcher_subscribe -U)"


@dataclass(eq=False)
class FileNotAdopted(MachineError):
    """A file of the classic directories that no proved list accounts for; it stays where it is."""

    path: str
    why: str
    id: ClassVar[str] = "file-not-adopted"
    message: ClassVar[str] = "{path} stays where it is: {why}"
