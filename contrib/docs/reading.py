"""Which settings a command reads, found by walking the calls from its first function through cli and wiring.

Nothing below those two knows the settings (contracts in pyproject.toml), so the walk sees every place that reads one.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

_SOURCE = Path(__file__).resolve().parents[2] / "src"
# Ways to ask for a setting by its name; `teller` passes the name on.
_ACCESSORS = {"text", "optional", "flag", "number", "count", "texts", "is_default", "teller"}
Place = tuple[str, str]
"""A module and the name of a function (or `Class.method`, or constant) in it."""


@dataclass
class _Module:
    definitions: dict[str, ast.AST] = field(default_factory=dict)
    imported: dict[str, Place] = field(default_factory=dict)
    """Name -> the module and the name it has there; the latter is empty for a module."""
    methods: dict[str, str] = field(default_factory=dict)


def settings_of(entries: Iterable[Place], names: frozenset[str]) -> frozenset[str]:
    """Return those of the settings `names` that the functions `entries`, and whatever they call, read."""
    modules = _modules()
    todo, seen, found = list(entries), set(), set()
    while todo:
        place = todo.pop()
        if place in seen or place[0] not in modules:
            continue
        seen.add(place)
        definition = modules[place[0]].definitions.get(place[1])
        if definition is not None:
            found |= _read_in(definition, names)
            todo += _reached_from(definition, place, modules)
    return frozenset(found)


def _read_in(definition: ast.AST, names: frozenset[str]) -> set[str]:
    """Return the settings that are asked for by name, here or by the function that gets the name."""
    found = set()
    for node in ast.walk(definition):
        if not isinstance(node, ast.Call):
            continue
        found |= {one.value for one in node.args if isinstance(one, ast.Constant) and one.value in names}
        is_accessor = isinstance(node.func, ast.Attribute) and node.func.attr in _ACCESSORS
        if is_accessor and node.args and not isinstance(node.args[0], ast.Constant):
            # By a name that is computed: any of those in sight, or that begin so.
            found |= {it.value for it in ast.walk(definition) if isinstance(it, ast.Constant) and it.value in names}
            found |= {name for name in names if (start := _beginning(node.args[0])) and name.startswith(start)}
    return found


def _beginning(name: ast.expr) -> str:
    """Return what a name that is put together begins with."""
    first = name.values[0] if isinstance(name, ast.JoinedStr) else None
    return str(first.value) if isinstance(first, ast.Constant) else ""


def _reached_from(definition: ast.AST, place: Place, modules: dict[str, _Module]) -> Iterator[Place]:
    module = modules[place[0]]
    imported = module.imported | _imports(definition)
    for node in ast.walk(definition):
        if isinstance(node, ast.Name):
            yield imported.get(node.id) or (place[0], node.id)
        elif isinstance(node, ast.Attribute):
            base = imported.get(node.value.id) if isinstance(node.value, ast.Name) else None
            if base is not None:
                yield (f"{base[0]}.{base[1]}".rstrip("."), node.attr)
            for owner in {place[0], *(one[0] for one in imported.values())} & modules.keys():
                # A method, of whatever class in sight: `run.reading()`.
                yield (owner, modules[owner].methods.get(node.attr, ""))


@cache
def _modules() -> dict[str, _Module]:
    above = (_SOURCE / "vmcatcher" / name for name in ("grounds.py", "wiring.py"))
    paths = [*(_SOURCE / "vmcatcher/cli").rglob("*.py"), *above]
    return {".".join(path.relative_to(_SOURCE).with_suffix("").parts): _module(path) for path in paths}


def _module(path: Path) -> _Module:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = _Module(imported=_imports(tree, deep=False))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            found.definitions[node.name] = node
        elif isinstance(node, ast.ClassDef):
            for method in (one for one in node.body if isinstance(one, ast.FunctionDef)):
                found.definitions[f"{node.name}.{method.name}"] = method
                found.methods[method.name] = f"{node.name}.{method.name}"
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    found.definitions[target.id] = node
    return found


def _imports(tree: ast.AST, *, deep: bool = True) -> dict[str, Place]:
    nodes = ast.walk(tree) if deep else ast.iter_child_nodes(tree)
    return {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
