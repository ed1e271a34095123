"""`dataclass` and `replace` for what every query loads: the same meaning, without the start of the library.

`dataclasses` loads `inspect`, `ast` and `dis`, and compiles a few functions for each class: half the time of a query.
Here classes get functions that are compiled once for all. Type checkers see the library's own `dataclass`. What the
library offers for its classes (`fields`, `replace`, `asdict`, a class of the library below one of these) works, and
loads it then. `field` does not: a class that needs it takes the library's. See docs/adr/0010-quick-queries.md.
"""

from __future__ import annotations

import operator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from dataclasses import dataclass, replace
    from typing import Final, TypeVar

    Kind = TypeVar("Kind")

__all__ = ["dataclass", "replace"]

_NEEDED: Final = object()
_FIELDS: Final = "__light_fields__"
_WAYS: Final = "__light_ways__"
# BaseException keeps its state in slots of its own: this one sets all kinds of attributes, frozen or not.
_put: Final = object.__setattr__

if not TYPE_CHECKING:

    def dataclass(*, frozen: bool = False, slots: bool = False, eq: bool = True, order: bool = False):
        """Return what makes a class with these fields, as `dataclasses.dataclass` does with the same arguments."""

        def made(kind: type) -> type:
            return _made(kind, {"frozen": frozen, "eq": eq, "order": order}, slots=slots)

        return made

    def replace(one: Kind, **changes: object) -> Kind:
        """Return a light dataclass like `one` with other values in some fields, as `dataclasses.replace` does."""
        return type(one)(**{name: getattr(one, name) for name in one.__match_args__} | changes)


class UnfitFields(TypeError):
    """A light dataclass is written, or called, in a way that it cannot be: somebody's slip, as in any Python call."""


def _made(kind: type, ways: dict[str, bool], *, slots: bool) -> type:
    own = kind.__dict__
    fields = _fields_of(kind)
    names = tuple(fields)
    members: dict[str, object] = {
        "__init__": _init(kind.__qualname__, names, fields),
        "__repr__": _repr,
        "__match_args__": names,
        "__dataclass_fields__": _LIBRARY_FIELDS,
        "__dataclass_params__": _LIBRARY_PARAMS,
        _FIELDS: fields,
        _WAYS: ways,
    }
    values = operator.attrgetter(*names) if names else _nothing
    if ways["eq"]:
        members["__eq__"] = _comparing(operator.eq, values)
        members["__hash__"] = _hashing(values) if ways["frozen"] else None
    if ways["order"]:
        for name in ("lt", "le", "gt", "ge"):
            members[f"__{name}__"] = _comparing(getattr(operator, name), values)
    if ways["frozen"]:
        members |= _FROZEN
    if not slots:
        for name, member in members.items():
            # What the class defines itself stays, as its own `__repr__`.
            if name not in own:
                setattr(kind, name, member)
        return kind
    # Slots cannot be added to a class that is there, and a default would stand in the way of its slot.
    members |= own
    taken = {name for above in kind.__mro__[1:-1] for name in above.__dict__.get("__slots__", ())}
    for name in (*names, "__dict__", "__weakref__"):
        members.pop(name, None)
    members["__slots__"] = tuple(name for name in names if name not in taken)
    members["__qualname__"] = kind.__qualname__
    return type(kind)(kind.__name__, kind.__bases__, members)


def _fields_of(kind: type) -> dict[str, tuple[str, object]]:
    """Return the annotation and the default of each field, those of the classes above first."""
    fields: dict[str, tuple[str, object]] = {}
    for above in kind.__mro__[-2:0:-1]:
        if _FIELDS in above.__dict__:
            fields |= above.__dict__[_FIELDS]
        elif "__dataclass_fields__" in above.__dict__:
            raise UnfitFields(f"{kind.__qualname__}: {above.__qualname__} has to be a light dataclass, too")
    own, needed = kind.__dict__, all(default is _NEEDED for _, default in fields.values())
    for name, annotation in kind.__annotations__.items():
        if annotation.startswith("ClassVar"):
            continue
        default = own.get(name, _NEEDED)
        if default is not _NEEDED:
            needed = False
            if type(default).__hash__ is None or type(default).__module__ == "dataclasses":
                raise UnfitFields(f"{kind.__qualname__}.{name}: a default of this kind takes the library's dataclass")
        elif not needed:
            raise UnfitFields(f"{kind.__qualname__}.{name}: a field without default behind one that has one")
        fields[name] = (annotation, default)
    return fields


