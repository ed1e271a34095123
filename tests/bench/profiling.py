"""Where the time of our own commands goes: each is run once more under the profiler of the standard library."""

from __future__ import annotations

import pstats
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bench.measuring import Contender, Row, Stopwatch, Words

_SHOWN = 30
_SHARE = 0.005
"""Of the whole: rooms that take less are not worth a line."""


def profile(row: Row, stopwatch: Stopwatch, out: Path) -> None:
    """Write to `out` where the time of the row's commands of ours goes: by room, and by function.

    The profiler makes calls dearer than what they do: its shares say what to look at, not what would be saved.
    """
    out.mkdir(parents=True, exist_ok=True)
    for number, contender in enumerate(_ours(row)):
        place = out / f"{row.name}-{number}.prof"
        stopwatch.time(replace(contender, commands=tuple(_profiled(words, place) for words in contender.commands)))
        text = "\n".join(_said(contender.name, place))
        place.with_suffix(".txt").write_text(text + "\n")


def _ours(row: Row) -> Iterator[Contender]:
    for one in row.contenders:
        is_ours = all(Path(words[0]).name.startswith("vmcatcher") for words in one.commands)
        if is_ours and one.lacking is None and not one.has_own_clock:
            yield one


def _profiled(words: Words, place: Path) -> Words:
    python = str(Path(words[0]).with_name("python"))
    return (python, "-m", "cProfile", "-o", str(place), *words)


def _said(name: str, place: Path) -> Iterator[str]:
    # Read by the library; its own printing has no shares.
    found: dict[tuple[str, int, str], tuple[int, int, float, float, object]] = pstats.Stats(str(place)).stats  # type: ignore[attr-defined]  # documented by use
    whole = sum(own for _, _, own, _, _ in found.values())
    rooms: Counter[str] = Counter()
    for (path, _, _), (_, _, own, _, _) in found.items():
        rooms[_room(path)] += own  # type: ignore[assignment]  # seconds
    yield f"{name}: {whole:.3f} s under the profiler"
    yield "\nby room, without what it calls:"
    yield from (f"  {own / whole:6.1%}  {room}" for room, own in rooms.most_common() if own / whole >= _SHARE)
    yield "\nby function, with what it calls:"
    largest = sorted(found.items(), key=lambda one: -one[1][3])
    for (path, line, function), (_, calls, _, all_of_it, _) in largest[: 3 * _SHOWN]:
        if "/vmcatcher/" in path:
            yield f"  {all_of_it / whole:6.1%}  {calls:9}  {_room(path)}:{line} {function}"
    yield "\nby function, without what it calls:"
    for (path, line, function), (_, calls, own, _, _) in sorted(found.items(), key=lambda one: -one[1][2])[:_SHOWN]:
        yield f"  {own / whole:6.1%}  {calls:9}  {_room(path)}:{line} {function}"


def _room(path: str) -> str:
    """Return the module of ours, the library, or what is built in."""
    if "/vmcatcher/" in path:
        return path.rpartition("/vmcatcher/")[2].removesuffix(".py").replace("/", ".")
    if "site-packages/" in path:
        return path.rpartition("site-packages/")[2].partition("/")[0]
    return "built in" if path.startswith("~") else Path(path).stem
