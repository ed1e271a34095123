"""What a handler of the recording found at each call, and what one finds at ours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

# Writes what the recording handler wrote: the type, the variables, and where the file of the event is just then.
HANDLER = """\
echo "== $VMCATCHER_EVENT_TYPE"
env | grep ^VMCATCHER_ | sort
test -z "${VMCATCHER_EVENT_FILENAME-}" || for place in \
    "$VMCATCHER_CACHE_DIR_CACHE" "$VMCATCHER_CACHE_DIR_DOWNLOAD" "$VMCATCHER_CACHE_DIR_EXPIRE"
do
    path=$place/$VMCATCHER_EVENT_FILENAME
    test -f "$path" && echo "file $path $(($(wc -c < "$path")))"
done
echo
"""
# What we tell besides.
NEW = {f"VMCATCHER_EVENT_{name}" for name in ("ID", "ATTEMPT", "REASON")} | {"VMCATCHER_STORE"}
_INNER = "VMCATCHER_HELD_LOCKS"


@dataclass
class Noted:
    """One call of a handler."""

    kind: str
    variables: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    def add(self, line: str) -> None:
        """Take one line of what the handler wrote."""
        if line.startswith("file "):
            self.files.append(line)
        elif line:
            name, _, value = line.partition("=")
            self.variables[name] = value

    @property
    def image(self) -> str:
        """The image that it is about, or nothing."""
        return self.variables.get("VMCATCHER_EVENT_DC_IDENTIFIER", "")


def read_noted(path: Path) -> list[Noted]:
    """Return the calls that a handler wrote down."""
    found: list[Noted] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        if line.startswith("== "):
            found.append(Noted(line.removeprefix("== ")))
        else:
            found[-1].add(line)
    return found


def event_differences(expected: list[Noted], found: list[Noted], told: Callable[[str], str]) -> Iterator[str]:
    """Yield in what our calls differ from the recorded ones; images may come in another order.

    `told` puts what tokens stand for into a recorded text.
    """
    kinds = [[one.kind for one in calls if not one.image] for calls in (expected, found)]
    if kinds[0] != kinds[1] or (found[0].image or found[-1].image):
        yield f"events {[one.kind for one in found]}, expected {[one.kind for one in expected]}"
        return
    if len({one.variables.get("VMCATCHER_EVENT_UUID_SESSION") for one in found}) != 1:
        yield "the events of one run have several sessions"
    ours = _by_image(found)
    recorded = {told(image): calls for image, calls in _by_image(expected).items()}
    if ours.keys() != recorded.keys():
        yield f"events about {sorted(ours)}, expected {sorted(recorded)}"
        return
    for image, calls in recorded.items():
        if [one.kind for one in calls] != [one.kind for one in ours[image]]:
            yield f"events of {image}: {[one.kind for one in ours[image]]}, expected {[one.kind for one in calls]}"
            continue
        for one, other in zip(calls, ours[image], strict=True):
            yield from _differences(one, other, told)


def _by_image(calls: Iterable[Noted]) -> dict[str, list[Noted]]:
    found: dict[str, list[Noted]] = defaultdict(list)
    for one in calls:
        found[one.image].append(one)
    return found


def _differences(expected: Noted, found: Noted, told: Callable[[str], str]) -> Iterator[str]:
    stamp = found.variables.get("VMCATCHER_EVENT_FILENAME", "").partition(".")[2]
    session = found.variables.get("VMCATCHER_EVENT_UUID_SESSION", "")

    def real(text: str) -> str:
        return told(text.replace(".STAMP", f".{stamp}").replace("=SESSION", f"={session}").replace("SESSION", session))

    known = {name: value for name, value in found.variables.items() if name not in NEW and name != _INNER}
    wanted = {name: real(value) for name, value in expected.variables.items()}
    for name in sorted(known.keys() | wanted.keys()):
        if known.get(name) != wanted.get(name):
            yield f"{expected.kind}: {name} is {known.get(name)!r}, expected {wanted.get(name)!r}"
    if found.files != [real(line) for line in expected.files]:
        yield f"{expected.kind}: {found.files}, expected {[real(line) for line in expected.files]}"
