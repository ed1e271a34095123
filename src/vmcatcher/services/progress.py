"""How a long run says what it is doing: bytes of downloads and checks, as they pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType

Doing = Literal["download", "check"]

# A disk gives thousands of pieces in a second, more than anybody can see.
_WORTH_TELLING_BYTES: Final = 4 * 2**20


class Progress(Protocol):
    """Takes note of work on bytes. Called from several threads; must be quick, and must not raise."""

    def expect(self, doing: Doing, number: int, size_bytes: int) -> None:
        """So many things with so many bytes altogether are going to be done; replaces what was said before."""

    def begin(self, doing: Doing, name: str, size_bytes: int, *, done_bytes: int = 0) -> None:
        """Work on `name` begins; `done_bytes` of it are there from an earlier run. Begun again, it starts again."""

    def advance(self, name: str, count: int) -> None:
        """So many bytes more of `name` are done."""

    def end(self, name: str, *, is_done: bool) -> None:
        """Work on `name` is over; not `is_done`: it failed, or was put off."""


class Silence:
    """Says nothing: what runs from cron wants."""

    def expect(self, doing: Doing, number: int, size_bytes: int) -> None:
        """Say nothing."""

    def begin(self, doing: Doing, name: str, size_bytes: int, *, done_bytes: int = 0) -> None:
        """Say nothing."""

    def advance(self, name: str, count: int) -> None:
        """Say nothing."""

    def end(self, name: str, *, is_done: bool) -> None:
        """Say nothing."""


class Reading:
    """A file that is checked from its beginning to its end, for as long as a `with` block."""

    def __init__(self, progress: Progress, name: str, size_bytes: int, piece_bytes: int) -> None:
        """Take what is read, and how much of it is at a time."""
        self._progress = progress
        self._name = name
        self._size = size_bytes
        self._piece = piece_bytes
        self._done = 0
        self._told = 0

    def __enter__(self) -> Self:
        self._progress.begin("check", self._name, self._size)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tell()
        self._progress.end(self._name, is_done=kind is None and self._done == self._size)

    def came(self) -> bool:
        """Note that one more piece was read; say that it goes on."""
        self._done = min(self._size, self._done + self._piece)
        if self._done - self._told >= _WORTH_TELLING_BYTES:
            self._tell()
        return True

    def _tell(self) -> None:
        self._progress.advance(self._name, self._done - self._told)
        self._told = self._done
