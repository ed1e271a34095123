"""Read our own source as syntax trees, for rules that no linter knows."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "vmcatcher"


@dataclass(frozen=True)
class Module:
    """One source file."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of the tree, as `ast.walk` finds them; walked once for all tests."""
        return tuple(ast.walk(self.tree))

    def where(self, node: ast.AST) -> str:
        """Name a place as compilers do, for a failing test to print."""
        return f"{self.path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"

    @cached_property
    def references(self) -> tuple[tuple[str, ast.AST], ...]:
        """Every imported thing that is used or imported, by its full name: `os.rename`, `subprocess.run`, …

        Aliases are seen through; calling, passing on and assigning count alike.
        """
        return tuple(self._references())

    def _references(self) -> Iterator[tuple[str, ast.AST]]:
        known = self._imported_names()
        for node in self.nodes:
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    yield f"{node.module}.{alias.name}", node
            elif isinstance(node, ast.Attribute | ast.Name):
                dotted = _dotted(node)
                head, _, rest = dotted.partition(".")
                if head in known:
                    yield f"{known[head]}.{rest}" if rest else known[head], node

    def _imported_names(self) -> dict[str, str]:
        names: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                names |= {
                    alias.asname or alias.name.partition(".")[0]: alias.name
                    if alias.asname
                    else alias.name.partition(".")[0]
                    for alias in node.names
                }
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        return names


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = _dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


@cache
def modules() -> tuple[Module, ...]:
    """Return every module of the program."""
    return tuple(_read(path) for path in sorted(PACKAGE.rglob("*.py")))


def _read(path: Path) -> Module:
    text = path.read_text(encoding="utf-8")
    name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    return Module(name=name, path=path, text=text, tree=ast.parse(text))


def is_in(module: str, rooms: frozenset[str] | set[str] | dict[str, str]) -> bool:
    """Tell whether `module` is one of `rooms` or stands inside one of them."""
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield every function and method with its qualified name, nested ones too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name, node
            yield from functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        else:
            yield from functions(node, prefix)