def _init(kind: str, names: tuple[str, ...], fields: Mapping[str, tuple[str, object]]) -> Callable[..., None]:
    defaults = {name: default for name, (_, default) in fields.items() if default is not _NEEDED}

    def init(self: object, *values: object, **named: object) -> None:
        if named or len(values) != len(names):
            values = _completed(kind, names, defaults, values, named)
        for name, value in zip(names, values):  # noqa: B905 - as many as there are names, see above
            _put(self, name, value)

    return init


def _completed(
    kind: str,
    names: tuple[str, ...],
    defaults: Mapping[str, object],
    values: tuple[object, ...],
    named: Mapping[str, object],
) -> tuple[object, ...]:
    given = dict(zip(names, values))  # noqa: B905 - the rest is named, or has defaults
    twice_or_unknown = [name for name in named if name in given or name not in names]
    if twice_or_unknown or len(values) > len(names):
        raise UnfitFields(f"{kind}() takes {', '.join(names)}, each once: {twice_or_unknown or len(values)}")
    found = {**defaults, **given, **named}
    missing = [name for name in names if name not in found]
    if missing:
        raise UnfitFields(f"{kind}() lacks {', '.join(missing)}")
    return tuple(found[name] for name in names)


def _repr(self: object) -> str:
    names: Iterable[str] = self.__match_args__  # type: ignore[attr-defined]  # every light dataclass has it
    return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"


def _comparing(
    how: Callable[[object, object], bool], values: Callable[[object], object]
) -> Callable[[object, object], bool]:
    def compare(self: object, other: object) -> bool:
        return how(values(self), values(other)) if type(other) is type(self) else NotImplemented

    return compare


def _hashing(values: Callable[[object], object]) -> Callable[[object], int]:
    return lambda self: hash(values(self))


def _reduce(self: object) -> tuple[object, ...]:
    # Without it, copies and pickles would be filled by assignments, which are refused.
    names: Iterable[str] = self.__match_args__  # type: ignore[attr-defined]  # likewise
    return type(self), tuple(getattr(self, name) for name in names)


def _refuse(self: object, name: str, *_: object) -> None:
    from dataclasses import FrozenInstanceError  # noqa: PLC0415 - only somebody's slip comes here

    raise FrozenInstanceError(f"{type(self).__qualname__}.{name} cannot be changed")


def _nothing(_: object) -> tuple[()]:
    return ()


class _OfTheLibrary:
    """One of the attributes by which the library knows its classes, made when it asks for it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._known: dict[type, object] = {}

    def __get__(self, instance: object, owner: type) -> object:
        from dataclasses import field, make_dataclass  # noqa: PLC0415 - what this module is there to avoid

        kind = next(one for one in owner.__mro__ if _FIELDS in one.__dict__)
        if kind not in self._known:
            fields = [
                (name, annotation, field() if default is _NEEDED else field(default=default))
                for name, (annotation, default) in kind.__dict__[_FIELDS].items()
            ]
            # The same fields in a class of the library's own, which is asked instead; made once, for it takes 3 ms.
            self._known[kind] = getattr(make_dataclass(kind.__name__, fields, **kind.__dict__[_WAYS]), self._name)
        return self._known[kind]


_LIBRARY_FIELDS: Final = _OfTheLibrary("__dataclass_fields__")
_LIBRARY_PARAMS: Final = _OfTheLibrary("__dataclass_params__")
_FROZEN: Final = {"__setattr__": _refuse, "__delattr__": _refuse, "__reduce__": _reduce}
